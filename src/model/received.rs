//! The log of Zoom's webhooks: what each one changed, and those that were refused although Zoom signed them.

use super::{AppName, Delivery, SessionId, StreamId, WebhookEffect};
use crate::named::named;

named! {
    /// How Zoom delivers an app's events, as the app's event subscription says.
    pub enum DeliveryMethod {
        /// Zoom posts each event to the daemon's URL, signed.
        Webhook: "webhook",
        /// Zoom sends each event over a WebSocket that the daemon opens (rtms-protocol.md section 23.1).
        WebSocket: "websocket",
    }
}

named! {
    /// What became of a webhook.
    pub enum WebhookOutcome {
        /// It changed a stream, a session or an installation.
        Changed: "changed",
        /// It was recorded and changed nothing.
        Nothing: "none",
        /// A notice of Zoom about starts and limits.
        Notice: "notice",
        /// Zoom signed it, and the daemon refused it. It can be processed again.
        Refused: "refused",
        /// The store could not process it. It can be processed again, and Zoom repeats it.
        Failed: "failed",
    }
}

impl WebhookOutcome {
    /// Whether the webhook had no chance to have an effect.
    pub fn is_unprocessed(self) -> bool {
        matches!(self, Self::Refused | Self::Failed)
    }
}

named! {
    /// What a webhook changed, or why it changed nothing.
    pub enum WebhookReason {
        /// A stream began.
        StreamStarted: "stream_started",
        /// A stream continues on another server.
        StreamMoved: "stream_moved",
        /// A stream that the daemon had ended continues.
        StreamContinued: "stream_continued",
        /// A stream ended.
        StreamStopped: "stream_stopped",
        /// A stream was interrupted: its connections are rebuilt.
        StreamInterrupted: "stream_interrupted",
        /// A meeting or webinar began.
        MeetingStarted: "meeting_started",
        /// A meeting or webinar ended.
        MeetingEnded: "meeting_ended",
        /// A user removed the app.
        AppRemoved: "app_removed",
        /// A notice of Zoom.
        Notice: "notice",
        /// It says nothing that was not known.
        AlreadyKnown: "already_known",
        /// Its stream had ended.
        StreamEnded: "stream_ended",
        /// No start of its stream has arrived.
        UnknownStream: "unknown_stream",
        /// It arrived when the interruption was over.
        TooLate: "too_late",
        /// It names a stream of another app.
        OtherAppsStream: "stream_of_another_app",
        /// No installation and no stream of the user is known.
        UnknownUser: "unknown_user",
        /// The daemon does nothing with events of this kind.
        NotHandled: "not_handled",
        /// Refused: the app does not have the product of the event.
        OtherApp: "other_app",
        /// Refused: it was signed too long ago, or in the future.
        OutOfWindow: "timestamp_out_of_window",
        /// Refused: a required field is missing or malformed.
        Malformed: "malformed",
        /// Failed: the store rejected it.
        StoreError: "store_error",
    }
}

/// A webhook that Zoom signed and that has had no effect.
#[derive(Debug, Clone)]
pub struct Unprocessed {
    /// The app with the secret token that signed it.
    pub app: AppName,
    /// How it came.
    pub method: DeliveryMethod,
    /// See [`super::Delivery::digest_of`] and [`super::Delivery::digest_by_time`].
    pub digest: String,
    /// Zoom's event name.
    pub event: String,
    /// Zoom's time of the event, Unix milliseconds.
    pub event_ts_ms: i64,
    /// When it arrived, Unix milliseconds.
    pub received_at_ms: i64,
    /// The stream that it names.
    pub stream_id: Option<StreamId>,
    /// The Zoom user that it names; a deletion of the user's data finds it by this.
    pub user_id: Option<String>,
    /// The body, where it may be kept.
    pub body: String,
    /// Refused or failed.
    pub outcome: WebhookOutcome,
    /// Why.
    pub reason: WebhookReason,
}

impl Unprocessed {
    /// A webhook that was read and had no effect. Its body is left out if the people in it are not known, because no
    /// deletion would find it.
    pub fn of(delivery: &Delivery, outcome: WebhookOutcome, reason: WebhookReason) -> Self {
        let (user_id, keeps_body) = match &delivery.announcement {
            WebhookEffect::Started(started) => (started.operator_id.clone(), true),
            WebhookEffect::Meeting(meeting) => (meeting.host_id.clone(), true),
            WebhookEffect::Notice(notice) => (notice.operator_id.clone(), true),
            WebhookEffect::Stopped(_) | WebhookEffect::Interrupted(_) => (None, true),
            WebhookEffect::Deauthorized(_) | WebhookEffect::Other => (None, false),
        };
        Self {
            app: delivery.app.clone(),
            method: delivery.method,
            digest: delivery.digest.clone(),
            event: delivery.event.clone(),
            event_ts_ms: delivery.event_ts_ms,
            received_at_ms: delivery.received_at_ms,
            stream_id: delivery.announcement.stream_id().cloned(),
            user_id,
            body: if keeps_body { delivery.body.clone() } else { String::new() },
            outcome,
            reason,
        }
    }
}

/// One row of the log of Zoom's webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// See [`super::Delivery::digest_of`] and [`super::Delivery::digest_by_time`].
    pub digest: String,
    /// The app with the secret token that signed it.
    pub app: AppName,
    /// How it first came.
    pub method: DeliveryMethod,
    /// Zoom's event name.
    pub event: String,
    /// Zoom's time of the event, Unix milliseconds.
    pub event_ts_ms: i64,
    /// When it arrived, Unix milliseconds.
    pub received_at_ms: i64,
    /// When it was processed again, Unix milliseconds.
    pub processed_at_ms: Option<i64>,
    /// What became of it.
    pub outcome: WebhookOutcome,
    /// What it changed, or why it changed nothing; none if an earlier version recorded it.
    pub reason: Option<WebhookReason>,
    /// The stream that it names.
    pub stream_id: Option<StreamId>,
    /// The number of this stream in its session, from 1.
    pub ordinal: Option<u32>,
    /// The session that it is about.
    pub session_id: Option<SessionId>,
    /// The meeting number of this session.
    pub meeting_id: Option<String>,
    /// The installation that it revoked.
    pub installation_id: Option<String>,
    /// Whether its body is kept.
    pub has_body: bool,
}
