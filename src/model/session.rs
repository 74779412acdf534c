//! Sessions and their streams, as the store keeps them and the API shows them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use serde_json::{Map, Value};

use super::{Account, Instance, Product, SessionId, StreamId, UnreadableMessages, UserId};

/// One live or past Zoom conversation, as our API shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    pub id: SessionId,
    /// As Zoom names it; under its number until Zoom has named it otherwise.
    pub instance: Instance,
    pub account_id: Option<String>,
    pub meeting_id: Option<String>,
    pub operator_id: Option<String>,
    /// The Zoom user who hosts the meeting.
    pub host_id: Option<String>,
    /// The participant in whose name the app runs, where a program named one.
    pub participant_user_id: Option<String>,
    /// The installation whose token is used, where a program named one.
    pub installation_id: Option<String>,
    /// What the program that created the session wants to have back with it.
    pub metadata: Option<Metadata>,
    /// What its next streams ask for; none for what is configured.
    pub media: Option<MediaParams>,
    pub status: SessionStatus,
    pub meeting_started_at_ms: Option<i64>,
    pub meeting_ended_at_ms: Option<i64>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
    pub ended_at_ms: Option<i64>,
}

impl Session {
    /// What the REST API takes for this conversation (rtms-protocol.md section 14): a meeting's number, else its id.
    /// None while nobody has told the number.
    pub fn target(&self) -> Option<&str> {
        match self.instance.product {
            Product::Meeting | Product::Webinar => self.meeting_id.as_deref(),
            Product::VideoSdk | Product::ContactCenter => Some(self.instance.id()),
        }
    }
}

/// A JSON object of the API's users: kept and given back, never looked into.
pub type Metadata = Map<String, Value>;

/// Media parameters in JSON, as the API shows them.
pub type MediaParams = Map<String, Value>;

/// A session as a program asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSession {
    /// None for a meeting or a webinar, whichever has the number.
    pub product: Option<Product>,
    /// The number of a meeting or webinar, the id of a Video SDK session or of an engagement.
    pub meeting_id: String,
    pub participant_user_id: Option<String>,
    pub installation_id: Option<String>,
    pub metadata: Option<Metadata>,
    pub media: Option<MediaParams>,
}

/// Where a session stands, from its streams and from what was asked of Zoom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// Known, and no stream was asked for or announced.
    Created,
    /// Zoom was asked for a stream and has not announced one yet.
    RtmsStartRequested,
    /// Zoom was asked for a stream and announced none in time.
    StartTimedOut,
    /// Zoom was asked for a stream and said no.
    StartRefused,
    /// A stream was announced and is not live yet.
    Connecting,
    Live,
    /// No stream now; another may come.
    Stopped,
    /// Zoom said that the conversation is over (stop reason 6, or the webhook of its end).
    Ended,
}

impl SessionStatus {
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::RtmsStartRequested,
        Self::StartTimedOut,
        Self::StartRefused,
        Self::Connecting,
        Self::Live,
        Self::Stopped,
        Self::Ended,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::RtmsStartRequested => "rtms_start_requested",
            Self::StartTimedOut => "start_timed_out",
            Self::StartRefused => "start_refused",
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Stopped => "stopped",
            Self::Ended => "ended",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// One RTMS stream of a session, as the store knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamRecord {
    pub stream_id: StreamId,
    pub session_id: SessionId,
    /// Which stream of its session this is, from 1.
    pub ordinal: u32,
    pub instance: Instance,
    /// From the newest start webhook.
    pub server_urls: String,
    /// `event_ts` of that webhook.
    pub event_ts_ms: i64,
    /// Counts the moves: 1 at the first start webhook, one more for each failover.
    pub generation: i64,
    /// Rises with every claim and with the end. The store accepts a runner's writes only under the epoch of its claim.
    pub epoch: i64,
    /// Counts the `rtms_interrupted` webhooks.
    pub interrupts: i64,
    pub status: StreamStatus,
    /// Set by the stop webhook: Zoom has ended the stream, whatever we know of it.
    pub stop_seen_at_ms: Option<i64>,
    /// Zoom's stop reason (rtms-protocol.md section 10.6), from the webhook or the socket.
    pub stop_reason: Option<i64>,
    /// How it ended; none while it lives.
    pub outcome: Option<Outcome>,
    /// Zoom's time of the first packet.
    pub first_packet_ms: Option<i64>,
    pub tally: Tally,
    pub unknown_messages: UnknownMessages,
    pub unreadable_messages: UnreadableMessages,
    /// What it asks for, from its session when it was announced; none for what is configured.
    pub media: Option<MediaParams>,
    /// What Zoom gives, since its last handshakes.
    pub effective: Option<MediaParams>,
    /// Whose video a program has chosen, of the session.
    pub video_user_id: Option<UserId>,
    /// What is missing of each medium; empty before the stream was first run.
    pub ledger: Vec<Account>,
    pub created_at_ms: i64,
    pub ended_at_ms: Option<i64>,
}

/// How many messages came that nobody reads, by `msg_type`; 0 stands for what came on the wrong kind of link.
pub type UnknownMessages = BTreeMap<u16, u64>;

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamStatus {
    /// Known from a webhook; not joined yet.
    Announced,
    Live,
    /// A link was lost and is being rebuilt.
    Interrupted,
    Paused,
    Ended,
}

impl StreamStatus {
    pub const ALL: [Self; 5] =
        [Self::Announced, Self::Live, Self::Interrupted, Self::Paused, Self::Ended];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Live => "live",
            Self::Interrupted => "interrupted",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Zoom ended it: by webhook, by stream state 4, or both.
    Stopped,
    /// We ended it (messages 21 and 22).
    Closed,
    /// Zoom does not know the stream any more.
    Gone,
    /// Zoom refused a handshake for good: signature, scope or parameters.
    Refused,
    /// A link could not be rebuilt inside its window.
    WindowExpired,
    /// The URLs that Zoom announced are not allowed by `RTMS_ALLOWED_HOSTS`.
    UrlRefused,
    /// Our own fault: the stream's task panicked.
    Failed,
}

impl Outcome {
    pub const ALL: [Self; 7] = [
        Self::Stopped,
        Self::Closed,
        Self::Gone,
        Self::Refused,
        Self::WindowExpired,
        Self::UrlRefused,
        Self::Failed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Closed => "closed",
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::WindowExpired => "window_expired",
            Self::UrlRefused => "url_refused",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// What was received of each medium.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    pub audio: MediumTally,
    pub video: MediumTally,
    pub share: MediumTally,
    pub transcript: MediumTally,
    pub chat: MediumTally,
}

impl Tally {
    /// By the medium's name; nothing of a medium that does not exist.
    pub fn of(&self, medium: &str) -> MediumTally {
        match medium {
            "audio" => self.audio,
            "video" => self.video,
            "share" => self.share,
            "transcript" => self.transcript,
            "chat" => self.chat,
            _ => MediumTally::default(),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MediumTally {
    pub frames: u64,
    /// Payload bytes, before base64.
    pub bytes: u64,
    /// Zoom's time of the first and the last frame, Unix milliseconds.
    pub first_ms: Option<i64>,
    pub last_ms: Option<i64>,
}
