//! The numbered log of every stream.

use std::fmt::Write;
use std::sync::LazyLock;

use super::database::{Bind, Connection, binds};
use super::rows::{self, EntryRow, HeadRow};
use super::{Store, StoreError, sql};
use crate::model::{Cursor, Entry, EntryKind, SessionId};

/// Rows per statement are powers of two up to this one's: few statements, so that each is prepared
/// once, and never more values than a statement may have (SQLite 32,766; Postgres 65,535).
const LARGEST_BATCH_LOG2: u32 = 7;

const COLUMNS: usize = 6;

/// The text that inserts `1 << n` entries.
static INSERT_ENTRIES: LazyLock<[String; LARGEST_BATCH_LOG2 as usize + 1]> =
    LazyLock::new(|| std::array::from_fn(|log2| insert_entries(1 << log2)));

impl Store {
    /// Writes entries in multi-row statements, in one transaction. An entry that is there already is
    /// left alone. A stream that ended revoked (reason 8) gets no personal entries any more.
    pub async fn write_entries(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.database
            .run(|| async {
                let mut tx = self.database.begin().await?;
                write_batches(&mut tx.connection(), entries).await?;
                tx.commit().await?;
                Ok(())
            })
            .await
    }

    /// Up to `limit` entries of a session's streams after `cursor`, each stream's in order of their
    /// numbers. `kinds` empty: all of them.
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

pub(super) async fn write_batches(
    tx: &mut Connection<'_>,
    entries: &[Entry],
) -> Result<(), StoreError> {
    let mut rest = entries;
    while let Some(log2) = rest.len().checked_ilog2() {
        let log2 = log2.min(LARGEST_BATCH_LOG2);
        let (batch, later) = rest.split_at(1 << log2);
        tx.execute(&INSERT_ENTRIES[log2 as usize], &values_of(batch)).await?;
        rest = later;
    }
    Ok(())
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
            entries.push(row.into_entry(session_id, stream_id.clone(), ordinal)?);
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

fn values_of(entries: &[Entry]) -> Vec<Bind<'_>> {
    let mut values = Vec::with_capacity(entries.len() * COLUMNS);
    for entry in entries {
        let kind = entry.body.kind();
        let body = serde_json::to_string(&entry.body).expect("texts and numbers become JSON");
        values.extend([
            Bind::from(entry.stream_id.as_str()),
            Bind::from(stored(entry.seq)),
            Bind::from(kind.as_str()),
            Bind::from(i64::from(kind.is_personal())),
            Bind::from(entry.at_ms),
            Bind::from(body),
        ]);
    }
    values
}

/// Sequence numbers count from 1 in steps of 1: none gets near the end of `i64`.
pub(super) fn stored(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn insert_entries(rows: usize) -> String {
    let mut text = sql::INSERT_ENTRIES_HEAD.to_owned();
    for row in 0..rows {
        let comma = if row == 0 { "" } else { ", " };
        let [a, b, c, d, e, f] = std::array::from_fn(|column| row * COLUMNS + column + 1);
        write!(text, "{comma}(${a}, ${b}, ${c}, ${d}, ${e}, ${f})")
            .expect("writing to a string cannot fail");
    }
    text + sql::INSERT_ENTRIES_TAIL
}
