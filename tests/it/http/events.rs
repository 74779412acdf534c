use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rtmsd::hub::Feed;
use rtmsd::model::{ChatMessage, EntryBody, Participant, StreamRecord, TranscriptLine, UserId};
use serde_json::json;

use super::client::{SseClient, SseEvent};
use super::server::{NOW_S, READER, SUBSCRIBERS, Server};

const MEETING: &str = "m1==";
const ENTRIES: u64 = 400;

fn path(stream: &StreamRecord) -> String {
    format!("/api/v1/sdk/sessions/{}/events", stream.session_id)
}

fn joined() -> EntryBody {
    EntryBody::ParticipantJoined(Participant { user_id: UserId(7), user_name: None })
}

async fn subscribe(server: &Server, path: &str, last: &str) -> (u16, SseClient) {
    let resumed = [READER, ("last-event-id", last)];
    let headers = if last.is_empty() { &resumed[..1] } else { &resumed };
    SseClient::open(server.address, path, headers).await
}

/// Stream and number of an event.
fn place(event: &SseEvent) -> (u64, u64) {
    (event.data["stream"].as_u64().unwrap(), event.data["seq"].as_u64().unwrap())
}

#[tokio::test]
async fn a_subscriber_gets_what_was_and_what_comes() {
    let server = Server::start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut feed = server.feed(&stream);
    feed.note(Some(NOW_S * 1000), joined());
    server.state.hub.flush().await;
    let (status, mut events) = subscribe(&server, &path(&stream), "").await;
    assert_eq!(status, 200);
    let event = events.next().await.unwrap();
    assert_eq!((event.id.as_str(), event.event.as_str()), ("1:1", "participant_joined"));
    let expected = json!({
        "session_id": stream.session_id, "stream_id": "s1", "stream": 1, "seq": 1,
        "at_ms": NOW_S * 1000, "at": "2024-11-22T22:06:12.000Z",
        "kind": "participant_joined", "user_id": 7, "user_name": null,
    });
    assert_eq!(event.data, expected);
    feed.note(None, EntryBody::FirstPacket {});
    assert_eq!(events.next().await.unwrap().event, "first_packet");
}

#[tokio::test]
async fn an_entry_that_another_replica_wrote_arrives_too() {
    let server = Server::start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let (_, mut events) = subscribe(&server, &path(&stream), "").await;
    let entry = rtmsd::model::Entry {
        session_id: stream.session_id,
        stream_id: stream.stream_id.clone(),
        stream_ordinal: 1,
        seq: 1,
        at_ms: 0,
        body: joined(),
    };
    server.state.store.write_entries(&[entry]).await.unwrap();
    assert_eq!(place(&events.next().await.unwrap()), (1, 1));
}

#[tokio::test]
async fn a_resumed_subscriber_gets_what_it_missed_and_a_filter_leaves_the_rest_out() {
    let server = Server::start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut feed = server.feed(&stream);
    for _ in 0..3 {
        feed.note(None, joined());
        feed.note(None, EntryBody::FirstPacket {});
    }
    server.state.hub.flush().await;
    let filtered = format!("{}?kinds=first_packet&after=1:1", path(&stream));
    let (_, mut events) = subscribe(&server, &filtered, "").await;
    assert_eq!(place(&events.next().await.unwrap()), (1, 2));
    // The header is newer than what the page's URL says.
    let (_, mut events) = subscribe(&server, &filtered, "1:4").await;
    let event = events.next().await.unwrap();
    assert_eq!((place(&event), event.id.as_str()), ((1, 6), "1:6"));
}

#[tokio::test]
async fn an_ended_session_ends_its_subscribers_and_turns_them_away_afterwards() {
    let server = Server::start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let (_, mut events) = subscribe(&server, &path(&stream), "").await;
    let mut feed = server.feed(&stream);
    feed.note(None, joined());
    feed.note(None, EntryBody::Ended { outcome: "stopped".into(), reason: Some(6) });
    server.end_stream(MEETING, &stream).await;
    let names = [&events.next().await, &events.next().await, &events.next().await]
        .map(|event| event.as_ref().unwrap().event.clone());
    assert_eq!(names, ["participant_joined", "ended", "end"]);
    assert_eq!(events.next().await, None);
    assert_eq!(subscribe(&server, &path(&stream), "1:2").await.0, 204);
    let (status, mut late) = subscribe(&server, &path(&stream), "1:1").await;
    assert_eq!(status, 200);
    assert_eq!(late.next().await.unwrap().event, "ended");
    let end = late.next().await.unwrap();
    assert_eq!((end.event.as_str(), end.id.as_str()), ("end", "1:2"));
}

#[tokio::test]
async fn a_subscriber_too_many_is_told_to_come_later() {
    let server = Server::start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut open = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let (status, events) = subscribe(&server, &path(&stream), "").await;
        assert_eq!(status, 200);
        open.push(events);
    }
    let answer = server.get(&path(&stream)).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "too_many_subscribers"));
    assert_eq!(answer.json()["error"]["retryable"], true);
}

#[tokio::test]
async fn a_stop_of_the_daemon_ends_every_event_stream() {
    let server = Server::start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let (_, mut events) = subscribe(&server, &path(&stream), "").await;
    server.stopped().await;
    assert_eq!(events.next().await, None);
}

fn random_body(rng: &mut StdRng) -> EntryBody {
    let text = "x".repeat(rng.random_range(0..6000));
    match rng.random_range(0..3) {
        0 => joined(),
        1 => EntryBody::Chat(ChatMessage {
            user_id: None,
            user_name: None,
            text,
            operation: None,
            message_id: None,
            parent_message_id: None,
        }),
        _ => EntryBody::Transcript(TranscriptLine {
            user_id: UserId(1),
            user_name: None,
            text,
            start_ms: 0,
            end_ms: 1,
            language: None,
            attribute: None,
        }),
    }
}

/// Writes both streams' entries and returns, per stream, the numbers of the chat messages.
async fn talk(rng: &mut StdRng, feeds: &mut [Feed; 2]) -> [Vec<u64>; 2] {
    let mut chats = [Vec::new(), Vec::new()];
    let mut last_seq = [0, 0];
    while last_seq.iter().sum::<u64>() < ENTRIES {
        let which = rng.random_range(0..2);
        let body = random_body(rng);
        last_seq[which] += 1;
        if matches!(body, EntryBody::Chat(_)) {
            chats[which].push(last_seq[which]);
        }
        feeds[which].note(None, body);
        if rng.random_bool(0.2) {
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..20))).await;
        }
    }
    for feed in feeds {
        feed.note(None, EntryBody::Ended { outcome: "stopped".into(), reason: Some(6) });
    }
    chats
}

/// A subscriber that reads a little, pauses, hangs up and comes again, until the session is over.
async fn come_and_go(server: &Server, path: &str, mut rng: StdRng) -> Vec<SseEvent> {
    let mut seen = Vec::new();
    let mut last = String::new();
    loop {
        let (status, mut events) = subscribe(server, path, &last).await;
        if status == 204 {
            return seen;
        }
        assert_eq!(status, 200);
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..300))).await;
        for _ in 0..rng.random_range(1..80) {
            let Some(event) = events.next().await else { break };
            last.clone_from(&event.id);
            if event.event != "end" {
                seen.push(event);
            }
        }
    }
}

fn numbers_of(stream: u64, events: &[SseEvent]) -> Vec<u64> {
    let places = events.iter().map(place);
    places.filter(|(of, _)| *of == stream).map(|(_, seq)| seq).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_that_come_and_go_see_each_entry_exactly_once_in_order() {
    let seed: u64 = std::env::var("SEED").map_or_else(|_| rand::random(), |s| s.parse().unwrap());
    println!("SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let server = Server::start().await;
    let streams =
        [server.start_stream(MEETING, "s1").await, server.start_stream(MEETING, "s2").await];
    let mut feeds = [server.feed(&streams[0]), server.feed(&streams[1])];
    let all = path(&streams[0]);
    let only_chat = format!("{all}?kinds=chat");
    let mut readers = Vec::new();
    for n in 0..6 {
        let path = if n < 4 { &all } else { &only_chat };
        readers.push(come_and_go(&server, path, StdRng::seed_from_u64(seed.wrapping_add(n))));
    }
    let writing = async {
        let chats = talk(&mut rng, &mut feeds).await;
        for stream in &streams {
            server.end_stream(MEETING, stream).await;
        }
        chats
    };
    let (seen, chats) = tokio::join!(futures_util::future::join_all(readers), writing);
    for (which, stream) in [1, 2].into_iter().enumerate() {
        let written = feeds_last(&seen[0], stream);
        for events in &seen[..4] {
            assert_eq!(numbers_of(stream, events), (1..=written).collect::<Vec<_>>());
        }
        for events in &seen[4..] {
            assert_eq!(numbers_of(stream, events), chats[which], "SEED={seed}");
        }
    }
    let total: usize = seen[0].len();
    assert_eq!(total as u64, ENTRIES + 2, "SEED={seed}");
}

fn feeds_last(events: &[SseEvent], stream: u64) -> u64 {
    numbers_of(stream, events).last().copied().unwrap_or(0)
}
