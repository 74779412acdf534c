//! Limits the disk space of recordings that are not stored yet.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::model::RecordingId;

/// The disk space that is left free: headers, texts and the store itself still have to be written.
const RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// How long an answer of the file system is used, so that recordings share it.
const FREE_FOR: Duration = Duration::from_millis(250);

/// The most files and folders that are looked at to measure a spool.
const MAX_ENTRIES: u32 = 100_000;

/// The space used by recordings in this daemon's spool, each and in total: running ones, waiting ones, and uploads.
/// Silence counts, even as a hole that takes no space, because it is hashed, copied and uploaded.
#[derive(Debug)]
pub(super) struct DiskQuota {
    folder: PathBuf,
    /// The limit of all together.
    max_bytes: u64,
    /// The limit of one recording.
    max_each_bytes: u64,
    used: Mutex<HashMap<RecordingId, u64>>,
    free: Mutex<Option<FreeSpace>>,
}

/// The answer of the file system.
#[derive(Debug, Clone, Copy)]
struct FreeSpace {
    asked_at: Instant,
    /// `None` if the file system does not report it.
    bytes: Option<u64>,
}

/// How full a spool is.
#[derive(Debug, Clone, Copy)]
pub struct SpoolLoad {
    /// The size of the recordings in it.
    pub bytes: u64,
    pub max_bytes: u64,
    /// `None` if the file system does not report it.
    pub free_bytes: Option<u64>,
}

impl DiskQuota {
    /// `folder` is on the disk to check; one recording may take `each_percent` of `max_bytes`.
    pub(super) fn new(folder: PathBuf, max_bytes: u64, each_percent: u8) -> Arc<Self> {
        // In 128 bits, because bytes times percent may exceed 64.
        let max_each_bytes = (u128::from(max_bytes) * u128::from(each_percent) / 100) as u64;
        Arc::new(Self {
            folder,
            max_bytes,
            max_each_bytes,
            used: Mutex::default(),
            free: Mutex::default(),
        })
    }

    pub(super) fn max_each_bytes(&self) -> u64 {
        self.max_each_bytes
    }

    /// Sets the bytes that a recording takes.
    pub(super) fn set(&self, id: RecordingId, bytes: u64) {
        self.used().insert(id, bytes);
    }

    /// Removes a recording that is no longer in the spool.
    pub(super) fn clear(&self, id: RecordingId) {
        self.used().remove(&id);
    }

    /// The reason why nothing more may be written to a recording, if any. May query the file system, which blocks
    /// briefly.
    pub(super) fn is_full_for(&self, id: RecordingId) -> Option<&'static str> {
        // The lock of the sizes is released before the file system is asked.
        let (own, all) = {
            let used = self.used();
            (used.get(&id).copied().unwrap_or_default(), sum(&used))
        };
        if own >= self.max_each_bytes {
            Some("the recording has reached its share of the spool (RECORDINGS_STREAM_PERCENT)")
        } else if all >= self.max_bytes {
            Some("the spool is full (RECORDINGS_SPOOL_BYTES)")
        } else if self.known_free_bytes().is_some_and(|free_bytes| free_bytes < RESERVE_BYTES) {
            Some("the disk is full")
        } else {
            None
        }
    }

    pub(super) fn load(&self) -> SpoolLoad {
        let bytes = sum(&self.used());
        SpoolLoad { bytes, max_bytes: self.max_bytes, free_bytes: self.free_bytes() }
    }

    fn free_bytes(&self) -> Option<u64> {
        free_bytes(&self.folder)
    }

    /// The free space, at most [`FREE_FOR`] old.
    fn known_free_bytes(&self) -> Option<u64> {
        // Held during the query: others wait for its answer instead of querying as well.
        let mut free = self.free.lock().expect("nothing panics while holding the free space");
        match *free {
            Some(known) if known.asked_at.elapsed() < FREE_FOR => known.bytes,
            _ => {
                let bytes = self.free_bytes();
                *free = Some(FreeSpace { asked_at: Instant::now(), bytes });
                bytes
            }
        }
    }

    fn used(&self) -> MutexGuard<'_, HashMap<RecordingId, u64>> {
        self.used.lock().expect("nothing panics while holding the sizes")
    }
}

/// How much is free on the disk of a folder, which need not exist; `None` if the file system does not report it.
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    // Before the first recording there is no spool, and its parent is on the same disk.
    let disk = folder.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok())?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The size of all files below a folder; 0 without the folder. Reads at most [`MAX_ENTRIES`] of them.
pub(super) fn bytes_in(folder: &Path) -> u64 {
    let (mut folders, mut bytes, mut left) = (vec![folder.to_owned()], 0_u64, MAX_ENTRIES);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if left == 0 {
                return bytes;
            }
            left -= 1;
            match metadata.is_dir() {
                true => folders.push(entry.path()),
                false => bytes = bytes.saturating_add(metadata.len()),
            }
        }
    }
    bytes
}

fn sum(used: &HashMap<RecordingId, u64>) -> u64 {
    used.values().fold(0, |all: u64, bytes| all.saturating_add(*bytes))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ONE: RecordingId = RecordingId(Uuid::from_u128(1));
    const OTHER: RecordingId = RecordingId(Uuid::from_u128(2));

    #[test]
    fn the_total_size_of_recordings_is_bounded_and_released() {
        let quota = DiskQuota::new(std::env::temp_dir(), 100, 100);
        quota.set(ONE, 60);
        assert_eq!(quota.is_full_for(ONE), None);
        quota.set(OTHER, 40);
        assert!(quota.is_full_for(ONE).unwrap().contains("RECORDINGS_SPOOL_BYTES"));
        quota.set(ONE, 59);
        assert_eq!(quota.is_full_for(OTHER), None);
        quota.set(OTHER, 41);
        quota.clear(ONE);
        assert_eq!(quota.is_full_for(OTHER), None);
    }

    #[test]
    fn the_free_space_of_the_disk_is_known_before_the_spool_exists() {
        let folder = std::env::temp_dir().join("rtmsd-never-made/spool");
        assert!(DiskQuota::new(folder, 100, 100).free_bytes().is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn a_disk_that_fills_up_is_noticed_soon() {
        let quota = DiskQuota::new(std::env::temp_dir(), 100, 100);
        let bytes = Some(RESERVE_BYTES - 1);
        let known = |asked_at| *quota.free.lock().unwrap() = Some(FreeSpace { asked_at, bytes });
        known(Instant::now() + 100 * FREE_FOR);
        assert_eq!(quota.is_full_for(ONE), Some("the disk is full"));
        known(Instant::now() - FREE_FOR);
        assert_eq!(quota.is_full_for(ONE), None, "it is asked again");
    }

    #[test]
    fn the_files_in_a_spool_are_measured() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(bytes_in(&folder.path().join("none")), 0);
        fs::create_dir_all(folder.path().join("0/x/files")).unwrap();
        fs::write(folder.path().join("0/id"), "12345").unwrap();
        fs::write(folder.path().join("0/x/files/audio.wav"), vec![0; 1000]).unwrap();
        assert_eq!(bytes_in(folder.path()), 1005);
    }

    #[test]
    fn one_stream_does_not_take_the_room_of_all() {
        let quota = DiskQuota::new(std::env::temp_dir(), 100, 50);
        quota.set(ONE, 50);
        assert!(quota.is_full_for(ONE).unwrap().contains("RECORDINGS_STREAM_PERCENT"));
        assert_eq!(quota.is_full_for(OTHER), None);
    }
}
