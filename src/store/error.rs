use std::io;
use std::path::{Path, PathBuf};

use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;
use thiserror::Error;

/// What the store could not do. The text is for the log, never for a client.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Temporary: the same call may succeed later.
    #[error("the store cannot be reached: {0}")]
    Unavailable(#[source] sqlx::Error),
    #[error("the store refused a statement: {0}")]
    Statement(#[source] sqlx::Error),
    #[error("the store holds a row that this version cannot read: {0}")]
    Row(String),
    #[error("the store's schema is newer than this rtmsd ({0}): run the newer binary")]
    SchemaTooNew(i64),
    #[error("the store's schema could not be brought up to date: {0}")]
    Migrate(#[source] MigrateError),
    #[error(
        "a pooler in statement mode is before Postgres, and that mode has no transactions: set its pool_mode to \
         transaction or session"
    )]
    StatementMode,
    #[error("another rtmsd uses this data folder")]
    Locked,
    #[error("cannot use {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the Postgres address cannot be read: {0}")]
    Address(#[source] sqlx::Error),
}

impl StoreError {
    pub(super) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    /// The answer did not come in the time that the caller has.
    pub fn timed_out() -> Self {
        Self::Unavailable(io::Error::from(io::ErrorKind::TimedOut).into())
    }

    /// Whether the statement may be the cause: no answer came, or the server broke it off. Where the server says itself
    /// what it lacks, such as room on its disk, any other statement would fare the same.
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::Unavailable(sqlx::Error::Database(error)) => {
                is_code(&**error, &POSTGRES_BROKEN_OFF, &[])
            }
            Self::Unavailable(_) => true,
            _ => false,
        }
    }

    /// What the first transaction of all can meet.
    pub(super) fn of_begin(error: sqlx::Error) -> Self {
        match &error {
            // PgBouncer's words; its code says no more than that the protocol was broken.
            sqlx::Error::Database(refusal) if refusal.message().contains("statement pooling") => {
                Self::StatementMode
            }
            _ => error.into(),
        }
    }

    /// Two transactions were in each other's way: the whole transaction may be tried again.
    pub(super) fn is_conflict(&self) -> bool {
        let (Self::Unavailable(sqlx::Error::Database(error))
        | Self::Statement(sqlx::Error::Database(error))) = self
        else {
            return false;
        };
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

/// Serialization failure, deadlock. SQLite has neither: its one writer waits in its pool.
const POSTGRES_CONFLICT: [&str; 2] = ["40001", "40P01"];

/// Broken off by a time-out or an operator, or the server process has crashed.
const POSTGRES_BROKEN_OFF: [&str; 1] = ["57"];

/// Beginnings of Postgres' codes that a later try may not get: connection and sign-in, missing
/// database, rolled back, out of resources, not available, stopped by an operator or a time-out,
/// a standby that is read-only, an idle transaction ended.
const POSTGRES_TEMPORARY: [&str; 9] =
    ["08", "28", "3D", "40", "53", "55P03", "57", "25006", "25P0"];

/// Busy (another program has the file), locked, no memory, read-only, interrupted, I/O error, disk full, cannot open.
const SQLITE_TEMPORARY: [i32; 8] = [5, 6, 7, 8, 9, 10, 13, 14];

/// Postgres' codes are five characters of which the first two name the class. SQLite's are numbers
/// whose low byte says what happened and whose high bytes say where.
fn is_code(error: &dyn DatabaseError, postgres: &[&str], sqlite: &[i32]) -> bool {
    let Some(code) = error.code() else { return false };
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        code.parse::<i32>().is_ok_and(|code| sqlite.contains(&(code & 0xff)))
    } else {
        postgres.iter().any(|beginning| code.starts_with(beginning))
    }
}
