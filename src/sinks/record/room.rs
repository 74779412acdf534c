//! How much of the disk recordings may take until they are stored.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So much of the disk is left to others: headers, texts and the store itself still have to be written.
const RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// What all recordings of this daemon take together.
#[derive(Debug)]
pub struct Room {
    folder: PathBuf,
    max_bytes: u64,
    used_bytes: AtomicU64,
}

/// What one recording takes; given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    room: Arc<Room>,
    bytes: u64,
}

impl Room {
    /// `folder` is on the disk that is meant.
    pub fn new(folder: PathBuf, max_bytes: u64) -> Arc<Self> {
        Arc::new(Self { folder, max_bytes, used_bytes: AtomicU64::new(0) })
    }

    pub fn share(self: &Arc<Self>) -> Share {
        Share { room: Arc::clone(self), bytes: 0 }
    }

    /// Whether no more may be written. Asks the file system: blocks, shortly.
    pub fn is_full(&self) -> bool {
        self.used_bytes.load(Ordering::Relaxed) >= self.max_bytes
            || self.free_bytes().is_some_and(|free_bytes| free_bytes < RESERVE_BYTES)
    }

    /// None where the file system cannot say.
    fn free_bytes(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.folder).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

impl Share {
    /// It takes so much now.
    pub fn set(&mut self, bytes: u64) {
        let used_bytes = &self.room.used_bytes;
        used_bytes.fetch_add(bytes, Ordering::Relaxed);
        used_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_recordings_take_together_is_bounded_and_given_back() {
        let room = Room::new(std::env::temp_dir(), 100);
        let (mut one, mut other) = (room.share(), room.share());
        one.set(60);
        assert!(!room.is_full());
        other.set(40);
        assert!(room.is_full());
        one.set(59);
        assert!(!room.is_full());
        other.set(41);
        assert!(room.is_full());
        drop(other);
        assert!(!room.is_full());
    }
}
