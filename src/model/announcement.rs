//! Events received from Zoom: what each one means for streams and installations.

use sha2::{Digest, Sha256};

use super::{
    AppName, DeliveryMethod, Instance, StopReason, StreamId, TimeOf, believed, webhook_time,
};

/// The length of a SHA-256 in hex.
const DIGEST_DIGITS: usize = 64;

/// One event received from Zoom: a webhook request with its signature verified, or a message of the event socket, with
/// its body parsed.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The app whose secret token signed it, or whose event socket it came over. It has effects on what belongs to this
    /// app only.
    pub app: AppName,
    /// How it came.
    pub method: DeliveryMethod,
    /// See [`Delivery::digest_of`] and [`Delivery::digest_by_time`].
    pub digest: String,
    /// Zoom's event name, e.g. `meeting.rtms_started`.
    pub event: String,
    /// When the event happened, Unix milliseconds (not when it was delivered). Zoom's word, which may be absurd: see
    /// [`Delivery::happened_at_ms`].
    pub event_ts_ms: i64,
    /// When the webhook arrived, Unix milliseconds.
    pub received_at_ms: i64,
    /// The body as received.
    pub body: String,
    /// What the webhook changes.
    pub announcement: WebhookEffect,
}

impl Delivery {
    /// When the event happened, if Zoom's time is plausible, else when the webhook arrived.
    pub fn happened_at_ms(&self) -> i64 {
        webhook_time(self.event_ts_ms, self.received_at_ms)
    }

    /// The time by which webhooks of one stream are ordered: Zoom's, unless it is ahead of the local clock, where it
    /// would make every later webhook look old. Zoom repeats an old time in copies, so that it stays as it is.
    pub fn ordered_at_ms(&self) -> i64 {
        let received_ms = self.received_at_ms;
        believed(Some(self.event_ts_ms), TimeOf::Webhook, received_ms)
            .unwrap_or_else(|| self.event_ts_ms.min(received_ms))
    }

    /// Lower-case hex SHA-256 by which a repeated delivery is recognized: of the raw body, and of the name of the app
    /// unless that is the default one, because Zoom may send two apps the same bytes.
    pub fn digest_of(app: &AppName, raw: &[u8]) -> String {
        let mut hash = Sha256::new();
        if !app.is_default() {
            // A body is a JSON object, so it never begins with a name and a zero byte.
            hash = hash.chain_update(app.as_str()).chain_update([0]);
        }
        hex::encode(hash.chain_update(raw).finalize())
    }

    /// The digest of an event without an effect: its time as twelve hex digits (0 if unknown), then the first 52 of
    /// [`Self::digest_of`]. Nearly all events are of this kind; sorted by time, a burst touches few pages of the
    /// store's index.
    pub fn digest_by_time(app: &AppName, raw: &[u8], event_ts_ms: Option<i64>) -> String {
        let mut digest = format!("{:012x}{}", event_ts_ms.unwrap_or(0), Self::digest_of(app, raw));
        digest.truncate(DIGEST_DIGITS);
        digest
    }
}

/// The effect of a webhook on streams and installations (rtms-protocol.md sections 13.6, 15.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookEffect {
    /// A stream began, or moved to another server.
    Started(StreamStarted),
    /// A stream ended.
    Stopped(StreamStopped),
    /// The connection to a stream was interrupted.
    Interrupted(StreamInterrupted),
    /// A meeting or webinar began or ended (section 13.7).
    Meeting(MeetingChanged),
    /// A user removed the app (section 15.7).
    Deauthorized(Deauthorization),
    /// A notice about starts and limits (section 13.6).
    Notice(Notice),
    /// Stored and counted; changes no stream.
    Other,
}

impl WebhookEffect {
    /// Whether the webhook has no effect.
    pub fn is_none(&self) -> bool {
        matches!(self, WebhookEffect::Other)
    }

    /// The conversation that the webhook is about.
    pub fn instance(&self) -> Option<&Instance> {
        match self {
            WebhookEffect::Started(started) => Some(&started.instance),
            WebhookEffect::Stopped(stopped) => Some(&stopped.instance),
            WebhookEffect::Interrupted(interrupted) => Some(&interrupted.instance),
            WebhookEffect::Meeting(meeting) => Some(&meeting.instance),
            WebhookEffect::Deauthorized(_) | WebhookEffect::Notice(_) | WebhookEffect::Other => {
                None
            }
        }
    }

    /// The stream that the webhook is about.
    pub fn stream_id(&self) -> Option<&StreamId> {
        match self {
            WebhookEffect::Started(started) => Some(&started.stream_id),
            WebhookEffect::Stopped(stopped) => Some(&stopped.stream_id),
            WebhookEffect::Interrupted(interrupted) => Some(&interrupted.stream_id),
            WebhookEffect::Notice(notice) => notice.stream_id.as_ref(),
            WebhookEffect::Meeting(_) | WebhookEffect::Deauthorized(_) | WebhookEffect::Other => {
                None
            }
        }
    }
}

/// `rtms_started`: a new stream, or a stream that moved to another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStarted {
    /// Zoom's id of the stream.
    pub stream_id: StreamId,
    /// The conversation to which the stream belongs.
    pub instance: Instance,
    /// The URLs as Zoom sent them: one, or several separated by commas. Checked against the policy before one
    /// is dialled.
    pub server_urls: String,
    /// Zoom's id of the account, if Zoom sent it.
    pub account_id: Option<String>,
    /// The meeting number that the REST API takes.
    pub meeting_id: Option<String>,
    /// The Zoom user who started the app, and with it the stream.
    pub operator_id: Option<String>,
    /// Whether Zoom says that this user hosts the meeting (section 3.1).
    pub is_host: bool,
}

impl StreamStarted {
    /// The Zoom user who hosts the meeting, if the webhook says who that is.
    pub fn host_id(&self) -> Option<&str> {
        self.operator_id.as_deref().filter(|_| self.is_host)
    }
}

/// `rtms_stopped`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStopped {
    /// Zoom's id of the stream.
    pub stream_id: StreamId,
    /// The conversation to which the stream belongs.
    pub instance: Instance,
    /// Zoom's stop reason (section 10.6), if it sent one.
    pub stop_reason: Option<StopReason>,
}

/// `rtms_interrupted`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInterrupted {
    /// Zoom's id of the stream.
    pub stream_id: StreamId,
    /// The conversation to which the stream belongs.
    pub instance: Instance,
}

/// `meeting.started`, `meeting.ended` and their equivalents for webinars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeetingChanged {
    /// Whether the conversation began or ended.
    pub change: MeetingChange,
    /// The meeting or webinar.
    pub instance: Instance,
    /// Zoom's id of the account, if Zoom sent it.
    pub account_id: Option<String>,
    /// The meeting number that the REST API takes.
    pub meeting_id: Option<String>,
    /// Zoom's user id of the host, if Zoom sent it.
    pub host_id: Option<String>,
}

/// What happened to a meeting or webinar (section 13.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeetingChange {
    /// `meeting.started` or `webinar.started`.
    Started,
    /// `meeting.ended` or `webinar.ended`.
    Ended,
}

/// `rtms.concurrency_near_limit` and similar events. Their payloads are partly unpublished, so every id of a
/// conversation is read if present, and none is required.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notice {
    /// The stream that the notice names.
    pub stream_id: Option<StreamId>,
    /// The id of a conversation of any product.
    pub instance_id: Option<String>,
    /// The meeting number.
    pub meeting_id: Option<String>,
    /// The user who tried to start the stream.
    pub operator_id: Option<String>,
    /// How many streams the account has, if the notice is about that.
    pub concurrent_streams: Option<i64>,
    /// How many it may have.
    pub concurrency_limit: Option<i64>,
}

/// A user has removed the app (section 15.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deauthorization {
    /// Zoom's id of the user who removed the app.
    pub user_id: String,
    /// Zoom's id of the user's account, if Zoom sent it.
    pub account_id: Option<String>,
    /// Whether the user's data may be kept. True only if Zoom says so, which newer events do not.
    pub may_keep_data: bool,
}
