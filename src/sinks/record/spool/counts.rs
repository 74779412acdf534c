//! The counts of a recording in a file of their own, which is overwritten more often than the metadata.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::Spool;
use crate::sinks::record::recording_meta::{RecordingCounts, RecordingMeta};

const COUNTS_FILE: &str = "counts.json";

impl Spool {
    /// Saves only the counts, cheaply: they survive a kill, but perhaps not a power cut.
    pub(in crate::sinks::record) fn save_counts(&self, meta: &mut RecordingMeta) -> io::Result<()> {
        meta.counts.saves += 1;
        let counts = serde_json::to_string(&meta.counts).map_err(io::Error::other)?;
        let text = format!("{counts}\n{}\n", sha256(&counts));
        let path = self.folder_of(meta.id).join(COUNTS_FILE);
        // Not truncated, and written at once in under a page, so that a kill leaves the old or the new counts.
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.write_all_at(text.as_bytes(), 0)
    }
}

/// Reads the separately saved counts; `None` if missing or damaged.
pub(super) fn read_counts(folder: &Path) -> Option<RecordingCounts> {
    let text = fs::read_to_string(folder.join(COUNTS_FILE)).ok()?;
    let (counts, hash) = text.split_once('\n')?;
    // A longer earlier text may leave its end after the hash.
    if hash.starts_with(&sha256(counts)) { serde_json::from_str(counts).ok() } else { None }
}

/// The SHA-256 of a text, in hex.
fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use tempfile::{TempDir, tempdir};

    use super::*;
    use crate::model::Medium;
    use crate::sinks::record::spool::META_FILE;
    use crate::sinks::record::spool::tests::meta;
    use crate::sinks::record::track::Counts;

    fn counted(written: u64) -> Counts {
        Counts { written, ..Counts::default() }
    }

    /// A spool with a recording.
    fn saved() -> (TempDir, Spool, RecordingMeta) {
        let root = tempdir().unwrap();
        let (spool, mut meta) = (Spool::open(root.path()).unwrap(), meta());
        spool.save(&mut meta).unwrap();
        (root, spool, meta)
    }

    #[test]
    fn the_newest_undamaged_counts_are_read() {
        let (_root, spool, mut meta) = saved();
        let path = spool.folder_of(meta.id).join(COUNTS_FILE);
        meta.counts.media.insert(Medium::Audio, counted(1_000));
        (meta.counts.mix, meta.counts.voices_beyond_limit) = (counted(900), 1);
        spool.save_counts(&mut meta).unwrap();
        assert_eq!(spool.meta(meta.id).unwrap(), meta);
        // The end of the longer text stays behind this one.
        meta.counts.mix = counted(9);
        spool.save_counts(&mut meta).unwrap();
        assert_eq!(spool.recordings().unwrap(), [meta.clone()]);
        let older = fs::read(&path).unwrap();
        meta.counts.media.insert(Medium::Audio, counted(2_000));
        spool.save(&mut meta).unwrap();
        for text in [&older[..], &older[..older.len() / 2], &[0; 100], b""] {
            fs::write(&path, text).unwrap();
            assert_eq!(spool.meta(meta.id).unwrap(), meta);
        }
    }

    #[test]
    fn the_last_saved_counts_win_even_if_they_are_lower() {
        let (_root, spool, mut meta) = saved();
        meta.counts.media.insert(Medium::Audio, counted(1_000));
        spool.save(&mut meta).unwrap();
        meta.counts.media.insert(Medium::Audio, Counts { lost: 100, ..counted(900) });
        spool.save_counts(&mut meta).unwrap();
        assert_eq!(spool.meta(meta.id).unwrap(), meta);
        meta.counts.media.insert(Medium::Audio, counted(900));
        spool.save(&mut meta).unwrap();
        assert_eq!(spool.meta(meta.id).unwrap(), meta);
    }

    #[test]
    fn counts_torn_by_a_power_cut_are_ignored() {
        let (_root, spool, meta) = saved();
        let path = spool.folder_of(meta.id).join(COUNTS_FILE);
        let saved = |written| {
            let mut meta = meta.clone();
            meta.counts.media = Medium::ALL.map(|medium| (medium, counted(written))).into();
            spool.save_counts(&mut meta).unwrap();
            fs::read(&path).unwrap()
        };
        let (old, new) = (saved(1_000), saved(2_000));
        // Only one sector was written.
        let mixed = [&new[..512], &old[512..]].concat();
        let line = mixed.split(|byte| *byte == b'\n').next().unwrap();
        assert!(line.len() > 512 && serde_json::from_slice::<RecordingCounts>(line).is_ok());
        fs::write(&path, mixed).unwrap();
        assert_eq!(spool.meta(meta.id).unwrap(), meta);
    }

    #[test]
    fn the_counts_of_an_older_version_replace_those_from_before_it() {
        let (_root, spool, mut meta) = saved();
        let path = spool.folder_of(meta.id).join(META_FILE);
        for _ in 0..3 {
            spool.save(&mut meta).unwrap();
            spool.save_counts(&mut meta).unwrap();
        }
        meta.counts.media.insert(Medium::Audio, counted(1_000));
        let mut text = serde_json::to_value(&meta).unwrap();
        assert!(text.as_object_mut().unwrap().remove("saves").is_some());
        fs::write(&path, text.to_string()).unwrap();
        let mut found = spool.meta(meta.id).unwrap();
        assert_eq!(found.total(), counted(1_000));
        found.counts.media.insert(Medium::Audio, counted(2_000));
        spool.save(&mut found).unwrap();
        assert_eq!(spool.meta(meta.id).unwrap(), found);
    }
}
