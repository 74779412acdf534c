//! Every frame that a stream made, to hold a client's account against (pure).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::rtms::message::Medium;

/// Frames remembered of one stream: an hour of everything.
const MAX_FRAMES: usize = 1_000_000;

/// One frame, line or message. In JSON `[at_ms, bytes, is_sent]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LoggedFrame(
    /// The timestamp that it carries.
    pub i64,
    /// Of the payload, before base64.
    pub u32,
    /// Whether it was given to a socket; whether it arrived only the client knows.
    pub bool,
);

/// By medium, in order. Pictures are made only while somebody is there to take them.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FrameLog {
    pub media: BTreeMap<&'static str, Vec<LoggedFrame>>,
    /// There were more than are remembered: nothing can be held against this.
    pub is_cut: bool,
    #[serde(skip)]
    count: usize,
}

impl FrameLog {
    pub(super) fn add(&mut self, medium: Medium, at_ms: i64, bytes: usize, is_sent: bool) {
        if self.count >= MAX_FRAMES {
            self.is_cut = true;
            return;
        }
        self.count += 1;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.media.entry(medium.as_str()).or_default().push(LoggedFrame(at_ms, bytes, is_sent));
    }
}
