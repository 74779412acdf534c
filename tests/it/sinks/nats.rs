//! The sink for NATS alone, between a store and a real server.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rtmsd::model::{
    AppName, Delivery, Entry, EntryBody, MediaSet, Speaker, TranscriptLine, UserId, WebhookEffect,
};
use rtmsd::sinks::broker::{Broker as _, FrameSettings};
use rtmsd::sinks::message::Message;
use rtmsd::sinks::nats::{self, Nats, NatsError};
use rtmsd::store::{Deleted, Store};
use rtmsd::tls::client_config;
use tokio::time::sleep;

use crate::store::webhooks::*;
use crate::support::nats::Broker;
use crate::support::sinks::{Running, context, enable, hub};
use crate::support::stores::TestStore;
use crate::support::wait::eventually;

fn settings(broker: &Broker) -> nats::Settings {
    nats::Settings {
        servers: vec![broker.url()],
        login: None,
        credentials: None,
        subject_prefix: "rtms".into(),
        stream: "RTMSD".into(),
        frames: FrameSettings { media: MediaSet::default(), buffer_bytes: 1 << 20 },
    }
}

/// Publishes what is stored from now on.
async fn start(store: &Store, settings: nats::Settings) -> Running {
    enable(store, "nats").await;
    let (_, runner) = nats::build(settings, &context(store, hub(store), 1)).await.unwrap();
    Running::start(runner)
}

/// Announces a stream in an account.
async fn announce_in(store: &Store, account_id: Option<&str>, stream: &str) {
    let mut delivery: Delivery = started_in(stream, stream, 1, URL);
    let WebhookEffect::Started(started) = &mut delivery.announcement else { unreachable!() };
    started.account_id = account_id.map(ToOwned::to_owned);
    assert_eq!(record(store, delivery).await, changed(stream));
}

/// Stores the lines `1..=texts.len()` of a stream.
async fn say(store: &Store, stream: &str, texts: &[&str]) -> Vec<Entry> {
    let record = read(store, stream).await;
    let line = |(index, text): (usize, &&str)| Entry {
        session_id: record.session_id,
        stream_id: record.stream_id.clone(),
        stream_ordinal: record.ordinal,
        seq: index as u64 + 1,
        at_ms: 1_000,
        body: EntryBody::Transcript(TranscriptLine {
            speaker: Speaker::participant(UserId(7), Some("Ana".into())),
            text: (*text).to_owned(),
            start_ms: 1,
            end_ms: 2,
            language: None,
            attribute: None,
        }),
    };
    let entries: Vec<Entry> = texts.iter().enumerate().map(line).collect();
    store.write_entries(&unclaimed(&entries)).await.unwrap();
    entries
}

#[tokio::test]
async fn no_id_of_zooms_leaves_its_place_in_a_subject_or_a_header() {
    let (broker, test) = (Broker::start("").await, TestStore::sqlite().await);
    let running = start(&test.store, settings(&broker)).await;
    let streams = [
        (Some("acc.>"), "a.b.*.>"),
        (Some("*"), "/abc//def+gh=="),
        (Some("$JS.API"), "Rtms-Seq:9"),
        (Some("ä\u{2028}"), "日本.語"),
        (None, "unknown"),
        (Some("_"), "_"),
    ];
    let mut expected = BTreeSet::new();
    for (account_id, stream) in streams {
        announce_in(&test.store, account_id, stream).await;
        for entry in say(&test.store, stream, &["one", "two"]).await {
            expected.insert(entry.id());
        }
    }
    let stored = broker.stored("RTMSD", 12).await;
    running.stop().await;
    assert_eq!(stored.len(), 12);
    let accounts = ["acc%2E%3E", "%2A", "%24JS%2EAPI", "%C3%A4%E2%80%A8", "_", "%5F"];
    let mut ids = BTreeSet::new();
    for message in &stored {
        let parts: Vec<&str> = message.subject.split('.').collect();
        let [prefix, account, session, entries, kind] = parts[..] else { panic!("{parts:?}") };
        assert_eq!((prefix, entries, kind), ("rtms", "entries", "transcript"));
        let body = message.json();
        assert_eq!(session, body["session_id"]);
        assert_eq!(message.header("Rtms-Session"), session);
        assert_eq!(message.header("Rtms-Stream"), body["stream_id"]);
        assert_eq!(message.header("Rtms-Seq"), body["seq"].to_string());
        let of = streams.iter().position(|(_, id)| *id == body["stream_id"]).unwrap();
        assert_eq!(account, accounts[of]);
        ids.insert(message.header("Nats-Msg-Id").to_owned());
    }
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn the_stream_is_made_for_entries_and_deletions_and_not_for_frames() {
    let (broker, test) = (Broker::start("").await, TestStore::sqlite().await);
    let mine = nats::Settings {
        subject_prefix: "acme.zoom".into(),
        stream: "MINE".into(),
        ..settings(&broker)
    };
    let running = start(&test.store, mine).await;
    announce(&test.store, "s").await;
    say(&test.store, "s", &["one"]).await;
    let stored = broker.stored("MINE", 1).await;
    running.stop().await;
    assert!(stored[0].subject.starts_with("acme.zoom.acc1."), "{}", stored[0].subject);
    let config = broker.stream("MINE").await.cached_info().config.clone();
    assert_eq!(config.subjects, ["acme.zoom.*.*.entries.*", "acme.zoom.deleted.*"]);
    assert_eq!(config.duplicate_window, Duration::from_secs(3600));
}

#[tokio::test]
async fn each_app_has_subjects_of_its_own_if_the_prefix_says_so() {
    let (broker, test) = (Broker::start("").await, TestStore::sqlite().await);
    let by_app = nats::Settings { subject_prefix: "zoom.{app}".into(), ..settings(&broker) };
    let running = start(&test.store, by_app).await;
    let acme = AppName::parse("acme").unwrap();
    announce(&test.store, "s").await;
    // The same meeting, as another app sees it.
    record(&test.store, signed_by(&acme, started("t", 1, URL))).await;
    for stream in ["s", "t"] {
        say(&test.store, stream, &["one"]).await;
    }
    let stored = broker.stored("RTMSD", 2).await;
    running.stop().await;
    for message in stored {
        let app = if message.header("Rtms-Stream") == "s" { "default" } else { "acme" };
        assert_eq!(message.header("Rtms-App"), app);
        assert!(message.subject.starts_with(&format!("zoom.{app}.acc1.")), "{}", message.subject);
    }
    let config = broker.stream("RTMSD").await.cached_info().config.clone();
    assert_eq!(config.subjects, ["zoom.*.*.*.entries.*", "zoom.*.deleted.*"]);
}

#[tokio::test]
async fn a_stream_that_is_there_is_used_as_it_is() {
    let (broker, test) = (Broker::start("").await, TestStore::sqlite().await);
    let context = async_nats::jetstream::new(broker.client().await);
    let own = async_nats::jetstream::stream::Config {
        name: "RTMSD".into(),
        subjects: vec!["rtms.>".into()],
        max_message_size: 2_000,
        ..Default::default()
    };
    context.create_stream(own).await.unwrap();
    let running = start(&test.store, settings(&broker)).await;
    announce(&test.store, "s").await;
    let long = "x".repeat(2_000);
    say(&test.store, "s", &["one", &long, "three"]).await;
    let mut stored = broker.stored("RTMSD", 3).await;
    running.stop().await;
    stored.sort_by_key(|message| message.header("Rtms-Seq").to_owned());
    assert_eq!(stored[0].json()["text"], "one");
    assert!(stored[1].body.is_empty(), "the stream takes no larger one");
    assert_eq!(stored[2].json()["text"], "three");
    let config = broker.stream("RTMSD").await.cached_info().config.clone();
    assert_eq!(config.subjects, ["rtms.>"]);
}

#[tokio::test]
async fn an_entry_that_is_too_large_for_the_broker_comes_without_its_body_and_holds_up_nobody() {
    let (broker, test) = (Broker::start("max_payload: 4096").await, TestStore::sqlite().await);
    let running = start(&test.store, settings(&broker)).await;
    announce(&test.store, "s").await;
    let long = "x".repeat(5_000);
    let entries = say(&test.store, "s", &["one", &long, "three", &long]).await;
    let stored = broker.stored("RTMSD", 4).await;
    running.stop().await;
    let ids: Vec<&str> = stored.iter().map(|message| message.header("Nats-Msg-Id")).collect();
    assert_eq!(ids, entries.iter().map(Entry::id).collect::<Vec<_>>());
    assert_eq!(
        (stored[0].json()["text"].as_str(), stored[2].json()["text"].as_str()),
        (Some("one"), Some("three"))
    );
    assert!(stored[1].body.is_empty() && stored[3].body.is_empty());
    assert!(stored[1].header("Rtms-Omitted-Bytes").parse::<usize>().unwrap() > 5_000);
}

#[tokio::test]
async fn a_stream_that_somebody_removed_is_made_again() {
    let (broker, test) = (Broker::start("").await, TestStore::sqlite().await);
    let running = start(&test.store, settings(&broker)).await;
    announce(&test.store, "s").await;
    announce_in(&test.store, None, "t").await;
    say(&test.store, "s", &["one"]).await;
    broker.stored("RTMSD", 1).await;
    let context = async_nats::jetstream::new(broker.client().await);
    context.delete_stream("RTMSD").await.unwrap();
    say(&test.store, "t", &["two"]).await;
    let stored = broker.stored("RTMSD", 1).await;
    running.stop().await;
    assert_eq!(stored[0].json()["text"], "two");
}

#[tokio::test]
async fn a_deletion_is_told_once_however_often_it_is_published() {
    let mut broker = Broker::away("").await;
    let tls = client_config(None).unwrap();
    let nats = Nats::connect(settings(&broker), &tls).await.unwrap();
    let deletion = Message::of_deletion(&Deleted {
        id: "d".into(),
        at_ms: 1_732_313_171_881,
        scope: "session".into(),
        subject: "0190.*".into(),
        app: None,
    });
    let publish = || nats.publish(vec![deletion.clone()]);
    assert!(matches!(publish().await, Err(NatsError::Away)));
    broker.come().await;
    eventually("the broker takes it", async || publish().await.ok()).await;
    publish().await.unwrap();
    let stored = broker.all("RTMSD").await;
    let [told] = &stored[..] else { panic!("{stored:?}") };
    assert_eq!(told.subject, "rtms.deleted.session");
    let body = told.json();
    assert_eq!(body["type"], "data.deleted");
    assert_eq!((&body["scope"], &body["subject"]), (&"session".into(), &"0190.*".into()));
    assert_eq!(body["at"], "2024-11-22T22:06:11.881Z");
}

#[tokio::test]
async fn kills_on_either_side_in_mid_publish_lose_nothing_and_double_nothing() {
    let (mut broker, test) = (Broker::start("").await, TestStore::sqlite().await);
    let seed = rand::random();
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut running = start(&test.store, settings(&broker)).await;
    let mut expected = BTreeSet::new();
    for stream in ["a", "b", "c"] {
        announce_in(&test.store, Some("acc"), stream).await;
        let texts = vec!["line"; 900];
        expected.extend(say(&test.store, stream, &texts).await.iter().map(Entry::id));
    }
    for round in 0..6 {
        let before = broker.count("RTMSD").await;
        broker.has_stored("RTMSD", before + rng.random_range(1..=200)).await;
        sleep(Duration::from_millis(rng.random_range(0..5))).await;
        if round % 3 == 2 {
            broker.kill().await;
            broker.come().await;
        }
        running.kill().await;
        running = start(&test.store, settings(&broker)).await;
    }
    let stored = broker.stored("RTMSD", expected.len() as u64).await;
    running.stop().await;
    let ids: BTreeSet<String> =
        stored.iter().map(|message| message.header("Nats-Msg-Id").to_owned()).collect();
    assert_eq!((stored.len(), ids == expected), (expected.len(), true));
}
