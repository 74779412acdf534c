//! The log of every frame that a stream produced, to compare with what a client received (pure).

use crate::model::Medium;
use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The most frames logged for one stream: more than an hour of audio, video and text.
const MAX_FRAMES: usize = 1_000_000;

/// One audio or video frame, transcript line or chat message. In JSON `[at_ms, bytes, is_sent, checksum]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LoggedFrame(
    /// The frame's timestamp, in Unix milliseconds.
    pub i64,
    /// The size of the payload in bytes, before base64.
    pub u32,
    /// Whether the frame was queued on a socket. Whether it arrived, only the client knows.
    pub bool,
    /// The first four bytes of the SHA-256 of the payload, big-endian.
    pub u32,
);

/// The frames of one stream, in order. Pictures are produced only while a client is connected.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FrameLog {
    /// Frames by medium.
    pub media: BTreeMap<&'static str, Vec<LoggedFrame>>,
    /// The log is full and incomplete, so a comparison with it proves nothing.
    pub is_cut: bool,
    #[serde(skip)]
    count: usize,
}

impl FrameLog {
    pub(super) fn add(&mut self, medium: Medium, at_ms: i64, payload: &[u8], is_sent: bool) {
        if self.count >= MAX_FRAMES {
            self.is_cut = true;
            return;
        }
        self.count += 1;
        let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let frame = LoggedFrame(at_ms, bytes, is_sent, checksum(payload));
        self.media.entry(medium.as_str()).or_default().push(frame);
    }
}

fn checksum(payload: &[u8]) -> u32 {
    let hash = Sha256::digest(payload);
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}
