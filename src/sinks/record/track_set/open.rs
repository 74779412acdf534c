//! The open files of a recording.

use std::collections::HashMap;
use std::path::Path;

use foldhash::fast::FixedState;

use super::Key;
use super::counting::Progress;
use crate::hub::Frame;
use crate::sinks::record::track::{
    Counts, Finished, Meeting, Mix, NowShown, Track, TrackError, TrackKind,
};

/// The open tracks of a recording, and their size.
#[derive(Default)]
pub(super) struct OpenTracks {
    // A fixed hash seed is safe: there are at most `MAX_OPEN` entries.
    pub tracks: HashMap<Key, OpenTrack, FixedState>,
    /// The total of [`OpenTrack::bytes`], cached because every frame reads it.
    pub bytes: u64,
}

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
    Meeting(Box<Meeting>),
}

/// How a film is opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Film {
    /// When a further film starts, in Unix milliseconds.
    pub now_ms: i64,
    /// Whether a shared screen comes before cameras.
    pub shows_screen: bool,
}

impl OpenTracks {
    pub(super) fn insert(&mut self, key: Key, track: OpenTrack) {
        self.bytes += track.bytes();
        self.tracks.insert(key, track);
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<OpenTrack> {
        let track = self.tracks.remove(key)?;
        self.bytes -= track.bytes();
        Some(track)
    }

    /// Writes what the tracks keep in memory to their files. Stops at the first error.
    pub(super) fn sync(&mut self) -> Result<(), TrackError> {
        let synced = self.tracks.values_mut().try_for_each(OpenTrack::sync);
        self.bytes = self.tracks.values().map(OpenTrack::bytes).sum();
        synced
    }
}

impl OpenTrack {
    /// Writes a frame and adds what it grew to `all_bytes`.
    pub(super) fn write(&mut self, frame: &Frame, all_bytes: &mut u64) -> Result<(), TrackError> {
        let bytes = self.bytes();
        let written = self.writer.write(frame);
        *all_bytes = *all_bytes + self.bytes() - bytes;
        written
    }

    pub(super) fn counts(&self) -> Counts {
        match &self.writer {
            TrackOrMix::Track(track) => track.counts(),
            TrackOrMix::Mix(mix) => mix.counts(),
            TrackOrMix::Meeting(meeting) => meeting.counts(),
        }
    }

    pub(super) fn mix(&self) -> Option<&Mix> {
        match &self.writer {
            TrackOrMix::Track(_) => None,
            TrackOrMix::Mix(mix) => Some(mix),
            TrackOrMix::Meeting(meeting) => meeting.mix(),
        }
    }

    /// What a film shows.
    pub(super) fn now_shown(&self) -> Option<NowShown> {
        match &self.writer {
            TrackOrMix::Track(_) | TrackOrMix::Mix(_) => None,
            TrackOrMix::Meeting(meeting) => meeting.shown(),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        match &self.writer {
            TrackOrMix::Track(track) => track.bytes(),
            TrackOrMix::Mix(mix) => mix.bytes(),
            TrackOrMix::Meeting(meeting) => meeting.bytes(),
        }
    }

    /// The bytes in memory after a sync.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.writer {
            TrackOrMix::Track(track) => track.held_bytes(),
            TrackOrMix::Mix(_) => 0,
            TrackOrMix::Meeting(meeting) => meeting.held_bytes(),
        }
    }

    pub(super) fn sync(&mut self) -> Result<(), TrackError> {
        match &mut self.writer {
            TrackOrMix::Track(track) => track.sync(),
            TrackOrMix::Mix(mix) => mix.sync(),
            TrackOrMix::Meeting(meeting) => meeting.sync(),
        }
    }
}

impl TrackOrMix {
    pub(super) fn resume(
        path: &Path,
        is_mix: bool,
        kind: TrackKind,
        origin_ms: i64,
        film: Film,
    ) -> Result<Self, TrackError> {
        match kind {
            TrackKind::Meeting(format) => {
                let Film { now_ms, shows_screen } = film;
                let meeting = Meeting::resume(path, format, origin_ms, now_ms, shows_screen)?;
                Ok(Self::Meeting(Box::new(meeting)))
            }
            TrackKind::Wav(format) if is_mix => {
                Mix::resume(path, format, origin_ms).map(|mix| Self::Mix(Box::new(mix)))
            }
            kind => Track::resume(path, kind, origin_ms).map(Self::Track),
        }
    }

    pub(super) fn write(&mut self, frame: &Frame) -> Result<(), TrackError> {
        let (at_ms, payload) = (frame.at_ms, &frame.payload);
        match self {
            Self::Track(track) => track.write(at_ms, payload),
            Self::Mix(mix) => match frame.speaker_key() {
                Some(who) => mix.write(at_ms, &who, payload),
                None => Ok(()),
            },
            Self::Meeting(meeting) => {
                meeting.write(frame.medium, at_ms, frame.speaker_key(), payload)
            }
        }
    }

    /// The voices that are added up in it.
    pub(super) fn mix_mut(&mut self) -> Option<&mut Mix> {
        match self {
            Self::Track(_) => None,
            Self::Mix(mix) => Some(mix),
            Self::Meeting(meeting) => meeting.mix_mut(),
        }
    }

    pub(super) fn finish(self) -> Result<Finished, TrackError> {
        match self {
            Self::Track(track) => track.finish(),
            Self::Mix(mix) => mix.finish(),
            Self::Meeting(meeting) => meeting.finish(),
        }
    }
}
