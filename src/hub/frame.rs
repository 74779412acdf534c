use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::people::Person;
use crate::model::{Instance, SessionId, Speaker, SpeakerKey, StreamId};
use crate::rtms::message::Medium;
use crate::rtms::params::Effective;

/// What a stream is and gives. It is made anew when that changes: who holds an older one sees the difference.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamInfo {
    pub session_id: SessionId,
    pub stream_id: StreamId,
    /// Which stream of its session this is, from 1.
    pub ordinal: u32,
    pub instance: Instance,
    /// Zoom's time of the first packet, the origin of the stream's clock; none before it. Unix milliseconds.
    pub first_packet_ms: Option<i64>,
    /// What Zoom gives; empty before its first answer.
    pub effective: Effective,
}

/// One message of audio, video or share, its payload decoded once for all who want it.
#[derive(Debug, Clone)]
pub struct Frame {
    pub stream: Arc<StreamInfo>,
    pub medium: Medium,
    /// Counts the stream's frames of this medium, from 1: who misses one sees it.
    pub seq: u64,
    /// When Zoom made it, or when it came where Zoom does not say or cannot be believed. Unix milliseconds.
    pub at_ms: i64,
    /// Who it is from; none for the mixed sound.
    pub speaker: Option<Arc<Person>>,
    /// Who speaks in the mixed sound, by Zoom's last word.
    pub active_speaker: Option<Arc<Person>>,
    pub payload: Bytes,
    pub encoded: Encoded,
}

/// What live consumers are sent of a frame, in each format made once for all of them.
#[derive(Debug, Clone, Default)]
pub struct Encoded {
    pub json: OnceLock<Bytes>,
    pub binary: OnceLock<Bytes>,
}

impl Frame {
    /// Who it is from; none for the mixed sound.
    pub fn speaker(&self) -> Option<&Speaker> {
        self.speaker.as_deref().map(|person| &person.speaker)
    }

    /// What tells its speaker from others of the stream; none for the mixed sound.
    pub fn speaker_key(&self) -> Option<SpeakerKey> {
        self.speaker()?.key()
    }

    /// Since the stream's first packet, in milliseconds; none before that is known.
    pub fn offset_ms(&self) -> Option<i64> {
        self.stream.first_packet_ms.map(|origin_ms| self.at_ms.saturating_sub(origin_ms))
    }
}
