//! The numbered log of every stream.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::database::{Connection, binds, row, transaction};
use super::handovers::take_offers;
use super::rows::{self, EntryRow, HeadRow};
use super::{Append, Store, StoreError, sql};
use crate::model::{Cursor, Entry, EntryKind, SessionId, StreamId};

row! {
    struct PlacedEntryRow {
        session_id: String,
        ordinal: i64,
        seq: i64,
        kind: String,
        at_ms: i64,
        body: String,
    }
}

impl Store {
    /// Writes entries in one transaction. Writes nothing for streams that have another epoch
    /// than their entries, or in which a number was assigned under another epoch: they are returned, and their runner
    /// must stop. Idempotent: entries written under the same epoch stay.
    pub async fn write_entries(&self, appends: &[Append]) -> Result<HashSet<StreamId>, StoreError> {
        let mut fenced = HashSet::new();
        // Ends, because each round excludes at least one more stream.
        loop {
            let is_good = |append: &&Append| !fenced.contains(&append.entry.stream_id);
            let good: Vec<&Append> = appends.iter().filter(is_good).collect();
            let lost = self.write_unless_fenced(&good).await?;
            if lost.is_empty() {
                return Ok(fenced);
            }
            fenced.extend(lost);
        }
    }

    /// Writes all entries or none; in that case returns the streams with conflicting entries.
    async fn write_unless_fenced(&self, appends: &[&Append]) -> Result<Vec<StreamId>, StoreError> {
        transaction!(self.database, |tx| {
            let written = insert_entries(&mut tx, appends).await?;
            // After the rows, because their locks keep a claim from raising the epoch until this transaction ends.
            let mut lost = fenced_streams(&mut tx, appends).await?;
            // Some rows existed: this call is a repetition, or another epoch assigned their numbers.
            if lost.is_empty() && written < appends.len() as u64 {
                lost = collided_streams(&mut tx, appends).await?;
            }
            if !lost.is_empty() {
                // Without a commit: the other appends of the batch must not be written either.
                return Ok(lost);
            }
            take_offers(&mut tx, appends).await?;
            lost
        })
    }

    /// The last number assigned in a stream under this epoch; 0 for none.
    pub async fn last_seq_of(&self, stream: &StreamId, epoch: i64) -> Result<u64, StoreError> {
        let values = binds![stream.as_str(), epoch];
        let row: Option<(i64,)> = self.database.optional(sql::LAST_SEQ_OF_EPOCH, values).await?;
        rows::read_number("seq", row.map_or(0, |(seq,)| seq))
    }

    /// Up to `limit` entries of a session's streams after `cursor`, each stream's in order. Empty `kinds` means all. An
    /// entry that this version cannot read is replaced by [`EntryBody::NotKept`](crate::model::EntryBody::NotKept), so
    /// that readers continue after it.
    pub async fn entries_after(
        &self,
        id: SessionId,
        cursor: &Cursor,
        kinds: &[EntryKind],
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        self.database
            .run(|| async {
                let mut reader = self.database.reader().await?;
                read_after(&mut reader.connection(), id, cursor, kinds, limit).await
            })
            .await
    }

    /// One entry; `None` if it was deleted.
    pub async fn entry(&self, stream: &StreamId, seq: u64) -> Result<Option<Entry>, StoreError> {
        let values = binds![stream.as_str(), stored_seq(seq)];
        let row: Option<PlacedEntryRow> = self.database.optional(sql::ENTRY, values).await?;
        let Some(row) = row else { return Ok(None) };
        let session_id = rows::session_id(&row.session_id)?;
        let ordinal = rows::read_number("ordinal", row.ordinal)?;
        let PlacedEntryRow { seq, kind, at_ms, body, .. } = row;
        let entry = EntryRow { seq, kind, at_ms, body };
        Ok(rows::or_passed_over(entry.into_entry(session_id, stream.clone(), ordinal)))
    }

    /// The ordinals of a session's streams in which a link was up.
    pub async fn joined_streams(&self, id: SessionId) -> Result<Vec<u32>, StoreError> {
        let rows: Vec<(i64,)> =
            self.database.all(sql::JOINED_STREAMS, binds![id.to_string()]).await?;
        rows.into_iter().map(|(ordinal,)| rows::read_number("ordinal", ordinal)).collect()
    }

    /// The cursor of a reader that has seen everything.
    pub async fn newest(&self, id: SessionId) -> Result<Cursor, StoreError> {
        let heads: Vec<HeadRow> =
            self.database.all(sql::STREAM_HEADS, binds![id.to_string()]).await?;
        let mut cursor = Cursor::default();
        for head in heads {
            let ordinal = rows::read_number("ordinal", head.ordinal)?;
            cursor.advance(ordinal, rows::read_number("seq", head.last_seq)?);
        }
        Ok(cursor)
    }
}

/// Returns how many rows were written; rows that existed do not count.
pub(super) async fn insert_entries(
    tx: &mut Connection<'_>,
    appends: &[&Append],
) -> Result<u64, StoreError> {
    let rows: Vec<NewEntryRow<'_>> = appends.iter().map(|append| NewEntryRow::of(append)).collect();
    tx.execute_bulk(sql::INSERT_ENTRIES, &rows, &[]).await
}

/// The streams that have another epoch by now.
async fn fenced_streams(
    tx: &mut Connection<'_>,
    appends: &[&Append],
) -> Result<Vec<StreamId>, StoreError> {
    // Each claim once: a batch holds many entries of few streams.
    let held: HashSet<(&str, i64)> =
        appends.iter().map(|append| (append.entry.stream_id.as_str(), append.epoch)).collect();
    let held: Vec<ClaimRow<'_>> =
        held.into_iter().map(|(stream_id, epoch)| ClaimRow { stream_id, epoch }).collect();
    let rows: Vec<(String,)> = tx.all_bulk(sql::FENCED, &held, &[]).await?;
    rows.iter().map(|(id,)| rows::stream_id(id)).collect()
}

/// A row of `FENCED`: a claim.
#[derive(Serialize)]
struct ClaimRow<'a> {
    stream_id: &'a str,
    epoch: i64,
}

/// The streams in which one of these numbers was assigned under another epoch.
async fn collided_streams(
    tx: &mut Connection<'_>,
    appends: &[&Append],
) -> Result<Vec<StreamId>, StoreError> {
    let mut spans: HashMap<&StreamId, (i64, u64, u64)> = HashMap::new();
    for Append { epoch, entry, .. } in appends {
        let span = spans.entry(&entry.stream_id).or_insert((*epoch, entry.seq, entry.seq));
        (span.1, span.2) = (span.1.min(entry.seq), span.2.max(entry.seq));
    }
    let mut collided = Vec::new();
    for (stream, (epoch, first, last)) in spans {
        let values = binds![stream.as_str(), epoch, stored_seq(first), stored_seq(last)];
        let (others,): (i64,) = tx.one(sql::COLLIDES, values).await?;
        collided.extend((others > 0).then(|| stream.clone()));
    }
    Ok(collided)
}

async fn read_after(
    tx: &mut Connection<'_>,
    session_id: SessionId,
    cursor: &Cursor,
    kinds: &[EntryKind],
    limit: u32,
) -> Result<Vec<Entry>, StoreError> {
    let has_personal = kinds.is_empty() || kinds.iter().any(|kind| kind.is_personal());
    let statement = if has_personal { sql::ENTRIES_AFTER } else { sql::IMPERSONAL_ENTRIES_AFTER };
    let kinds = &*sql::between_commas(kinds.iter().map(|kind| kind.as_str()));
    let heads: Vec<HeadRow> = tx.all(sql::STREAM_HEADS, binds![session_id.to_string()]).await?;
    let mut entries = Vec::new();
    for head in heads {
        let ordinal = rows::read_number("ordinal", head.ordinal)?;
        let seen = stored_seq(cursor.seen(ordinal));
        // The cast fits: there are at most `limit` entries.
        let room = i64::from(limit) - entries.len() as i64;
        // Most readers have seen all of most streams: skip those without a statement.
        if seen >= head.last_seq || room <= 0 {
            continue;
        }
        let values = binds![&*head.stream_id, seen, kinds, room];
        let found: Vec<EntryRow> = tx.all(statement, values).await?;
        let stream_id = rows::stream_id(&head.stream_id)?;
        for row in found {
            entries.push(row.into_entry_or_place(session_id, stream_id.clone(), ordinal)?);
        }
    }
    Ok(entries)
}

/// A row of `INSERT_ENTRIES`.
#[derive(Serialize)]
struct NewEntryRow<'a> {
    stream_id: &'a str,
    seq: i64,
    kind: &'static str,
    personal: i64,
    at_ms: i64,
    body: String,
    epoch: i64,
}

impl<'a> NewEntryRow<'a> {
    fn of(Append { epoch, entry, .. }: &'a Append) -> Self {
        let kind = entry.body.kind();
        Self {
            stream_id: entry.stream_id.as_str(),
            seq: stored_seq(entry.seq),
            kind: kind.as_str(),
            personal: i64::from(kind.is_personal()),
            at_ms: entry.at_ms,
            body: serde_json::to_string(&entry.body).expect("texts and numbers become JSON"),
            epoch: *epoch,
        }
    }
}

/// Sequence numbers count from 1 in steps of 1, so none comes near the end of `i64`.
pub(super) fn stored_seq(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
