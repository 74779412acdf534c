//! Looks at a store without changing it: whether it answers, how fast, with which schema, and through which pooler.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use super::database::{Database, binds};
use super::pool_mode::PoolMode;
use super::{Location, Store, StoreError, schema, sql};

/// How often the store is asked for the latency.
const ROUNDS: usize = 3;

/// What was seen of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// `postgres` or `sqlite`.
    pub kind: &'static str,
    /// Of a small query over a connection that is open.
    pub latency: Duration,
    /// The version of the schema; `None` if the store has no tables of rtmsd.
    pub schema: Option<i64>,
    /// The newest version that this binary knows.
    pub newest: i64,
    /// Whether a pooler in transaction mode is in front of Postgres.
    pub is_pooled: bool,
}

impl Store {
    /// Looks at the store over connections of its own, beside a daemon that may run. Creates nothing.
    ///
    /// # Errors
    /// The store cannot be opened, does not answer, or has no transactions.
    pub async fn examine(location: &Location) -> Result<Examined, StoreError> {
        if let Location::Sqlite(path) = location
            && !path.exists()
        {
            return Err(StoreError::file(path, ErrorKind::NotFound.into()));
        }
        let database = Database::open_beside(location).await?;
        let examined = examine(&database).await;
        database.close().await;
        examined
    }
}

async fn examine(database: &Database) -> Result<Examined, StoreError> {
    let (kind, is_pooled) = match database {
        Database::Postgres { pool, mode } => {
            // Dropped, and so rolled back: this shows whether there are transactions at all.
            drop(pool.begin().await.map_err(StoreError::of_begin)?);
            ("postgres", *mode == PoolMode::Transaction)
        }
        Database::Sqlite { .. } => ("sqlite", false),
    };
    let schema = schema_version(database).await?;
    let latency = latency(database).await?;
    Ok(Examined { kind, latency, schema, newest: schema::NEWEST, is_pooled })
}

async fn schema_version(database: &Database) -> Result<Option<i64>, StoreError> {
    let row: Result<Option<(Option<i64>,)>, _> =
        database.optional(sql::SCHEMA_VERSION, binds![]).await;
    match row {
        // There is no such table.
        Err(StoreError::Statement(_)) => Ok(None),
        row => Ok(row?.and_then(|(version,)| version)),
    }
}

/// The shortest of some queries: the first one also opens a connection.
async fn latency(database: &Database) -> Result<Duration, StoreError> {
    let mut shortest = Duration::MAX;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let _: Option<(i64,)> = database.optional(sql::ONE, binds![]).await?;
        shortest = shortest.min(began.elapsed());
    }
    Ok(shortest)
}
