//! What becomes of entries when there is no room for them.

use rtmsd::hub::{Feed, Hub, Medium, WriterSettings};
use rtmsd::model::{Cursor, EntryBody};

use crate::store::webhooks::{announce, read};
use crate::support::stores::TestStore;

#[tokio::test]
async fn what_a_full_buffer_cost_a_stream_at_its_end_is_accounted_for() {
    let test = TestStore::sqlite().await;
    let session = announce(&test.store, "s1").await;
    let settings = WriterSettings { max_queued_bytes: 1_000, ..WriterSettings::default() };
    let (hub, writer) = Hub::new(test.store.clone(), 1, settings);
    let mut feed = Feed::new(hub, &read(&test.store, "s1").await, 0, &[Medium::Transcript]);
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
