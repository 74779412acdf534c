//! Moves the time origin of an existing track back, so that the content of its files is later. In two steps, so that a
//! killed process leaves either state: [`prepare_copies`] makes copies, and once it is recorded that they count, [`commit_copies`]
//! replaces the files with them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::mp4::meeting;
use super::{TrackKind, mp4, ogg, parts, pictures, wav};

/// The origin of a track moves in whole steps, because silence in Opus has no other length.
const STEP_MS: i64 = 20;

/// The origin that is early enough for `older_ms`.
pub fn origin_for(origin_ms: i64, older_ms: i64) -> i64 {
    let steps = (origin_ms - older_ms + STEP_MS - 1) / STEP_MS;
    origin_ms - steps * STEP_MS
}

/// Copies a track's files or folder, with the origin `to_ms` instead of `from_ms`.
pub fn prepare_copies(base: &Path, kind: TrackKind, from_ms: i64, to_ms: i64) -> io::Result<()> {
    let by_ms = (from_ms - to_ms).max(0) as u64;
    for from in parts::existing_parts(base).paths {
        let to = copy_of(&from, to_ms);
        // A killed attempt may have left it.
        remove_if_present(&to)?;
        match kind {
            TrackKind::Wav(_) => wav::shift_file(&from, &to, by_ms)?,
            TrackKind::Ogg { .. } => ogg::shift_file(&from, &to, by_ms)?,
            TrackKind::Mp4 => mp4::shift_file(&from, &to, by_ms)?,
            TrackKind::Pictures => pictures::shift_folder(&from, &to, by_ms, to_ms)?,
            TrackKind::Meeting(_) => {
                meeting::shift_file(&from, &to, by_ms)?;
                let voices = meeting::voices_path(&from);
                if voices.exists() {
                    let to = copy_of(&voices, to_ms);
                    remove_if_present(&to)?;
                    wav::shift_file(&voices, &to, by_ms)?;
                }
            }
        }
    }
    Ok(())
}

/// Replaces the files with copies of this origin, if there are any. May be called again.
pub fn commit_copies(base: &Path, origin_ms: i64) -> io::Result<()> {
    for path in (1..=1 + parts::MAX_PARTS).map(|number| parts::part_path(base, number)) {
        let voices = meeting::voices_path(&path);
        let copy = copy_of(&voices, origin_ms);
        if copy.exists() {
            fs::rename(&copy, &voices)?;
        }
        let copy = copy_of(&path, origin_ms);
        if copy.exists() {
            // `rename` replaces a file, but no folder that holds something.
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

/// The path of a copy until it counts. No track's name begins with a dot.
fn copy_of(path: &Path, origin_ms: i64) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{origin_ms}.{name}"))
}

fn remove_if_present(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
