//! Live consumers over real sockets, with streams that the test creates.

use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use rtmsd::clock::now_ms;
use rtmsd::hub::Feed;
use rtmsd::model::{
    EntryBody, Medium, Participant, Speaker, StreamRecord, TranscriptLine, UnreadableMessages,
    UserId,
};
use rtmsd::rtms::message::{self, Message};
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;
use tokio::time::timeout;
use uuid::Uuid;

use super::server::{READER, SUBSCRIBERS, Server, Wiring};
use crate::support::client::TIMEOUT;
use crate::support::websocket::{Heard, WebSocket};

const MEETING: &str = "m1==";

fn path(stream: &StreamRecord, query: &str) -> String {
    format!("/api/v1/sdk/sessions/{}/live{query}", stream.session_id)
}

async fn open(server: &Server, stream: &StreamRecord, query: &str) -> WebSocket {
    let socket = WebSocket::open(server.address, &path(stream, query), &[READER]).await;
    socket.unwrap_or_else(|answer| panic!("{} {}", answer.status, answer.text()))
}

/// A frame as Zoom sends it.
pub(crate) fn frame(feed: &mut Feed, medium: &str, user_id: u32, payload: &[u8]) {
    frame_at(feed, medium, user_id, payload, now_ms());
}

fn frame_at(feed: &mut Feed, medium: &str, user_id: u32, payload: &[u8], at_ms: i64) {
    let number = if medium == "audio" { 14 } else { 15 };
    let text = json!({"msg_type": number, "content": {
        "user_id": user_id, "data": BASE64_STANDARD.encode(payload), "timestamp": at_ms,
    }})
    .to_string();
    let decoded = message::decode(text.into(), &mut UnreadableMessages::default());
    let Ok(Message::Frame(frame)) = decoded else { panic!("no frame") };
    feed.frame(&frame);
}

fn line(user_id: u64, text: &str) -> EntryBody {
    EntryBody::Transcript(TranscriptLine {
        speaker: Speaker::participant(UserId(user_id), None),
        text: text.into(),
        start_ms: 1,
        end_ms: 2,
        language: None,
        attribute: None,
    })
}

fn joined(user_id: u64, name: &str) -> EntryBody {
    let person = Participant { user_id: UserId(user_id), user_name: Some(name.into()) };
    EntryBody::ParticipantJoined(person)
}

/// The head and payload of a binary frame, parsed as docs/live.md describes.
fn split(message: &[u8]) -> (Value, &[u8]) {
    let (length, rest) = message.split_at(2);
    let (head, payload) = rest.split_at(usize::from(length[0]) << 8 | usize::from(length[1]));
    (serde_json::from_slice(head).unwrap(), payload)
}

/// A server with the real clock, because frames carry real times.
async fn start() -> Server {
    Server::wired(Wiring { now_ms, ..Wiring::default() }).await
}

#[tokio::test]
async fn a_consumer_gets_a_hello_then_entries_and_frames() {
    let server = start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut feed = server.feed(&stream);
    feed.note(None, joined(7, "Ana"));
    server.state.hub.flush().await;
    let mut socket = open(&server, &stream, "?media=audio,transcript").await;
    let hello = socket.text().await;
    assert_eq!((&hello["type"], &hello["format"]), (&json!("hello"), &json!("json")));
    assert_eq!(hello["session"]["id"], json!(stream.session_id));
    assert_eq!(hello["streams"][0]["stream_id"], "s1");
    assert_eq!(
        (&hello["session"]["app"], &hello["streams"][0]["app"]),
        (&"default".into(), &"default".into())
    );
    assert_eq!(hello["streams"][0]["people"][0]["user_name"], "Ana");
    let entry = socket.text().await;
    assert_eq!((&entry["type"], &entry["cursor"]), (&json!("entry"), &json!("1:1")));
    assert_eq!((&entry["kind"], &entry["seq"]), (&json!("participant_joined"), &json!(1)));
    frame(&mut feed, "video", 7, b"not wanted");
    frame(&mut feed, "audio", 7, b"\x01\x02");
    let sound = socket.text().await;
    assert_eq!((&sound["type"], &sound["medium"]), (&json!("frame"), &json!("audio")));
    assert_eq!((&sound["user_name"], &sound["seq"]), (&json!("Ana"), &json!(1)));
    assert_eq!(BASE64_STANDARD.decode(sound["payload"].as_str().unwrap()).unwrap(), b"\x01\x02");
}

#[tokio::test]
async fn the_first_message_takes_the_fields_of_a_query() {
    let server = start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut feed = server.feed(&stream);
    let mut socket = open(&server, &stream, "").await;
    socket.say(r#"{"media": ["audio"], "format": "binary", "user": 8}"#).await;
    assert_eq!(socket.text().await["format"], "binary");
    for user_id in [7, 8] {
        frame(&mut feed, "audio", user_id, &[user_id as u8; 5]);
    }
    let Heard::Binary(message) = socket.next().await else { panic!("no frame") };
    let (head, payload) = split(&message);
    assert_eq!((&head["user_id"], &head["seq"]), (&json!(8), &json!(2)));
    assert_eq!(payload, [8; 5]);
}

#[tokio::test]
async fn a_query_that_cannot_be_served_is_refused_before_the_upgrade() {
    let server = start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    for (query, name) in [
        ("?media=sound", "media"),
        ("?format=xml", "format"),
        ("?from=x", "from"),
        ("?policy=wait", "policy"),
    ] {
        let refused = WebSocket::open(server.address, &path(&stream, query), &[READER]).await;
        let Err(answer) = refused else { panic!("{query} is served") };
        assert_eq!((answer.status, answer.code().as_str()), (422, "invalid_value"));
        assert!(answer.json()["error"]["detail"].as_str().unwrap().starts_with(name));
    }
    let nobody = "/api/v1/sdk/sessions/01932b5e-0000-7000-8000-000000000000/live?media=audio";
    let Err(answer) = WebSocket::open(server.address, nobody, &[READER]).await else { panic!() };
    assert_eq!((answer.status, answer.code().as_str()), (404, "session_not_found"));
    let answer = server.get(&path(&stream, "")).await;
    assert_eq!((answer.status, answer.code().as_str()), (426, "upgrade_required"));
    assert_eq!(answer.header("upgrade"), Some("websocket"));
}

#[tokio::test]
async fn a_first_message_that_cannot_be_served_gets_the_reason() {
    let server = start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    for (first, code, word) in [
        ("no json", "malformed", "JSON"),
        (r#"{"medium": "audio"}"#, "unknown_field", "medium"),
        (r#"{"media": "sound"}"#, "invalid_value", "media"),
        (r#"{"session": "01932b5e-0000-7000-8000-000000000000"}"#, "invalid_value", "session"),
    ] {
        let mut socket = open(&server, &stream, "").await;
        socket.say(first).await;
        let error = socket.text().await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{first}");
        assert!(error["detail"].as_str().unwrap().contains(word), "{error}");
        let Heard::Close(1008, reason) = socket.next().await else { panic!("{first}") };
        assert!(reason.contains(word));
    }
}

#[tokio::test]
async fn a_socket_needs_a_token_with_its_scope_and_a_subprotocol_can_carry_it() {
    let server = start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let path = path(&stream, "?media=audio");
    let query = format!("{path}&token=read-token-of-tests");
    for (path, headers, status) in [
        (&path, [("x", "y")], 401),
        (&query, [("x", "y")], 401),
        (&path, [("authorization", "Bearer wrong")], 401),
        (&path, [("authorization", "Bearer control-token-of-tests")], 403),
        (&path, [("sec-websocket-protocol", "rtmsd, bearer.wrong")], 401),
    ] {
        let refused = WebSocket::open(server.address, path, &headers).await;
        assert_eq!(refused.err().map(|answer| answer.status), Some(status), "{headers:?}");
    }
    let brought = [("sec-websocket-protocol", "rtmsd, bearer.read-token-of-tests")];
    let socket = WebSocket::open(server.address, &path, &brought).await;
    let mut socket = socket.unwrap_or_else(|answer| panic!("{}", answer.status));
    assert_eq!(socket.subprotocol.as_deref(), Some("rtmsd"));
    assert_eq!(socket.text().await["type"], "hello");
}

#[tokio::test]
async fn entries_continue_after_a_cursor_without_loss_or_repetition() {
    let server = start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut feed = server.feed(&stream);
    let (mut cursor, mut seen) = (String::from("1:0"), Vec::new());
    for round in 0..5 {
        for number in 0..50 {
            feed.note(None, line(7, &format!("{round} {number}")));
        }
        let mut socket = open(&server, &stream, &format!("?media=transcript&from={cursor}")).await;
        for _ in 0..30 {
            let entry = socket.of_type("entry").await;
            cursor = entry["cursor"].as_str().unwrap().to_owned();
            seen.push(entry["seq"].as_u64().unwrap());
        }
        socket.close().await;
    }
    assert_eq!(seen, (1..=150).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_consumer_from_now_gets_new_entries_and_only_the_users_own_words() {
    let server = start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut feed = server.feed(&stream);
    feed.note(None, line(7, "before"));
    server.state.hub.flush().await;
    let query = "?media=transcript&from=now&user=7";
    let mut socket = open(&server, &stream, query).await;
    // Nothing after the hello is missed, however soon it comes.
    let hello = socket.text().await;
    assert_eq!((&hello["type"], &hello["cursor"]), (&json!("hello"), &json!("1:1")));
    feed.note(None, joined(9, "Chidi"));
    feed.note(None, line(8, "of another"));
    feed.note(None, line(7, "after"));
    assert_eq!(socket.text().await["kind"], "participant_joined");
    assert_eq!(socket.text().await["text"], "after");
}

#[tokio::test]
async fn a_consumer_from_now_that_saw_no_entry_continues_behind_its_hello() {
    let server = start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut feed = server.feed(&stream);
    feed.note(None, line(7, "before"));
    server.state.hub.flush().await;
    let mut socket = open(&server, &stream, "?media=transcript&from=now").await;
    let cursor = socket.text().await["cursor"].as_str().unwrap().to_owned();
    socket.close().await;
    feed.note(None, line(7, "meanwhile"));
    server.state.hub.flush().await;
    let mut socket = open(&server, &stream, &format!("?media=transcript&from={cursor}")).await;
    assert_eq!(socket.text().await["cursor"], json!(cursor));
    assert_eq!(socket.of_type("entry").await["text"], "meanwhile");
}

#[tokio::test]
async fn the_end_of_a_session_is_sent_and_closes_the_socket() {
    let server = start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut socket = open(&server, &stream, "?media=transcript").await;
    let mut feed = server.feed(&stream);
    feed.note(None, line(7, "hello"));
    drop(feed);
    server.end_stream(MEETING, &stream).await;
    let end = socket.of_type("end").await;
    assert_eq!((&end["session_id"], &end["cursor"]), (&json!(stream.session_id), &json!("1:2")));
    let closed = Heard::Close(1000, "the session has ended".into());
    assert_eq!(socket.next().await, closed);
    let query = "?media=transcript&from=1:2";
    let mut late = open(&server, &stream, query).await;
    assert_eq!(late.text().await["session"]["status"], "ended");
    assert_eq!(late.text().await["type"], "end");
    assert_eq!(late.next().await, closed);
}

#[tokio::test]
async fn a_stop_of_the_daemon_closes_with_1001() {
    let server = start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut socket = open(&server, &stream, "?media=audio").await;
    let mut waiting = open(&server, &stream, "").await;
    assert_eq!(socket.text().await["type"], "hello");
    server.stopped().await;
    assert_eq!(
        socket.next().await,
        Heard::Close(1001, "the server has stopped this connection".into())
    );
    assert!(matches!(waiting.next().await, Heard::Gone | Heard::Close(1001, _)));
}

#[tokio::test]
async fn a_consumer_that_closes_gets_its_close_answered() {
    let server = start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut socket = open(&server, &stream, "?media=audio").await;
    assert_eq!(socket.text().await["type"], "hello");
    socket.send_close().await;
    assert_eq!(socket.next().await, Heard::Close(1000, String::new()));
}

#[tokio::test]
async fn live_consumers_count_as_subscribers() {
    let server = start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut sockets = Vec::new();
    for _ in 0..SUBSCRIBERS {
        sockets.push(open(&server, &stream, "?media=audio").await);
    }
    let path = path(&stream, "?media=audio");
    let refused = WebSocket::open(server.address, &path, &[READER]).await;
    let code = refused.err().map(|answer| answer.code());
    assert_eq!(code.as_deref(), Some("too_many_subscribers"));
    sockets.pop().unwrap().close().await;
    let freed = async || WebSocket::open(server.address, &path, &[READER]).await.is_ok();
    while !freed().await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_consumer_of_everything_gets_each_session_as_it_appears() {
    let server = start().await;
    let first = server.start_stream("m1==", "s1").await;
    let mut feed_1 = server.feed(&first);
    let path = "/api/v1/live?media=audio,transcript";
    let socket = WebSocket::open(server.address, path, &[READER]).await;
    let mut socket = socket.unwrap_or_else(|answer| panic!("{}", answer.text()));
    let hello = socket.text().await;
    assert_eq!((&hello["session"], hello["streams"].as_array().unwrap().len()), (&Value::Null, 1));
    let second = server.start_stream("m2==", "s2").await;
    let mut feed_2 = server.feed(&second);
    feed_2.note(None, line(7, "in the second"));
    let began = socket.of_type("stream").await;
    assert_eq!((&began["stream_id"], &began["state"]), (&json!("s2"), &json!("running")));
    assert_eq!(
        (&began["ordinal"], &began["stream"]),
        (&json!(1), &json!(1)),
        "the deprecated name"
    );
    let entry = socket.of_type("entry").await;
    assert_eq!((&entry["session_id"], &entry["seq"]), (&json!(second.session_id), &json!(1)));
    frame(&mut feed_1, "audio", 7, b"1");
    frame(&mut feed_2, "audio", 7, b"2");
    let sounds = [socket.of_type("frame").await, socket.of_type("frame").await];
    assert_eq!(sounds.map(|sound| sound["stream_id"].clone()), ["s1", "s2"]);
    drop(feed_2);
    let over = socket.of_type("stream").await;
    assert_eq!((&over["stream_id"], &over["state"]), (&json!("s2"), &json!("over")));
}

/// A socket for all sessions, after its hello.
async fn open_all(server: &Server, first: &Value) -> WebSocket {
    let socket = WebSocket::open(server.address, "/api/v1/live", &[READER]).await;
    let mut socket = socket.unwrap_or_else(|answer| panic!("{}", answer.text()));
    socket.say(&first.to_string()).await;
    assert_eq!(socket.text().await["type"], "hello");
    socket
}

/// The numbers of a session's entries, up to its end.
async fn numbers(socket: &mut WebSocket, session: &StreamRecord) -> Vec<u64> {
    let mut numbers = Vec::new();
    loop {
        let message = socket.text().await;
        if message["session_id"] != json!(session.session_id) {
            continue;
        }
        match message["type"].as_str().unwrap() {
            "entry" => numbers.push(message["seq"].as_u64().unwrap()),
            "end" => return numbers,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_consumer_of_everything_gets_what_it_missed_of_a_session_that_has_ended() {
    let server = start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut feed = server.feed(&stream);
    for text in ["heard", "missed", "missed, too"] {
        feed.note(None, line(7, text));
    }
    drop(feed);
    server.end_stream(MEETING, &stream).await;
    let unknown = "01932b5e-0000-7000-8000-000000000000";
    let from = json!({stream.session_id.to_string(): "1:1", unknown: "1:1"});
    let mut socket = open_all(&server, &json!({"media": "transcript", "from": from})).await;
    assert_eq!(numbers(&mut socket, &stream).await, [2, 3, 4]);
    let second = server.start_stream(MEETING, "s2").await;
    let mut feed = server.feed(&second);
    feed.note(None, line(7, "once more"));
    let entry = socket.of_type("entry").await;
    assert_eq!((&entry["stream_id"], &entry["text"]), (&json!("s2"), &json!("once more")));
}

#[tokio::test]
async fn consumers_that_name_sessions_without_number_cost_a_task_each_and_not_one_a_session() {
    let server = start().await;
    let from: Map<String, Value> =
        (0..1024).map(|number: u128| (Uuid::from_u128(number).to_string(), json!("1:1"))).collect();
    let before = Handle::current().metrics().num_alive_tasks();
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(open_all(&server, &json!({"media": "transcript", "from": from})).await);
    }
    let after = Handle::current().metrics().num_alive_tasks();
    // A connection and its consumer end in one task, and the named sessions have another.
    assert!(after - before <= 4 * 4, "{before} tasks became {after}");
    let stream = server.start_stream(MEETING, "s1").await;
    let mut feed = server.feed(&stream);
    feed.note(None, line(7, "heard"));
    for socket in &mut sockets {
        assert_eq!(socket.of_type("entry").await["text"], "heard");
    }
}

#[tokio::test]
async fn idle_sessions_that_exist_cost_a_consumer_one_task_and_not_one_each() {
    let server = start().await;
    let mut from = Map::new();
    for number in 0..100 {
        let stream = server.start_stream(&format!("m{number}=="), &format!("s{number}")).await;
        from.insert(stream.session_id.to_string(), json!(""));
    }
    let before = Handle::current().metrics().num_alive_tasks();
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(open_all(&server, &json!({"media": "transcript", "from": from})).await);
    }
    // Long enough for the first look-up.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let after = Handle::current().metrics().num_alive_tasks();
    assert!(after - before <= 4 * 4, "{before} tasks became {after}");
}

#[tokio::test]
async fn an_idle_session_is_followed_from_its_cursor_when_its_next_stream_begins_here() {
    let server = start().await;
    let first = server.start_stream(MEETING, "s1").await;
    let mut feed = server.feed(&first);
    feed.note(None, line(7, "heard"));
    drop(feed);
    server.state.hub.flush().await;
    let from = json!({first.session_id.to_string(): "1:1"});
    let mut socket = open_all(&server, &json!({"media": "transcript", "from": from})).await;
    let second = server.start_stream(MEETING, "s2").await;
    assert_eq!(second.session_id, first.session_id);
    let mut feed = server.feed(&second);
    feed.note(None, line(7, "new"));
    let entry = socket.of_type("entry").await;
    assert_eq!((&entry["text"], &entry["stream_id"]), (&json!("new"), &json!("s2")));
}

#[tokio::test]
async fn the_sockets_of_a_token_name_no_more_sessions_than_its_budget_of_cursors() {
    let server = start().await;
    let named = |first: u128| {
        let cursor = |number: u128| (Uuid::from_u128(number).to_string(), json!("1:1"));
        let from: Map<String, Value> = (first..first + 1024).map(cursor).collect();
        json!({"media": "transcript", "from": from})
    };
    let mut sockets = Vec::new();
    for number in 0..4 {
        sockets.push(open_all(&server, &named(number << 20)).await);
    }
    let mut refused =
        WebSocket::open(server.address, "/api/v1/live", &[READER]).await.ok().unwrap();
    refused.say(&named(9 << 20).to_string()).await;
    let error = refused.text().await;
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("too_many_cursors")));
    open_all(&server, &json!({"media": "transcript"})).await;
    drop(sockets.pop());
    let is_free = async {
        loop {
            let socket = WebSocket::open(server.address, "/api/v1/live", &[READER]).await;
            let mut socket = socket.ok().unwrap();
            socket.say(&named(9 << 20).to_string()).await;
            if socket.text().await["type"] == "hello" {
                return;
            }
        }
    };
    timeout(TIMEOUT, is_free).await.expect("a closed socket returns its cursors");
}

#[tokio::test]
async fn a_consumer_gets_the_rest_of_every_ended_session_that_it_names() {
    let server = start().await;
    let mut from = Map::new();
    for number in 0..70 {
        let meeting = format!("m{number}==");
        let stream = server.start_stream(&meeting, &format!("s{number}")).await;
        server.feed(&stream).note(None, line(7, "missed"));
        server.end_stream(&meeting, &stream).await;
        from.insert(stream.session_id.to_string(), json!(""));
    }
    let mut socket = open_all(&server, &json!({"media": "transcript", "from": from})).await;
    let (mut missed, mut ended) = (0, 0);
    while ended < 70 {
        let message = socket.text().await;
        missed += usize::from(message["text"] == "missed");
        ended += usize::from(message["type"] == "end");
    }
    assert_eq!(missed, 70);
}

#[tokio::test]
async fn a_consumer_that_reconnects_before_the_streams_continues_where_it_was() {
    let server = start().await;
    let known = server.start_stream(MEETING, "s1").await;
    let mut feed = server.feed(&known);
    feed.note(None, line(7, "heard"));
    feed.note(None, line(7, "missed"));
    drop(feed);
    server.state.hub.flush().await;
    let from = json!({known.session_id.to_string(): "1:1"});
    let mut socket = open_all(&server, &json!({"media": "transcript", "from": from})).await;
    let mut feed = server.feed_after(&known, 2);
    feed.note(None, line(7, "again"));
    drop(feed);
    server.end_stream(MEETING, &known).await;
    assert_eq!(numbers(&mut socket, &known).await, [2, 3, 4]);
}

#[tokio::test]
async fn a_consumer_of_new_entries_gets_nothing_old_of_a_resumed_stream() {
    let wiring = Wiring { now_ms, ..Wiring::default() };
    let server = Server::wired(wiring).await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut feed = server.feed(&stream);
    feed.note(None, line(7, "old"));
    drop(feed);
    server.state.hub.flush().await;
    // The consumer must connect in a later millisecond than the stream.
    while now_ms() <= stream.created_at_ms {
        tokio::task::yield_now().await;
    }
    let mut socket = open_all(&server, &json!({"media": "transcript", "from": "now"})).await;
    let feed = server.feed_after(&stream, 1);
    let second = server.start_stream(MEETING, "s2").await;
    let mut new = server.feed(&second);
    new.note(None, line(7, "new"));
    drop((feed, new));
    let first = socket.of_type("entry").await;
    assert_eq!((&first["stream_id"], &first["text"]), (&json!("s2"), &json!("new")));
}

/// Beyond every calendar in both directions, and unset times.
const ABSURD_MS: [i64; 5] = [i64::MIN, -9_300_000_000_000_000, 0, 253_402_300_800_000, i64::MAX];
const MINUTE_MS: i64 = 60_000;

#[tokio::test]
async fn frames_with_absurd_times_are_placed_where_they_came_and_flood_nobody() {
    let server = start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut plain = open(&server, &stream, "?media=audio").await;
    let mut twilio = open(&server, &stream, "?format=twilio").await;
    assert_eq!(plain.text().await["type"], "hello");
    assert_eq!(twilio.text().await["event"], "connected");
    let hub = Arc::clone(&server.state.hub);
    let mut feed = Feed::new(hub, &stream, 0, Medium::Audio.into());
    let began_ms = now_ms();
    feed.note(Some(i64::MIN), EntryBody::FirstPacket {});
    for at_ms in ABSURD_MS.into_iter().chain([began_ms]).chain(ABSURD_MS) {
        frame_at(&mut feed, "audio", 7, &[1; 640], at_ms);
        let shown_ms = plain.of_type("frame").await["at_ms"].as_i64().unwrap();
        assert!((shown_ms - began_ms).abs() < MINUTE_MS, "{at_ms} became {shown_ms}");
    }
    twilio.say(r#"{"event": "mark", "mark": {"name": "after"}}"#).await;
    let mut sounds = 0;
    while twilio.text().await["event"] != "mark" {
        sounds += 1;
        assert!(sounds < 1_000, "eleven frames became a flood");
    }
    feed.finish().await;
    let stream = server.stream("s1").await;
    let audio = &stream.tally.audio;
    for at_ms in [audio.first_ms.unwrap(), audio.last_ms.unwrap()] {
        assert!((at_ms - began_ms).abs() < MINUTE_MS, "the ledger holds {at_ms}");
    }
    assert_eq!(audio.frames, 11);
    assert!(stream.ledger[0].covered_ms() < MINUTE_MS);
}

#[tokio::test]
async fn a_frame_carries_the_current_name_of_its_speaker() {
    let server = start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut socket = open(&server, &stream, "?media=audio").await;
    assert_eq!(socket.text().await["type"], "hello");
    let mut feed = server.feed(&stream);
    let names = [None, Some("Ana"), Some("Bo")];
    for name in names {
        if let Some(name) = name {
            feed.note(None, joined(7, name));
        }
        for (user_id, name) in [(7, name), (7, name), (8, None), (7, name)] {
            frame(&mut feed, "audio", user_id, &[1; 4]);
            let frame = socket.of_type("frame").await;
            let expected = (json!(user_id), json!(name));
            assert_eq!((&frame["user_id"], &frame["user_name"]), (&expected.0, &expected.1));
        }
    }
}

/// Many times more than a consumer's queue holds.
const FLOOD: u64 = 400;

fn flood(feed: &mut Feed) {
    for _ in 0..FLOOD {
        frame(feed, "audio", 7, &[1; 4_000]);
    }
}

#[tokio::test]
async fn a_slow_consumer_loses_the_oldest_frames_with_their_count_and_no_entry() {
    let server = start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut slow = open(&server, &stream, "?format=binary").await;
    assert_eq!(slow.text().await["type"], "hello");
    let mut feed = server.feed(&stream);
    for number in 0..20 {
        flood(&mut feed);
        feed.note(None, line(7, &number.to_string()));
    }
    let (mut seq, mut dropped, mut lines) = (0, 0, Vec::new());
    while seq < 20 * FLOOD || lines.len() < 20 {
        match slow.next().await {
            Heard::Text(text) if text["type"] == "dropped" => {
                assert_eq!(text["medium"], "audio");
                dropped += text["count"].as_u64().unwrap();
            }
            Heard::Text(text) if text["kind"] == "transcript" => {
                lines.push(text["text"].as_str().unwrap().to_owned());
            }
            Heard::Text(_) => {}
            Heard::Binary(message) => {
                let (head, _) = split(&message);
                let next = head["seq"].as_u64().unwrap();
                assert_eq!(next, seq + dropped + 1, "each hole is reported");
                (seq, dropped) = (next, 0);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(lines, (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_slow_consumer_with_policy_disconnect_is_disconnected_and_others_are_not() {
    let server = start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut slow = open(&server, &stream, "?policy=disconnect&format=binary").await;
    let mut other = open(&server, &stream, "?policy=disconnect&media=transcript").await;
    assert_eq!(slow.text().await["type"], "hello");
    let mut feed = server.feed(&stream);
    flood(&mut feed);
    feed.note(None, line(7, "still here"));
    let entry = loop {
        let entry = other.of_type("entry").await;
        if entry["kind"] == "transcript" {
            break entry;
        }
    };
    assert_eq!(entry["text"], "still here");
    let closed = loop {
        match slow.next().await {
            Heard::Text(_) | Heard::Binary(_) => {}
            closed => break closed,
        }
    };
    let Heard::Close(4008, reason) = closed else { panic!("{closed:?}") };
    assert!(reason.starts_with("too slow: ") && reason.ends_with(" audio frames were dropped"));
}
