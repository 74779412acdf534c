//! Shifts of a track's files that were interrupted: no file is shifted twice, or too little.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::*;
use crate::sinks::record::track::parts::part_path;

/// One voice's file of one second, closed.
fn one_file() -> (TempDir, TrackSet, PathBuf) {
    let (root, mut takes) = takes();
    take(&mut takes, speech(None, NOW, 50, 7), NOW + 1_000);
    takes.close_all().unwrap();
    let path = takes.spool.files(takes.meta.id).join(&takes.meta.tracks[0].name);
    (root, takes, path)
}

/// The silence before the one second of audio, in milliseconds.
fn silence_ms(path: &Path) -> usize {
    let wav = std::fs::read(path).unwrap();
    let data = wav.windows(4).position(|name| name == b"data").expect("a data chunk") + 8;
    (wav.len() - data) / 32 - 1_000
}

/// Makes the commit of copies with this origin fail at the second part, after the first.
fn obstruct(path: &Path, origin_ms: i64) -> [PathBuf; 3] {
    let second = part_path(path, 2);
    let name = second.file_name().unwrap().to_string_lossy().into_owned();
    let copy = second.with_file_name(format!(".{origin_ms}.{name}"));
    let damaged = second.with_file_name(format!("{name}.damaged"));
    std::fs::write(&damaged, "").unwrap();
    symlink("nowhere", &second).unwrap();
    std::fs::create_dir(&copy).unwrap();
    [second, copy, damaged]
}

#[test]
fn a_shift_that_fails_halfway_is_completed_and_not_repeated() {
    let (_root, mut takes, path) = one_file();
    takes.meta.begin_at(NOW - 1_000);
    let [second, copy, damaged] = obstruct(&path, NOW - 1_000);
    assert!(align_track(&takes.spool, &mut takes.meta, 0).is_err());
    assert_eq!(silence_ms(&path), 1_000);
    std::fs::remove_file(second).unwrap();
    std::fs::remove_dir(copy).unwrap();
    std::fs::remove_file(damaged).unwrap();
    align_track(&takes.spool, &mut takes.meta, 0).unwrap();
    assert_eq!(silence_ms(&path), 1_000);
}

#[test]
fn a_shift_that_a_kill_interrupted_is_completed_before_the_next_one() {
    let (_root, mut takes, path) = one_file();
    let kind = takes.meta.tracks[0].kind;
    takes.meta.begin_at(NOW - 1_000);
    shift::prepare_copies(&path, kind, NOW, NOW - 1_000).unwrap();
    takes.meta.tracks[0].origin_ms = Some(NOW - 1_000);
    takes.spool.save(&mut takes.meta).unwrap();
    // Killed here; after the restart, the first frames are older still.
    takes.meta = takes.spool.meta(takes.meta.id).unwrap();
    takes.meta.begin_at(NOW - 2_000);
    align_track(&takes.spool, &mut takes.meta, 0).unwrap();
    assert_eq!(silence_ms(&path), 2_000);
}
