//! Stored answers for requests that a client repeats with the same key.

use super::database::{Bind, Connection, binds, row, transaction};
use super::{Store, StoreError, sql};
use crate::model::SessionId;

/// Identifies equal requests: the sender, the route and the key.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// The name of the API token.
    pub token: String,
    pub path: String,
    pub key: String,
}

/// A stored answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub status: u16,
    pub body: String,
}

/// The state of a key when a request arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// New: the request must be executed.
    Ours,
    /// The same request was answered.
    Answered(Kept),
    /// The same request is still running.
    InProgress,
    /// The key belongs to another request.
    OtherBody,
    /// The same request was answered, and the answer was deleted with its subject.
    Deleted,
}

row! {
    struct KeyRow {
        digest: String,
        status: Option<i64>,
        body: Option<String>,
    }
}

impl Store {
    /// Claims a key for a request with this body digest until `until_ms`, so that a daemon that dies meanwhile does not
    /// hold it.
    pub async fn take_idempotency_key(
        &self,
        key: &IdempotencyKey,
        digest: &str,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<Taken, StoreError> {
        let values = binds![&*key.token, &*key.path, &*key.key, digest, now_ms, until_ms];
        transaction!(self.database, |tx| { claim_key(&mut tx, values, digest).await? })
    }

    /// Stores an answer until `until_ms`, or until its session is deleted.
    pub async fn keep_answer(
        &self,
        key: &IdempotencyKey,
        kept: &Kept,
        about: Option<SessionId>,
        until_ms: i64,
    ) -> Result<(), StoreError> {
        let (status, body) = (i64::from(kept.status), &*kept.body);
        let about = about.map(|id| id.to_string());
        let values = binds![&*key.token, &*key.path, &*key.key, status, body, until_ms, about];
        self.database.execute(sql::KEEP_ANSWER, values).await.map(drop)
    }

    /// Releases a key without an answer: the next request with it is executed.
    pub async fn release_idempotency_key(&self, key: &IdempotencyKey) -> Result<(), StoreError> {
        let values = binds![&*key.token, &*key.path, &*key.key];
        self.database.execute(sql::RELEASE_IDEMPOTENCY_KEY, values).await.map(drop)
    }

    /// Deletes sealed answers that do not begin with `prefix`, because a key rotation does not reseal them.
    pub async fn forget_answers_sealed_otherwise(&self, prefix: &str) -> Result<u64, StoreError> {
        // Bytes are characters here, because a prefix is ASCII.
        let values = binds![prefix, i64::try_from(prefix.len()).unwrap_or(i64::MAX)];
        self.database.execute(sql::FORGET_ANSWERS_SEALED_OTHERWISE, values).await
    }

    /// Deletes expired answers. Returns how many.
    pub async fn prune_idempotency_keys(&self, now_ms: i64) -> Result<u64, StoreError> {
        self.delete_before(sql::PRUNE_IDEMPOTENCY_KEYS, now_ms, &[]).await
    }
}

/// Claims the key that the first three of `values` identify.
async fn claim_key(
    tx: &mut Connection<'_>,
    values: &[Bind<'_>],
    digest: &str,
) -> Result<Taken, StoreError> {
    if tx.execute(sql::TAKE_IDEMPOTENCY_KEY, values).await? == 1 {
        return Ok(Taken::Ours);
    }
    let row: KeyRow = tx.one(sql::IDEMPOTENCY_KEY, &values[..3]).await?;
    Ok(match (row.status.and_then(|status| u16::try_from(status).ok()), row.body) {
        // First, because the stored answer belongs to another request.
        _ if row.digest != digest => Taken::OtherBody,
        (Some(status), Some(body)) => Taken::Answered(Kept { status, body }),
        (Some(_), None) => Taken::Deleted,
        (None, _) => Taken::InProgress,
    })
}
