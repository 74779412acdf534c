//! Recordings: their tracks, files and states.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AppName, SessionId, Speaker, StreamId};
use crate::named::named;

/// rtmsd's own id of a recording: a UUID v7, so that ids sort by start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordingId(pub Uuid);

impl RecordingId {
    /// Parses a UUID in any form that the `uuid` crate reads; none for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A folder on one machine that holds recordings until they are stored. Its id survives restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpoolId(pub Uuid);

impl fmt::Display for SpoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The part of a stream that one spool has recorded. A stream that moves to another machine has a part on each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The id under which the API shows the recording.
    pub id: RecordingId,
    /// The app of the session.
    pub app: AppName,
    /// The session of the stream.
    pub session_id: SessionId,
    /// Zoom's id of the recorded stream.
    pub stream_id: StreamId,
    /// The number of the stream within its session, from 1.
    pub ordinal: u32,
    /// The number of this part within the stream, from 1.
    pub part: u32,
    /// The spool that recorded it.
    pub spool: SpoolId,
    /// How far the recording has come.
    pub status: RecordingStatus,
    /// When the recording began, Unix milliseconds.
    pub started_at_ms: i64,
    /// When the last file was closed.
    pub finished_at_ms: Option<i64>,
    /// When all of its files were stored.
    pub stored_at_ms: Option<i64>,
    /// Where its files are or will be stored: a URL without credentials, or a folder. None before the first upload,
    /// and if an older version stored it.
    pub target: Option<String>,
    /// How often its deletion has failed.
    pub failed_deletions: u32,
}

named! {
    /// The status of a recording.
    pub enum RecordingStatus {
        /// Files are being written: the stream may continue.
        Recording: "recording",
        /// Its files are complete and being uploaded.
        Uploading: "uploading",
        /// All of its files are stored.
        Stored: "stored",
        /// Its files were lost before they were stored.
        Failed: "failed",
        /// It is being deleted; some of its files still exist. The API does not show it.
        Deleting: "deleting",
    }
}

named! {
    /// What the capture of a stream holds of it.
    pub enum CaptureMode {
        /// There is none.
        Off: "off",
        /// Everything but what people said, wrote, showed and are called; of media their sizes and times.
        Signaling: "signaling",
        /// Everything.
        All: "all",
    }
}

/// One file of a recording. While it is being written, its size, hash and times are unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFile {
    /// The name within its recording: a path with `/` if the files are in folders.
    pub name: String,
    /// The name in the API: one path segment, unique within the session.
    pub api_name: String,
    /// The path below `RECORDINGS_URL`.
    pub path: String,
    /// `audio`, `video`, `share`, `transcript`, `chat`, `events`, `capture` or `manifest`.
    pub medium: String,
    /// The speaker of the file; none for a file of all participants.
    #[serde(flatten)]
    pub speaker: Speaker,
    /// The media type, as in the header `Content-Type`.
    pub content_type: String,
    /// The size of the file.
    pub bytes: u64,
    /// The SHA-256 of the file in hex.
    pub sha256: String,
    /// Zoom's time of the first and the last frame or line in it, Unix milliseconds.
    pub first_ms: Option<i64>,
    /// See `first_ms`.
    pub last_ms: Option<i64>,
}
