//! Identifiers of streams, sessions, users and meetings.

use std::fmt;
use std::sync::Arc;

use crate::named::named;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use uuid::Uuid;

/// The longest identifier that is accepted from Zoom, in bytes. Real ones have about 40.
const MAX_ID_BYTES: usize = 256;

/// Why a text is refused as an identifier.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum IdError {
    /// The text has no bytes.
    #[error("must not be empty")]
    Empty,
    /// The text is too long for an id of Zoom's.
    #[error("is longer than {MAX_ID_BYTES} bytes")]
    TooLong,
    /// The text contains a space or a control character.
    #[error("contains a space or a control character")]
    Unprintable,
}

fn check_id(text: &str) -> Result<&str, IdError> {
    if text.is_empty() {
        Err(IdError::Empty)
    } else if text.len() > MAX_ID_BYTES {
        Err(IdError::TooLong)
    } else if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        Err(IdError::Unprintable)
    } else {
        Ok(text)
    }
}

/// Zoom's `rtms_stream_id`: opaque, never re-encoded (rtms-protocol.md section 4).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
// Shared: every frame, entry and queue item carries a copy.
pub struct StreamId(Arc<str>);

impl StreamId {
    /// Accepts Zoom's text unchanged. It is an error if it is empty, too long or unprintable.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        check_id(text).map(|text| Self(text.into()))
    }

    /// The text as Zoom sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for StreamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for StreamId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// rtmsd's own id of a session: a UUID v7, so that ids sort by creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

impl SessionId {
    /// Parses a UUID in any form that the `uuid` crate reads; none for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run of one daemon process: the owner of stream leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeId(pub Uuid);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A participant's number inside one meeting; not the Zoom account's user id.
/// Zoom sends numbers, but its examples also show strings, so both are read (section 7, conflict 19.23).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct UserId(pub u64);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = UserId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a user id (a number, or a string of digits)")
            }
            fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<UserId, E> {
                Ok(UserId(id))
            }
            fn visit_i64<E: serde::de::Error>(self, id: i64) -> Result<UserId, E> {
                // Zoom may send -1 (rtms-protocol.md section 23.5), which names no participant.
                u64::try_from(id).map(UserId).map_err(E::custom)
            }
            fn visit_f64<E: serde::de::Error>(self, id: f64) -> Result<UserId, E> {
                // Beyond 2^53 a float cannot represent every integer.
                let is_id = id.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&id);
                // The cast is exact: the check above admits only whole numbers in range.
                is_id.then_some(UserId(id as u64)).ok_or_else(|| E::custom("no user id"))
            }
            fn visit_str<E: serde::de::Error>(self, id: &str) -> Result<UserId, E> {
                id.parse().map(UserId).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

named! {
    /// The kind of Zoom conversation that a session is (rtms-protocol.md section 16).
    #[derive(Hash)]
    pub enum Product {
        /// Zoom Meetings.
        Meeting: "meeting",
        /// Zoom Webinars.
        Webinar: "webinar",
        /// A session of the Video SDK.
        VideoSdk: "video_sdk",
        /// An engagement of Zoom Contact Center.
        ContactCenter: "contact_center",
        /// A call of Zoom Phone: experimental, as Zoom has announced it and not released it (section 23.3).
        Phone: "phone",
    }
}

impl Product {
    /// The products that an app serves unless its settings say otherwise: all but the experimental ones.
    pub const RELEASED: [Self; 4] =
        [Self::Meeting, Self::Webinar, Self::VideoSdk, Self::ContactCenter];

    /// Whether this product identifies speakers by channel and has texts as user ids (section 23.2).
    pub fn names_channels(self) -> bool {
        matches!(self, Product::ContactCenter | Product::Phone)
    }
}

named! {
    /// The JSON key under which Zoom names a conversation, in webhooks and in handshakes (sections 13.6, 16).
    #[derive(Hash)]
    pub enum IdKey {
        /// The UUID of one occurrence of a meeting.
        MeetingUuid: "meeting_uuid",
        /// The UUID of one occurrence of a webinar.
        WebinarUuid: "webinar_uuid",
        /// The id of a Video SDK session.
        SessionId: "session_id",
        /// The id of a Contact Center engagement.
        EngagementId: "engagement_id",
        /// The id of a call of Zoom Phone.
        CallId: "call_id",
        /// The meeting number, for a meeting that an API client has named but no webhook has announced yet.
        MeetingId: "meeting_id",
    }
}

impl IdKey {
    /// The keys of webhooks, in the order in which Zoom's SDK prefers them when several are given.
    pub const ANNOUNCED: [IdKey; 5] = [
        IdKey::MeetingUuid,
        IdKey::WebinarUuid,
        IdKey::SessionId,
        IdKey::EngagementId,
        IdKey::CallId,
    ];
}

/// The identity of a Zoom conversation: the product, the JSON key of the id, and the id itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Instance {
    /// Zoom's product, which decides what the id means.
    pub product: Product,
    /// The JSON key under which Zoom sends the id.
    pub key: IdKey,
    id: String,
}

impl Instance {
    /// An error if the id is empty, too long or unprintable.
    pub fn new(product: Product, key: IdKey, id: &str) -> Result<Self, IdError> {
        Ok(Self { product, key, id: check_id(id)?.to_owned() })
    }

    /// The id as Zoom sent it (base64-like for meetings, may contain `/`, `+`, `=`).
    pub fn id(&self) -> &str {
        &self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_is_read_from_a_number_and_from_a_string() {
        assert_eq!(serde_json::from_str::<UserId>("16778240").unwrap(), UserId(16_778_240));
        assert_eq!(serde_json::from_str::<UserId>("\"16778240\"").unwrap(), UserId(16_778_240));
        assert!(serde_json::from_str::<UserId>("-1").is_err());
        assert!(serde_json::from_str::<UserId>("\"ana\"").is_err());
    }

    #[test]
    fn an_identifier_is_printable_and_short() {
        assert_eq!(StreamId::parse(""), Err(IdError::Empty));
        assert_eq!(StreamId::parse("a b"), Err(IdError::Unprintable));
        assert_eq!(StreamId::parse("a\u{0}"), Err(IdError::Unprintable));
        assert_eq!(StreamId::parse(&"x".repeat(257)), Err(IdError::TooLong));
        assert_eq!(StreamId::parse("/abc//def+gh==").unwrap().as_str(), "/abc//def+gh==");
    }
}
