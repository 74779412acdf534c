//! Answers that are given again when a client repeats a request under the same key.

use super::database::{Bind, Connection, binds, row};
use super::{Store, StoreError, sql};
use crate::model::SessionId;

/// Keys deleted in one statement: requests get their turn in between.
const PRUNE_ROWS: u32 = 500;

/// What makes two requests the same: who sent it, where to, and under which key.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// The name of the API token.
    pub token: String,
    pub path: String,
    pub key: String,
}

/// What was answered, to be answered again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub status: u16,
    pub body: String,
}

/// What a request finds under its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Nothing: the request is to be carried out.
    Ours,
    /// The same request was answered.
    Answered(Kept),
    /// The same request is being carried out.
    InProgress,
    /// Another request had this key.
    OtherBody,
    /// The same request was answered, and the answer was deleted with what it was about.
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
    /// Takes a key for a request whose body has this digest, until `until_ms`: so that a daemon that dies in the
    /// middle does not keep it.
    pub async fn take_idempotency_key(
        &self,
        key: &IdempotencyKey,
        digest: &str,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<Taken, StoreError> {
        let values = binds![&*key.token, &*key.path, &*key.key, digest, now_ms, until_ms];
        self.database
            .run(|| async {
                let mut tx = self.database.begin().await?;
                let taken = take(&mut tx.connection(), values, digest).await?;
                tx.commit().await?;
                Ok(taken)
            })
            .await
    }

    /// Keeps an answer until `until_ms`, or until the session that it is about is deleted.
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

    /// Gives a key back without an answer: the next request with it is carried out.
    pub async fn release_idempotency_key(&self, key: &IdempotencyKey) -> Result<(), StoreError> {
        let values = binds![&*key.token, &*key.path, &*key.key];
        self.database.execute(sql::RELEASE_IDEMPOTENCY_KEY, values).await.map(drop)
    }

    /// Forgets kept answers that are sealed and do not begin with `prefix`: a rotation of keys does not seal them anew.
    pub async fn forget_answers_sealed_otherwise(&self, prefix: &str) -> Result<u64, StoreError> {
        let values = binds![prefix, i64::try_from(prefix.len()).unwrap_or(i64::MAX)];
        self.database.execute(sql::FORGET_ANSWERS_SEALED_OTHERWISE, values).await
    }

    /// Forgets answers whose time is over. Returns how many.
    pub async fn prune_idempotency_keys(&self, now_ms: i64) -> Result<u64, StoreError> {
        let mut pruned = 0;
        loop {
            let values = binds![now_ms, i64::from(PRUNE_ROWS)];
            let rows = self.database.execute(sql::PRUNE_IDEMPOTENCY_KEYS, values).await?;
            pruned += rows;
            if rows < u64::from(PRUNE_ROWS) {
                return Ok(pruned);
            }
        }
    }
}

/// The first three of `values` name the key.
async fn take(
    tx: &mut Connection<'_>,
    values: &[Bind<'_>],
    digest: &str,
) -> Result<Taken, StoreError> {
    if tx.execute(sql::TAKE_IDEMPOTENCY_KEY, values).await? == 1 {
        return Ok(Taken::Ours);
    }
    let row: KeyRow = tx.one(sql::IDEMPOTENCY_KEY, &values[..3]).await?;
    Ok(match (row.status.and_then(|status| u16::try_from(status).ok()), row.body) {
        _ if row.digest != digest => Taken::OtherBody,
        (Some(status), Some(body)) => Taken::Answered(Kept { status, body }),
        (Some(_), None) => Taken::Deleted,
        (None, _) => Taken::InProgress,
    })
}
