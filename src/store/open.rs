//! From a location to pools over a schema that is up to date.

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
use sqlx::{Connection as _, Executor, PgConnection, PgPool};

use super::database::Database;
use super::{Location, StoreError, schema, sql};

/// A caller learns this soon that the database is away or busy.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

const POSTGRES_CONNECTIONS: u32 = 10;
const SQLITE_READERS: u32 = 4;

/// Limits that the server itself keeps, so that it does not work on for a caller who has left.
const POSTGRES_LIMITS: &str = "
    SET statement_timeout = '5s'; SET lock_timeout = '4s';
    SET idle_in_transaction_session_timeout = '15s'";

/// Another node may be migrating: wait for it, but not for ever.
const MIGRATION_LIMITS: &str = "SET lock_timeout = '60s'";

/// In the folder of the SQLite file, which is the data folder.
const LOCK_FILE: &str = "rtmsd.lock";

impl Database {
    pub(super) async fn open(location: &Location) -> Result<Self, StoreError> {
        match location {
            Location::Postgres(url) => open_postgres(url.expose()).await,
            Location::Sqlite(path) => open_sqlite(path).await,
        }
    }

    /// Without the data folder's lock, the migrations and the leases.
    pub(super) async fn open_beside(location: &Location) -> Result<Self, StoreError> {
        match location {
            Location::Postgres(url) => {
                Ok(Database::Postgres(postgres_pool(postgres_options(url.expose())?)))
            }
            Location::Sqlite(path) => {
                let options = sqlite_options(path);
                let writer = sqlite_pool(options.clone(), 1).await?;
                let readers = sqlite_pool(options.read_only(true), SQLITE_READERS).await?;
                Ok(Database::Sqlite { writer, readers, lock: None })
            }
        }
    }
}

async fn open_postgres(url: &str) -> Result<Database, StoreError> {
    let options = postgres_options(url)?;
    migrate_postgres(&options).await?;
    Ok(Database::Postgres(postgres_pool(options)))
}

fn postgres_options(url: &str) -> Result<PgConnectOptions, StoreError> {
    Ok(PgConnectOptions::from_str(url).map_err(StoreError::Address)?.application_name("rtmsd"))
}

fn postgres_pool(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(POSTGRES_LIMITS).await.map(drop) })
        })
        .connect_lazy_with(options)
}

/// On a connection of its own: a migration may take longer than any statement of ours, and its
/// lock goes with the connection when it fails.
async fn migrate_postgres(options: &PgConnectOptions) -> Result<(), StoreError> {
    let connecting = PgConnection::connect_with(options);
    let mut connection = tokio::time::timeout(ACQUIRE_TIMEOUT, connecting)
        .await
        .map_err(|_| StoreError::timed_out())??;
    connection.execute(MIGRATION_LIMITS).await?;
    schema::migrate(&schema::postgres(), &mut connection).await?;
    Ok(connection.close().await?)
}

async fn open_sqlite(path: &Path) -> Result<Database, StoreError> {
    let lock = lock_folder(path)?;
    create_private(path)?;
    let options = sqlite_options(path);
    let writer = sqlite_pool(options.clone().journal_mode(SqliteJournalMode::Wal), 1).await?;
    schema::migrate(&schema::sqlite(), &mut *writer.acquire().await?).await?;
    sqlx::query(sql::RELEASE_ALL_LEASES).execute(&writer).await?;
    sqlx::query(sql::RELEASE_ALL_SINKS).execute(&writer).await?;
    sqlx::query(sql::RELEASE_ALL_OUTGOING).execute(&writer).await?;
    let readers = sqlite_pool(options.read_only(true), SQLITE_READERS).await?;
    Ok(Database::Sqlite { writer, readers, lock: Some(Arc::new(lock)) })
}

fn sqlite_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(ACQUIRE_TIMEOUT)
        // What is deleted because a stream was revoked is overwritten, not only unlinked.
        .pragma("secure_delete", "ON")
        .synchronous(SqliteSynchronous::Full)
}

async fn sqlite_pool(
    options: SqliteConnectOptions,
    connections: u32,
) -> Result<SqlitePool, sqlx::Error> {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
}

fn lock_folder(database: &Path) -> Result<File, StoreError> {
    let folder = match database.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
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
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked),
        Err(TryLockError::Error(error)) => Err(StoreError::file(&path, error)),
    }
}

/// Opens a file, making it readable to its owner only. SQLite gives its other files the same mode.
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
