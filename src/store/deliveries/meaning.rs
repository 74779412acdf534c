//! What webhooks mean for what is known of their streams (pure).

use crate::model::{Delivery, StreamRecord, StreamStarted, WebhookOutcome, WebhookReason};

/// How long Zoom waits for signaling to reconnect (section 3.6).
const SIGNALING_WINDOW_MS: i64 = 60_000;

/// The meaning of a start webhook for its stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum StartEffect {
    /// The stream is not known yet.
    New,
    /// A retry, or an old webhook.
    Stale,
    /// The stream is another app's.
    Foreign,
    /// Zoom has stopped the stream, or it ended after this webhook was made.
    AlreadyEnded,
    /// Zoom's server failed over: the stream continues at other URLs.
    Move,
    /// The daemon had ended the stream, and Zoom continues it.
    Revive,
}

impl StartEffect {
    pub(super) fn reason(self) -> WebhookReason {
        match self {
            Self::New => WebhookReason::StreamStarted,
            Self::Stale => WebhookReason::AlreadyKnown,
            Self::Foreign => WebhookReason::OtherAppsStream,
            Self::AlreadyEnded => WebhookReason::StreamEnded,
            Self::Move => WebhookReason::StreamMoved,
            Self::Revive => WebhookReason::StreamContinued,
        }
    }
}

pub(super) fn effect_of_start(
    stream: &StreamRecord,
    started: &StreamStarted,
    event_ts_ms: i64,
) -> StartEffect {
    // A later time or other URLs mean a failover (section 3.6, A); the same of both is a retry (section 3.9).
    let is_newer = event_ts_ms > stream.event_ts_ms;
    let is_elsewhere =
        event_ts_ms == stream.event_ts_ms && started.server_urls != stream.server_urls;
    match (stream.stop_seen_at_ms, stream.ended_at_ms) {
        // Zoom gives a restarted stream a new id (section 3.1), so this start is late.
        (Some(_), _) => StartEffect::AlreadyEnded,
        (None, Some(_)) if is_newer => StartEffect::Revive,
        (None, Some(_)) => StartEffect::AlreadyEnded,
        (None, None) if is_newer || is_elsewhere => StartEffect::Move,
        (None, None) => StartEffect::Stale,
    }
}

pub(super) fn outcome_of(reason: WebhookReason) -> WebhookOutcome {
    use WebhookReason as R;
    match reason {
        R::StreamStarted
        | R::StreamMoved
        | R::StreamContinued
        | R::StreamStopped
        | R::StreamInterrupted
        | R::MeetingStarted
        | R::MeetingEnded
        | R::AppRemoved => WebhookOutcome::Changed,
        R::Notice => WebhookOutcome::Notice,
        R::AlreadyKnown
        | R::StreamEnded
        | R::UnknownStream
        | R::TooLate
        | R::OtherAppsStream
        | R::UnknownUser
        | R::NotHandled => WebhookOutcome::Nothing,
        R::OtherApp | R::OutOfWindow | R::Malformed => WebhookOutcome::Refused,
        R::StoreError => WebhookOutcome::Failed,
    }
}

/// Whether an interruption is reported so late (a retried webhook) that it is already over.
pub(super) fn is_stale(delivery: &Delivery) -> bool {
    delivery.received_at_ms.saturating_sub(delivery.happened_at_ms()) > SIGNALING_WINDOW_MS
}
