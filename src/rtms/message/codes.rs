//! Zoom's numbers by name (rtms-protocol.md sections 6, 7 and 10).

use crate::model::Medium;

/// `msg_type` (section 6).
pub mod msg_type {
    pub const UNDEFINED: u16 = 0;
    pub const SIGNALING_HAND_SHAKE_REQ: u16 = 1;
    pub const SIGNALING_HAND_SHAKE_RESP: u16 = 2;
    pub const DATA_HAND_SHAKE_REQ: u16 = 3;
    pub const DATA_HAND_SHAKE_RESP: u16 = 4;
    pub const EVENT_SUBSCRIPTION: u16 = 5;
    pub const EVENT_UPDATE: u16 = 6;
    pub const CLIENT_READY_ACK: u16 = 7;
    pub const STREAM_STATE_UPDATE: u16 = 8;
    pub const SESSION_STATE_UPDATE: u16 = 9;
    pub const SESSION_STATE_REQ: u16 = 10;
    pub const SESSION_STATE_RESP: u16 = 11;
    pub const KEEP_ALIVE_REQ: u16 = 12;
    pub const KEEP_ALIVE_RESP: u16 = 13;
    pub const MEDIA_DATA_AUDIO: u16 = 14;
    pub const MEDIA_DATA_VIDEO: u16 = 15;
    pub const MEDIA_DATA_SHARE: u16 = 16;
    pub const MEDIA_DATA_TRANSCRIPT: u16 = 17;
    pub const MEDIA_DATA_CHAT: u16 = 18;
    pub const STREAM_STATE_REQ: u16 = 19;
    pub const STREAM_STATE_RESP: u16 = 20;
    pub const STREAM_CLOSE_REQ: u16 = 21;
    pub const STREAM_CLOSE_RESP: u16 = 22;
    pub const VIDEO_SUBSCRIPTION_REQ: u16 = 28;
    pub const VIDEO_SUBSCRIPTION_RESP: u16 = 29;
}

/// The wire codes of a medium.
impl Medium {
    /// The `msg_type` that carries this medium (sections 6.12 to 6.16).
    pub fn msg_type(self) -> u16 {
        match self {
            Medium::Audio => msg_type::MEDIA_DATA_AUDIO,
            Medium::Video => msg_type::MEDIA_DATA_VIDEO,
            Medium::Share => msg_type::MEDIA_DATA_SHARE,
            Medium::Transcript => msg_type::MEDIA_DATA_TRANSCRIPT,
            Medium::Chat => msg_type::MEDIA_DATA_CHAT,
        }
    }

    /// The medium that a message of this type carries; none for a control message.
    pub fn of_message(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|medium| medium.msg_type() == number)
    }

    /// The bit in `media_type` (section 10.8); [`MEDIA_TYPE_ALL`] is all of them.
    pub fn media_type(self) -> u32 {
        match self {
            Medium::Audio => 1,
            Medium::Video => 2,
            Medium::Share => 4,
            Medium::Transcript => 8,
            Medium::Chat => 16,
        }
    }
}

/// `media_type` of a socket that carries every medium (section 10.8).
pub const MEDIA_TYPE_ALL: u32 = 32;

/// `status_code` of the answers 2, 4, 22, 29 (section 10.3, current numbering).
pub mod status {
    pub const OK: i64 = 0;
    pub const INVALID_MESSAGE_TYPE: i64 = 1;
    pub const INVALID_RTMS_STREAM_ID: i64 = 2;
    pub const INVALID_SIGNATURE: i64 = 3;
    pub const INVALID_PAYLOAD: i64 = 4;
    pub const DUPLICATE_SIGNAL_REQUEST: i64 = 8;
    pub const MEDIA_DATA_ALL_CONNECTION_EXIST: i64 = 15;
    pub const DUPLICATE_MEDIA_DATA_CONNECTION: i64 = 16;
    pub const DUPLICATE_VIDEO_SUBSCRIPTION: i64 = 44;
    pub const INTERNAL_EXCEPTION: i64 = 45;
}

/// `event_type` of EVENT_UPDATE for meetings (section 7).
pub mod event_type {
    pub const FIRST_PACKET_TIMESTAMP: u16 = 1;
    pub const ACTIVE_SPEAKER_CHANGE: u16 = 2;
    pub const PARTICIPANT_JOIN: u16 = 3;
    pub const PARTICIPANT_LEAVE: u16 = 4;
    pub const SHARING_START: u16 = 5;
    pub const SHARING_STOP: u16 = 6;
    pub const MEDIA_CONNECTION_INTERRUPTED: u16 = 7;
    pub const PARTICIPANT_VIDEO_ON: u16 = 8;
    pub const PARTICIPANT_VIDEO_OFF: u16 = 9;
    pub const CHAT_GROUP_CREATE: u16 = 10;
    pub const CHAT_GROUP_DELETE: u16 = 11;
    pub const CHAT_GROUP_MEMBERS_ADD: u16 = 12;
    pub const CHAT_GROUP_MEMBERS_DELETE: u16 = 13;
    pub const CHAT_GROUP_MEMBER_STATUS_UPDATE: u16 = 14;
    /// Contact Center gives another meaning to the numbers from here to its last (rtms-protocol.md section
    /// 10.2).
    pub const CONTACT_CENTER_FIRST: u16 = 8;
    pub const CONTACT_CENTER_LAST: u16 = 34;
}

/// `operation_type` of MEDIA_DATA_CHAT (section 6.16).
pub(super) mod chat_operation {
    /// The name in entries and the API.
    pub(crate) fn name(operation: i64) -> Option<&'static str> {
        Some(match operation {
            1 => "new",
            2 => "delete",
            3 => "update",
            4 => "add_reaction",
            5 => "remove_reaction",
            _ => return None,
        })
    }
}

/// `state` of STREAM_STATE_UPDATE (rtms-protocol.md section 10.5). For sessions, 4 is RESUMED.
pub mod stream_state {
    pub const INACTIVE: i64 = 0;
    pub const ACTIVE: i64 = 1;
    pub const INTERRUPTED: i64 = 2;
    pub const TERMINATING: i64 = 3;
    pub const TERMINATED: i64 = 4;
    pub const PAUSED: i64 = 5;
    pub const RESUMED: i64 = 6;

    /// The name in entries and the API.
    pub fn name(state: i64) -> &'static str {
        match state {
            INACTIVE => "inactive",
            ACTIVE => "active",
            INTERRUPTED => "interrupted",
            TERMINATING => "terminating",
            TERMINATED => "terminated",
            PAUSED => "paused",
            RESUMED => "resumed",
            _ => "unknown",
        }
    }
}

/// `state` of SESSION_STATE_UPDATE (section 10.4).
pub mod session_state {
    /// The name in entries and the API.
    pub fn name(state: i64) -> &'static str {
        match state {
            0 => "inactive",
            1 => "initialize",
            2 => "started",
            3 => "paused",
            4 => "resumed",
            5 => "stopped",
            _ => "unknown",
        }
    }
}
