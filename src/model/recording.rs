//! Recordings: their tracks, files and states.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{SessionId, Speaker, StreamId};

/// Our own id of a recording: a UUID v7, so that ids sort by their beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordingId(pub Uuid);

impl RecordingId {
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One folder on one machine where recordings are until they are stored. It keeps its id over restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpoolId(pub Uuid);

impl fmt::Display for SpoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What one spool has recorded of one stream. A stream that moves to another machine has a part on each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    pub id: RecordingId,
    pub session_id: SessionId,
    pub stream_id: StreamId,
    /// Which stream of its session it is of, from 1.
    pub ordinal: u32,
    /// Which part of that stream it is, from 1.
    pub part: u32,
    pub spool: SpoolId,
    pub status: RecordingStatus,
    pub started_at_ms: i64,
    /// When the last file was closed.
    pub finished_at_ms: Option<i64>,
    /// When all of it was where recordings go.
    pub stored_at_ms: Option<i64>,
    /// Where its files go or are: a URL without credentials, or a folder. None before the first upload, and where an
    /// older version has stored it.
    pub target: Option<String>,
    /// How often its deletion has failed.
    pub failed_deletions: u32,
}

/// Where a recording stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingStatus {
    /// The stream may go on: files are being written.
    Recording,
    /// Its files are whole, and on their way.
    Uploading,
    Stored,
    /// Its files were lost before they were stored.
    Failed,
    /// Somebody wants it deleted, and some of it is still there. Shown to nobody.
    Deleting,
}

impl RecordingStatus {
    pub const ALL: [Self; 5] =
        [Self::Recording, Self::Uploading, Self::Stored, Self::Failed, Self::Deleting];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Uploading => "uploading",
            Self::Stored => "stored",
            Self::Failed => "failed",
            Self::Deleting => "deleting",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// One file of a recording. While its recording goes on, only what it is is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFile {
    /// Inside its recording; a path with `/` where the files have folders.
    pub name: String,
    /// In the API: one segment of a path, and nobody else's in the session.
    pub api_name: String,
    /// Where recordings go, from `RECORDINGS_URL` on.
    pub path: String,
    /// `audio`, `video`, `share`, `transcript`, `chat`, `events` or `manifest`.
    pub medium: String,
    /// Whose it is; none for what is everybody's.
    #[serde(flatten)]
    pub speaker: Speaker,
    pub content_type: String,
    pub bytes: u64,
    /// In hex.
    pub sha256: String,
    /// Zoom's time of the first and the last frame or line in it, Unix milliseconds.
    pub first_ms: Option<i64>,
    pub last_ms: Option<i64>,
}
