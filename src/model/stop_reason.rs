//! Why Zoom ended or interrupted a stream, as a number with Zoom's name (rtms-protocol.md section 10.6).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Zoom's reason for the end or the interruption of a stream. Zoom adds numbers, so any number is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StopReason(pub i64);

const NAMES: [&str; 27] = [
    "UNDEFINED",
    "HOST_TRIGGERED",
    "USER_TRIGGERED",
    "USER_LEFT",
    "USER_EJECTED",
    "HOST_DISABLED_APP",
    "MEETING_ENDED",
    "STREAM_CANCELED",
    "STREAM_REVOKED",
    "ALL_APPS_DISABLED",
    "INTERNAL_EXCEPTION",
    "CONNECTION_TIMEOUT",
    "INSTANCE_CONNECTION_INTERRUPTED",
    "SIGNAL_CONNECTION_INTERRUPTED",
    "DATA_CONNECTION_INTERRUPTED",
    "SIGNAL_CONNECTION_CLOSED_ABNORMALLY",
    "DATA_CONNECTION_CLOSED_ABNORMALLY",
    "EXIT_SIGNAL",
    "AUTHENTICATION_FAILURE",
    "AWAIT_RECONNECTION_TIMEOUT",
    "RECEIVER_REQUEST_CLOSE",
    "CUSTOMER_DISCONNECTED",
    "AGENT_DISCONNECTED",
    "ADMIN_DISABLED_APP",
    "KEEP_ALIVE_TIMEOUT",
    "MANUAL_API_TRIGGERED",
    "STREAMING_NOT_SUPPORTED",
];

impl StopReason {
    /// The meeting has ended.
    pub const MEETING_ENDED: Self = Self(6);
    /// A user withdrew the permission: the received data of the stream is deleted.
    pub const STREAM_REVOKED: Self = Self(8);
    /// Zoom lost the signaling connection.
    pub const SIGNAL_CONNECTION_INTERRUPTED: Self = Self(13);
    /// Zoom lost a media connection.
    pub const DATA_CONNECTION_INTERRUPTED: Self = Self(14);
    /// The signaling connection was closed without a Close frame.
    pub const SIGNAL_CONNECTION_CLOSED_ABNORMALLY: Self = Self(15);
    /// A media connection was closed without a Close frame.
    pub const DATA_CONNECTION_CLOSED_ABNORMALLY: Self = Self(16);
    /// Zoom rejected the app's signature.
    pub const AUTHENTICATION_FAILURE: Self = Self(18);

    /// Zoom's name without its prefix `STOP_BC_`; none for a number that this version does not know.
    pub fn name(self) -> Option<&'static str> {
        usize::try_from(self.0).ok().and_then(|index| NAMES.get(index)).copied()
    }

    /// Whether the received data of the stream must be deleted.
    pub fn is_revoked(self) -> bool {
        self == Self::STREAM_REVOKED
    }

    /// Whether a fault ended the stream, and not a person or one of Zoom's rules: a new stream may work
    /// (rtms-protocol.md section 12.3). An authentication failure does not count, because the same credentials
    /// fail again.
    pub fn is_technical(self) -> bool {
        matches!(self.0, 10..=17 | 19 | 24)
    }

    /// Whether Zoom lost the signaling connection.
    pub fn is_loss_of_signaling(self) -> bool {
        [Self::SIGNAL_CONNECTION_INTERRUPTED, Self::SIGNAL_CONNECTION_CLOSED_ABNORMALLY]
            .contains(&self)
    }

    /// Whether Zoom lost a media connection.
    pub fn is_loss_of_media(self) -> bool {
        [Self::DATA_CONNECTION_INTERRUPTED, Self::DATA_CONNECTION_CLOSED_ABNORMALLY].contains(&self)
    }
}

/// The number and the name: `6 (MEETING_ENDED)`.
impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_the_name_of_its_number() {
        assert_eq!(StopReason::MEETING_ENDED.name(), Some("MEETING_ENDED"));
        assert_eq!(StopReason::STREAM_REVOKED.name(), Some("STREAM_REVOKED"));
        assert_eq!(StopReason::AUTHENTICATION_FAILURE.name(), Some("AUTHENTICATION_FAILURE"));
        assert_eq!(StopReason(20).to_string(), "20 (RECEIVER_REQUEST_CLOSE)");
        assert_eq!(StopReason(26).name(), Some("STREAMING_NOT_SUPPORTED"));
    }

    #[test]
    fn an_unknown_reason_has_no_name() {
        assert_eq!(StopReason(27).to_string(), "27");
        assert_eq!(StopReason(-1).name(), None);
    }
}
