//! What is to be deleted of a user: asked for in one transaction, done in small ones, and noted at the end. A daemon
//! that stops in the middle goes on where it was.

use serde_json::json;
use sqlx::FromRow;
use uuid::Uuid;

use super::audit::insert_audit;
use super::database::{Connection, binds};
use super::recordings::delete_recordings_of_stream;
use super::{Store, StoreError, sql};
use crate::model::AuditRow;

/// Entries deleted in one transaction: webhooks get their turn in between.
const ENTRIES_PER_STEP: u32 = 500;

impl Store {
    /// Does a bounded part of what is to be deleted. False when nothing is.
    pub async fn delete_some(&self, now_ms: i64) -> Result<bool, StoreError> {
        let oldest: Option<(String,)> =
            self.database.optional(sql::OLDEST_DELETION, binds![]).await?;
        let Some((id,)) = oldest else { return Ok(false) };
        self.database
            .run(|| async {
                let mut tx = self.database.begin().await?;
                step(&mut tx.connection(), &id, now_ms).await?;
                tx.commit().await
            })
            .await?;
        Ok(true)
    }
}

/// Ends what still runs of a user as revoked, and asks for the deletion of what is stored. Returns how many streams
/// that ended.
pub(super) async fn ask_deletion(
    tx: &mut Connection<'_>,
    user_id: &str,
    actor: &str,
    now_ms: i64,
) -> Result<u64, StoreError> {
    let _sessions: Vec<(String,)> = tx.all(sql::LOCK_SESSIONS_OF_OPERATOR, binds![user_id]).await?;
    let streams_stopped =
        tx.execute(sql::REVOKE_STREAMS_OF_OPERATOR, binds![user_id, now_ms]).await?;
    let values = binds![Uuid::now_v7().to_string(), user_id, actor, now_ms];
    tx.execute(sql::INSERT_DELETION, values).await?;
    Ok(streams_stopped)
}

#[derive(FromRow)]
struct Pending {
    user_id: String,
    actor: String,
    asked_at_ms: i64,
    after_stream: String,
    streams: i64,
    entries: i64,
    deliveries: i64,
}

async fn step(tx: &mut Connection<'_>, id: &str, now_ms: i64) -> Result<(), StoreError> {
    let pending: Option<Pending> = tx.optional(sql::LOCK_DELETION, binds![id]).await?;
    let Some(pending) = pending else { return Ok(()) };
    let values = binds![&*pending.user_id, &*pending.after_stream, pending.asked_at_ms];
    let stream: Option<(String,)> = tx.optional(sql::STREAM_TO_EMPTY, values).await?;
    match stream {
        Some((stream,)) => empty(tx, id, &pending, &stream).await,
        None => end(tx, id, &pending, now_ms).await,
    }
}

/// Deletes some of a stream's personal entries; with the last of them what its webhooks said.
async fn empty(
    tx: &mut Connection<'_>,
    id: &str,
    pending: &Pending,
    stream: &str,
) -> Result<(), StoreError> {
    let values = binds![stream, i64::from(ENTRIES_PER_STEP)];
    let entries = tx.execute(sql::DELETE_SOME_ENTRIES, values).await?;
    let is_empty = entries < u64::from(ENTRIES_PER_STEP);
    let (mut after_stream, mut deliveries) = (&*pending.after_stream, 0);
    if is_empty {
        after_stream = stream;
        deliveries = tx.execute(sql::BLANK_DELIVERIES, binds![stream]).await?;
        delete_recordings_of_stream(tx, stream).await?;
    }
    let count = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
    let values = binds![id, after_stream, i64::from(is_empty), count(entries), count(deliveries)];
    tx.execute(sql::COUNT_DELETED, values).await.map(drop)
}

async fn end(
    tx: &mut Connection<'_>,
    id: &str,
    pending: &Pending,
    now_ms: i64,
) -> Result<(), StoreError> {
    tx.execute(sql::END_DELETION, binds![id]).await?;
    let Pending { streams, entries, deliveries, asked_at_ms, .. } = *pending;
    let audit = AuditRow {
        at_ms: now_ms,
        actor: pending.actor.clone(),
        action: "data.deleted",
        subject: pending.user_id.clone(),
        outcome: "ok".to_owned(),
        detail: json!({
            "asked_at_ms": asked_at_ms, "streams": streams, "entries": entries,
            "deliveries": deliveries,
        }),
    };
    insert_audit(tx, &audit).await
}
