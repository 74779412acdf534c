//! Frames and the streams they belong to, as consumers see them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::roster::Person;
use crate::model::{AppName, Instance, Medium, SessionId, Speaker, SpeakerKey, StreamId};
use crate::rtms::params::Effective;

/// Describes a stream. A change makes a new value, so that a consumer can compare it with an older one.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamInfo {
    pub session_id: SessionId,
    pub stream_id: StreamId,
    /// The app of the session.
    pub app: AppName,
    /// Which stream of its session this is, from 1.
    pub ordinal: u32,
    pub instance: Instance,
    /// Zoom's time of the first packet, the origin of the stream's clock; none before it. Unix milliseconds.
    pub first_packet_ms: Option<i64>,
    /// The parameters that Zoom grants; empty before its first answer.
    pub effective: Effective,
}

/// One audio, video or share message. Its payload is decoded once for all consumers that want it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Frame {
    pub source: Arc<FrameSource>,
    pub medium: Medium,
    /// The number of this frame among the stream's frames of this medium, from 1. A jump shows a missed frame.
    pub seq: u64,
    /// When Zoom made the frame, or when it arrived if Zoom's time is missing or implausible. Unix milliseconds.
    pub at_ms: i64,
    /// The decoded payload; empty if every consumer wants the message alone.
    pub payload: Bytes,
    /// What live consumers share; none if no live consumer takes the medium.
    pub encoded: Option<Arc<Encoded>>,
}

/// Where a frame comes from. Successive frames of a participant share it.
#[derive(Debug, Clone)]
pub struct FrameSource {
    pub stream: Arc<StreamInfo>,
    /// The speaker; none for mixed audio.
    pub speaker: Option<Arc<Person>>,
    /// The active speaker in mixed audio, by Zoom's last event.
    pub active_speaker: Option<Arc<Person>>,
}

/// A frame as sent to live consumers. Each format is encoded once for all of them.
#[derive(Debug, Clone, Default)]
pub struct Encoded {
    /// The message as Zoom sent it; none if no consumer wants it.
    pub wire: Option<Bytes>,
    pub json: OnceLock<Bytes>,
    pub binary: OnceLock<Bytes>,
}

impl Frame {
    /// The stream as of this frame.
    pub fn stream(&self) -> &Arc<StreamInfo> {
        &self.source.stream
    }

    /// The speaker; none for mixed audio.
    pub fn speaker(&self) -> Option<&Speaker> {
        self.source.speaker.as_deref().map(|person| &person.speaker)
    }

    /// The key of the speaker within the stream; none for mixed audio.
    pub fn speaker_key(&self) -> Option<SpeakerKey> {
        self.speaker()?.key()
    }

    /// The message as Zoom sent it; none if no consumer wants it.
    pub fn wire(&self) -> Option<&Bytes> {
        self.encoded.as_ref()?.wire.as_ref()
    }

    /// The time since the stream's first packet, in milliseconds; none before that packet is known.
    pub fn offset_ms(&self) -> Option<i64> {
        self.stream().first_packet_ms.map(|origin_ms| self.at_ms.saturating_sub(origin_ms))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::{IdKey, Product};

    /// The first stream of a meeting, without an answer of Zoom.
    pub(crate) fn stream_info() -> StreamInfo {
        StreamInfo {
            app: AppName::default(),
            session_id: SessionId(Uuid::nil()),
            stream_id: StreamId::parse("s1").unwrap(),
            ordinal: 1,
            instance: Instance::new(Product::Meeting, IdKey::MeetingUuid, "m==").unwrap(),
            first_packet_ms: None,
            effective: Effective::default(),
        }
    }
}
