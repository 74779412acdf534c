//! The two kinds of database pools and the few differences between them.

mod bind;
mod transaction;

use std::fs::File;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{
    ConnectOptions, Connection as _, FromRow, PgConnection, PgPool, Postgres, Sqlite,
    SqliteConnection, SqlitePool,
};

use self::bind::bind_arguments;
pub(super) use self::bind::{Bind, binds};
pub(super) use self::transaction::{SESSION_SETTINGS, transaction};
use super::pool_mode::PoolMode;
use super::sql::BulkStatement;
use super::{StoreError, sql};

/// How often a transaction that conflicts with another is tried.
const MAX_TRIES: usize = 6;

/// How long to wait until no one uses the write-ahead log before the truncation is put off.
const LOG_TIMEOUT: Duration = Duration::from_millis(100);

/// The most rows in one execution of a bulk statement in SQLite. It and its driver hold several copies of them in memory,
/// and larger batches are hardly faster. In Postgres each execution would cost a round trip.
pub(super) const SQLITE_BULK_ROWS: usize = 64;

/// A transaction that takes longer has lost its server, whatever the socket reports.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(super) enum Database {
    Postgres {
        pool: PgPool,
        mode: PoolMode,
    },
    Sqlite {
        /// A single connection: SQLite has one writer at a time, and the pool's queue is fair.
        writer: SqlitePool,
        readers: SqlitePool,
        /// Locked for the life of the store: only one daemon may use the data folder. `None` for a store beside a
        /// daemon.
        lock: Option<Arc<File>>,
    },
}

/// A connection of either kind, inside or outside a transaction.
pub(super) enum Connection<'c> {
    Postgres(&'c mut PgConnection, PoolMode),
    Sqlite(&'c mut SqliteConnection),
}

/// Declares a row struct with every field read from the column of its name, in both databases. Replaces sqlx's derive,
/// because sqlx's macro crate builds sqlx, its drivers and SQLite a second time.
macro_rules! row {
    ($(#[$about:meta])* $seen:vis struct $name:ident {
        $($(#[$note:meta])* $shown:vis $field:ident: $kind:ty,)*
    }) => {
        $(#[$about])* $seen struct $name {
            $($(#[$note])* $shown $field: $kind,)*
        }
        $crate::store::database::row!(@read sqlx::postgres::PgRow => $name { $($field)* });
        $crate::store::database::row!(@read sqlx::sqlite::SqliteRow => $name { $($field)* });
    };
    (@read $row:ty => $name:ident { $($field:ident)* }) => {
        impl sqlx::FromRow<'_, $row> for $name {
            fn from_row(row: &$row) -> Result<Self, sqlx::Error> {
                Ok(Self { $($field: sqlx::Row::try_get(row, stringify!($field))?,)* })
            }
        }
    };
}
pub(super) use row;

/// A row struct that can be read from both databases.
pub(super) trait Row:
    for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin
{
}

impl<T> Row for T where T: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin
{}

impl Database {
    /// Runs `work` in bounded time and repeats it after a conflict with another transaction: it must have no effect but
    /// one transaction in the store.
    pub(super) async fn run<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        work: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        for _ in 1..MAX_TRIES {
            match in_time(&work).await {
                // Without a pause: a conflict means that another transaction has made progress.
                Err(error) if error.is_conflict() => continue,
                done => return done,
            }
        }
        in_time(&work).await
    }

    /// Runs one writing statement. Returns the number of changed rows.
    pub(super) async fn execute(
        &self,
        sql: &'static str,
        binds: &[Bind<'_>],
    ) -> Result<u64, StoreError> {
        transaction!(self, writer, |tx| { tx.execute(sql, binds).await? })
    }

    /// Runs one statement that reads at most one row.
    pub(super) async fn optional<R: Row>(
        &self,
        sql: &'static str,
        binds: &[Bind<'_>],
    ) -> Result<Option<R>, StoreError> {
        self.run(|| async { self.reader().await?.connection().optional(sql, binds).await }).await
    }

    /// Runs one reading statement.
    pub(super) async fn all<R: Row>(
        &self,
        sql: &'static str,
        binds: &[Bind<'_>],
    ) -> Result<Vec<R>, StoreError> {
        self.run(|| async { self.reader().await?.connection().all(sql, binds).await }).await
    }

    /// Checkpoints SQLite's write-ahead log into the file and truncates it: until then, it holds copies of pages from
    /// before a deletion. False if another connection was reading or writing. Postgres manages its own log.
    pub(super) async fn truncate_log(&self) -> Result<bool, StoreError> {
        let Database::Sqlite { writer, .. } = self else { return Ok(true) };
        // On a separate connection: the writer's would wait longer and hold up webhooks.
        let options = (*writer.connect_options()).clone().busy_timeout(LOG_TIMEOUT);
        let mut connection = options.connect().await?;
        let (is_busy, _, _): (i64, i64, i64) =
            sqlx::query_as(sql::TRUNCATE_LOG).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(is_busy == 0)
    }

    pub(super) async fn close(&self) {
        match self {
            Database::Postgres { pool, .. } => pool.close().await,
            Database::Sqlite { writer, readers, lock } => {
                // The readers first: the last connection to close checkpoints the log, which a read-only one cannot.
                readers.close().await;
                writer.close().await;
                // Nothing is written from here on; if this fails, dropping the last clone releases the lock.
                let _ = lock.as_ref().map(|lock| lock.unlock());
            }
        }
    }
}

async fn in_time<T, F: Future<Output = Result<T, StoreError>>>(
    work: &impl Fn() -> F,
) -> Result<T, StoreError> {
    // Boxed: the future takes kilobytes, which every future around it would otherwise hold.
    match tokio::time::timeout(TRANSACTION_TIMEOUT, Box::pin(work())).await {
        Ok(done) => done,
        // The outcome is unknown: the commit may have been sent.
        Err(_) => Err(StoreError::timed_out()),
    }
}

/// The same expression for either kind; inside it, `$Db` names the kind's marker type.
macro_rules! on {
    ($connection:expr, |$inner:ident: $Db:ident| $body:expr) => {
        match $connection {
            Connection::Postgres($inner, _) => {
                type $Db = Postgres;
                $body
            }
            Connection::Sqlite($inner) => {
                type $Db = Sqlite;
                $body
            }
        }
    };
}

impl Connection<'_> {
    /// Whether statements stay prepared on the connection. They must not if others use it afterwards.
    fn keeps_statements(&self) -> bool {
        !matches!(self, Connection::Postgres(_, PoolMode::Transaction))
    }

    /// The database's clock, in Unix milliseconds. Read inside the transaction that compares or writes it.
    pub(super) async fn now_ms(&mut self) -> Result<i64, StoreError> {
        let sql = match self {
            Connection::Postgres(..) => sql::NOW_MS_POSTGRES,
            Connection::Sqlite(_) => sql::NOW_MS_SQLITE,
        };
        let (now_ms,): (i64,) = self.one(sql, binds![]).await?;
        Ok(now_ms)
    }

    /// Locks rows until the transaction ends, by a statement of Postgres. SQLite has one writer.
    pub(super) async fn lock(
        &mut self,
        sql: &'static str,
        binds: &[Bind<'_>],
    ) -> Result<(), StoreError> {
        match self {
            Connection::Postgres(..) => self.execute(sql, binds).await.map(drop),
            Connection::Sqlite(_) => Ok(()),
        }
    }

    /// Runs a statement. Returns the number of changed rows.
    pub(super) async fn execute(
        &mut self,
        sql: &'static str,
        binds: &[Bind<'_>],
    ) -> Result<u64, StoreError> {
        let keeps = self.keeps_statements();
        on!(self, |connection: Db| {
            let query = sqlx::query_with(sql, bind_arguments::<Db>(binds)?).persistent(keeps);
            Ok(query.execute(&mut **connection).await?.rows_affected())
        })
    }

    /// Runs a bulk statement, in parts where there are many rows. `others` are the values from `$2`. Returns the number of
    /// changed rows.
    pub(super) async fn execute_bulk<T: Serialize>(
        &mut self,
        statement: BulkStatement,
        rows: &[T],
        others: &[Bind<'_>],
    ) -> Result<u64, StoreError> {
        let mut changed = 0;
        for rows in rows.chunks(self.bulk_rows()) {
            changed += self.execute(self.text(statement), &bulk_values(rows, others)).await?;
        }
        Ok(changed)
    }

    /// Like [`Self::execute_bulk`], for a statement that returns rows.
    pub(super) async fn all_bulk<R: Row, T: Serialize>(
        &mut self,
        statement: BulkStatement,
        rows: &[T],
        others: &[Bind<'_>],
    ) -> Result<Vec<R>, StoreError> {
        let mut found = Vec::new();
        for rows in rows.chunks(self.bulk_rows()) {
            found.extend(self.all(self.text(statement), &bulk_values(rows, others)).await?);
        }
        Ok(found)
    }

    fn bulk_rows(&self) -> usize {
        match self {
            Connection::Postgres(..) => usize::MAX,
            Connection::Sqlite(_) => SQLITE_BULK_ROWS,
        }
    }

    fn text(&self, statement: BulkStatement) -> &'static str {
        match self {
            Connection::Postgres(..) => statement.postgres,
            Connection::Sqlite(_) => statement.sqlite,
        }
    }

    pub(super) async fn optional<R: Row>(
        &mut self,
        sql: &'static str,
        binds: &[Bind<'_>],
    ) -> Result<Option<R>, StoreError> {
        let keeps = self.keeps_statements();
        on!(self, |connection: Db| {
            let query = sqlx::query_as_with::<Db, R, _>(sql, bind_arguments::<Db>(binds)?);
            let query = query.persistent(keeps);
            Ok(query.fetch_optional(&mut **connection).await?)
        })
    }

    pub(super) async fn one<R: Row>(
        &mut self,
        sql: &'static str,
        binds: &[Bind<'_>],
    ) -> Result<R, StoreError> {
        self.optional(sql, binds).await?.ok_or(StoreError::Statement(sqlx::Error::RowNotFound))
    }

    pub(super) async fn all<R: Row>(
        &mut self,
        sql: &'static str,
        binds: &[Bind<'_>],
    ) -> Result<Vec<R>, StoreError> {
        let keeps = self.keeps_statements();
        on!(self, |connection: Db| {
            let query = sqlx::query_as_with::<Db, R, _>(sql, bind_arguments::<Db>(binds)?);
            let query = query.persistent(keeps);
            Ok(query.fetch_all(&mut **connection).await?)
        })
    }
}

fn bulk_values<'a, T: Serialize>(rows: &[T], others: &[Bind<'a>]) -> Vec<Bind<'a>> {
    let rows = serde_json::to_string(rows).expect("texts and numbers become JSON");
    [Bind::from(rows)].into_iter().chain(others.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of a future, which is not run.
    fn bytes_of<'a, F>(_: impl Fn(&'a Database) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_transaction_takes_little_memory_before_it_has_a_connection() {
        let sizes =
            [bytes_of(Database::begin), bytes_of(Database::reader), bytes_of(Database::writer)];
        for bytes in sizes {
            assert!(bytes < 2 * 1024, "{bytes}");
        }
    }
}
