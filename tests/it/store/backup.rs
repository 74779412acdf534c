//! Copies of the SQLite store, and what is refused.

use std::fs;
use std::path::PathBuf;

use rtmsd::store::{BackupError, Location, Store, back_up, restore};
use tempfile::TempDir;

use super::webhooks::*;
use crate::support::raw::Raw;
use crate::support::stores::TestStore;

/// A store with the stream `s`, and a folder for backups.
struct Case {
    test: TestStore,
    store: PathBuf,
    folder: TempDir,
}

impl Case {
    async fn new() -> Self {
        let test = TestStore::sqlite().await;
        announce(&test.store, "s").await;
        let Location::Sqlite(store) = &test.location else { panic!("it is SQLite") };
        Self { store: store.clone(), folder: tempfile::tempdir().unwrap(), test }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The files in the folder of backups and in that of the store.
    fn files(&self) -> Vec<PathBuf> {
        let folders = [self.folder.path(), self.store.parent().unwrap()];
        let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    async fn refused(&self, name: &str) -> BackupError {
        let before = self.files();
        let error = restore(&self.store, &self.file(name), ".aside").await.unwrap_err();
        assert_eq!(self.files(), before, "{error}");
        error
    }
}

#[tokio::test]
async fn a_backup_is_put_in_the_place_of_a_newer_store_which_stays_under_another_name() {
    let case = Case::new().await;
    let copied = back_up(&case.store, &case.file("b.db")).await.unwrap();
    assert_eq!(copied.bytes, case.file("b.db").metadata().unwrap().len());
    announce(&case.test.store, "later").await;
    case.test.store.close().await;
    let restored = restore(&case.store, &case.file("b.db"), ".aside").await.unwrap();
    let aside = restored.aside.unwrap();
    assert_eq!(aside, case.store.with_file_name("rtmsd.db.aside"));
    let store = Store::open(&case.test.location).await.unwrap();
    assert!(store.stream(&stream_id("s")).await.unwrap().is_some());
    assert!(store.stream(&stream_id("later")).await.unwrap().is_none());
    store.close().await;
    let mut aside = Raw::connect(&Location::Sqlite(aside)).await;
    assert_eq!(aside.count("SELECT COUNT(*) FROM streams").await, 2);
}

#[tokio::test]
async fn a_store_is_restored_into_a_folder_that_is_not_there() {
    let case = Case::new().await;
    back_up(&case.store, &case.file("b.db")).await.unwrap();
    let location = Location::Sqlite(case.file("new/data/rtmsd.db"));
    let Location::Sqlite(path) = &location else { panic!("it is SQLite") };
    let restored = restore(path, &case.file("b.db"), ".aside").await.unwrap();
    assert_eq!(restored.aside, None);
    let store = Store::open(&location).await.unwrap();
    assert!(store.stream(&stream_id("s")).await.unwrap().is_some());
}

/// A log without its store would be taken for that of the next one.
#[tokio::test]
async fn the_log_of_another_store_is_not_left_beside_the_restored_one() {
    let case = Case::new().await;
    back_up(&case.store, &case.file("b.db")).await.unwrap();
    case.test.store.close().await;
    fs::remove_file(&case.store).unwrap();
    let log = case.store.with_file_name("rtmsd.db-wal");
    fs::write(&log, "another log").unwrap();
    restore(&case.store, &case.file("b.db"), ".aside").await.unwrap();
    assert!(!log.exists());
    let aside = case.store.with_file_name("rtmsd.db.aside-wal");
    assert_eq!(fs::read_to_string(aside).unwrap(), "another log");
}

#[tokio::test]
async fn a_damaged_store_is_put_aside_as_it_is() {
    let case = Case::new().await;
    back_up(&case.store, &case.file("b.db")).await.unwrap();
    case.test.store.close().await;
    fs::write(&case.store, "no database").unwrap();
    let restored = restore(&case.store, &case.file("b.db"), ".aside").await.unwrap();
    assert_eq!(fs::read_to_string(restored.aside.unwrap()).unwrap(), "no database");
    Store::open(&case.test.location).await.unwrap();
}

#[tokio::test]
async fn a_backup_replaces_no_file_and_needs_a_store() {
    let case = Case::new().await;
    fs::write(case.file("mine"), "mine").unwrap();
    let error = back_up(&case.store, &case.file("mine")).await.unwrap_err();
    assert!(matches!(error, BackupError::Exists(_)), "{error}");
    assert_eq!(fs::read_to_string(case.file("mine")).unwrap(), "mine");
    let error = back_up(&case.file("none.db"), &case.file("b.db")).await.unwrap_err();
    assert!(matches!(error, BackupError::NoStore(_)), "{error}");
    let error = back_up(&case.store, &case.file("no/folder/b.db")).await.unwrap_err();
    assert!(matches!(error, BackupError::File { .. }), "{error}");
    assert!(!case.file("none.db").exists() && !case.file("b.db").exists());
}

#[tokio::test]
async fn a_backup_that_is_dropped_leaves_no_file() {
    let case = Case::new().await;
    let (before, target) = (case.files(), case.file("b.db"));
    let mut copying = Box::pin(back_up(&case.store, &target));
    assert!(futures_util::poll!(&mut copying).is_pending());
    drop(copying);
    assert_eq!(case.files(), before);
}

#[tokio::test]
async fn what_is_no_sound_store_of_this_version_is_not_restored() {
    let case = Case::new().await;
    let file = |name: &str| Location::Sqlite(case.file(name));
    let error = case.refused("none").await;
    assert!(error.to_string().contains("No such file"), "{error}");
    back_up(&case.store, &case.file("b.db")).await.unwrap();
    let error = case.refused("b.db").await;
    assert!(error.to_string().contains("another rtmsd uses the data folder"), "{error}");
    case.test.store.close().await;

    fs::write(case.file("text"), "no database").unwrap();
    let whole = fs::read(case.file("b.db")).unwrap();
    fs::write(case.file("cut"), &whole[..whole.len() / 2]).unwrap();
    fs::write(case.file("other"), "").unwrap();
    Raw::connect(&file("other")).await.execute("CREATE TABLE streams (a)").await;
    for name in ["text", "cut", "other"] {
        let error = case.refused(name).await;
        assert!(matches!(error, BackupError::Unsound { .. }), "{name}: {error}");
    }
    fs::copy(case.file("b.db"), case.file("newer")).unwrap();
    let newer = "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1";
    Raw::connect(&file("newer")).await.execute(newer).await;
    let error = case.refused("newer").await;
    assert!(matches!(error, BackupError::TooNew { version: 9999, .. }), "{error}");
    let store = Store::open(&case.test.location).await.unwrap();
    assert!(store.stream(&stream_id("s")).await.unwrap().is_some(), "it is as it was");
}
