//! Entries that find no room in the queue or that the store does not take, and frames that several consumers take.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use rtmsd::hub::{Feed, Hub, Tapped, Wants, Writer, WriterSettings};
use rtmsd::metrics::{Gathered, Metrics};
use rtmsd::model::params::Params;
use rtmsd::model::{AppScope, Cursor, Entry, EntryBody, Medium, SessionId};
use rtmsd::rtms::params::Effective;
use rtmsd::secret::Secret;
use rtmsd::store::{Location, Store};
use serde_json::json;
use tokio::time::timeout;

use crate::http::live::frame;
use crate::store::entries::line;
use crate::store::webhooks::{announce, read};
use crate::support::postgres;
use crate::support::proxy::Proxy;
use crate::support::raw::Raw;
use crate::support::stores::TestStore;
use crate::support::wait::TIMEOUT;

#[tokio::test]
async fn entries_that_a_full_queue_lost_at_the_end_are_counted() {
    let test = TestStore::sqlite().await;
    let session = announce(&test.store, "s1").await;
    let settings = WriterSettings { max_queued_bytes: 1_000, ..WriterSettings::default() };
    let (hub, writer) = Hub::new(test.store.clone(), 1, settings);
    let mut feed = Feed::new(hub, &read(&test.store, "s1").await, 0, Medium::Transcript.into());
    for _ in 0..10 {
        feed.note(None, EntryBody::Moved {});
    }
    feed.end();
    let writing = tokio::spawn(writer.run());
    feed.finish().await;
    writing.abort();
    let entries = test.store.entries_after(session, &Cursor::default(), &[], 100).await.unwrap();
    let count = |entry: &rtmsd::model::Entry| match entry.body {
        EntryBody::Moved {} => 1,
        EntryBody::EntriesLost { count } => count,
        _ => 0,
    };
    assert!(entries.iter().map(count).sum::<u64>() >= 10, "{entries:#?}");
    let last = entries.last().expect("entries");
    assert!(matches!(last.body, EntryBody::Summary { .. }), "{entries:#?}");
    assert_eq!(last.seq, entries.len() as u64);
    assert!(!read(&test.store, "s1").await.ledger.is_empty(), "the last figures are stored");
}

#[tokio::test]
async fn consumers_share_a_frames_encoded_form_and_see_the_format_granted_last() {
    let test = TestStore::sqlite().await;
    let session = announce(&test.store, "s1").await;
    let (hub, _writer) = hub(&test.store);
    let stream = read(&test.store, "s1").await;
    let mut feed = Feed::new(Arc::clone(&hub), &stream, 0, Medium::Audio.into());
    let wants = || Wants { media: Medium::Audio.into(), ..Wants::default() };
    let mut taps = [(), ()].map(|()| hub.tap(Some(session), wants(), 1 << 20));
    for sample_rate in [1, 2] {
        let given = json!({"audio": {"codec": 1, "sample_rate": sample_rate, "channel": 1}});
        let granted = Effective::read(&Params::default(), Medium::Audio.into(), &given);
        assert!(granted.audio.is_some());
        feed.effective(&granted);
        for _ in 0..2 {
            frame(&mut feed, "audio", 7, &[1; 4]);
            let [one, other] = taps.each_mut().map(|tap| match tap.try_next() {
                Some(Tapped::Frame(frame)) => frame,
                other => panic!("{other:?}"),
            });
            assert_eq!(one.stream().effective, granted);
            // What one consumer encodes, the other reuses.
            assert!(Arc::ptr_eq(&one.encoded.unwrap(), &other.encoded.unwrap()));
        }
    }
}

fn hub(store: &Store) -> (Arc<Hub>, Writer) {
    Hub::new(store.clone(), 8, WriterSettings::default())
}

async fn feed(hub: &Arc<Hub>, store: &Store, stream: &str) -> Feed {
    Feed::new(Arc::clone(hub), &read(store, stream).await, 0, Medium::Transcript.into())
}

async fn all(store: &Store, session: SessionId) -> Vec<Entry> {
    store.entries_after(session, &Cursor::default(), &[], 1000).await.unwrap()
}

/// The stored texts of each stream in order. A placeholder shows its kind in brackets.
fn texts(entries: &[Entry]) -> BTreeMap<u32, Vec<String>> {
    let mut texts: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for entry in entries {
        let text = match &entry.body {
            EntryBody::Transcript(line) => line.text.clone(),
            EntryBody::NotKept { what } => format!("[{what}]"),
            _ => continue,
        };
        texts.entry(entry.stream_ordinal).or_default().push(text);
    }
    texts
}

#[tokio::test]
async fn a_large_batch_is_stored_over_a_slow_connection_in_smaller_batches() {
    const LINES: usize = 20;
    let (proxy, url) = (Proxy::open().await, postgres::fresh_database().await);
    let location = Location::Postgres(Secret::new(proxy.url(&url)));
    let store = Store::open(&location).await.unwrap();
    let session = announce(&store, "s1").await;
    let (hub, writer) = hub(&store);
    let mut feed = feed(&hub, &store, "s1").await;
    // Sending everything takes 12 s; a transaction may take 10 s.
    let text = "x".repeat(50_000);
    (0..LINES).for_each(|_| feed.note(None, line(&text)));
    proxy.limit(Some(80_000));
    let writing = tokio::spawn(writer.run());
    timeout(TIMEOUT, feed.finish()).await.expect("it passes in time");
    writing.abort();
    let location = Location::Postgres(Secret::new(url));
    let store = Store::open_beside(&location).await.unwrap();
    assert_eq!(texts(&all(&store, session).await)[&1], vec![text; LINES]);
}

#[tokio::test]
async fn an_entry_that_the_store_never_takes_blocks_no_other_and_keeps_its_number() {
    let test = TestStore::postgres().await;
    let store = &test.store;
    let session = announce(store, "s1").await;
    announce(store, "s2").await;
    // The store refuses one entry, and another one terminates its connection every time.
    let mut raw = Raw::connect(&test.database).await;
    raw.execute(
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.body LIKE '%refused%' THEN RAISE EXCEPTION 'no'; END IF;
             IF NEW.body LIKE '%deadly%' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER spoil BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION spoil()",
    )
    .await;
    let (hub, writer) = hub(store);
    let mut live = hub.subscribe(session).unwrap();
    let (mut first, mut second) = (feed(&hub, store, "s1").await, feed(&hub, store, "s2").await);
    for text in ["one", "refused", "two", "deadly", "three"] {
        first.note(None, line(text));
        second.note(None, line("another's"));
    }
    let writing = tokio::spawn(writer.run());
    let both = async { tokio::join!(first.finish(), second.finish()) };
    timeout(TIMEOUT, both).await.expect("an entry that is never stored delays no flush");
    writing.abort();

    let stored = all(store, session).await;
    let [first, second] = [1, 2].map(|ordinal| texts(&stored)[&ordinal].clone());
    assert_eq!(first, ["one", "[transcript]", "two", "[transcript]", "three"]);
    assert_eq!(second, ["another's"; 5]);
    let mut published = Vec::new();
    while let Ok(entry) = live.entries.try_recv() {
        published.push(Arc::unwrap_or_clone(entry));
    }
    published.sort_by_key(|entry| (entry.stream_ordinal, entry.seq));
    assert_eq!(published, stored, "only what is stored is published");
}

#[tokio::test]
async fn streams_that_end_together_are_stored_together() {
    const STREAMS: usize = 40;
    let test = TestStore::sqlite().await;
    let metrics = Metrics::default();
    let settings = WriterSettings { metrics: metrics.clone(), ..WriterSettings::default() };
    let (hub, writer) = Hub::new(test.store.clone(), 8, settings);
    let mut feeds = Vec::new();
    for n in 0..STREAMS {
        announce(&test.store, &format!("s{n}")).await;
        let mut feed = feed(&hub, &test.store, &format!("s{n}")).await;
        feed.note(None, line("the last"));
        feeds.push(feed);
    }
    let finished = join_all(feeds.iter_mut().map(Feed::finish));
    tokio::select! {
        // Polled first: the writer starts when all of them wait.
        biased;
        _ = finished => {}
        () = writer.run() => panic!("it ended by itself"),
    }
    let rendered = metrics.render(&Gathered::default(), &AppScope::All);
    let count = rendered.lines().find_map(|l| l.strip_prefix("rtmsd_store_batch_entries_count "));
    assert_eq!(count, Some("1"), "{rendered}");
    for n in 0..STREAMS {
        assert!(!read(&test.store, &format!("s{n}")).await.ledger.is_empty());
    }
}
