//! The messages that rtmsd sends to Zoom (rtms-protocol.md section 6).

use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::codes::msg_type;
use crate::model::{IdKey, StreamId, UserId};
use crate::secret::Secret;

/// `protocol_version` of every handshake (section 17: keep sending 1).
const PROTOCOL_VERSION: u32 = 1;
/// `sequence` of every handshake. Zoom's docs start at 1; the answer's value is ignored (rtms-protocol.md
/// section 4).
const SEQUENCE: u32 = 1;

/// A message to Zoom.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// 1 (section 6.1)
    SignalingHandshake {
        /// The stream and the app.
        who: Handshake,
        /// Whether Zoom keeps what it sends before the links are up.
        buffer_data: bool,
    },
    /// 3 (section 6.3)
    MediaHandshake {
        /// The stream and the app.
        who: Handshake,
        /// The bit mask of the link's media (section 10.8).
        media_type: u32,
        /// The parameters that are asked for (section 8).
        media_params: Value,
    },
    /// 5 (section 6.5)
    Subscribe(Vec<u16>),
    /// 7 (section 6.7)
    Ready(StreamId),
    /// Message 13 (section 6.11). Without a timestamp to echo it carries the time of sending.
    KeepAlive {
        /// The `timestamp` of the request, as Zoom wrote it.
        timestamp: Option<Box<RawValue>>,
        /// The `sequence` of the request, as Zoom wrote it.
        sequence: Option<Box<RawValue>>,
    },
    /// 21 (section 6.18)
    Close(StreamId),
    /// 28 (section 6.19). Without a time, `Outgoing::stamp` sets the time of sending.
    SubscribeVideo {
        /// The participant.
        user_id: UserId,
        /// Zoom's time, Unix milliseconds, if it gave one.
        at_ms: Option<i64>,
    },
}

/// The fields that identify the stream and the app in both handshakes.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// The JSON key under which the id of the conversation is sent.
    pub key: IdKey,
    /// The id of the conversation: a meeting UUID, a session id or an engagement id.
    pub instance_id: String,
    /// The stream to join, `rtms_stream_id`.
    pub stream_id: StreamId,
    /// The HMAC that proves knowledge of the client secret (section 5.1).
    pub signature: Secret<String>,
}

impl Outgoing {
    /// Sets the time of sending, Unix milliseconds, in a message that has one.
    pub(in crate::rtms) fn stamp(&mut self, now_ms: i64) {
        match self {
            Outgoing::SubscribeVideo { at_ms, .. } => {
                at_ms.get_or_insert(now_ms);
            }
            Outgoing::KeepAlive { timestamp: timestamp @ None, .. } => {
                *timestamp = serde_json::value::to_raw_value(&now_ms).ok();
            }
            _ => {}
        }
    }

    /// Returns the text of the frame.
    pub(in crate::rtms) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("string keys and plain values always serialize")
    }
}

impl Serialize for Outgoing {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("msg_type", &self.number())?;
        match self {
            Outgoing::SignalingHandshake { who, buffer_data } => {
                who.fields(&mut map)?;
                map.serialize_entry("buffer_data", buffer_data)?;
            }
            Outgoing::MediaHandshake { who, media_type, media_params } => {
                who.fields(&mut map)?;
                map.serialize_entry("media_type", media_type)?;
                // Encrypted payloads are not supported; TLS protects the link.
                map.serialize_entry("payload_encryption", &false)?;
                map.serialize_entry("media_params", media_params)?;
            }
            Outgoing::Subscribe(events) => {
                let subscribe = |number| json!({ "event_type": number, "subscribe": true });
                let events: Vec<Value> = events.iter().map(subscribe).collect();
                map.serialize_entry("events", &events)?;
            }
            Outgoing::Ready(stream_id) | Outgoing::Close(stream_id) => {
                map.serialize_entry("rtms_stream_id", stream_id)?;
            }
            Outgoing::SubscribeVideo { user_id, at_ms } => {
                map.serialize_entry("user_id", user_id)?;
                map.serialize_entry("subscribe", &true)?;
                map.serialize_entry("timestamp", &at_ms.unwrap_or_default())?;
            }
            Outgoing::KeepAlive { timestamp, sequence } => {
                if let Some(timestamp) = timestamp {
                    map.serialize_entry("timestamp", timestamp)?;
                }
                if let Some(sequence) = sequence {
                    map.serialize_entry("sequence", sequence)?;
                }
            }
        }
        map.end()
    }
}

impl Outgoing {
    fn number(&self) -> u16 {
        match self {
            Outgoing::SignalingHandshake { .. } => msg_type::SIGNALING_HAND_SHAKE_REQ,
            Outgoing::MediaHandshake { .. } => msg_type::DATA_HAND_SHAKE_REQ,
            Outgoing::Subscribe(_) => msg_type::EVENT_SUBSCRIPTION,
            Outgoing::Ready(_) => msg_type::CLIENT_READY_ACK,
            Outgoing::KeepAlive { .. } => msg_type::KEEP_ALIVE_RESP,
            Outgoing::Close(_) => msg_type::STREAM_CLOSE_REQ,
            Outgoing::SubscribeVideo { .. } => msg_type::VIDEO_SUBSCRIPTION_REQ,
        }
    }
}

impl Handshake {
    fn fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("protocol_version", &PROTOCOL_VERSION)?;
        map.serialize_entry("sequence", &SEQUENCE)?;
        map.serialize_entry(self.key.as_str(), &self.instance_id)?;
        map.serialize_entry("rtms_stream_id", &self.stream_id)?;
        map.serialize_entry("signature", self.signature.expose())
    }
}
