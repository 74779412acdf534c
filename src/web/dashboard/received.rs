//! The log of Zoom's webhooks, and one of them.

use askama::Template;

use super::marks::Mark;
use super::{Layout, assets, rendered};
use crate::model::{DeliveryMethod, Received, WebhookOutcome, WebhookReason, rfc3339};
use crate::zoom::event_socket::Problem;

/// The page with the log.
#[derive(Template)]
#[template(path = "dashboard/received.html")]
pub struct ReceivedList {
    pub layout: Layout,
    pub urls: Vec<Url>,
    pub filters: Filters,
    pub rows: Vec<Row>,
    /// The address of the next page.
    pub older: Option<String>,
    /// The address of the first page, on the others.
    pub newest: Option<String>,
    /// The path of the same in the API.
    pub raw: String,
}

/// The page of one webhook.
#[derive(Template)]
#[template(path = "dashboard/received_one.html")]
pub struct ReceivedOne {
    pub layout: Layout,
    pub row: Row,
    pub body: Option<String>,
    pub raw: String,
}

impl ReceivedList {
    pub fn html(&self) -> String {
        rendered(self)
    }
}

impl ReceivedOne {
    pub fn html(&self) -> String {
        rendered(self)
    }
}

/// What the list is limited to, as in the form.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    pub q: String,
    pub outcome: String,
    pub app: String,
    pub session: String,
}

impl Filters {
    fn is_set(&self) -> bool {
        [&self.q, &self.outcome, &self.app, &self.session].iter().any(|text| !text.is_empty())
    }
}

const OUTCOMES: [(&str, &str); 6] = [
    ("", "Any"),
    ("changed", "Changed something"),
    ("none", "Changed nothing"),
    ("notice", "Notices"),
    ("refused", "Refused"),
    ("failed", "Failed"),
];

/// The state of the URL that an app's webhooks come to.
pub struct Url {
    pub app: String,
    pub path: String,
    pub last: Option<String>,
    pub validated: Option<String>,
    /// The secret token that the URL was validated with, in words.
    pub validated_with: Option<String>,
    pub clock: Option<Clock>,
    /// Of an app whose events also come over a WebSocket.
    pub socket: Option<Socket>,
    pub refused: Vec<Refused>,
}

/// The event socket of an app.
pub struct Socket {
    mark: Mark,
    /// Since when it is so.
    since: Option<String>,
    /// Why no daemon is connected.
    problem: Option<&'static str>,
    /// The last gap: when it ended, and its length in words.
    gap: Option<(Option<String>, String)>,
}

impl Socket {
    /// `gap` is when the last gap ended, and how long it was, in milliseconds.
    pub fn of(
        is_connected: bool,
        since: Option<String>,
        problem: Option<Problem>,
        gap: Option<(Option<String>, i64)>,
    ) -> Self {
        let mark = match is_connected {
            true => Mark { word: "connected", tone: "good" },
            false => Mark { word: "not connected", tone: "bad" },
        };
        let in_words =
            |(until, ms): (Option<String>, i64)| (until, format!("{} s", (ms + 999) / 1000));
        let problem = problem.filter(|_| !is_connected).map(problem_words);
        Self { mark, since, problem, gap: gap.map(in_words) }
    }
}

/// What a problem of the event socket means, and what to do.
pub fn problem_words(problem: Problem) -> &'static str {
    match problem {
        Problem::TokenRefused => {
            "Zoom refuses a token for the app: check its client id and secret, and ZOOM_ACCOUNT_ID for a server-to-server app"
        }
        Problem::OAuthUnreachable => {
            "Zoom’s OAuth does not answer: check the network and HTTPS_PROXY"
        }
        Problem::Unreachable => {
            "the server of the event socket cannot be reached: check the network, HTTPS_PROXY and CA_FILE"
        }
        Problem::Refused => {
            "Zoom refuses the connection: copy ZOOM_EVENTS_URL again from the app’s page"
        }
        Problem::Closed => "Zoom closed the connection: it is made again",
        Problem::Dropped => "the connection broke: it is made again",
        Problem::Silent => "Zoom did not answer a heartbeat: the connection is made again",
        Problem::Contested => {
            "Zoom closes every connection soon: another program uses the subscription. Stop it, or give it a subscription of its own"
        }
    }
}

/// The clock difference to Zoom.
pub struct Clock {
    mark: Mark,
    words: String,
}

impl Clock {
    /// By how far the local clock is ahead, in seconds.
    pub fn of(difference_s: i64, tolerance_s: u32) -> Self {
        let seconds = difference_s.unsigned_abs();
        let direction = if difference_s > 0 { "ahead of" } else { "behind" };
        match seconds {
            0..=2 => Self {
                mark: Mark { word: "right", tone: "good" },
                words: "within 2 s of Zoom’s".to_owned(),
            },
            _ if seconds > u64::from(tolerance_s) => Self {
                mark: Mark { word: "wrong", tone: "bad" },
                words: format!(
                    "{seconds} s {direction} Zoom’s: webhooks are refused. Set the clock of this machine, then process the refused ones again"
                ),
            },
            _ => Self {
                mark: Mark { word: "off", tone: "warn" },
                words: format!("{seconds} s {direction} Zoom’s; {tolerance_s} s are allowed"),
            },
        }
    }
}

/// Requests of one kind that were refused.
pub struct Refused {
    pub words: String,
    pub count: u64,
    pub last: Option<String>,
}

impl Refused {
    pub fn of(code: &str, count: u64, last: Option<String>) -> Self {
        let words = match code {
            "signature_invalid" => "wrong or no signature: not Zoom, or the secret token is wrong",
            "timestamp_out_of_window" => "signed too long ago: one of the clocks is wrong",
            "malformed" => "unreadable",
            "other_app" => "for a product that the app does not have",
            "too_large" => "too long",
            other => return Self { words: other.to_owned(), count, last },
        };
        Self { words: words.to_owned(), count, last }
    }
}

/// One webhook.
pub struct Row {
    id: String,
    app: String,
    /// How it came, in words.
    method: &'static str,
    event: String,
    at: Option<String>,
    received: Option<String>,
    processed: Option<String>,
    mark: Mark,
    words: &'static str,
    /// What it means and what to do, in a sentence.
    explanation: &'static str,
    session: Option<String>,
    /// The meeting number of the session, or words for it.
    meeting: String,
    stream: Option<String>,
    ordinal: Option<u32>,
    installation: Option<String>,
    has_body: bool,
    can_process: bool,
}

impl Row {
    pub fn of(webhook: &Received) -> Self {
        let (words, explanation) = words_of(webhook.reason);
        let meeting = webhook.meeting_id.as_deref().map(super::marks::number);
        Self {
            id: webhook.digest.clone(),
            app: webhook.app.to_string(),
            method: method_words(webhook.method),
            event: webhook.event.clone(),
            at: rfc3339(webhook.event_ts_ms),
            received: rfc3339(webhook.received_at_ms),
            processed: webhook.processed_at_ms.and_then(rfc3339),
            mark: mark_of(webhook.outcome),
            words,
            explanation,
            session: webhook.session_id.map(|id| id.to_string()),
            meeting: meeting.unwrap_or_else(|| "its session".to_owned()),
            stream: webhook.stream_id.as_ref().map(ToString::to_string),
            ordinal: webhook.ordinal,
            installation: webhook.installation_id.clone(),
            has_body: webhook.has_body,
            can_process: webhook.outcome.is_unprocessed() && webhook.has_body,
        }
    }
}

/// How Zoom delivers events, in words.
fn method_words(method: DeliveryMethod) -> &'static str {
    match method {
        DeliveryMethod::Webhook => "webhook",
        DeliveryMethod::WebSocket => "WebSocket",
    }
}

fn mark_of(outcome: WebhookOutcome) -> Mark {
    let (word, tone) = match outcome {
        WebhookOutcome::Changed => ("changed", "good"),
        WebhookOutcome::Nothing => ("no change", ""),
        WebhookOutcome::Notice => ("notice", "warn"),
        WebhookOutcome::Refused => ("refused", "bad"),
        WebhookOutcome::Failed => ("failed", "bad"),
    };
    Mark { word, tone }
}

/// What a webhook changed, in some words and in a sentence.
fn words_of(reason: Option<WebhookReason>) -> (&'static str, &'static str) {
    use WebhookReason as R;
    let Some(reason) = reason else {
        return ("not noted", "An earlier version recorded this webhook, without what it changed.");
    };
    match reason {
        R::StreamStarted => ("a stream began", "A stream began, and the daemon joined it."),
        R::StreamMoved => {
            ("a stream moved", "Zoom’s server failed over: the stream continues at other URLs.")
        }
        R::StreamContinued => {
            ("a stream continues", "The daemon had ended the stream, and Zoom continues it.")
        }
        R::StreamStopped => ("a stream ended", "Zoom ended a stream."),
        R::StreamInterrupted => {
            ("a stream was interrupted", "Zoom lost the connection to a stream, which is rebuilt.")
        }
        R::MeetingStarted => ("a meeting began", "A meeting or webinar began."),
        R::MeetingEnded => ("a meeting ended", "A meeting or webinar ended."),
        R::AppRemoved => (
            "a user removed the app",
            "A user removed the app: the grant is revoked, and the user’s data is deleted unless Zoom permits keeping it.",
        ),
        R::Notice => ("a notice", "Zoom reports about starts and limits."),
        R::AlreadyKnown => ("already known", "It says nothing that was not known already."),
        R::StreamEnded => (
            "its stream had ended",
            "Its stream had ended before it arrived, so that nothing changed.",
        ),
        R::UnknownStream => (
            "its stream is unknown",
            "No start of its stream had arrived, so that there was nothing to change.",
        ),
        R::TooLate => ("too late", "It arrived when the interruption was over."),
        R::OtherAppsStream => (
            "a stream of another app",
            "It names a stream of another app, which it must not change.",
        ),
        R::UnknownUser => (
            "its user is unknown",
            "A user removed the app, but has no installation and no stream here.",
        ),
        R::NotHandled => (
            "not handled",
            "The daemon does nothing with events of this kind. The app need not subscribe to it.",
        ),
        R::OtherApp => (
            "not a product of the app",
            "The app does not have the product of this event in its products. Add the product to the app, then process the webhook again.",
        ),
        R::OutOfWindow => (
            "signed too long ago",
            "It was signed longer ago than WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS by the clock of the daemon, or in its future. Set the clock, then process the webhook again if its stream may still run.",
        ),
        R::Malformed => (
            "not readable",
            "A required field is missing or malformed, so that it cannot be processed.",
        ),
        R::StoreError => (
            "rejected by the store",
            "The store rejected it: the daemon’s log says why. Zoom repeats it for 85 minutes; after that it can be processed again here.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::dashboard::tests::layout;

    #[test]
    fn what_zoom_sent_is_escaped() {
        let webhook = Received {
            digest: "ab".repeat(32),
            app: crate::model::AppName::default(),
            method: DeliveryMethod::WebSocket,
            event: "<script>alert(1)</script>".to_owned(),
            event_ts_ms: 1,
            received_at_ms: 2,
            processed_at_ms: None,
            outcome: WebhookOutcome::Refused,
            reason: None,
            stream_id: None,
            ordinal: None,
            session_id: None,
            meeting_id: Some("\"><img src=x>".to_owned()),
            installation_id: None,
            has_body: true,
        };
        let (row, raw) = (Row::of(&webhook), "/api".to_owned());
        let body = Some("</code><script>x</script>".to_owned());
        let layout = Layout { may_control: true, ..layout(true) };
        let html = ReceivedOne { layout, row, body, raw }.html();
        assert!(!html.contains("<script>alert") && !html.contains("<script>x"), "{html}");
        assert!(html.contains("Process again"));
    }

    #[test]
    fn a_clock_is_wrong_beyond_the_tolerance() {
        for (difference_s, word) in [(0, "right"), (-2, "right"), (90, "off"), (-301, "wrong")] {
            assert_eq!(Clock::of(difference_s, 300).mark.word, word, "{difference_s}");
        }
    }
}
