//! Transactions, and connections for single statements.

use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres, Sqlite};

use super::{Connection, Database};
use crate::store::StoreError;
use crate::store::pool_mode::PoolMode;

/// Settings of a Postgres connection: time limits, so that Postgres stops working for a caller that has gone, and planner
/// settings, so that plans use indexes.
// The lock limit is the shortest, so that a blocked statement fails as blocked (55P03) and not as slow. The idle limit
// exceeds `TRANSACTION_TIMEOUT`, after which the caller has given up.
//
// Postgres keeps the plan of a prepared statement. A plan made while a table is small reads the whole table, even after it
// has grown. Every join here has an index, so sequential scans, hash joins and merge joins are off. A plan that still needs
// one gets a huge cost estimate, for which Postgres would compile it (`jit`). Compiling takes longer than running it.
macro_rules! settings {
    ($set:literal) => {
        settings!($set
            "statement_timeout = '5s'",
            "lock_timeout = '4s'",
            "idle_in_transaction_session_timeout = '15s'",
            "enable_seqscan = off",
            "enable_hashjoin = off",
            "enable_mergejoin = off",
            "jit = off"
        )
    };
    ($set:literal $($setting:literal),*) => {
        concat!($($set, " ", $setting, "; "),*)
    };
}
/// Sets them for a connection.
pub(in crate::store) const SESSION_SETTINGS: &str = settings!("SET");
/// Begins a transaction and sets them for it alone: others use the server connection afterwards.
const BEGIN_WITH_SETTINGS: &str = concat!("BEGIN; ", settings!("SET LOCAL"));

/// Runs a block in a transaction of a [`Database`], with `$tx` as its [`Connection`]; commits and returns the block's
/// value. `return` and `?` leave without a commit, so nothing is written. After a conflict the block runs again
/// ([`Database::run`]). A macro, because an async closure's future cannot be declared `Send`.
///
/// With `writer` instead of [`Database::begin`], each statement of the block is its own transaction ([`SingleStatement`]).
macro_rules! transaction {
    ($database:expr, |$tx:ident| $work:block) => {
        transaction!($database, begin, |$tx| $work)
    };
    ($database:expr, $begin:ident, |$tx:ident| $work:block) => {
        $database
            .run(|| async {
                let mut transaction = $database.$begin().await?;
                let mut $tx = transaction.connection();
                let done = $work;
                transaction.commit().await?;
                Ok(done)
            })
            .await
    };
}
pub(in crate::store) use transaction;

/// A transaction, rolled back unless it is committed.
pub(in crate::store) enum Transaction {
    Postgres(sqlx::Transaction<'static, Postgres>, PoolMode),
    Sqlite(sqlx::Transaction<'static, Sqlite>),
}

/// A pooled connection for single statements. Each is its own transaction and sees what was committed before it.
pub(in crate::store) enum SingleStatement {
    Postgres(PoolConnection<Postgres>),
    /// In a transaction, so that all steps of a statement use the same server connection.
    PooledPostgres(sqlx::Transaction<'static, Postgres>),
    Sqlite(PoolConnection<Sqlite>),
}

impl Database {
    pub(in crate::store) async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(match self {
            Database::Postgres { pool, mode } => {
                Transaction::Postgres(begin_transaction(pool, *mode).await?, *mode)
            }
            // IMMEDIATE: a transaction that starts with a read may fail when it first writes.
            Database::Sqlite { writer, .. } => {
                Transaction::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)
            }
        })
    }

    /// A connection for single statements that read.
    pub(in crate::store) async fn reader(&self) -> Result<SingleStatement, StoreError> {
        Ok(match self {
            Database::Postgres { pool, mode } => acquire_single(pool, *mode).await?,
            Database::Sqlite { readers, .. } => SingleStatement::Sqlite(readers.acquire().await?),
        })
    }

    /// A connection for one writing statement. Saves BEGIN and COMMIT, except behind a pooler in transaction mode.
    pub(in crate::store) async fn writer(&self) -> Result<SingleStatement, StoreError> {
        Ok(match self {
            Database::Postgres { pool, mode } => acquire_single(pool, *mode).await?,
            Database::Sqlite { writer, .. } => SingleStatement::Sqlite(writer.acquire().await?),
        })
    }
}

impl Transaction {
    pub(in crate::store) fn connection(&mut self) -> Connection<'_> {
        match self {
            Transaction::Postgres(transaction, mode) => Connection::Postgres(transaction, *mode),
            Transaction::Sqlite(transaction) => Connection::Sqlite(transaction),
        }
    }

    pub(in crate::store) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Transaction::Postgres(transaction, _) => Ok(transaction.commit().await?),
            Transaction::Sqlite(transaction) => Ok(transaction.commit().await?),
        }
    }
}

impl SingleStatement {
    pub(in crate::store) fn connection(&mut self) -> Connection<'_> {
        match self {
            SingleStatement::Postgres(connection) => {
                Connection::Postgres(connection, PoolMode::Session)
            }
            SingleStatement::PooledPostgres(transaction) => {
                Connection::Postgres(transaction, PoolMode::Transaction)
            }
            SingleStatement::Sqlite(connection) => Connection::Sqlite(connection),
        }
    }

    /// Must follow a statement that writes: behind a pooler in transaction mode, it is rolled back otherwise.
    pub(in crate::store) async fn commit(self) -> Result<(), StoreError> {
        match self {
            SingleStatement::PooledPostgres(transaction) => Ok(transaction.commit().await?),
            // Committed with the statement.
            SingleStatement::Postgres(_) | SingleStatement::Sqlite(_) => Ok(()),
        }
    }
}

async fn acquire_single(pool: &PgPool, mode: PoolMode) -> Result<SingleStatement, sqlx::Error> {
    Ok(match mode {
        // Boxed as in `begin_transaction`.
        PoolMode::Session => SingleStatement::Postgres(Box::pin(pool.acquire()).await?),
        PoolMode::Transaction => {
            SingleStatement::PooledPostgres(begin_transaction(pool, mode).await?)
        }
    })
}

async fn begin_transaction(
    pool: &PgPool,
    mode: PoolMode,
) -> Result<sqlx::Transaction<'static, Postgres>, sqlx::Error> {
    // Boxed: the future that may make a connection takes 13 kB, which each transaction of SQLite would hold, too.
    match mode {
        PoolMode::Session => Box::pin(pool.begin()).await,
        // Together with BEGIN, because separate statements cost round trips.
        PoolMode::Transaction => Box::pin(pool.begin_with(BEGIN_WITH_SETTINGS)).await,
    }
}
