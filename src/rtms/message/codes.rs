//! Zoom's numbers by name (rtms-protocol.md sections 6, 7 and 10).

use crate::model::Medium;

/// `msg_type` (section 6).
pub mod msg_type {
    /// Not a message. Also stands for a number out of range.
    pub const UNDEFINED: u16 = 0;
    /// App to Zoom: opens the signaling socket (section 6.1).
    pub const SIGNALING_HAND_SHAKE_REQ: u16 = 1;
    /// Zoom's answer to 1, with the media URLs (section 6.2).
    pub const SIGNALING_HAND_SHAKE_RESP: u16 = 2;
    /// App to Zoom: opens a media socket and asks for media (section 6.3).
    pub const DATA_HAND_SHAKE_REQ: u16 = 3;
    /// Zoom's answer to 3, with the granted parameters (section 6.4).
    pub const DATA_HAND_SHAKE_RESP: u16 = 4;
    /// App to Zoom: subscribes to events by `event_type` (section 6.5).
    pub const EVENT_SUBSCRIPTION: u16 = 5;
    /// Zoom reports an event (sections 6.6 and 7).
    pub const EVENT_UPDATE: u16 = 6;
    /// App to Zoom: media may flow; sent on signaling after each accepted media handshake (section 6.7).
    pub const CLIENT_READY_ACK: u16 = 7;
    /// Zoom reports the stream's state, a [`super::stream_state`] (section 6.8).
    pub const STREAM_STATE_UPDATE: u16 = 8;
    /// Zoom reports the state of a session inside the stream (sections 6.9 and 10.4).
    pub const SESSION_STATE_UPDATE: u16 = 9;
    /// App to Zoom: asks for a session's state (section 6.10).
    pub const SESSION_STATE_REQ: u16 = 10;
    /// Zoom's answer to 10 (section 6.10).
    pub const SESSION_STATE_RESP: u16 = 11;
    /// Zoom's keep-alive, on every socket (section 6.11).
    pub const KEEP_ALIVE_REQ: u16 = 12;
    /// The app's answer to 12: it echoes the request's fields (section 6.11).
    pub const KEEP_ALIVE_RESP: u16 = 13;
    /// Zoom sends a frame of audio (section 6.12).
    pub const MEDIA_DATA_AUDIO: u16 = 14;
    /// Zoom sends a frame of camera video (section 6.13).
    pub const MEDIA_DATA_VIDEO: u16 = 15;
    /// Zoom sends a frame of a shared screen (section 6.14).
    pub const MEDIA_DATA_SHARE: u16 = 16;
    /// Zoom sends a line of the transcript (section 6.15).
    pub const MEDIA_DATA_TRANSCRIPT: u16 = 17;
    /// Zoom sends a chat message or a change of one (section 6.16).
    pub const MEDIA_DATA_CHAT: u16 = 18;
    /// App to Zoom: asks for the stream's state (section 6.17).
    pub const STREAM_STATE_REQ: u16 = 19;
    /// Zoom's answer to 19 (section 6.17).
    pub const STREAM_STATE_RESP: u16 = 20;
    /// App to Zoom: asks Zoom to end the stream (section 6.18).
    pub const STREAM_CLOSE_REQ: u16 = 21;
    /// Zoom's answer to 21 (section 6.18).
    pub const STREAM_CLOSE_RESP: u16 = 22;
    /// App to Zoom: subscribes to the camera of one participant (section 6.19).
    pub const VIDEO_SUBSCRIPTION_REQ: u16 = 28;
    /// Zoom's answer to 28 (section 6.19).
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
    /// Zoom accepts the request.
    pub const OK: i64 = 0;
    /// Zoom does not know the `msg_type`: a program error.
    pub const INVALID_MESSAGE_TYPE: i64 = 1;
    /// Zoom does not know the stream id: a stale or wrong stream.
    pub const INVALID_RTMS_STREAM_ID: i64 = 2;
    /// The signature does not match: a stale or wrong stream, or a wrong secret.
    pub const INVALID_SIGNATURE: i64 = 3;
    /// Zoom cannot read the message: a program error.
    pub const INVALID_PAYLOAD: i64 = 4;
    /// Another signaling socket is connected to the stream (section 3.4).
    pub const DUPLICATE_SIGNAL_REQUEST: i64 = 8;
    /// A media socket for all media is already connected.
    pub const MEDIA_DATA_ALL_CONNECTION_EXIST: i64 = 15;
    /// A media socket for this medium is already connected.
    pub const DUPLICATE_MEDIA_DATA_CONNECTION: i64 = 16;
    /// The participant's video is already subscribed.
    pub const DUPLICATE_VIDEO_SUBSCRIPTION: i64 = 44;
    /// Zoom has an internal fault.
    pub const INTERNAL_EXCEPTION: i64 = 45;
}

/// `event_type` of EVENT_UPDATE for meetings (section 7).
pub mod event_type {
    /// The first packet of the session; its `timestamp` is the session's start. Sent without a subscription.
    pub const FIRST_PACKET_TIMESTAMP: u16 = 1;
    /// Another participant speaks; has `user_id` and `user_name`.
    pub const ACTIVE_SPEAKER_CHANGE: u16 = 2;
    /// Participants joined; has a list `participants`.
    pub const PARTICIPANT_JOIN: u16 = 3;
    /// Participants left; has a list `participants`, perhaps without names.
    pub const PARTICIPANT_LEAVE: u16 = 4;
    /// A participant began to share a screen; has `user_id` and `user_name`.
    pub const SHARING_START: u16 = 5;
    /// The sharing ended; names nobody.
    pub const SHARING_STOP: u16 = 6;
    /// Zoom lost its media connection to the meeting. Sent without a subscription (conflict 19.11).
    pub const MEDIA_CONNECTION_INTERRUPTED: u16 = 7;
    /// Participants turned their cameras on; has a list `participants`.
    pub const PARTICIPANT_VIDEO_ON: u16 = 8;
    /// Participants turned their cameras off; has a list `participants`.
    pub const PARTICIPANT_VIDEO_OFF: u16 = 9;
    /// A chat group was created. Zoom publishes no fields for 10 to 14.
    pub const CHAT_GROUP_CREATE: u16 = 10;
    /// A chat group was deleted.
    pub const CHAT_GROUP_DELETE: u16 = 11;
    /// Members were added to a chat group.
    pub const CHAT_GROUP_MEMBERS_ADD: u16 = 12;
    /// Members were removed from a chat group.
    pub const CHAT_GROUP_MEMBERS_DELETE: u16 = 13;
    /// The status of a chat group's member changed (section 10.16).
    pub const CHAT_GROUP_MEMBER_STATUS_UPDATE: u16 = 14;
    /// Contact Center gives another meaning to the numbers from here to its last (rtms-protocol.md section
    /// 10.2).
    pub const CONTACT_CENTER_FIRST: u16 = 8;
    /// The last number that Contact Center's documentation mentions (section 10.2).
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
    /// The stream does not run.
    pub const INACTIVE: i64 = 0;
    /// Zoom sends media.
    pub const ACTIVE: i64 = 1;
    /// A connection was lost, and Zoom waits for it to come back (section 3.6).
    pub const INTERRUPTED: i64 = 2;
    /// Zoom announces the end of the stream.
    pub const TERMINATING: i64 = 3;
    /// The stream has ended; `reason` says why (section 10.6).
    pub const TERMINATED: i64 = 4;
    /// Zoom sends no media until the stream is resumed (section 3.5).
    pub const PAUSED: i64 = 5;
    /// Zoom sends media again after a pause (section 3.5).
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
    /// The session ended.
    pub const STOPPED: i64 = 5;

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
