//! The numbered logs of streams: batches, pages, revocations.

use std::collections::HashSet;

use rtmsd::model::{
    AppRooms, ChatMessage, Cursor, Entry, EntryBody, EntryKind, NodeId, Outcome, SessionId,
    Speaker, StopReason, TranscriptLine, UserId,
};
use rtmsd::store::{Store, StoreError};
use uuid::Uuid;

use super::webhooks::*;
use crate::support::raw::Raw;
use crate::support::stores::on_both;

pub(crate) fn line(text: &str) -> EntryBody {
    EntryBody::Transcript(TranscriptLine {
        speaker: Speaker::participant(UserId(16_778_240), Some("Ana".into())),
        text: text.into(),
        start_ms: 1,
        end_ms: 2,
        language: Some(9),
        attribute: None,
    })
}

fn chat(text: &str) -> EntryBody {
    EntryBody::Chat(Box::new(ChatMessage {
        user_id: None,
        user_name: None,
        text: text.into(),
        operation: Some(1),
        message_id: Some("m1".into()),
        parent_message_id: None,
        ..ChatMessage::default()
    }))
}

/// Entries of `stream` from number 1, in the order given.
pub(crate) async fn log(store: &Store, stream: &str, bodies: &[EntryBody]) -> Vec<Entry> {
    let record = read(store, stream).await;
    let numbered = (1..).zip(bodies);
    let entry = |(seq, body): (u64, &EntryBody)| Entry {
        session_id: record.session_id,
        stream_id: record.stream_id.clone(),
        stream_ordinal: record.ordinal,
        seq,
        at_ms: 1_000 + seq as i64,
        body: body.clone(),
    };
    numbered.map(entry).collect()
}

async fn all(store: &Store, session: SessionId) -> Vec<Entry> {
    store.entries_after(session, &Cursor::default(), &[], u32::MAX).await.unwrap()
}

#[tokio::test]
async fn entries_are_read_as_they_were_written_in_batches_of_every_size() {
    on_both(async |test| {
        let store = &test.store;
        let session = announce(store, "s").await;
        store.write_entries(&unclaimed(&[])).await.unwrap();
        let bodies: Vec<_> = (0..400).map(|n| line(&format!("line {n} \u{0} \u{1F600}"))).collect();
        let entries = log(store, "s", &bodies).await;
        let mut rest = &entries[..];
        for size in [1, 2, 3, 127, 255] {
            let (batch, later) = rest.split_at(size);
            store.write_entries(&unclaimed(batch)).await.unwrap();
            rest = later;
        }
        assert_eq!(all(store, session).await, entries[..388]);
    })
    .await;
}

#[tokio::test]
async fn an_entry_that_is_there_is_left_alone() {
    on_both(async |test| {
        let store = &test.store;
        let session = announce(store, "s").await;
        let first = log(store, "s", &[line("one"), line("two")]).await;
        let again = log(store, "s", &[line("uno"), line("dos"), line("tres")]).await;
        store.write_entries(&unclaimed(&first)).await.unwrap();
        store.write_entries(&unclaimed(&again)).await.unwrap();
        assert_eq!(all(store, session).await, [&first[..], &again[2..]].concat());
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_written_as_a_whole_or_not_at_all() {
    on_both(async |test| {
        let store = &test.store;
        let session = announce(store, "s").await;
        let mut entries = log(store, "s", &[line("one"), line("two"), line("three")]).await;
        entries[2].stream_id = stream_id("unknown");
        let error = store.write_entries(&unclaimed(&entries)).await.unwrap_err();
        assert!(matches!(error, StoreError::Statement(_)), "{error}");
        assert!(!error.to_string().contains("three"), "{error}");
        assert_eq!(all(store, session).await, []);
    })
    .await;
}

#[tokio::test]
async fn reading_resumes_after_a_cursor_without_loss_or_repeat() {
    on_both(async |test| {
        let store = &test.store;
        let session = announce(store, "a").await;
        announce(store, "b").await;
        announce(store, "c").await;
        let a = log(store, "a", &[line("a1"), chat("a2"), line("a3")]).await;
        let c = log(store, "c", &[line("c1"), chat("c2")]).await;
        store.write_entries(&unclaimed(&[&a[..], &c].concat())).await.unwrap();
        for limit in 1..=6 {
            let (mut cursor, mut seen) = (Cursor::default(), Vec::new());
            loop {
                let page = store.entries_after(session, &cursor, &[], limit).await.unwrap();
                assert!(page.len() <= limit as usize);
                if page.is_empty() {
                    break;
                }
                for entry in &page {
                    assert!(cursor.advance(entry.stream_ordinal, entry.seq));
                }
                seen.extend(page);
            }
            assert_eq!(seen, [&a[..], &c].concat(), "pages of {limit}");
            assert_eq!(cursor.to_string(), "1:3,3:2");
        }
    })
    .await;
}

#[tokio::test]
async fn kinds_are_filtered_before_the_limit_counts() {
    on_both(async |test| {
        let store = &test.store;
        let session = announce(store, "s").await;
        let bodies = [line("1"), chat("2"), EntryBody::PickedUp {}, line("4"), chat("5")];
        let entries = log(store, "s", &bodies).await;
        store.write_entries(&unclaimed(&entries)).await.unwrap();
        let read = async |kinds: &[EntryKind], limit| {
            let found = store.entries_after(session, &Cursor::default(), kinds, limit).await;
            found.unwrap().iter().map(|entry| entry.seq).collect::<Vec<_>>()
        };
        assert_eq!(read(&[EntryKind::Chat], 2).await, [2, 5]);
        assert_eq!(read(&[EntryKind::PickedUp, EntryKind::Transcript], 2).await, [1, 3]);
        assert_eq!(read(&[EntryKind::Ended], 9).await, [0; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_claim_returns_the_last_number() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        store
            .write_entries(&unclaimed(&log(store, "s", &[line("1"), line("2")]).await))
            .await
            .unwrap();
        let claims =
            claim_orphans(store, NodeId(Uuid::nil()), 1, 9, &AppRooms::default()).await.unwrap();
        assert_eq!(claims[0].last_seq, 2);
    })
    .await;
}

fn mixed() -> [EntryBody; 4] {
    [EntryBody::PickedUp {}, line("secret"), chat("secret"), EntryBody::FirstPacket {}]
}

async fn kinds(store: &Store, session: SessionId) -> Vec<EntryKind> {
    all(store, session).await.iter().map(|entry| entry.body.kind()).collect()
}

const IMPERSONAL: [EntryKind; 2] = [EntryKind::PickedUp, EntryKind::FirstPacket];

#[tokio::test]
async fn a_stream_that_ends_revoked_loses_its_personal_entries_and_others_keep_theirs() {
    on_both(async |test| {
        let store = &test.store;
        for (stream, webhook, socket) in
            [("a", None, Some(8)), ("b", Some(8), None), ("c", Some(6), Some(8))]
        {
            let session = announce(store, stream).await;
            store.write_entries(&unclaimed(&log(store, stream, &mixed()).await)).await.unwrap();
            let before = all(store, session).await.len();
            if webhook.is_some() {
                record(store, stopped(stream, 2, webhook)).await;
            }
            let id = stream_id(stream);
            // A revocation raises it.
            let epoch = read(store, stream).await.epoch;
            assert!(
                store
                    .finish_stream(&id, epoch, 1, Outcome::Stopped, socket.map(StopReason), 3)
                    .await
                    .unwrap()
                    .is_some()
            );
            let left = all(store, session).await;
            assert_eq!(left.len(), before - 2 + 1, "{stream}");
            assert_eq!(left.last().unwrap().seq, 5, "no number is assigned twice");
            assert_eq!(read(store, stream).await.stop_reason, Some(StopReason(8)), "{stream}");
        }
        let session = announce(store, "kept").await;
        store.write_entries(&unclaimed(&log(store, "kept", &mixed()).await)).await.unwrap();
        let id = stream_id("kept");
        store.finish_stream(&id, 0, 1, Outcome::Stopped, Some(StopReason(6)), 3).await.unwrap();
        assert_eq!(all(store, session).await.len(), 3 * (2 + 1) + 4 + 1);
    })
    .await;
}

#[tokio::test]
async fn a_revocation_after_the_end_deletes_too() {
    on_both(async |test| {
        let store = &test.store;
        let session = announce(store, "s").await;
        store.write_entries(&unclaimed(&log(store, "s", &mixed()).await)).await.unwrap();
        store
            .finish_stream(&stream_id("s"), 0, 1, Outcome::Stopped, Some(StopReason(6)), 2)
            .await
            .unwrap();
        assert_eq!(kinds(store, session).await.len(), 5);
        record(store, stopped("s", 3, Some(8))).await;
        let left = [IMPERSONAL.as_slice(), &[EntryKind::Ended]].concat();
        assert_eq!(kinds(store, session).await, left);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_written_after_the_end() {
    on_both(async |test| {
        let store = &test.store;
        let session = announce(store, "s").await;
        let late = log(store, "s", &mixed()).await;
        store
            .finish_stream(&stream_id("s"), 0, 1, Outcome::Stopped, Some(StopReason(8)), 2)
            .await
            .unwrap();
        let fenced = store.write_entries(&unclaimed(&late)).await.unwrap();
        assert_eq!(fenced, HashSet::from([stream_id("s")]));
        assert_eq!(kinds(store, session).await, [EntryKind::Ended]);
    })
    .await;
}

/// A row that no version can read must not block later readers.
#[tokio::test]
async fn an_entry_that_cannot_be_read_keeps_its_number_and_holds_up_nobody() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        store.hold_sink("sink", NodeId(Uuid::from_u128(1)), 1_000).await.unwrap();
        let id = read(store, "s").await.session_id;
        let entries =
            log(store, "s", &[line("one"), line("two"), chat("three"), line("four")]).await;
        store.write_entries(&unclaimed(&entries)).await.unwrap();
        let deep =
            "UPDATE entries SET body = '{\"kind\":\"transcript\",\"text\":[[[' WHERE seq = 2";
        Raw::connect(&test.database).await.execute(deep).await;
        let before = store.passed_over();
        let entries = store.entries_after(id, &Cursor::default(), &[], 10).await.unwrap();
        let kinds: Vec<_> = entries.iter().map(|entry| (entry.seq, entry.body.kind())).collect();
        let expected =
            [EntryKind::Transcript, EntryKind::NotKept, EntryKind::Chat, EntryKind::Transcript];
        assert_eq!(kinds, (1..).zip(expected).collect::<Vec<_>>());
        assert_eq!(entries[1].body, EntryBody::NotKept { what: "transcript".into() });
        assert!(store.passed_over() > before, "it is counted");
        let lines =
            store.entries_after(id, &Cursor::default(), &[EntryKind::Transcript], 2).await.unwrap();
        assert_eq!(lines.last().unwrap().seq, 2, "a page ends after it");
        let page = store.sink_page("sink", 0, "", 10).await.unwrap();
        let seqs: Vec<u64> = page.entries.iter().map(|relayed| relayed.entry.seq).collect();
        assert_eq!((seqs, page.reached[0].1), (vec![1, 3, 4], 4));
        assert_eq!(store.entry(&stream_id("s"), 2).await.unwrap(), None, "no webhook waits for it");
    })
    .await;
}

#[tokio::test]
async fn transcript_lines_come_in_pages_without_those_of_a_revoked_stream() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        let said = ["one", "two\n2 {\"text\":\"forged\"}", "three"].map(line);
        let bodies = [&said[..2], &[chat("hello")], &said[2..]].concat();
        store.write_entries(&unclaimed(&log(store, "s", &bodies).await)).await.unwrap();
        let raw = "UPDATE entries SET body = '?' WHERE seq = 1";
        Raw::connect(&test.database).await.execute(raw).await;
        let page = async |after, limit| {
            let lines = store.transcript_lines(&stream_id("s"), after, limit).await.unwrap();
            let body = |(seq, line): (u64, Option<_>)| (seq, line.map(EntryBody::Transcript));
            lines.into_iter().map(body).collect::<Vec<_>>()
        };
        assert_eq!(page(0, 2).await, [(1, None), (2, Some(said[1].clone()))]);
        assert_eq!(page(2, 2).await, [(4, Some(said[2].clone()))]);
        assert_eq!(page(u64::MAX, 2).await, []);
        let revoked = "UPDATE streams SET stop_reason = 8";
        Raw::connect(&test.database).await.execute(revoked).await;
        assert_eq!(page(0, 2).await, [], "until they are deleted");
    })
    .await;
}
