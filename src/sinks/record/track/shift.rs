//! Time 0 of a track that lies there moves back: what is in its files comes later. In two steps, so that a process that
//! is killed leaves the one or the other: [`prepare`] makes copies, and once it is written down that they count,
//! [`commit`] puts them in their places.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{TrackKind, mp4, ogg, parts, pictures, wav};

/// Time 0 of a track is moved by whole steps: silence of Opus has no other length.
const STEP_MS: i64 = 20;

/// The time 0 that holds something older than `origin_ms`.
pub fn origin_for(origin_ms: i64, older_ms: i64) -> i64 {
    let steps = (origin_ms - older_ms + STEP_MS - 1) / STEP_MS;
    origin_ms - steps * STEP_MS
}

/// Makes copies of a track's files, or of its folder, whose time 0 is `to_ms` and not `from_ms` any longer.
pub fn prepare(base: &Path, kind: TrackKind, from_ms: i64, to_ms: i64) -> io::Result<()> {
    let by_ms = (from_ms - to_ms).max(0) as u64;
    for from in parts::existing(base).paths {
        let to = copy_of(&from, to_ms);
        remove(&to)?;
        match kind {
            TrackKind::Wav(_) => wav::shifted(&from, &to, by_ms)?,
            TrackKind::Ogg { .. } => ogg::shifted(&from, &to, by_ms)?,
            TrackKind::Mp4 => mp4::shifted(&from, &to, by_ms)?,
            TrackKind::Pictures => pictures::shifted(&from, &to, by_ms, to_ms)?,
        }
    }
    Ok(())
}

/// Puts copies with this time 0, if there are any, in the places of the files. May be called again.
pub fn commit(base: &Path, origin_ms: i64) -> io::Result<()> {
    for path in (1..=1 + parts::MAX_PARTS).map(|number| parts::path(base, number)) {
        let copy = copy_of(&path, origin_ms);
        if copy.exists() {
            if path.is_dir() {
                fs::remove_dir_all(&path)?;
            }
            fs::rename(&copy, &path)?;
        } else if !parts::is_taken(&path) {
            break;
        }
    }
    Ok(())
}

/// Where a copy lies until it counts. No track's name begins with a dot.
fn copy_of(path: &Path, origin_ms: i64) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{origin_ms}.{name}"))
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
