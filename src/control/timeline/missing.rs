//! Finds the expected events that did not happen, with their likely causes.

use std::borrow::Cow;

use serde::Serialize;

use crate::model::{
    Action, ActionRecord, ActionStatus, Entry, EntryBody, MediaSet, Medium, Outcome,
    SessionSnapshot, SessionStatus, StreamRecord,
};

/// An expected event that did not happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    pub what: String,
    /// The most likely cause first.
    pub likely_causes: Vec<Cow<'static, str>>,
}

const NOBODY_ASKED: [&str; 3] = [
    "RTMS_AUTO_START is off or does not list this host, and no program asked for a start",
    "the app is not set to start by itself in the Zoom account's settings",
    "the webhook meeting.started is not subscribed, so that RTMS_AUTO_START does not see the meeting",
];

const NO_WEBHOOK: [&str; 4] = [
    "the event subscription of the Zoom app lacks meeting.rtms_started (or the product's own event)",
    "the Zoom app has another webhook URL, or Zoom could not reach it: see its webhook logs",
    "the participant whom the app runs for had not joined, or had declined to share content",
    "the account's concurrency limit is reached: look for the webhook rtms.concurrency_limited",
];

const NO_SIGNALING: [&str; 3] = [
    "the client id or secret is not that of the app whose stream it is: the handshake is refused",
    "a firewall blocks connections from this host to Zoom's servers",
    "the start webhook arrived after the stream had ended",
];

const URL_REFUSED: [&str; 2] = [
    "RTMS_ALLOWED_HOSTS lacks the host that Zoom announced in server_urls",
    "the announced URL is ws://, and RTMS_ALLOW_WS is not set",
];

const REFUSED: [&str; 2] = [
    "the client id or secret is not that of the app whose stream it is",
    "the app lacks the scope for a medium in MEDIA_TYPES",
];

/// How long after the announcement of an active stream nothing is reported as missing.
const GRACE_MS: i64 = 30_000;

pub(super) fn find_missing(
    snapshot: &SessionSnapshot,
    entries: &[Entry],
    joined: &[u32],
    media: MediaSet,
    obstacle: Option<&str>,
    now_ms: i64,
) -> Vec<Missing> {
    let mut missing: Vec<Missing> = snapshot.actions.iter().filter_map(unanswered_action).collect();
    if snapshot.streams.is_empty() && snapshot.actions.is_empty() && is_open(snapshot) {
        missing.push(Missing {
            what: "no stream was asked for, and none was announced".into(),
            likely_causes: borrowed_texts(&NOBODY_ASKED),
        });
    }
    let had_time = |stream: &StreamRecord| {
        stream.ended_at_ms.is_some() || now_ms.saturating_sub(stream.created_at_ms) >= GRACE_MS
    };
    // The entry of the end of a stream that a policy left out says why nothing came of it.
    let was_wanted = |stream: &&StreamRecord| stream.outcome != Some(Outcome::LeftOut);
    for stream in snapshot.streams.iter().filter(was_wanted) {
        match obstacle.filter(|_| is_unclaimed(stream)) {
            Some(obstacle) => missing.push(waiting(stream, obstacle)),
            None if !had_time(stream) => {}
            None if joined.contains(&stream.ordinal) => missing.extend(silent_media(stream, media)),
            None => missing.push(never_joined(stream, entries)),
        }
    }
    missing
}

/// Whether the stream goes on and no daemon has claimed it yet: every claim raises the epoch.
fn is_unclaimed(stream: &StreamRecord) -> bool {
    stream.epoch == 0 && stream.ended_at_ms.is_none()
}

fn is_open(snapshot: &SessionSnapshot) -> bool {
    snapshot.session.status != SessionStatus::Ended
}

fn unanswered_action(action: &ActionRecord) -> Option<Missing> {
    let is_late = action.action == Action::Start && action.status == ActionStatus::TimedOut;
    is_late.then(|| Missing {
        what: format!("no stream was announced after the start that {} asked for", action.asked_by),
        likely_causes: borrowed_texts(&NO_WEBHOOK),
    })
}

/// A stream that no daemon has claimed, and what keeps this one from it.
fn waiting(stream: &StreamRecord, obstacle: &str) -> Missing {
    Missing {
        what: format!("stream {} waits: no daemon has joined it yet", stream.ordinal),
        likely_causes: vec![obstacle.to_owned().into()],
    }
}

fn never_joined(stream: &StreamRecord, entries: &[Entry]) -> Missing {
    let own = entries.iter().filter(|entry| entry.stream_ordinal == stream.ordinal);
    let known = own.filter_map(cause_of_end).next();
    let guesses = match (&known, stream.outcome) {
        // The entry states the exact cause, so guesses would mislead.
        (Some(_), Some(Outcome::UrlRefused)) => Vec::new(),
        _ => borrowed_texts(likely_causes(stream)),
    };
    Missing {
        what: format!("stream {} was announced and never joined", stream.ordinal),
        likely_causes: known.into_iter().chain(guesses).collect(),
    }
}

/// The media that a joined stream asked for and that never came. `media` are the configured ones.
fn silent_media(stream: &StreamRecord, media: MediaSet) -> impl Iterator<Item = Missing> {
    let media = stream.media.as_ref().map_or(media, |plan| plan.params.media);
    media.iter().filter(|medium| stream.tally.of(*medium).first_ms.is_none()).map(|medium| {
        Missing {
            what: format!("stream {} had no {medium}", stream.ordinal),
            likely_causes: borrowed_texts(&[
                silence_cause(medium),
                "the stream is paused, or its medium's link is down",
            ]),
        }
    })
}

/// The cause that the entry of the stream's end states.
fn cause_of_end(entry: &Entry) -> Option<Cow<'static, str>> {
    match &entry.body {
        EntryBody::Ended { detail, .. } => detail.clone().map(Cow::from),
        _ => None,
    }
}

fn likely_causes(stream: &StreamRecord) -> &'static [&'static str] {
    match stream.outcome {
        Some(Outcome::UrlRefused) => &URL_REFUSED,
        Some(Outcome::Refused) => &REFUSED,
        _ => &NO_SIGNALING,
    }
}

fn borrowed_texts(texts: &[&'static str]) -> Vec<Cow<'static, str>> {
    texts.iter().copied().map(Cow::from).collect()
}

/// Why a joined medium may have no data.
fn silence_cause(medium: Medium) -> &'static str {
    match medium {
        Medium::Audio => "nobody has spoken, or everybody is muted",
        Medium::Video => "no camera is on, or no participant was chosen",
        Medium::Share => "nobody shares a screen",
        Medium::Transcript => "nobody has spoken, or captions are not available in this account",
        Medium::Chat => "nobody has written",
    }
}
