//! Sessions and their streams, as the store keeps them and the API returns them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use serde_json::{Map, Value};

use super::{
    AppName, Instance, MediaPlan, Medium, MediumAccount, Product, SessionId, StopReason, StreamId,
    UnreadableMessages, UserId,
};
use crate::named::named;

/// One live or past Zoom conversation, as the API returns it.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// rtmsd's id of the session.
    pub id: SessionId,
    /// The Zoom app whose webhooks and tokens are about it.
    pub app: AppName,
    /// Zoom's identity of the conversation. Until a webhook announces it, that is the meeting number.
    pub instance: Instance,
    /// Zoom's id of the account, if a webhook or an answer named it.
    pub account_id: Option<String>,
    /// The meeting number that the REST API takes.
    pub meeting_id: Option<String>,
    /// Zoom's id of the user who started the app in the meeting.
    pub operator_id: Option<String>,
    /// The Zoom user who hosts the meeting.
    pub host_id: Option<String>,
    /// The participant that the app runs for, if a program named one.
    pub participant_user_id: Option<String>,
    /// The installation that provides the token, if a program named one.
    pub installation_id: Option<String>,
    /// Data of the program that created the session, returned unchanged.
    pub metadata: Option<Metadata>,
    /// The media parameters that its next streams request; none for the configured ones.
    pub media: Option<MediaPlan>,
    /// Derived from its streams and requests.
    pub status: SessionStatus,
    /// When Zoom said that the meeting began, Unix milliseconds.
    pub meeting_started_at_ms: Option<i64>,
    /// When Zoom said that the meeting ended, Unix milliseconds.
    pub meeting_ended_at_ms: Option<i64>,
    /// When it was created, Unix milliseconds.
    pub created_at_ms: i64,
    /// When it last changed, Unix milliseconds.
    pub updated_at_ms: i64,
    /// When it ended, Unix milliseconds; none until then.
    pub ended_at_ms: Option<i64>,
}

impl Session {
    /// The id of this conversation in Zoom's REST API (rtms-protocol.md section 14): a meeting's number, else the
    /// instance id. None while the number is unknown.
    pub fn target(&self) -> Option<&str> {
        match self.instance.product {
            // Zoom's REST API takes the meeting number and not the UUID (rtms-protocol.md section 14.1).
            Product::Meeting | Product::Webinar => self.meeting_id.as_deref(),
            Product::VideoSdk | Product::ContactCenter | Product::Phone => Some(self.instance.id()),
        }
    }
}

/// A JSON object from an API client: stored and returned, never interpreted.
pub type Metadata = Map<String, Value>;

/// Media parameters in JSON: those of a request before they are read, and those that Zoom grants.
pub type MediaParams = Map<String, Value>;

/// A request to create a session.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSession {
    /// The app that it belongs to.
    pub app: AppName,
    /// None means a meeting or a webinar, depending on which has the number.
    pub product: Option<Product>,
    /// The number of a meeting or webinar, the id of a Video SDK session or of an engagement.
    pub meeting_id: String,
    /// The participant for whom the app is to run.
    pub participant_user_id: Option<String>,
    /// The installation whose token is to be used; none lets rtmsd choose.
    pub installation_id: Option<String>,
    /// A JSON object that the API returns with the session.
    pub metadata: Option<Metadata>,
    /// The media parameters that its streams request; none for the configured ones.
    pub media: Option<MediaPlan>,
}

named! {
    /// The status of a session, derived from its streams and from the requests to Zoom.
    pub enum SessionStatus {
        /// The session is known, but no stream was requested or announced.
        Created: "created",
        /// A stream was requested and is not announced yet.
        RtmsStartRequested: "rtms_start_requested",
        /// A stream was requested but not announced in time.
        StartTimedOut: "start_timed_out",
        /// A stream was requested, and Zoom refused.
        StartRefused: "start_refused",
        /// A stream is announced but not live yet.
        Connecting: "connecting",
        /// At least one stream is live.
        Live: "live",
        /// There is no stream now; another may follow.
        Stopped: "stopped",
        /// The conversation has ended, by stop reason 6 or by the webhook of its end.
        Ended: "ended",
    }
}

impl SessionStatus {
    /// Whether a start is requested, or a stream is announced or live.
    pub fn is_under_way(self) -> bool {
        matches!(self, Self::RtmsStartRequested | Self::Connecting | Self::Live)
    }
}

/// One RTMS stream of a session, as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamRecord {
    /// Zoom's id of the stream.
    pub stream_id: StreamId,
    /// The session to which it belongs.
    pub session_id: SessionId,
    /// The app of that session.
    pub app: AppName,
    /// Which stream of its session this is, from 1.
    pub ordinal: u32,
    /// The conversation that its webhook named.
    pub instance: Instance,
    /// The URLs in the newest start webhook.
    pub server_urls: String,
    /// `event_ts` of that webhook, or its arrival if `event_ts` was ahead of the local clock.
    pub event_ts_ms: i64,
    /// 1 at the first start webhook, incremented by each failover.
    pub generation: i64,
    /// Rises with every claim and with the end. The store accepts a runner's writes only under the epoch of its claim.
    pub epoch: i64,
    /// The number of `rtms_interrupted` webhooks.
    pub interrupts: i64,
    /// Where the stream is in its life.
    pub status: StreamStatus,
    /// When the stop webhook arrived: Zoom has ended the stream, even if its sockets do not show it yet.
    pub stop_seen_at_ms: Option<i64>,
    /// Zoom's stop reason (rtms-protocol.md section 10.6), from the webhook or the socket.
    pub stop_reason: Option<StopReason>,
    /// How the stream ended; none while it is live.
    pub outcome: Option<Outcome>,
    /// Zoom's time of the first packet.
    pub first_packet_ms: Option<i64>,
    /// What was received, by medium.
    pub tally: Tally,
    /// The messages of unknown types, counted.
    pub unknown_messages: UnknownMessages,
    /// The unreadable parts of messages, counted.
    pub unreadable_messages: UnreadableMessages,
    /// The media parameters that it requests, from its session at the announcement; none for the configured ones.
    pub media: Option<MediaPlan>,
    /// The effective media parameters, from Zoom's answers to the last handshakes.
    pub effective: Option<MediaParams>,
    /// The participant of the individual video that a program chose for the session.
    pub video_user_id: Option<UserId>,
    /// The coverage of each medium; empty before the stream was first run.
    pub ledger: Vec<MediumAccount>,
    /// When it was first announced, Unix milliseconds.
    pub created_at_ms: i64,
    /// When it ended, Unix milliseconds; none until then.
    pub ended_at_ms: Option<i64>,
}

impl StreamRecord {
    /// Whether its data is to be deleted: nothing further of it is stored or published.
    pub fn is_revoked(&self) -> bool {
        self.stop_reason.is_some_and(StopReason::is_revoked)
    }
}

/// The number of received messages that rtmsd does not handle, by `msg_type`. 0 counts messages on the wrong kind of
/// link.
pub type UnknownMessages = BTreeMap<u16, u64>;

named! {
    /// The status of a stream.
    pub enum StreamStatus {
        /// The stream is known from a webhook but not joined yet.
        Announced: "announced",
        /// Data can arrive.
        Live: "live",
        /// A link was lost and is being rebuilt.
        Interrupted: "interrupted",
        /// Zoom sends no media until it is resumed (section 3.5).
        Paused: "paused",
        /// It is over for good.
        Ended: "ended",
    }
}

named! {
    /// How a stream ended.
    #[derive(Hash)]
    pub enum Outcome {
        /// Zoom ended it: by webhook, by stream state 4, or both.
        Stopped: "stopped",
        /// rtmsd ended it (messages 21 and 22).
        Closed: "closed",
        /// Zoom no longer knows the stream.
        Gone: "gone",
        /// Zoom refused a handshake permanently: signature, scope or parameters.
        Refused: "refused",
        /// A link could not be rebuilt within its window.
        WindowExpired: "window_expired",
        /// The URLs that Zoom announced are not allowed by `RTMS_ALLOWED_HOSTS`.
        UrlRefused: "url_refused",
        /// The app's policy `RTMS_STREAMS_PER_MEETING` joins another stream of the meeting.
        LeftOut: "left_out",
        /// The stream's task panicked, which is a bug of rtmsd.
        Failed: "failed",
    }
}

/// The received frames and bytes of each medium.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Frames of audio (section 6.12).
    pub audio: MediumTally,
    /// Frames of video (section 6.13).
    pub video: MediumTally,
    /// Frames of the shared screen (section 6.14).
    pub share: MediumTally,
    /// Transcript lines (section 6.15).
    pub transcript: MediumTally,
    /// Chat messages (section 6.16).
    pub chat: MediumTally,
}

impl Tally {
    /// The tally of this medium.
    pub fn of(&self, medium: Medium) -> MediumTally {
        match medium {
            Medium::Audio => self.audio,
            Medium::Video => self.video,
            Medium::Share => self.share,
            Medium::Transcript => self.transcript,
            Medium::Chat => self.chat,
        }
    }

    /// The tally of this medium, for counting.
    pub fn of_mut(&mut self, medium: Medium) -> &mut MediumTally {
        match medium {
            Medium::Audio => &mut self.audio,
            Medium::Video => &mut self.video,
            Medium::Share => &mut self.share,
            Medium::Transcript => &mut self.transcript,
            Medium::Chat => &mut self.chat,
        }
    }
}

/// The received frames and bytes of one medium.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MediumTally {
    /// Frames, lines or messages.
    pub frames: u64,
    /// Payload bytes, without the base64 encoding.
    pub bytes: u64,
    /// Zoom's time of the first and the last frame, Unix milliseconds.
    pub first_ms: Option<i64>,
    /// See `first_ms`.
    pub last_ms: Option<i64>,
}
