//! The metadata of a recording on disk: what continues it after a restart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::layout::Voice;
use super::track::{Counts, TrackKind};
use crate::model::{MediaSet, Medium, RecordingId, SessionId, Speaker, StreamId};

/// The metadata of a recording on disk: enough to continue it after a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RecordingMeta {
    pub id: RecordingId,
    pub session_id: SessionId,
    pub stream_id: StreamId,
    pub ordinal: u32,
    /// The recorded media.
    pub media: MediaSet,
    /// Whether there is one film of everything.
    #[serde(default)]
    pub meeting: bool,
    pub started_at_ms: i64,
    /// The time origin of every file, Unix milliseconds; `None` before the first frame.
    pub origin_ms: Option<i64>,
    pub tracks: Vec<TrackNote>,
    #[serde(flatten)]
    pub counts: RecordingCounts,
    /// Total counts, as older versions wrote them.
    #[serde(default)]
    pub frames: Counts,
}

/// The counts of a recording: part of its metadata, and saved in a separate file between two saves of that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RecordingCounts {
    /// How often they were saved, in either file (0: written by an older version).
    pub saves: u64,
    /// Counts of the frames by medium. After a kill they may lag by some seconds.
    #[serde(rename = "counts")]
    pub media: BTreeMap<Medium, Counts>,
    /// Counts of the frames in the mix, which are also in the voices' files.
    pub mix: Counts,
    /// Counts of the frames in the film of everything.
    #[serde(rename = "meeting_counts")]
    pub meeting: Counts,
    /// The number of voices without a file, because there were too many; counted again after a restart.
    pub voices_beyond_limit: u64,
}

/// A file of frames, or a folder of pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct TrackNote {
    /// The path under `files/`.
    pub name: String,
    pub medium: Medium,
    /// The speaker; empty for a track of everyone.
    #[serde(flatten)]
    pub speaker: Speaker,
    /// Whether the track is the mix of all voices, or the film of everything.
    pub is_mix: bool,
    pub kind: TrackKind,
    /// The time origin of its files; `None` if it is the recording's.
    #[serde(default)]
    pub origin_ms: Option<i64>,
}

/// What the file of everything is called where others have the name of their medium.
const MEETING: &str = "meeting";

impl TrackNote {
    /// The name of its medium.
    pub(super) fn medium_name(&self) -> &'static str {
        match self.kind {
            TrackKind::Meeting(_) => MEETING,
            _ => self.medium.as_str(),
        }
    }

    pub(super) fn voice(&self) -> Voice<'_> {
        match self.speaker.key() {
            _ if self.is_mix => Voice::Mix,
            Some(_) => Voice::One(&self.speaker),
            None => Voice::All,
        }
    }
}

impl RecordingMeta {
    /// A recording of a stream that has nothing in it yet.
    pub(super) fn new(
        session_id: SessionId,
        stream_id: StreamId,
        ordinal: u32,
        started_at_ms: i64,
    ) -> Self {
        Self {
            id: RecordingId(Uuid::now_v7()),
            session_id,
            stream_id,
            ordinal,
            media: MediaSet::default(),
            meeting: false,
            started_at_ms,
            origin_ms: None,
            tracks: Vec::new(),
            counts: RecordingCounts::default(),
            frames: Counts::default(),
        }
    }

    /// Sets the time origin of every file. Existing tracks are shifted when they are opened.
    pub(super) fn begin_at(&mut self, origin_ms: i64) {
        for note in &mut self.tracks {
            note.origin_ms = note.origin_ms.or(self.origin_ms);
        }
        self.origin_ms = Some(origin_ms);
    }

    /// The size of this much silence in all files.
    pub(super) fn silence_bytes(&self, by_ms: i64) -> u64 {
        let per_ms: u64 = self.tracks.iter().map(|note| note.kind.silence_bytes_per_ms()).sum();
        per_ms.saturating_mul(u64::try_from(by_ms).unwrap_or_default())
    }

    /// The counts of all frames.
    pub(super) fn total(&self) -> Counts {
        let mut total = self.frames;
        self.counts.media.values().for_each(|counts| total.add(counts));
        total
    }

    /// Takes the separately saved counts if they are newer.
    pub(super) fn take_newer(&mut self, saved: RecordingCounts) {
        match self.counts.saves {
            // An older version continued the recording and did not update `counts.json`.
            0 => self.counts.saves = saved.saves,
            saves if saves < saved.saves => self.counts = saved,
            _ => {}
        }
    }

    pub(super) fn records(&self, medium: Medium) -> bool {
        self.media.contains(medium)
    }
}
