//! The open files of a recording.

use std::path::Path;

use super::counting::Progress;
use crate::sinks::record::track::{Counts, Finished, Mix, Track, TrackError, TrackKind};

/// An open track.
pub(super) struct OpenTrack {
    pub writer: TrackOrMix,
    pub kind: TrackKind,
    /// Whether its speaker's name is in its note, or it has no speaker.
    pub is_named: bool,
    pub used: u64,
    pub progress: Progress,
}

pub(super) enum TrackOrMix {
    Track(Track),
    Mix(Box<Mix>),
}

impl OpenTrack {
    pub(super) fn counts(&self) -> Counts {
        match &self.writer {
            TrackOrMix::Track(track) => track.counts(),
            TrackOrMix::Mix(mix) => mix.counts(),
        }
    }

    pub(super) fn mix(&self) -> Option<&Mix> {
        match &self.writer {
            TrackOrMix::Track(_) => None,
            TrackOrMix::Mix(mix) => Some(mix),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        match &self.writer {
            TrackOrMix::Track(track) => track.bytes(),
            TrackOrMix::Mix(mix) => mix.bytes(),
        }
    }

    /// The bytes in memory after a sync.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.writer {
            TrackOrMix::Track(track) => track.held_bytes(),
            TrackOrMix::Mix(_) => 0,
        }
    }

    pub(super) fn sync(&mut self) -> Result<(), TrackError> {
        match &mut self.writer {
            TrackOrMix::Track(track) => track.sync(),
            TrackOrMix::Mix(mix) => mix.sync(),
        }
    }
}

impl TrackOrMix {
    pub(super) fn resume(
        path: &Path,
        is_mix: bool,
        kind: TrackKind,
        origin_ms: i64,
    ) -> Result<Self, TrackError> {
        match kind {
            TrackKind::Wav(format) if is_mix => {
                Mix::resume(path, format, origin_ms).map(|mix| Self::Mix(Box::new(mix)))
            }
            kind => Track::resume(path, kind, origin_ms).map(Self::Track),
        }
    }

    pub(super) fn finish(self) -> Result<Finished, TrackError> {
        match self {
            Self::Track(track) => track.finish(),
            Self::Mix(mix) => mix.finish(),
        }
    }
}
