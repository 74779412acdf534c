//! Opens the pools of a location and migrates its schema.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, Executor, PgPool};

use super::database::{Database, SESSION_SETTINGS, SQLITE_BULK_ROWS};
use super::pool_mode::{self, PoolMode};
use super::{Location, StoreError, schema, sql};

/// How long a caller waits for a connection before the database counts as unavailable.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

const POSTGRES_CONNECTIONS: u32 = 10;
/// Each has a page cache, its prepared statements and a copy of the schema.
const SQLITE_READERS: u32 = 3;
/// The page caches, as SQLite writes a size: 256 KiB for the writer and 96 KiB for each reader. The file's pages are in
/// the kernel's cache, too.
const WRITER_CACHE: &str = "-256";
const READER_CACHE: &str = "-96";

/// The lock file in the folder of the SQLite file, which is the data folder.
const LOCK_FILE: &str = "rtmsd.lock";

impl Database {
    pub(super) async fn open(location: &Location) -> Result<Self, StoreError> {
        match location {
            Location::Postgres(url) => open_postgres(url.expose(), true).await,
            Location::Sqlite(path) => open_sqlite(path).await,
        }
    }

    /// Opens without the data folder's lock, the migrations and the leases.
    pub(super) async fn open_beside(location: &Location) -> Result<Self, StoreError> {
        match location {
            Location::Postgres(url) => open_postgres(url.expose(), false).await,
            Location::Sqlite(path) => {
                let options = sqlite_options(path);
                let writer = sqlite_pool(options.clone(), 1).await?;
                let options = options.read_only(true).pragma("cache_size", READER_CACHE);
                let readers = sqlite_pool(options, SQLITE_READERS).await?;
                Ok(Database::Sqlite { writer, readers, lock: None })
            }
        }
    }
}

async fn open_postgres(url: &str, migrates: bool) -> Result<Database, StoreError> {
    let options = postgres_options(url)?;
    // Outside the pool, because the pool's options depend on the mode that this connection detects.
    let mut connection = pool_mode::connect_bounded(&options).await?;
    if migrates {
        schema::migrate_postgres(&mut connection).await?;
    }
    let mode = pool_mode::detect_mode(&mut connection, &options).await?;
    connection.close().await?;
    if mode == PoolMode::Transaction {
        tracing::info!(
            "a pooler in transaction mode is in front of Postgres; statements are not kept prepared, and every read \
             is a transaction"
        );
    }
    Ok(Database::Postgres { pool: postgres_pool(options, mode), mode })
}

fn postgres_options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url).map_err(StoreError::Address)?;
    // No column holds a float, and PgBouncer rejects connections that set this option.
    Ok(options.application_name("rtmsd").extra_float_digits(None))
}

fn postgres_pool(options: PgConnectOptions, mode: PoolMode) -> PgPool {
    PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                match mode {
                    PoolMode::Session => connection.execute(SESSION_SETTINGS).await.map(drop),
                    // Each transaction sets its own: a setting of the session would apply to other clients of the
                    // pooler.
                    PoolMode::Transaction => Ok(()),
                }
            })
        })
        .connect_lazy_with(options)
}

async fn open_sqlite(path: &Path) -> Result<Database, StoreError> {
    // Before anything else: the migration and the releases below require that no other daemon runs.
    let lock = lock_folder(path)?;
    create_private(path)?;
    let options = sqlite_options(path);
    let writer = sqlite_pool(options.clone().journal_mode(SqliteJournalMode::Wal), 1).await?;
    schema::migrate_sqlite(&mut *writer.acquire().await?).await?;
    // The lock proves that earlier owners are dead, so their leases need not expire first.
    sqlx::query(sql::RELEASE_ALL_LEASES).execute(&writer).await?;
    sqlx::query(sql::RELEASE_ALL_SINKS).execute(&writer).await?;
    sqlx::query(sql::RELEASE_ALL_OUTGOING).execute(&writer).await?;
    // After the migration: a read-only connection cannot create the file.
    let options = options.read_only(true).pragma("cache_size", READER_CACHE);
    let readers = sqlite_pool(options, SQLITE_READERS).await?;
    Ok(Database::Sqlite { writer, readers, lock: Some(Arc::new(lock)) })
}

pub(super) fn sqlite_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        // SQLite enforces foreign keys only on request, unlike Postgres.
        .foreign_keys(true)
        // A command beside the daemon writes to the same file: see `open_beside`.
        .busy_timeout(ACQUIRE_TIMEOUT)
        // Room for all rows of a bulk statement and its end: a full buffer blocks the connection's thread.
        .row_buffer_size(SQLITE_BULK_ROWS + 1)
        // Data of a revoked stream is overwritten, not only unlinked.
        .pragma("secure_delete", "ON")
        // Temporary files would keep what people said outside the data folder, and need a folder that may be written.
        .pragma("temp_store", "MEMORY")
        .pragma("cache_size", WRITER_CACHE)
        // Zoom does not repeat a webhook that was answered 200 (section 13.5), so a power cut must not lose its commit.
        .synchronous(SqliteSynchronous::Full)
}

async fn sqlite_pool(
    options: SqliteConnectOptions,
    connections: u32,
) -> Result<SqlitePool, sqlx::Error> {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A connection to a local file never goes stale, and a new one would have to prepare its statements again.
        .idle_timeout(None)
        .max_lifetime(None)
        // Each test would wake the connection's thread and wait for it.
        .test_before_acquire(false)
        .connect_with(options)
        .await
}

/// Locks the folder of a SQLite file, which is created if it is missing, until the returned file is dropped.
pub(super) fn lock_folder(database: &Path) -> Result<File, StoreError> {
    let folder = match database.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        // A bare file name has an empty parent.
        _ => Path::new("."),
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| StoreError::file(folder, error))?;
    let path = folder.join(LOCK_FILE);
    let lock = create_private(&path)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { folder: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(StoreError::file(&path, error)),
    }
}

/// Opens a file that only its owner can read. SQLite gives its other files the same mode.
fn create_private(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| StoreError::file(path, error))
}

#[cfg(test)]
mod tests {
    use sqlx::ConnectOptions;

    use super::*;

    #[tokio::test]
    async fn temporary_files_of_sqlite_are_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let options = sqlite_options(&folder.path().join("rtmsd.db")).create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        let place: i64 =
            sqlx::query_scalar("PRAGMA temp_store").fetch_one(&mut connection).await.unwrap();
        assert_eq!(place, 2);
    }
}
