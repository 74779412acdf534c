//! Copies of the SQLite store: made while a daemon uses it, checked, and put in its place.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{self, Path, PathBuf};

use sqlx::{ConnectOptions, Connection, SqliteConnection};
use thiserror::Error;
use uuid::Uuid;

use super::connect::{lock_folder, sqlite_options};
use super::{StoreError, schema, sql};

/// The files that SQLite keeps beside a store, by their ends.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// Why a store was not copied. The text is for the user.
#[derive(Debug, Error)]
pub enum BackupError {
    #[error("there is no store at {}: is DATA_DIR right?", .0.display())]
    NoStore(PathBuf),
    #[error("{} belongs to another user: run this as that user (sudo -u)", .0.display())]
    Foreign(PathBuf),
    #[error("{} exists, and is not replaced: choose another name", .0.display())]
    Exists(PathBuf),
    #[error(
        "the copy takes up to {needed} bytes, and the disk of {} has {free}: make room, or choose another disk",
        folder.display()
    )]
    NoRoom { folder: PathBuf, needed: u64, free: u64 },
    #[error("{} is not a sound store of rtmsd: {problem}", path.display())]
    Unsound { path: PathBuf, problem: String },
    #[error("the schema of {} is newer than this rtmsd ({version}): use the newer binary", path.display())]
    TooNew { path: PathBuf, version: i64 },
    #[error("cannot use {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A copy that was made and found sound.
#[derive(Debug, PartialEq, Eq)]
pub struct Copied {
    pub bytes: u64,
    pub schema: i64,
}

/// A store that was put in place.
#[derive(Debug)]
pub struct Restored {
    pub copied: Copied,
    /// Where the store is now that was there before.
    pub aside: Option<PathBuf>,
}

/// Copies the SQLite store of a data folder to a file that only its owner can read, as the store was at one moment.
/// A daemon may use the store meanwhile. The copy has nothing of what was deleted before.
///
/// The file has its name only once it is whole. After an error, or when the future is dropped, no file is left.
///
/// # Errors
/// There is no store, the file exists, or the copy cannot be written or is not sound.
pub async fn back_up(store: &Path, target: &Path) -> Result<Copied, BackupError> {
    if !store.exists() {
        return Err(BackupError::NoStore(store.to_owned()));
    }
    // Checked again when the copy gets its name; a long copy should not be in vain.
    if target.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(target.to_owned()));
    }
    let draft = Draft::beside(target)?;
    let mut connection = connect(store, false).await?;
    let copied = copy(&mut connection, store, &draft.0).await?;
    // The last connection to close takes the log of a killed daemon into the file.
    close(connection).await;
    let mut copy = connect(&draft.0, true).await?;
    check(&mut copy, &draft.0).await?;
    close(copy).await;
    draft.publish(target)?;
    Ok(copied)
}

/// Puts a copy of a backup in the place of the SQLite store of a data folder. What was there stays in the folder, with
/// `suffix` behind its name.
///
/// A killed process leaves the folder with the store that was there before, or with the new one.
///
/// # Errors
/// A daemon uses the folder, or the backup is damaged, no store of rtmsd's, or of a newer version. The store is as it
/// was then.
pub async fn restore(store: &Path, backup: &Path, suffix: &str) -> Result<Restored, BackupError> {
    // SQLite would not say why it cannot open it.
    File::open(backup).map_err(|error| failed(backup, error))?;
    require_owner(store.parent().unwrap_or(store))?;
    // Held to the end: no daemon starts in between.
    let _lock = lock_folder(store)?;
    let mut connection = connect(backup, true).await?;
    let version = check(&mut connection, backup).await?;
    if version > schema::NEWEST {
        return Err(BackupError::TooNew { path: backup.to_owned(), version });
    }
    let draft = Draft::beside(store)?;
    let copied = copy(&mut connection, backup, &draft.0).await?;
    close(connection).await;
    let aside = put_aside(store, suffix).await?;
    draft.replace(store)?;
    Ok(Restored { copied, aside })
}

/// A file that is removed unless it gets its name.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // Not there if it was renamed; otherwise nothing more can be done about it.
        let _ = fs::remove_file(&self.0);
    }
}

impl Draft {
    /// Creates an empty file in the folder of another one. Its absolute path: SQLite takes some relative ones for URLs.
    fn beside(target: &Path) -> Result<Self, BackupError> {
        let target = path::absolute(target).map_err(|error| failed(target, error))?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let draft = target.with_file_name(format!(".{name}.{}", Uuid::new_v4().simple()));
        let mut options = OpenOptions::new();
        let created = options.write(true).create_new(true).mode(0o600).open(&draft);
        created.map_err(|error| failed(&draft, error))?;
        Ok(Self(draft))
    }

    /// Gives the file its name, unless the name is taken.
    fn publish(self, target: &Path) -> Result<(), BackupError> {
        self.sync()?;
        match fs::hard_link(&self.0, target) {
            Ok(()) => sync_folder(target),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(BackupError::Exists(target.to_owned()))
            }
            // Some disks have no links.
            Err(_) => self.replace(target),
        }
    }

    fn replace(self, target: &Path) -> Result<(), BackupError> {
        self.sync()?;
        fs::rename(&self.0, target).map_err(|error| failed(target, error))?;
        sync_folder(target)
    }

    fn sync(&self) -> Result<(), BackupError> {
        let synced = File::open(&self.0).and_then(|file| file.sync_all());
        synced.map_err(|error| failed(&self.0, error))
    }
}

async fn connect(path: &Path, is_read_only: bool) -> Result<SqliteConnection, BackupError> {
    // A copy takes long and says so by itself.
    let options = sqlite_options(path).read_only(is_read_only).disable_statement_logging();
    options.connect().await.map_err(|error| of_sqlite(path, error))
}

async fn close(connection: SqliteConnection) {
    // Whatever it failed to clean up, the next connection does.
    let _ = connection.close().await;
}

/// Copies the whole store of a connection, as it is now, into an empty file. Writers need not wait for it.
async fn copy(
    connection: &mut SqliteConnection,
    from: &Path,
    to: &Path,
) -> Result<Copied, BackupError> {
    let schema = schema_version(connection, from).await?;
    let (pages, page_bytes): (i64, i64) =
        sqlx::query_as("SELECT page_count, page_size FROM pragma_page_count, pragma_page_size")
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| of_sqlite(from, error))?;
    let needed = u64::try_from(pages.saturating_mul(page_bytes)).unwrap_or_default();
    require_room(to, needed)?;
    let name = to.to_str().ok_or_else(|| failed(to, io::Error::other("its name is not UTF-8")))?;
    let copied = sqlx::query("VACUUM INTO $1").bind(name).execute(&mut *connection).await;
    copied.map_err(|error| of_sqlite(to, error))?;
    let bytes = fs::metadata(to).map_err(|error| failed(to, error))?.len();
    Ok(Copied { bytes, schema })
}

/// Returns the version of the schema of a sound store.
async fn check(connection: &mut SqliteConnection, path: &Path) -> Result<i64, BackupError> {
    let answer: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| of_sqlite(path, error))?;
    if answer != "ok" {
        return Err(BackupError::Unsound { path: path.to_owned(), problem: answer });
    }
    schema_version(connection, path).await
}

async fn schema_version(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<i64, BackupError> {
    let version: Result<Option<i64>, _> =
        sqlx::query_scalar(sql::SCHEMA_VERSION).fetch_one(connection).await;
    let problem = match version {
        Ok(Some(version)) => return Ok(version),
        Ok(None) => "it has no schema".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(BackupError::Unsound { path: path.to_owned(), problem })
}

/// The daemon could not use a store of another user's.
fn require_owner(folder: &Path) -> Result<(), BackupError> {
    let user = rustix::process::geteuid().as_raw();
    match fs::metadata(folder) {
        Ok(metadata) if metadata.uid() != user => Err(BackupError::Foreign(folder.to_owned())),
        _ => Ok(()),
    }
}

fn require_room(file: &Path, needed: u64) -> Result<(), BackupError> {
    let folder = file.parent().unwrap_or(file);
    let Ok(disk) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < needed {
        return Err(BackupError::NoRoom { folder: folder.to_owned(), needed, free });
    }
    Ok(())
}

/// Gives the store another name, and leaves nothing beside the old one but the store itself. `None` if there is none.
async fn put_aside(store: &Path, suffix: &str) -> Result<Option<PathBuf>, BackupError> {
    let is_there = store.exists();
    // Takes what a killed daemon left in the log into the store's file. A damaged store stays as it is, with its log.
    if is_there && let Ok(mut connection) = connect(store, false).await {
        let _ = sqlx::query(sql::TRUNCATE_LOG).execute(&mut connection).await;
        close(connection).await;
    }
    let aside = with_end(store, suffix);
    let beside = BESIDE.map(|end| (with_end(store, end), with_end(&aside, end)));
    let beside: Vec<_> = beside.into_iter().filter(|(file, _)| file.exists()).collect();
    if is_there {
        link(store, &aside)?;
    }
    for (file, aside) in &beside {
        link(file, aside)?;
    }
    sync_folder(store)?;
    // The new store must not find the log of another one.
    for (file, _) in &beside {
        fs::remove_file(file).map_err(|error| failed(file, error))?;
    }
    Ok(is_there.then_some(aside))
}

fn link(from: &Path, to: &Path) -> Result<(), BackupError> {
    fs::hard_link(from, to).map_err(|error| failed(to, error))
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

/// Makes the names in the folder of a file survive a power cut.
fn sync_folder(file: &Path) -> Result<(), BackupError> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed(folder, error))
}

fn failed(path: &Path, source: io::Error) -> BackupError {
    BackupError::File { path: path.to_owned(), source }
}

/// A file that SQLite cannot read is damaged, or no database.
fn of_sqlite(path: &Path, error: sqlx::Error) -> BackupError {
    match StoreError::from(error) {
        StoreError::Statement(error) => {
            BackupError::Unsound { path: path.to_owned(), problem: error.to_string() }
        }
        temporary => temporary.into(),
    }
}
