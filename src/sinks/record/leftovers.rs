//! Files of a recording that no track can continue: damaged by a power cut, or from another version. No file with data
//! is deleted with the spool: it is kept under a name that says what it is.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use super::finalize::MANIFEST;
use super::track::parts;
use crate::model::RecordingId;

/// The levels of folders in a recording: its own, and those of pictures.
const LEVELS: usize = 2;

/// Returns the files below `folder` that are not `known`, with their names there. Adds `.damaged` to the names that
/// lack it. Files that begin with a dot were being renamed and are incomplete. Blocks.
pub(super) fn find_leftovers(
    folder: &Path,
    known: &HashSet<String>,
    recording: RecordingId,
) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    collect_leftovers(folder, "", LEVELS, known, &mut names)?;
    // Sorted, so that a repeated call lists them in the same order.
    names.sort();
    for name in &mut names {
        let path = folder.join(&name);
        // `DAMAGED` begins with a dot, `extension` does not.
        if path.extension().is_none_or(|extension| extension != &parts::DAMAGED[1..]) {
            let to = parts::set_aside(&path)?;
            let name_there = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
            *name = match name.rsplit_once('/') {
                Some((above, _)) => format!("{above}/{name_there}"),
                None => name_there,
            };
        }
    }
    if !names.is_empty() {
        tracing::error!(%recording, files = names.len(), first = %names[0],
            "files of a recording are damaged; they are kept unchanged, with .damaged appended to their names");
    }
    Ok(names)
}

fn collect_leftovers(
    folder: &Path,
    above: &str,
    levels: usize,
    known: &HashSet<String>,
    found: &mut Vec<String>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Every name that this program writes is UTF-8.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let inside = format!("{above}{name}");
        if entry.file_type()?.is_dir() {
            if levels > 1 {
                collect_leftovers(&entry.path(), &format!("{inside}/"), levels - 1, known, found)?;
            }
            continue;
        }
        let is_ours = known.contains(&inside) || inside == MANIFEST || name.starts_with('.');
        if !is_ours && entry.metadata()?.len() > 0 {
            found.push(inside);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn unknown_files_are_kept_and_listed_repeatably() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        fs::create_dir(folder.join("share-7")).unwrap();
        let there = ["a.wav", "b.wav", "c.mp4.damaged", ".half", "manifest.json", "share-7/x.bin"];
        there.iter().for_each(|name| fs::write(folder.join(name), name).unwrap());
        fs::write(folder.join("empty"), "").unwrap();
        let known = HashSet::from(["a.wav".to_owned()]);
        for _ in 0..2 {
            let found = find_leftovers(folder, &known, RecordingId(Uuid::nil())).unwrap();
            assert_eq!(found, ["b.wav.damaged", "c.mp4.damaged", "share-7/x.bin.damaged"]);
        }
        assert_eq!(fs::read(folder.join("b.wav.damaged")).unwrap(), b"b.wav");
        assert_eq!(fs::read(folder.join("a.wav")).unwrap(), b"a.wav");
    }
}
