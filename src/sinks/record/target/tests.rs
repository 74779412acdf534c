//! The destinations of recordings.

use futures_util::TryStreamExt;
use object_store::memory::InMemory;
use tempfile::tempdir;
use uuid::Uuid;

use super::*;

fn file_upload<'a>(from: &'a Path, path: &'a str) -> FileUpload<'a> {
    FileUpload { from, path, content_type: "audio/wav", owner: RecordingId(Uuid::nil()) }
}

fn folder(path: &Path) -> Target {
    Target::Folder(path.to_owned(), Access::Owner)
}

async fn read(target: &Target, path: &str, range: Range<u64>) -> Vec<u8> {
    let content = target.read(path, range).await.unwrap();
    let chunks: Vec<Bytes> = content.try_collect().await.unwrap();
    chunks.concat()
}

async fn takes_reads_and_removes(target: Target) {
    let folder = tempdir().unwrap();
    let file = folder.path().join("a");
    // More than one part.
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(&file, &bytes).unwrap();
    target.upload(&file_upload(&file, "2026/x/a.wav")).await.unwrap();
    assert_eq!(read(&target, "2026/x/a.wav", 0..20_000_000).await, bytes);
    assert_eq!(
        read(&target, "2026/x/a.wav", 9_999_999..10_000_002).await,
        bytes[9_999_999..10_000_002]
    );
    assert!(read(&target, "2026/x/a.wav", 5..5).await.is_empty());
    for _ in 0..2 {
        target.remove("2026/x/a.wav").await.unwrap();
    }
    let gone = target.read("2026/x/a.wav", 0..1).await;
    assert!(matches!(gone, Err(TargetError::Missing)));
}

#[tokio::test]
async fn a_folder_stores_reads_and_removes_and_leaves_nothing_behind() {
    let root = tempdir().unwrap();
    takes_reads_and_removes(folder(root.path())).await;
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn an_object_store_stores_reads_and_removes() {
    takes_reads_and_removes(Target::Objects(Objects::new(Arc::new(InMemory::new())))).await;
}

#[tokio::test]
async fn a_partial_copy_is_removed_with_the_file() {
    let root = tempdir().unwrap();
    std::fs::create_dir(root.path().join("x")).unwrap();
    std::fs::write(root.path().join("x/a.wav.part"), "half").unwrap();
    folder(root.path()).remove("x/a.wav").await.unwrap();
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn moving_a_file_again_succeeds() {
    let (from, to) = (tempdir().unwrap(), tempdir().unwrap());
    let (file, target) = (from.path().join("a"), folder(to.path()));
    std::fs::write(&file, "sound").unwrap();
    for _ in 0..2 {
        target.upload(&file_upload(&file, "a")).await.unwrap();
    }
    let never = target.upload(&file_upload(&from.path().join("b"), "b")).await;
    assert!(matches!(never, Err(TargetError::Missing)));
}

/// A file with the same name, or with an interrupted copy, is not replaced.
async fn no_file_is_replaced(target: Target) {
    let root = tempdir().unwrap();
    let file = root.path().join("a");
    let take = async |content: &str, owner: u128| {
        std::fs::write(&file, content).unwrap();
        let owner = RecordingId(Uuid::from_u128(owner));
        target.upload(&FileUpload { owner, ..file_upload(&file, "x/a.wav") }).await
    };
    assert!(target.is_free("x").await.unwrap());
    take("one", 1).await.unwrap();
    assert!(!target.is_free("x").await.unwrap());
    assert!(target.is_free("x/a").await.unwrap(), "a prefix of a name is no folder");
    assert!(matches!(take("two", 2).await, Err(TargetError::Taken)));
    assert!(file.exists(), "a file that cannot be stored stays where it is");
    take("one", 1).await.unwrap();
    assert_eq!(read(&target, "x/a.wav", 0..3).await, b"one");
}

#[tokio::test]
async fn no_file_of_another_recording_is_replaced_in_a_folder() {
    let root = tempdir().unwrap();
    no_file_is_replaced(folder(root.path())).await;
}

#[tokio::test]
async fn no_file_of_another_recording_is_replaced_in_an_object_store() {
    no_file_is_replaced(Target::Objects(Objects::new(Arc::new(InMemory::new())))).await;
}

#[tokio::test]
async fn stored_files_are_readable_by_the_owner_or_the_group() {
    use std::os::unix::fs::PermissionsExt;
    for (access, folders, files) in [(Access::Owner, 0o700, 0o600), (Access::Group, 0o750, 0o640)] {
        let root = tempdir().unwrap();
        let file = root.path().join("a");
        std::fs::write(&file, "sound").unwrap();
        let there = root.path().join("recordings");
        let target = Target::Folder(there.clone(), access);
        target.upload(&file_upload(&file, "x/y/a.wav")).await.unwrap();
        let mode = |path: &str| there.join(path).metadata().unwrap().permissions().mode() & 0o777;
        let modes = ["", "x", "x/y", "x/y/a.wav"].map(mode);
        assert_eq!(modes, [folders, folders, folders, files], "{access:?}");
    }
}

#[test]
fn a_destination_is_a_folder_or_a_known_store() {
    let nothing = |_: &str| None;
    let folder = |text: &str| Place::parse(text, &nothing).unwrap().folder().unwrap().to_owned();
    assert_eq!(folder("./data/x"), Path::new("./data/x"));
    assert_eq!(folder("file:///var/x%20y"), Path::new("/var/x y"));
    for wrong in ["ftp://host/x", "s3://", "http://bucket/x", "s3:///path"] {
        assert_eq!(Place::parse(wrong, &nothing).unwrap_err(), PlaceError::Form, "{wrong}");
    }
}

#[test]
fn stores_are_built_from_their_own_variables() {
    let variables = |name: &str| {
        Some(match name {
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "x".to_owned(),
            "AZURE_STORAGE_ACCOUNT_NAME" => "x".to_owned(),
            "AZURE_STORAGE_ACCOUNT_KEY" => "eA==".to_owned(),
            "GOOGLE_SERVICE_ACCOUNT_KEY" => return None,
            _ => return None,
        })
    };
    for good in ["s3://bucket/some/path", "s3://bucket", "az://container/path", "gs://bucket/x"] {
        let place = Place::parse(good, &variables);
        assert!(matches!(place, Ok(Place::Url { .. })), "{good}");
    }
    let unfinished = Place::parse("az://container/path", &|_: &str| None);
    assert_eq!(unfinished.unwrap_err(), PlaceError::Store);
}
