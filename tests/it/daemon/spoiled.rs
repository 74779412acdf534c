//! A peer that sends malformed data: invalid UTF-8, invalid JSON, fields of the wrong type. The stream stays up and all
//! other data is complete.

use std::time::Duration;

use serde_json::{Value, json};

use super::peer::{Peer, PeerSocket};
use crate::support::kit::{Home, Log, TestDaemon, send_webhook, started, stopped};

const NAME_CUT_IN_ITS_BYTES: &[u8] =
    b"{\"msg_type\":17,\"content\":{\"user_id\":7,\"user_name\":\"Ana \xf0\x9f\x91\",\"data\":\"cut bytes\"}}";
const NAME_CUT_IN_A_PAIR: &[u8] =
    br#"{"msg_type":17,"content":{"user_id":8,"user_name":"Bo \ud83d","data":"cut pair"}}"#;

/// The `msg_type`, how much was lost, and why.
type Counted = (u16, &'static str, &'static str);

/// Malformed messages that Zoom or another JSON peer is known to send (section 23.5), and what each one costs.
fn spoiled() -> Vec<(Vec<u8>, Option<Counted>)> {
    let audio_name = b"{\"msg_type\":14,\"content\":{\"user_id\":7,\"user_name\":\"\xf0\x9f\",\"data\":\"AAAB\"}}";
    vec![
        (NAME_CUT_IN_ITS_BYTES.to_vec(), None),
        (NAME_CUT_IN_A_PAIR.to_vec(), None),
        (audio_name.to_vec(), None),
        (b"".to_vec(), Some((0, "message", "not_json"))),
        (b"[]".to_vec(), Some((0, "message", "not_json"))),
        (b"\xff\xfe\xfd".to_vec(), Some((0, "message", "not_json"))),
        (br#"{"content":{}}"#.to_vec(), Some((0, "message", "no_msg_type"))),
        (br#"{"msg_type":14,"content":{"data":null}}"#.to_vec(), Some((14, "message", "data"))),
        (br#"{"msg_type":14,"content":{"user_id":1}}"#.to_vec(), Some((14, "message", "data"))),
        (
            br#"{"msg_type":14,"content":{"user_id":-1,"data":"AAAB"}}"#.to_vec(),
            Some((14, "field", "user_id")),
        ),
        (
            br#"{"msg_type":17,"content":{"data":"French","language":"fr-FR"}}"#.to_vec(),
            Some((17, "field", "language")),
        ),
        (
            br#"{"msg_type":17,"content":{"data":"new","attribute":"NEW"}}"#.to_vec(),
            Some((17, "field", "attribute")),
        ),
        (br#"{"msg_type":17,"content":{"data":"no end","end_time":""}}"#.to_vec(), None),
        (br#"{"msg_type":17,"content":{"data":"agent","user_id":"KDcu"}}"#.to_vec(), None),
        (br#"{"msg_type":12}"#.to_vec(), None),
    ]
}

/// Joins a stream in which the test plays Zoom's side of the signaling socket and of one media socket.
async fn join(daemon: &TestDaemon) -> (Log, PeerSocket, PeerSocket) {
    let (mut signaling, mut media) = (Peer::listen().await, Peer::listen().await);
    assert_eq!(send_webhook(daemon.address, &started("spoiled", &signaling.url())).await, 200);
    let log = Log::follow(daemon.api(), "spoiled").await;
    let mut first = signaling.accept().await;
    first.welcome(&media.url()).await;
    let mut second = media.accept().await;
    assert_eq!(second.hear().await["msg_type"], 3);
    second.say(&json!({ "msg_type": 4, "status_code": 0, "media_params": {} })).await;
    log.entries("link_up", 2).await;
    (log, first, second)
}

fn line(n: usize) -> Value {
    json!({ "msg_type": 17, "content": { "user_id": 9, "user_name": "Chidi", "data": format!("line {n}") } })
}

#[tokio::test]
async fn whatever_a_peer_corrupts_the_stream_lives_and_the_rest_is_complete() {
    let mut home = Home::sqlite().set("MEDIA_SOCKET_CONNECTION_MODE", "unified");
    // The test's peer sends no keep-alives.
    home.timings.silence = Duration::from_secs(60);
    let daemon = TestDaemon::start(&home).await;
    let (log, mut signaling, mut media) = join(&daemon).await;
    let spoiled = spoiled();
    for (n, (bytes, _)) in spoiled.iter().enumerate() {
        media.say_bytes(bytes).await;
        signaling
            .say_bytes(br#"{"msg_type":6,"event":{"event_type":2,"timestamp":1,"user_id":null}}"#)
            .await;
        media.say(&line(n)).await;
    }
    let roster = json!({ "msg_type": 6, "event": { "event_type": 3, "participants": [
        { "user_id": 1, "user_name": "Ana" }, { "user_name": "+49 30 1234" }, { "user_id": 2 } ] } });
    signaling.say(&roster).await;
    log.entries("participant_joined", 2).await;
    let is_line = |bytes: &[u8]| bytes.starts_with(br#"{"msg_type":17"#);
    let own = spoiled.iter().filter(|(bytes, _)| is_line(bytes)).count();
    let page = log.lines(spoiled.len() + own).await;
    let (lines, texts) = (page.of("transcript"), page.texts());
    for n in 0..spoiled.len() {
        assert!(texts.contains(&format!("line {n}").as_str()), "{texts:?}");
    }
    let name_of =
        |text: &str| lines.iter().find(|line| line["text"] == text).unwrap()["user_name"].clone();
    assert_eq!(name_of("cut bytes"), "Ana \u{fffd}");
    assert_eq!(name_of("cut pair"), "Bo \u{fffd}");
    // A keep-alive without a time is answered with the current time.
    let answer = media.hear_type(13).await;
    assert!(answer["timestamp"].as_i64().unwrap() > 1_700_000_000_000, "{answer}");
    assert_eq!(log.page().links(), ["+signaling", "+all"]);
    let counted = counted(&daemon, &log).await;
    let is_lost_frame = |gap: &&Value| gap["medium"] == "audio" && gap["cause"] == "unreadable";
    assert!(log.over().await.of("gap").iter().any(is_lost_frame));
    for (bytes, expected) in &spoiled {
        let Some((msg_type, lost, reason)) = expected else { continue };
        let is_it = |kind: &&Value| {
            kind["msg_type"] == *msg_type && kind["lost"] == *lost && kind["reason"] == *reason
        };
        let same = spoiled.iter().filter(|(_, other)| other == expected).count();
        let found = counted.iter().find(is_it);
        assert!(
            found.is_some_and(|kind| kind["count"] == same),
            "{:?}: {counted:?}",
            String::from_utf8_lossy(bytes)
        );
    }
    let total: u64 = counted.iter().map(|kind| kind["count"].as_u64().unwrap()).sum();
    let expected = spoiled.iter().filter(|(_, costs)| costs.is_some()).count() + spoiled.len() + 1;
    assert_eq!(total, expected as u64, "{counted:?}");
    assert!(!format!("{counted:?}").contains("1234"), "the counts quote nothing that was sent");
}

/// The unreadable messages that the API reports after the stream's end.
async fn counted(daemon: &TestDaemon, log: &Log) -> Vec<Value> {
    assert_eq!(send_webhook(daemon.address, &stopped("spoiled", 6)).await, 200);
    daemon.api().reaches(log.session_id(), "ended").await;
    let path = format!("/api/v1/sdk/sessions/{}", log.session_id());
    let session = daemon.api().get(&path).await.unwrap().json();
    session["data"]["streams"][0]["unreadable_messages"].as_array().unwrap().clone()
}

/// The largest message that is read on any link.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// An audio frame with this many characters of base64. Its type comes first, as Zoom sends it.
fn audio(characters: usize) -> String {
    let data = "A".repeat(characters);
    format!(r#"{{"msg_type":14,"content":{{"user_id":7,"user_name":"Ana","data":"{data}"}}}}"#)
}

/// A message that a participant joined, padded to this many bytes.
fn join_of(user_id: u32, bytes: usize) -> Value {
    let padding = "x".repeat(bytes);
    json!({ "msg_type": 6, "padding": padding,
        "event": { "event_type": 3, "participants": [{ "user_id": user_id }] } })
}

#[tokio::test]
async fn a_message_of_megabytes_is_read_and_one_over_16_mib_costs_only_itself() {
    let mut home =
        Home::sqlite().set("MEDIA_SOCKET_CONNECTION_MODE", "split").set("MEDIA_TYPES", "audio");
    home.timings.silence = Duration::from_secs(60);
    let daemon = TestDaemon::start(&home).await;
    let (log, mut signaling, mut media) = join(&daemon).await;
    signaling.say(&join_of(1, 2 << 20)).await;
    media.say_bytes(audio(2 << 20).as_bytes()).await;
    for _ in 0..2 {
        signaling.say(&join_of(2, MAX_MESSAGE_BYTES)).await;
        media.say_bytes(audio(MAX_MESSAGE_BYTES).as_bytes()).await;
    }
    signaling.say(&join_of(3, 0)).await;
    media.say(&json!({ "msg_type": 12, "timestamp": 5 })).await;
    assert_eq!(media.hear_type(13).await["timestamp"], 5);
    log.entries("participant_joined", 2).await;
    assert_eq!(log.page().links(), ["+signaling", "+audio"]);
    let counted = counted(&daemon, &log).await;
    let page = log.over().await;
    let joined: Vec<_> =
        page.of("participant_joined").iter().map(|entry| entry["user_id"].clone()).collect();
    assert_eq!(joined, [1, 3]);
    let gaps = page.of("gap");
    assert!(gaps.iter().any(|gap| gap["cause"] == "unreadable"), "{gaps:?}");
    assert!(gaps.iter().all(|gap| gap["medium"] == "audio"), "{gaps:?}");
    assert_eq!(counted.len(), 2, "the messages of 2 MiB were read: {counted:?}");
    for kind in &counted {
        assert!([6, 14].contains(&kind["msg_type"].as_u64().unwrap()), "{counted:?}");
        assert_eq!((&kind["reason"], &kind["count"]), (&json!("too_large"), &json!(2)));
    }
}
