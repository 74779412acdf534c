//! The numbered log of every stream.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::LazyLock;

use super::database::{Bind, Connection, binds};
use super::handovers::take_offers;
use super::rows::{self, EntryRow, HeadRow};
use super::{Append, Store, StoreError, sql};
use crate::model::{Cursor, Entry, EntryKind, SessionId, StreamId};

/// Rows per statement are powers of two up to this one's: few statements, so that each is prepared
/// once, and never more values than a statement may have (SQLite 32,766; Postgres 65,535).
const LARGEST_BATCH_LOG2: u32 = 7;

/// Values of a row that is inserted, and of one that says what a runner holds.
const COLUMNS: usize = 7;
const HELD_COLUMNS: usize = 2;

/// Texts of one statement for `1 << n` rows.
type Texts = [String; LARGEST_BATCH_LOG2 as usize + 1];

static INSERT_ENTRIES: LazyLock<Texts> =
    LazyLock::new(|| texts(sql::INSERT_ENTRIES_HEAD, COLUMNS, sql::INSERT_ENTRIES_TAIL));
static FENCED: LazyLock<Texts> =
    LazyLock::new(|| texts(sql::FENCED_HEAD, HELD_COLUMNS, sql::FENCED_TAIL));

impl Store {
    /// Writes entries in multi-row statements, in one transaction. Nothing is written of streams that have another
    /// epoch than their entries, or where a number was given under another epoch: they are returned, and their
    /// runner must stop. Safe to run again: what was written under the same epoch is left alone.
    pub async fn write_entries(&self, appends: &[Append]) -> Result<HashSet<StreamId>, StoreError> {
        let mut fenced = HashSet::new();
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

    /// Writes all of them, or none: then it returns streams whose entries are in the way.
    async fn write_unless_fenced(&self, appends: &[&Append]) -> Result<Vec<StreamId>, StoreError> {
        self.database
            .run(|| async {
                let mut tx = self.database.begin().await?;
                let written = write_batches(&mut tx.connection(), appends).await?;
                // After the rows: they keep a claim from raising the epoch until this transaction ends.
                let mut lost = fenced(&mut tx.connection(), appends).await?;
                if lost.is_empty() && written < appends.len() as u64 {
                    lost = collided(&mut tx.connection(), appends).await?;
                }
                if lost.is_empty() {
                    take_offers(&mut tx.connection(), appends).await?;
                    tx.commit().await?;
                }
                Ok(lost)
            })
            .await
    }

    /// The last number that was given in a stream under this epoch; 0 for none.
    pub async fn last_seq_of(&self, stream: &StreamId, epoch: i64) -> Result<u64, StoreError> {
        let values = binds![stream.as_str(), epoch];
        let row: Option<(i64,)> = self.database.optional(sql::LAST_SEQ_OF_EPOCH, values).await?;
        rows::number("seq", row.map_or(0, |(seq,)| seq))
    }

    /// Up to `limit` entries of a session's streams after `cursor`, each stream's in order of their
    /// numbers. `kinds` empty: all of them. In the place of an entry that this version cannot read is one that says
    /// [`EntryBody::NotKept`](crate::model::EntryBody::NotKept): it holds up no reader.
    pub async fn entries_after(
        &self,
        id: SessionId,
        cursor: &Cursor,
        kinds: &[EntryKind],
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let kinds = listed(kinds);
        self.database
            .run(|| async {
                let mut reader = self.database.reader().await?;
                read_after(&mut reader.connection(), id, cursor, &kinds, limit).await
            })
            .await
    }

    /// Where a reader of a session stands who has seen everything.
    pub async fn newest(&self, id: SessionId) -> Result<Cursor, StoreError> {
        let heads: Vec<HeadRow> =
            self.database.all(sql::STREAM_HEADS, binds![id.to_string()]).await?;
        let mut cursor = Cursor::default();
        for head in heads {
            let ordinal = rows::number("ordinal", head.ordinal)?;
            cursor.advance(ordinal, rows::number("seq", head.last_seq)?);
        }
        Ok(cursor)
    }
}

/// Returns how many were written: fewer where some were there.
pub(super) async fn write_batches(
    tx: &mut Connection<'_>,
    appends: &[&Append],
) -> Result<u64, StoreError> {
    let mut written = 0;
    for (log2, batch) in batches(appends) {
        written += tx.execute(&INSERT_ENTRIES[log2], &values_of(batch)).await?;
    }
    Ok(written)
}

/// Parts whose lengths are powers of two, each with its power.
fn batches<T>(mut rest: &[T]) -> impl Iterator<Item = (usize, &[T])> {
    std::iter::from_fn(move || {
        let log2 = rest.len().checked_ilog2()?.min(LARGEST_BATCH_LOG2);
        let (batch, later) = rest.split_at(1 << log2);
        rest = later;
        Some((log2 as usize, batch))
    })
}

/// Streams that have another epoch by now.
async fn fenced(tx: &mut Connection<'_>, appends: &[&Append]) -> Result<Vec<StreamId>, StoreError> {
    let held = |append: &&Append| (append.entry.stream_id.clone(), append.epoch);
    let held: HashSet<(StreamId, i64)> = appends.iter().map(held).collect();
    let held: Vec<(StreamId, i64)> = held.into_iter().collect();
    let mut fenced = Vec::new();
    for (log2, batch) in batches(&held) {
        let mut values = Vec::with_capacity(batch.len() * HELD_COLUMNS);
        for (stream, epoch) in batch {
            values.extend([Bind::from(stream.as_str()), Bind::from(*epoch)]);
        }
        let rows: Vec<(String,)> = tx.all(&FENCED[log2], &values).await?;
        for (id,) in rows {
            fenced.push(rows::stream_id(&id)?);
        }
    }
    Ok(fenced)
}

/// Streams in which one of these numbers was given under another epoch.
async fn collided(
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
        let values = binds![stream.as_str(), epoch, stored(first), stored(last)];
        let (others,): (i64,) = tx.one(sql::COLLIDES, values).await?;
        collided.extend((others > 0).then(|| stream.clone()));
    }
    Ok(collided)
}

async fn read_after(
    tx: &mut Connection<'_>,
    session_id: SessionId,
    cursor: &Cursor,
    kinds: &str,
    limit: u32,
) -> Result<Vec<Entry>, StoreError> {
    let heads: Vec<HeadRow> = tx.all(sql::STREAM_HEADS, binds![session_id.to_string()]).await?;
    let mut entries = Vec::new();
    for head in heads {
        let ordinal = rows::number("ordinal", head.ordinal)?;
        let seen = stored(cursor.seen(ordinal));
        let room = i64::from(limit) - entries.len() as i64;
        // Most readers have seen all of most streams: those cost no statement.
        if seen >= head.last_seq || room <= 0 {
            continue;
        }
        let values = binds![&*head.stream_id, seen, kinds, room];
        let found: Vec<EntryRow> = tx.all(sql::ENTRIES_AFTER, values).await?;
        let stream_id = rows::stream_id(&head.stream_id)?;
        for row in found {
            entries.push(row.into_entry_or_place(session_id, stream_id.clone(), ordinal)?);
        }
    }
    Ok(entries)
}

/// As `ENTRIES_AFTER` takes them: between commas.
fn listed(kinds: &[EntryKind]) -> String {
    let mut list = String::new();
    for kind in kinds {
        let comma = if list.is_empty() { "," } else { "" };
        list = list + comma + kind.as_str() + ",";
    }
    list
}

fn values_of<'a>(appends: &[&'a Append]) -> Vec<Bind<'a>> {
    let mut values = Vec::with_capacity(appends.len() * COLUMNS);
    for Append { epoch, entry, .. } in appends {
        let kind = entry.body.kind();
        let body = serde_json::to_string(&entry.body).expect("texts and numbers become JSON");
        values.extend([
            Bind::from(entry.stream_id.as_str()),
            Bind::from(stored(entry.seq)),
            Bind::from(kind.as_str()),
            Bind::from(i64::from(kind.is_personal())),
            Bind::from(entry.at_ms),
            Bind::from(body),
            Bind::from(*epoch),
        ]);
    }
    values
}

/// Sequence numbers count from 1 in steps of 1: none gets near the end of `i64`.
pub(super) fn stored(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn texts(head: &str, columns: usize, tail: &str) -> Texts {
    std::array::from_fn(|log2| head.to_owned() + &rows_of(1 << log2, columns) + tail)
}

/// `($1, $2), ($3, $4)`, for so many rows of so many columns.
fn rows_of(rows: usize, columns: usize) -> String {
    let mut text = String::new();
    for value in 0..rows * columns {
        let before = match value % columns {
            0 if value == 0 => "(",
            0 => "), (",
            _ => ", ",
        };
        write!(text, "{before}${}", value + 1).expect("writing to a string cannot fail");
    }
    text + ")"
}
