//! The timeline of a session: what happened, in order, and which expected events are missing (pure).

mod missing;

use std::fmt::Write;

use serde::Serialize;

pub use missing::Missing;

use crate::model::{
    Action, ActionRecord, ActionStatus, Entry, EntryBody, EntryKind, Lost, MediaSet, Medium,
    Session, SessionSnapshot, StopReason, StreamRecord, Unreadable, WebhookOutcome,
};
use crate::store::DeliveryBrief;

/// The most webhooks and entries that a timeline shows.
pub(super) const MAX_DELIVERIES: u32 = 500;
pub(super) const MAX_ENTRIES: u32 = 1000;

/// The kinds of entries about the state of a stream; none of them holds what people said.
pub(super) const KINDS: [EntryKind; 11] = [
    EntryKind::FirstPacket,
    EntryKind::StreamState,
    EntryKind::SessionState,
    EntryKind::LinkUp,
    EntryKind::LinkDown,
    EntryKind::Moved,
    EntryKind::PickedUp,
    EntryKind::EntriesLost,
    EntryKind::HandedOver,
    EntryKind::Gap,
    EntryKind::Ended,
];

/// The answer to "why is there no stream?".
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    pub session: Session,
    /// In chronological order.
    pub moments: Vec<TimelineEvent>,
    /// The expected events that did not happen.
    pub missing: Vec<Missing>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimelineEvent {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// The kind of event, for programs.
    pub what: &'static str,
    /// The number in its session of the stream that it is about, from 1.
    pub ordinal: Option<u32>,
    /// The former name of `ordinal`: deprecated, sent for one more release.
    pub stream: Option<u32>,
    /// A description for people.
    pub detail: String,
}

/// Builds the timeline of a session from its rows. `joined` are the ordinals of the streams with a link that was up:
/// `entries` may end before those of later streams. `media` are the configured media of every stream,
/// `obstacle` says what keeps this daemon from starting a further one.
pub(super) fn build(
    snapshot: &SessionSnapshot,
    deliveries: &[DeliveryBrief],
    entries: &[Entry],
    joined: &[u32],
    media: MediaSet,
    obstacle: Option<&str>,
    now_ms: i64,
) -> Timeline {
    let mut moments = of_session(&snapshot.session);
    moments.extend(snapshot.actions.iter().flat_map(of_action));
    moments.extend(deliveries.iter().map(of_delivery));
    moments.extend(entries.iter().filter_map(of_entry));
    moments.extend(snapshot.streams.iter().flat_map(|stream| of_stream(stream, entries)));
    // Stable: events of the same millisecond stay in the order above.
    moments.sort_by_key(|moment| moment.at_ms);
    let missing = missing::find_missing(snapshot, entries, joined, media, obstacle, now_ms);
    Timeline { session: snapshot.session.clone(), moments, missing }
}

fn timeline_event(
    at_ms: i64,
    what: &'static str,
    ordinal: Option<u32>,
    detail: impl Into<String>,
) -> TimelineEvent {
    TimelineEvent { at_ms, what, ordinal, stream: ordinal, detail: detail.into() }
}

fn of_session(session: &Session) -> Vec<TimelineEvent> {
    let created =
        timeline_event(session.created_at_ms, "session_created", None, "first seen by rtmsd");
    let started = session
        .meeting_started_at_ms
        .map(|at_ms| timeline_event(at_ms, "meeting_started", None, "Zoom's webhook said so"));
    let ended = session
        .meeting_ended_at_ms
        .map(|at_ms| timeline_event(at_ms, "meeting_ended", None, "Zoom's webhook said so"));
    [Some(created), started, ended].into_iter().flatten().collect()
}

fn of_action(action: &ActionRecord) -> Vec<TimelineEvent> {
    let what = action.action.as_str();
    let asked = timeline_event(
        action.asked_at_ms,
        "asked",
        None,
        format!("{what} asked for by {}", action.asked_by),
    );
    let answered = action.answered_at_ms.map(|at_ms| of_answer(action, at_ms));
    let timed_out = (action.status == ActionStatus::TimedOut)
        .then_some(action.due_at_ms)
        .flatten()
        .map(|at_ms| of_timeout(action.action, at_ms));
    [Some(asked), answered, timed_out].into_iter().flatten().collect()
}

fn of_timeout(action: Action, at_ms: i64) -> TimelineEvent {
    match action {
        Action::Start => timeline_event(
            at_ms,
            "start_timed_out",
            None,
            "no stream was announced after the start",
        ),
        other => {
            let detail = format!("nothing followed the {}", other.as_str());
            timeline_event(at_ms, "action_timed_out", None, detail)
        }
    }
}

fn of_answer(action: &ActionRecord, at_ms: i64) -> TimelineEvent {
    let action_name = action.action.as_str();
    let Some(answer) = &action.answer else {
        return timeline_event(at_ms, "zoom_answered", None, action_name);
    };
    let mut detail = match &answer.code {
        None if action.status == ActionStatus::Skipped && answer.zoom.is_none() => {
            format!("{action_name} not asked")
        }
        None if action.status == ActionStatus::Skipped => {
            format!("{action_name} accepted, and then a stop")
        }
        None => format!("{action_name} accepted"),
        Some(code) => format!("{action_name} refused: {code}"),
    };
    if let Some(advice) = &answer.detail {
        // Writing to a string cannot fail.
        let _ = write!(detail, " ({advice})");
    }
    if let Some(chosen) = &answer.chosen {
        let _ = write!(detail, "; used {chosen}");
    }
    if let Some(zoom) = &answer.zoom {
        let _ = write!(detail, "; Zoom: HTTP {}", zoom.status);
        if let Some(code) = zoom.code {
            let _ = write!(detail, ", code {code}");
        }
        if let Some(message) = &zoom.message {
            let _ = write!(detail, ", {message:?}");
        }
        if let Some(id) = &zoom.tracking_id {
            let _ = write!(detail, ", tracking id {id}");
        }
    }
    if action.status == ActionStatus::Due {
        detail.push_str("; it will be tried again");
    }
    let what = if answer.zoom.is_some() { "zoom_answered" } else { "zoom_not_asked" };
    timeline_event(at_ms, what, None, detail)
}

fn of_delivery(delivery: &DeliveryBrief) -> TimelineEvent {
    let late_ms = delivery.received_at_ms.saturating_sub(delivery.event_ts_ms);
    let mut detail = format!("{}, {late_ms} ms after the event", delivery.event);
    match WebhookOutcome::parse(&delivery.effect) {
        Some(WebhookOutcome::Nothing) => detail.push_str("; it changed nothing"),
        Some(WebhookOutcome::Refused | WebhookOutcome::Failed) => {
            detail.push_str("; it was not processed: see GET /api/v1/zoom/webhooks");
        }
        _ => {}
    }
    if let Some(payload) = delivery.notice.as_deref().and_then(parse_payload) {
        let _ = write!(detail, ": {payload}");
    }
    let ordinal = delivery.ordinal.and_then(|ordinal| u32::try_from(ordinal).ok());
    timeline_event(delivery.received_at_ms, "webhook", ordinal, detail)
}

fn parse_payload(body: &str) -> Option<serde_json::Value> {
    let mut body: serde_json::Value = serde_json::from_str(body).ok()?;
    Some(body.get_mut("payload")?.take())
}

fn of_entry(entry: &Entry) -> Option<TimelineEvent> {
    let (what, detail) = match &entry.body {
        EntryBody::FirstPacket {} => ("first_packet", "Zoom's clock of the stream begins".into()),
        EntryBody::StreamState { state, reason } => {
            ("stream_state", format!("{state}{}", reason_text(*reason)))
        }
        EntryBody::SessionState { state, reason, .. } => {
            ("session_state", format!("{state}{}", reason_text(*reason)))
        }
        EntryBody::LinkUp { link } => ("link_up", format!("{link}: handshake done")),
        EntryBody::LinkDown { link, cause } => ("link_down", format!("{link}: {cause}")),
        EntryBody::Moved {} => ("moved", "Zoom announced the stream at another server".into()),
        EntryBody::PickedUp {} => ("picked_up", "a daemon took the stream up again".into()),
        EntryBody::EntriesLost { count } => ("entries_lost", format!("{count} entries")),
        EntryBody::HandedOver { count, .. } => ("handed_over", format!("{count} entries")),
        EntryBody::Gap { medium, start_ms, end_ms, cause } => {
            let (length_ms, cause) = (end_ms - start_ms, cause.as_str());
            ("gap", format!("{medium}: {length_ms} ms, {cause}"))
        }
        EntryBody::Ended { outcome, reason, detail } => {
            let detail = detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
            ("ended", format!("{outcome}{}{detail}", reason_text(*reason)))
        }
        _ => return None,
    };
    Some(timeline_event(entry.at_ms, what, Some(entry.stream_ordinal), detail))
}

fn reason_text(reason: Option<StopReason>) -> String {
    reason.map(|reason| format!(", reason {reason}")).unwrap_or_default()
}

/// The first frame of each medium, and the end of the stream if no entry reports it.
fn of_stream(stream: &StreamRecord, entries: &[Entry]) -> Vec<TimelineEvent> {
    let first = |medium: Medium| {
        let first_ms = stream.tally.of(medium).first_ms?;
        Some(timeline_event(first_ms, "first_frame", Some(stream.ordinal), medium.as_str()))
    };
    let mut moments: Vec<TimelineEvent> = Medium::ALL.into_iter().filter_map(first).collect();
    moments.extend(unreadable_events(stream));
    let is_told = entries.iter().any(|entry| {
        entry.stream_ordinal == stream.ordinal && matches!(entry.body, EntryBody::Ended { .. })
    });
    if let (Some(at_ms), Some(outcome), false) = (stream.ended_at_ms, stream.outcome, is_told) {
        let detail = format!("{}{}", outcome.as_str(), reason_text(stream.stop_reason));
        moments.push(timeline_event(at_ms, "stream_closed", Some(stream.ordinal), detail));
    }
    moments
}

/// The kinds of unreadable messages, each at the time of its first message.
fn unreadable_events(stream: &StreamRecord) -> impl Iterator<Item = TimelineEvent> {
    stream.unreadable_messages.iter().map(|(kind, count, first_ms)| {
        let Unreadable { msg_type, lost, reason } = kind;
        let lost = match lost {
            Lost::Message => "the message",
            Lost::Field => "the field",
            Lost::Member => "a list member",
        };
        let detail = format!("msg_type {msg_type}, {reason}: {lost} was skipped, {count} times");
        let at_ms = first_ms.unwrap_or(stream.created_at_ms);
        timeline_event(at_ms, "unreadable_message", Some(stream.ordinal), detail)
    })
}
