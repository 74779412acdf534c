//! Server-sent events: order, resumption, limits and slow clients.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rtmsd::http::server::Limits;
use rtmsd::model::{ChatMessage, Entry, EntryBody, EntryKind, Participant, StreamRecord, UserId};
use serde_json::json;

use super::server::{ALL_SUBSCRIBERS, NOW_S, READER, SUBSCRIBERS, Server};
use crate::store::webhooks::unclaimed;
use crate::support::client::{SseClient, SseEvent};
use crate::support::wait::eventually;

const MEETING: &str = "m1==";
const ENTRIES: usize = 1000;

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

/// The stream and the number of an event.
fn place(event: &SseEvent) -> (u64, u64) {
    (event.data["ordinal"].as_u64().unwrap(), event.data["seq"].as_u64().unwrap())
}

#[tokio::test]
async fn a_subscriber_gets_past_and_future_entries() {
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
        "session_id": stream.session_id, "stream_id": "s1", "ordinal": 1, "stream": 1, "seq": 1,
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
    elsewhere(&server, &stream, 0, vec![joined()]).await;
    assert_eq!(place(&events.next().await.unwrap()), (1, 1));
}

#[tokio::test]
async fn a_resumed_subscriber_gets_what_it_missed_and_a_filter_drops_other_kinds() {
    let server = Server::start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let mut feed = server.feed(&stream);
    for _ in 0..3 {
        feed.note(None, joined());
        feed.note(None, EntryBody::Moved {});
    }
    server.state.hub.flush().await;
    let filtered = format!("{}?kinds=moved&after=1:1", path(&stream));
    let (_, mut events) = subscribe(&server, &filtered, "").await;
    assert_eq!(place(&events.next().await.unwrap()), (1, 2));
    // The header is newer than the cursor in the page's URL.
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
async fn a_subscriber_beyond_the_limit_gets_a_503() {
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
    let boss = [("authorization", "Bearer boss-token-of-tests")];
    let (status, _boss) = SseClient::open(server.address, &path(&stream), &boss).await;
    assert_eq!(status, 200, "one token leaves slots for others");
}

#[tokio::test]
async fn a_stop_of_the_daemon_ends_every_event_stream() {
    let server = Server::start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let (_, mut events) = subscribe(&server, &path(&stream), "").await;
    server.stopped().await;
    assert_eq!(events.next().await, None);
}

fn chat(text: String) -> EntryBody {
    EntryBody::Chat(Box::new(ChatMessage {
        user_id: None,
        user_name: None,
        text,
        operation: None,
        message_id: None,
        parent_message_id: None,
        ..ChatMessage::default()
    }))
}

#[tokio::test]
async fn a_slow_subscriber_misses_nothing() {
    let server = Server::start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let (_, mut events) = subscribe(&server, &path(&stream), "").await;
    let mut feed = server.feed(&stream);
    // More than sockets and queues hold.
    for _ in 0..1500 {
        feed.note(None, chat("x".repeat(10_000)));
    }
    server.state.hub.flush().await;
    for seq in 1..=1500 {
        assert_eq!(place(&events.next().await.unwrap()), (1, seq));
    }
}

#[tokio::test]
async fn the_tokens_of_an_app_leave_slots_for_others_even_with_admin() {
    let server = Server::start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let own = [("authorization", "Bearer default-token-of-tests")];
    let mut open = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let (status, events) = SseClient::open(server.address, &path(&stream), &own).await;
        assert_eq!(status, 200);
        open.push(events);
    }
    let answer = server.request("GET", &path(&stream), &own).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "too_many_subscribers"));
    let (status, _reader) = subscribe(&server, &path(&stream), "").await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_subscriber_that_reads_nothing_loses_its_slot() {
    let limits = Limits { write_timeout: Duration::from_millis(200), ..Limits::default() };
    let server = Server::start_with(limits, Duration::from_secs(10)).await;
    let stream = server.start_stream(MEETING, "s1").await;
    let (_, _stalled) = subscribe(&server, &path(&stream), "").await;
    let hub = &server.state.hub;
    let others: Vec<_> = (1..ALL_SUBSCRIBERS).map(|_| hub.subscribe(stream.session_id)).collect();
    assert!(others.iter().all(Option::is_some) && hub.subscribe(stream.session_id).is_none());
    let mut feed = server.feed(&stream);
    for _ in 0..1500 {
        feed.note(None, chat("x".repeat(10_000)));
    }
    eventually("its slot is free again", async || hub.subscribe(stream.session_id)).await;
}

#[tokio::test]
async fn an_entry_after_those_of_another_replica_comes_after_them() {
    let server = Server::start().await;
    let stream = server.start_stream(MEETING, "s1").await;
    let (_, mut events) = subscribe(&server, &path(&stream), "").await;
    elsewhere(&server, &stream, 0, vec![joined(), joined(), joined()]).await;
    server.feed_after(&stream, 3).note(None, joined());
    for seq in 1..=4 {
        assert_eq!(place(&events.next().await.unwrap()), (1, seq));
    }
}

/// Writes entries as another replica does, without notifying this one's hub.
async fn elsewhere(server: &Server, stream: &StreamRecord, last_seq: u64, bodies: Vec<EntryBody>) {
    let entry = |(seq, body)| Entry {
        session_id: stream.session_id,
        stream_id: stream.stream_id.clone(),
        stream_ordinal: stream.ordinal,
        seq,
        at_ms: 0,
        body,
    };
    let entries: Vec<Entry> = (last_seq + 1..).zip(bodies).map(entry).collect();
    server.state.store.write_entries(&unclaimed(&entries)).await.expect("the store works");
}

/// Writes entries through this replica's hub.
async fn here(server: &Server, stream: &StreamRecord, last_seq: u64, bodies: Vec<EntryBody>) {
    let mut feed = server.feed_after(stream, last_seq);
    for body in bodies {
        feed.note(None, body);
    }
    server.state.hub.flush().await;
}

/// Writes both streams' entries, through this replica or another, and returns what was written.
async fn talk(server: &Server, rng: &mut StdRng, streams: &[StreamRecord]) -> Vec<Vec<EntryKind>> {
    let mut written = vec![Vec::new(); streams.len()];
    while written.iter().map(Vec::len).sum::<usize>() < ENTRIES {
        let which = rng.random_range(0..streams.len());
        let bodies: Vec<EntryBody> =
            (0..rng.random_range(1..40)).map(|_| random_body(rng)).collect();
        let last_seq = written[which].len() as u64;
        written[which].extend(bodies.iter().map(EntryBody::kind));
        if rng.random_bool(0.7) {
            here(server, &streams[which], last_seq, bodies).await;
        } else {
            elsewhere(server, &streams[which], last_seq, bodies).await;
        }
    }
    for (kinds, stream) in written.iter_mut().zip(streams) {
        kinds.push(EntryKind::Ended);
        server.end_stream(MEETING, stream).await;
    }
    written
}

fn random_body(rng: &mut StdRng) -> EntryBody {
    if rng.random_bool(0.5) { joined() } else { chat("x".repeat(rng.random_range(0..6000))) }
}

/// A subscriber that reads a little, pauses, disconnects and returns, until the session has ended.
async fn come_and_go(server: &Server, path: &str, mut rng: StdRng) -> Vec<SseEvent> {
    let mut seen = Vec::new();
    let mut last = String::new();
    loop {
        let (status, mut events) = subscribe(server, path, &last).await;
        if status == 204 {
            return seen;
        }
        assert_eq!(status, 200);
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..100))).await;
        for _ in 0..rng.random_range(1..200) {
            let Some(event) = events.next().await else { break };
            last.clone_from(&event.id);
            if event.event != "end" {
                seen.push(event);
            }
        }
    }
}

/// The numbers of a stream's entries in the order in which a subscriber received them.
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
    let all = path(&streams[0]);
    let only_chat = format!("{all}?kinds=chat");
    let paths = [&all, &all, &all, &all, &only_chat, &only_chat];
    let readers = (1..)
        .zip(paths)
        .map(|(n, path)| come_and_go(&server, path, StdRng::seed_from_u64(seed.wrapping_add(n))));
    let readers = futures_util::future::join_all(readers);
    let (seen, written) = tokio::join!(readers, talk(&server, &mut rng, &streams));
    for (stream, kinds) in (1..).zip(&written) {
        let numbered = || (1..).zip(kinds);
        let numbers: Vec<u64> = numbered().map(|(seq, _)| seq).collect();
        let chats = numbered().filter(|(_, kind)| **kind == EntryKind::Chat).map(|(seq, _)| seq);
        let chats: Vec<u64> = chats.collect();
        for (path, events) in paths.iter().zip(&seen) {
            let expected = if *path == &only_chat { &chats } else { &numbers };
            assert_eq!(&numbers_of(stream, events), expected, "SEED={seed}, {path}");
        }
    }
}
