//! The access rights of files that the daemon writes.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::kit::*;
use crate::support::kit::{Home, Log, Zoom, eventually};
use crate::support::process::Process;

const OPEN: &str = "a folder with what people said is open to other users of this machine; close it with chmod 700, or \
                    chmod 750 for RECORDINGS_GROUP_READABLE";

fn home() -> Home {
    recording_of(Home::sqlite(), "audio,transcript")
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// The modes of a folder and everything in it.
fn modes(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = vec![(folder.to_owned(), mode(folder))];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(modes(&path)),
            false => found.push((path.clone(), mode(&path))),
        }
    }
    found
}

/// Records a meeting with the real binary, which has a umask of its own.
async fn recorded_by_a_process(home: &Home) -> Process {
    let (process, api) = Process::serve(home).await;
    let zoom = Zoom::open(meeting()).await;
    zoom.post.deliver_to(api.0);
    let stream = eventually("a stream", async || zoom.simulator.report().streams.pop()).await;
    let log = Log::follow(api, &stream.instance_id).await;
    log.over().await;
    recorded(api, log.session_id(), "stored").await;
    process
}

#[tokio::test]
async fn every_written_file_is_accessible_only_to_the_daemons_user() {
    let home = home();
    let process = recorded_by_a_process(&home).await;
    let all = modes(&home.folder().join("data"));
    assert!(all.iter().any(|(path, _)| path.ends_with("manifest.json")));
    assert!(all.iter().any(|(path, _)| path.ends_with("rtmsd.db-wal")));
    for (path, mode) in all {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}: {mode:o}", path.display());
    }
    assert!(process.logged(OPEN).is_none());
}

#[tokio::test]
async fn a_group_reads_recordings_and_nothing_else_and_an_open_folder_is_warned_of() {
    let home = home().set("RECORDINGS_GROUP_READABLE", "true");
    let data = home.folder().join("data");
    DirBuilder::new().mode(0o755).create(&data).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    let process = recorded_by_a_process(&home).await;
    for (path, mode) in modes(&data.join("recordings")) {
        let expected = if path.is_dir() { 0o750 } else { 0o640 };
        assert_eq!(mode, expected, "{}: {mode:o}", path.display());
    }
    assert_eq!((mode(&data.join("spool")), mode(&data.join("rtmsd.db"))), (0o700, 0o600));
    let warned = process.logged(OPEN).expect("DATA_DIR is open to others");
    assert_eq!((&warned["setting"], &warned["mode"]), (&"DATA_DIR".into(), &"0755".into()));
}
