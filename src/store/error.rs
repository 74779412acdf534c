//! Errors of the store, and which of them are temporary or conflicts.

use std::io;
use std::path::{Path, PathBuf};

use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;
use thiserror::Error;

/// An error of the store. The text is for the log, never for a client.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Temporary: the same call may succeed later.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] sqlx::Error),
    #[error("the store rejected a statement: {0}")]
    Statement(#[source] sqlx::Error),
    #[error("the store holds a row that this version cannot read: {0}")]
    Row(String),
    /// With the store's major version.
    #[error(
        "the store's schema has the major version {0}, which this rtmsd does not know: run the newer binary"
    )]
    SchemaTooNew(i64),
    #[error("the store's schema could not be migrated: {0}")]
    Migrate(#[source] MigrateError),
    #[error(
        "the store's schema could not be migrated, and is as it was: a row of {table} refers to a row of {parent} \
         that does not exist; restore the data folder from a backup, or delete that row"
    )]
    BrokenReference { table: String, parent: String },
    #[error(
        "a pooler in statement mode is in front of Postgres, and that mode has no transactions: set its pool_mode to \
         transaction or session"
    )]
    StatementMode,
    #[error("another rtmsd uses the data folder {}: stop it, or set another DATA_DIR", folder.display())]
    Locked { folder: PathBuf },
    #[error("cannot use {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the Postgres address is malformed: {0}")]
    Address(#[source] sqlx::Error),
}

impl StoreError {
    pub(super) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    /// The answer did not arrive within the caller's time.
    pub fn timed_out() -> Self {
        Self::Unavailable(io::Error::from(io::ErrorKind::TimedOut).into())
    }

    /// Whether the same call may succeed later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Whether the statement may be the cause: there was no answer, or the server cancelled it. If the server reports
    /// what it lacks, such as disk space, any other statement would fail as well.
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::Unavailable(sqlx::Error::Database(error)) => {
                is_code(&**error, &POSTGRES_BROKEN_OFF, &[])
            }
            Self::Unavailable(_) => true,
            _ => false,
        }
    }

    /// The error of the first transaction on a connection.
    pub(super) fn of_begin(error: sqlx::Error) -> Self {
        match &error {
            // PgBouncer's text; its code says only that the protocol was violated.
            sqlx::Error::Database(refusal) if refusal.message().contains("statement pooling") => {
                Self::StatementMode
            }
            _ => error.into(),
        }
    }

    /// Whether two transactions conflicted: the whole transaction may be tried again.
    pub(super) fn is_conflict(&self) -> bool {
        let (Self::Unavailable(sqlx::Error::Database(error))
        | Self::Statement(sqlx::Error::Database(error))) = self
        else {
            return false;
        };
        // A unique violation, too: two transactions computed the same next number, such as a recording's part. The
        // second sees the first one's row when it tries again.
        error.is_unique_violation() || is_code(&**error, &POSTGRES_CONFLICT, &[])
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        let is_temporary = match &error {
            E::Io(_) | E::Tls(_) | E::Protocol(_) | E::BeginFailed => true,
            E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed => true,
            E::Database(error) => is_code(&**error, &POSTGRES_TEMPORARY, &SQLITE_TEMPORARY),
            _ => false,
        };
        if is_temporary { Self::Unavailable(error) } else { Self::Statement(error) }
    }
}

/// Serialization failure and deadlock. SQLite has neither, because its writers queue for one connection.
const POSTGRES_CONFLICT: [&str; 2] = ["40001", "40P01"];

/// Class 57: a timeout or an operator cancelled the statement, or the server process crashed.
const POSTGRES_BROKEN_OFF: [&str; 1] = ["57"];

/// Prefixes of Postgres error codes that may pass: connection and sign-in, missing database, rolled back, out of
/// resources, not available, stopped by an operator or a timeout, a read-only standby, an idle transaction ended.
const POSTGRES_TEMPORARY: [&str; 9] =
    ["08", "28", "3D", "40", "53", "55P03", "57", "25006", "25P0"];

/// Busy (another program uses the file), locked, no memory, read-only, interrupted, I/O error, disk full, cannot open.
const SQLITE_TEMPORARY: [i32; 8] = [5, 6, 7, 8, 9, 10, 13, 14];

/// Compares error codes. Those of Postgres are five characters, the first two being the class. Those of SQLite are
/// numbers: the low byte is the error, the high bytes its place.
fn is_code(error: &dyn DatabaseError, postgres: &[&str], sqlite: &[i32]) -> bool {
    let Some(code) = error.code() else { return false };
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        code.parse::<i32>().is_ok_and(|code| sqlite.contains(&(code & 0xff)))
    } else {
        postgres.iter().any(|beginning| code.starts_with(beginning))
    }
}
