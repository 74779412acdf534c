//! The folder of recordings on this machine that are not stored yet. It outlives the process that fills it.
//!
//! ```text
//! 0/lock                      held while a daemon runs
//! 0/id                        the spool's own id
//! 0/<recording>/label.json
//! 0/<recording>/counts.json   newer counts than label.json has, and their SHA-256
//! 0/<recording>/files/…
//! ```

mod counts;

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use self::counts::read_counts;
use super::recording_meta::RecordingMeta;
use super::track::parts;
use crate::model::{RecordingId, SpoolId};

/// The most daemons that may share a data folder.
const MAX_SPOOLS: u32 = 64;
const META_FILE: &str = "label.json";

/// A spool that is locked by this daemon.
#[derive(Debug)]
pub(super) struct Spool {
    pub id: SpoolId,
    folder: PathBuf,
    _lock: File,
}

impl Spool {
    /// Opens the first spool under `root` that no other daemon uses; creates one if there is none. Blocks.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let private = |folder: &Path| {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            // Earlier versions created it with the process's umask.
            fs::set_permissions(folder, Permissions::from_mode(0o700))
        };
        private(root)?;
        for number in 0..MAX_SPOOLS {
            let folder = root.join(number.to_string());
            private(&folder)?;
            // The open file is the lock; its content does not matter.
            let lock = File::create(folder.join("lock"))?;
            match lock.try_lock() {
                Ok(()) => return Ok(Self { id: id_of(&folder)?, folder, _lock: lock }),
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::other("too many daemons share this data folder"))
    }

    /// Spools beside this one that hold something and that no daemon uses; locked while they are held. Blocks.
    pub(super) fn abandoned(&self) -> io::Result<Vec<Self>> {
        let Some(root) = self.folder.parent() else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for folder in (0..MAX_SPOOLS).map(|number| root.join(number.to_string())) {
            if !folder.join("id").exists() {
                continue;
            }
            let lock = File::create(folder.join("lock"))?;
            match lock.try_lock() {
                Ok(()) => found.push(Self { id: id_of(&folder)?, folder, _lock: lock }),
                // Also this daemon's own spool.
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Moves all recordings of another spool here and removes that spool. May be called again. Blocks.
    pub(super) fn adopt(&self, other: &Self) -> io::Result<()> {
        for meta in other.recordings()? {
            // One rename each: a killed process leaves every recording in one of the two spools.
            fs::rename(other.folder_of(meta.id), self.folder_of(meta.id))?;
        }
        // Without its id the folder counts as unused.
        fs::remove_file(other.folder.join("id"))
    }

    /// The metadata of all recordings here, oldest first. Skips folders without readable metadata.
    pub(super) fn recordings(&self) -> io::Result<Vec<RecordingMeta>> {
        let mut recordings = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if !path.is_dir() {
                continue;
            }
            match read_meta(&path) {
                Ok(meta) => recordings.push(meta),
                Err(error) => {
                    tracing::warn!(folder = %path.display(), %error,
                        "cannot read a recording's metadata; its folder is left alone");
                }
            }
        }
        // Version 7 UUIDs rise with time.
        recordings.sort_by_key(|meta| meta.id);
        Ok(recordings)
    }

    pub(super) fn meta(&self, id: RecordingId) -> io::Result<RecordingMeta> {
        read_meta(&self.folder_of(id))
    }

    /// Writes a recording's metadata so that it survives a power cut; creates the folder if needed.
    pub(super) fn save(&self, meta: &mut RecordingMeta) -> io::Result<()> {
        meta.counts.saves += 1;
        let folder = self.folder_of(meta.id);
        let is_first = !folder.exists();
        fs::create_dir_all(folder.join("files"))?;
        let text = serde_json::to_vec(meta).map_err(io::Error::other)?;
        replace_file(&folder.join(META_FILE), &text)?;
        parts::sync_folder(&folder.join(META_FILE))?;
        // A new folder's own name is an entry of the folder above.
        if is_first { parts::sync_folder(&folder) } else { Ok(()) }
    }

    /// The folder of a recording's files.
    pub(super) fn files(&self, id: RecordingId) -> PathBuf {
        self.folder_of(id).join("files")
    }

    pub(super) fn has(&self, id: RecordingId) -> bool {
        self.folder_of(id).join(META_FILE).exists()
    }

    /// The size of a recording; silence counts, even as a hole that takes no space.
    pub(super) fn bytes(&self, id: RecordingId) -> u64 {
        bytes_under(&self.folder_of(id))
    }

    /// Removes a recording's folder. Calling it again is no error.
    pub(super) fn remove(&self, id: RecordingId) -> io::Result<()> {
        match fs::remove_dir_all(self.folder_of(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn folder_of(&self, id: RecordingId) -> PathBuf {
        self.folder.join(id.to_string())
    }
}

fn read_meta(folder: &Path) -> io::Result<RecordingMeta> {
    let text = fs::read(folder.join(META_FILE))?;
    let mut meta: RecordingMeta = serde_json::from_slice(&text).map_err(io::Error::other)?;
    if let Some(saved) = read_counts(folder) {
        meta.take_newer(saved);
    }
    Ok(meta)
}

fn id_of(folder: &Path) -> io::Result<SpoolId> {
    let path = folder.join("id");
    let known = fs::read_to_string(&path).ok();
    if let Some(id) = known.and_then(|text| Uuid::try_parse(text.trim()).ok()) {
        return Ok(SpoolId(id));
    }
    let id = SpoolId(Uuid::new_v4());
    replace_file(&path, id.to_string().as_bytes())?;
    // The recordings survive a power cut, and without its id nobody would look for them in this folder.
    parts::sync_folder(&path)?;
    parts::sync_folder(folder)?;
    Ok(id)
}

/// Writes a file beside its place and renames it: a reader finds the old content or the new one, never half of it.
fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_added_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

fn bytes_under(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => bytes_under(&entry.path()),
        // The larger of both: a hole counts with its length, a small file with its blocks (POSIX: 512 bytes each).
        Ok(about) => about.len().max(about.blocks().saturating_mul(512)),
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;
    use crate::model::{ChannelId, Medium, SessionId, Speaker, StreamId, UserId};
    use crate::sinks::record::recording_meta::TrackNote;
    use crate::sinks::record::track::TrackKind;

    pub(super) fn meta() -> RecordingMeta {
        let stream_id = StreamId::parse("/a+b==").unwrap();
        RecordingMeta {
            media: Medium::Audio.into(),
            origin_ms: Some(4),
            tracks: vec![TrackNote {
                name: "audio-7-Ana.ogg".into(),
                medium: Medium::Audio,
                speaker: Speaker::participant(UserId(7), Some("Ana".into())),
                is_mix: false,
                kind: TrackKind::Ogg { channels: 2 },
                origin_ms: Some(4),
            }],
            ..RecordingMeta::new(SessionId(Uuid::nil()), stream_id, 1, 5)
        }
    }

    #[test]
    fn a_spool_keeps_its_id_and_its_metadata_over_a_restart() {
        let root = tempdir().unwrap();
        let (mut one, mut other) = (meta(), meta());
        let spool = Spool::open(root.path()).unwrap();
        spool.save(&mut other).unwrap();
        spool.save(&mut one).unwrap();
        let id = spool.id;
        drop(spool);
        let spool = Spool::open(root.path()).unwrap();
        assert_eq!(spool.id, id);
        assert_eq!(spool.recordings().unwrap(), [one.clone(), other]);
        assert!(spool.bytes(one.id) > 0);
        spool.remove(one.id).unwrap();
        spool.remove(one.id).unwrap();
        assert!(!spool.has(one.id));
    }

    #[test]
    fn metadata_from_before_channels_is_read() {
        let mut now = meta();
        let mut text = serde_json::to_value(&now).unwrap();
        let track = text["tracks"][0].as_object_mut().unwrap();
        let keys: Vec<&str> = track.keys().map(String::as_str).collect();
        assert!(!keys.contains(&"channel_id"), "{keys:?}");
        assert_eq!(serde_json::from_value::<RecordingMeta>(text).unwrap(), now);
        now.tracks[0].speaker.channel_id = ChannelId::new("c1");
        let text = serde_json::to_string(&now).unwrap();
        assert_eq!(serde_json::from_str::<RecordingMeta>(&text).unwrap(), now);
    }

    #[test]
    fn two_daemons_of_one_data_folder_have_two_spools() {
        let root = tempdir().unwrap();
        let (one, other) = (Spool::open(root.path()).unwrap(), Spool::open(root.path()).unwrap());
        assert_ne!(one.id, other.id);
    }

    #[test]
    fn the_spool_of_a_dead_daemon_is_adopted_once() {
        let root = tempdir().unwrap();
        let (old, new) = (Spool::open(root.path()).unwrap(), Spool::open(root.path()).unwrap());
        let mut meta = meta();
        old.save(&mut meta).unwrap();
        assert!(new.abandoned().unwrap().is_empty(), "it is still in use");
        let id = old.id;
        drop(old);
        let found = new.abandoned().unwrap();
        assert_eq!(found.iter().map(|spool| spool.id).collect::<Vec<_>>(), [id]);
        new.adopt(&found[0]).unwrap();
        drop(found);
        assert_eq!(new.recordings().unwrap(), [meta]);
        assert!(new.abandoned().unwrap().is_empty());
        assert_ne!(Spool::open(root.path()).unwrap().id, id);
    }

    #[test]
    fn only_its_owner_can_read_a_spool_even_one_of_an_earlier_version() {
        let root = tempdir().unwrap();
        let spools = root.path().join("spool");
        fs::create_dir_all(spools.join("0")).unwrap();
        fs::set_permissions(&spools, Permissions::from_mode(0o755)).unwrap();
        let _spool = Spool::open(&spools).unwrap();
        for folder in [spools.clone(), spools.join("0")] {
            assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    /// A power cut may leave an empty file where an earlier version wrote the id.
    #[test]
    fn a_spool_whose_id_was_cut_gets_a_whole_one_and_keeps_its_recordings() {
        let root = tempdir().unwrap();
        let spool = Spool::open(root.path()).unwrap();
        let mut meta = meta();
        spool.save(&mut meta).unwrap();
        drop(spool);
        fs::write(root.path().join("0/id"), "").unwrap();
        let spool = Spool::open(root.path()).unwrap();
        assert_eq!(spool.recordings().unwrap(), [meta]);
        let id = spool.id;
        drop(spool);
        assert_eq!(Spool::open(root.path()).unwrap().id, id);
        assert!(!root.path().join("0/id.new").exists());
    }

    #[test]
    fn a_folder_without_metadata_is_left_alone() {
        let root = tempdir().unwrap();
        let spool = Spool::open(root.path()).unwrap();
        fs::create_dir(root.path().join("0/odd")).unwrap();
        fs::write(root.path().join("0/odd/label.json"), "{").unwrap();
        assert_eq!(spool.recordings().unwrap(), []);
        assert!(root.path().join("0/odd").exists());
    }
}
