//! The report: what a simulator sent and received, and where clients broke the protocol (pure).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::rtms::server::refusal::Refusal;

/// The most breaches of one stream that are kept as text; further ones are only counted.
const MAX_BREACHES: usize = 100;
/// The most keep-alive answer times that are kept for one stream.
const MAX_TIMES: usize = 1_000;

/// Everything that happened since the simulator started.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    pub webhooks: WebhookReport,
    /// Streams in order of announcement.
    pub streams: Vec<StreamReport>,
    /// Handshakes that named no live stream, and sockets that sent nothing.
    pub strays: StrayReport,
    pub oauth: OAuthReport,
    /// The event socket of the first app.
    #[serde(skip_serializing_if = "EventSocketReport::is_unused")]
    pub event_socket: EventSocketReport,
    /// The webhooks and tokens of every app but the first, if there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub further_apps: Vec<AppReport>,
    pub calls: CallReport,
    /// The number of breaches over all streams and strays.
    pub breaches: u64,
    /// What the frames contain where they do not follow the script: see `simulator::audio` and `picture`.
    pub payloads: BTreeMap<&'static str, &'static str>,
}

impl Report {
    /// Whether every client followed the protocol and the webhook endpoint was not refused.
    pub fn is_clean(&self) -> bool {
        let is_app_clean = |webhooks: &WebhookReport, oauth: &OAuthReport| {
            oauth.reused_refresh_tokens == 0 && webhooks.validation != Some(Validation::Refused)
        };
        self.breaches == 0
            && is_app_clean(&self.webhooks, &self.oauth)
            && self.further_apps.iter().all(|app| is_app_clean(&app.webhooks, &app.oauth))
    }
}

/// The webhooks and tokens of one app.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AppReport {
    pub client_id: String,
    pub webhooks: WebhookReport,
    pub oauth: OAuthReport,
    #[serde(skip_serializing_if = "EventSocketReport::is_unused")]
    pub event_socket: EventSocketReport,
}

/// What happened on an app's event socket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EventSocketReport {
    /// Connections that were accepted.
    pub connections: u64,
    /// Connections that were refused: the token does not count, or by plan.
    pub refused: u64,
    /// Connections that a newer one ended.
    pub replaced: u64,
    /// Connections that ended with their token.
    pub expired: u64,
    pub heartbeats: u64,
    /// Events sent, by name.
    pub delivered: BTreeMap<String, u64>,
    /// Events that found no connection, by name. They are not sent later.
    pub missed: BTreeMap<String, u64>,
    /// The first breaches of the protocol, as text.
    pub breaches: Vec<String>,
    pub breach_count: u64,
}

impl EventSocketReport {
    fn is_unused(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn breach(&mut self, what: &str) {
        self.breach_count += 1;
        keep_breach(&mut self.breaches, what.to_owned());
    }
}

/// The result of the URL validation of section 13.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Validation {
    Passed,
    Skipped,
    /// The endpoint failed the first validation, or six later ones in a row; no further event is sent.
    Refused,
}

/// What the webhook sender did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct WebhookReport {
    pub validation: Option<Validation>,
    /// Why the endpoint was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_problem: Option<String>,
    /// Delivered events by name.
    pub delivered: BTreeMap<String, u64>,
    pub attempts: u64,
    /// Attempts that failed in a way that Zoom retries (section 13.5).
    pub failed_attempts: u64,
    /// Events given up: after a 3xx or 4xx, after the last attempt, or because the queue was full.
    pub given_up: u64,
    /// Events that were not sent: no URL is set, or the endpoint was refused.
    pub withheld: u64,
}

/// OAuth and REST calls by kind: `status`, `user`, `token`, `revoke`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CallReport {
    /// How many calls were answered with each HTTP status.
    pub answers: BTreeMap<&'static str, BTreeMap<u16, u64>>,
    /// Calls that were left unanswered by plan.
    pub unanswered: BTreeMap<&'static str, u64>,
}

/// What the OAuth endpoints granted and refused.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OAuthReport {
    /// Authorization codes issued.
    pub authorizations: u64,
    /// Authorize requests that the user denied.
    pub denials: u64,
    /// Codes exchanged for tokens.
    pub exchanges: u64,
    pub refreshes: u64,
    /// Tokens issued without a user: `account_credentials` and `client_credentials`.
    pub machine_tokens: u64,
    pub revocations: u64,
    /// Exchanges that ended an earlier authorisation of the same user (4741).
    pub replaced_authorizations: u64,
    /// Codes presented a second time.
    pub reused_codes: u64,
    /// Refresh tokens presented after they were replaced. A client that stores each new token causes none, unless
    /// an answer was lost (`ApiFault::LoseAnswer`).
    pub reused_refresh_tokens: u64,
    /// Refusals of the token endpoint, by `error`.
    pub refusals: BTreeMap<&'static str, u64>,
}

/// Sockets that could not be assigned to a live stream.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StrayReport {
    /// Refused handshakes by status code.
    pub refusals: BTreeMap<i64, u64>,
    /// Sockets that ended, or ran out of time, before their first message.
    pub silent_sockets: u64,
    pub breaches: Vec<String>,
}

/// One stream, live or ended.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StreamReport {
    /// The app that receives the stream.
    pub client_id: String,
    /// The user who brought the app.
    pub operator_id: String,
    pub meeting_id: String,
    pub instance_id: String,
    pub stream_id: String,
    /// When the stream was announced, in Unix milliseconds.
    pub announced_ms: i64,
    /// Set when the stream has ended (section 10.6).
    pub stop_reason: Option<u16>,
    pub signaling_handshakes: u64,
    pub media_handshakes: u64,
    /// The longest time for which the stream's media had no client, after the first one. Counted when a client is back.
    pub longest_absence_ms: u64,
    pub ready_acks: u64,
    /// Handshakes and requests refused, by status code.
    pub refusals: BTreeMap<i64, u64>,
    pub keep_alives: KeepAliveReport,
    /// Event updates sent to a subscribed client (message 6).
    pub events: u64,
    /// Frames sent, by medium.
    pub media: BTreeMap<&'static str, MediumReport>,
    pub lost_links: u64,
    /// The first breaches of the protocol, as text.
    pub breaches: Vec<String>,
    pub breach_count: u64,
}

/// Keep-alives of one stream.
#[derive(Debug, Clone, Default, Serialize)]
pub struct KeepAliveReport {
    pub sent: u64,
    pub answered: u64,
    /// Links dropped because the client stopped answering or reading.
    pub timeouts: u64,
    /// How long the first answers took, in microseconds: from queueing the request until the stream handled the answer.
    #[serde(skip)]
    pub took_us: Vec<u64>,
}

impl KeepAliveReport {
    pub(super) fn answered_after(&mut self, took: Duration) {
        self.answered += 1;
        if self.took_us.len() < MAX_TIMES {
            self.took_us.push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }
}

/// What was sent of one medium.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MediumReport {
    pub frames: u64,
    /// Payload bytes, before base64.
    pub bytes: u64,
    /// Frames not sent, because the client read too slowly or was away too long.
    pub dropped: u64,
}

impl StreamReport {
    pub(super) fn refused(&mut self, refusal: Refusal) {
        *self.refusals.entry(refusal.code).or_default() += 1;
        if refusal.is_breach() {
            self.breach(format!("refused with {}: {}", refusal.code, refusal.reason));
        }
    }

    pub(super) fn breach(&mut self, what: String) {
        self.breach_count += 1;
        keep_breach(&mut self.breaches, what);
    }
}

impl StrayReport {
    pub(super) fn refused(&mut self, refusal: Refusal) {
        *self.refusals.entry(refusal.code).or_default() += 1;
        if refusal.is_breach() {
            keep_breach(
                &mut self.breaches,
                format!("refused with {}: {}", refusal.code, refusal.reason),
            );
        }
    }
}

fn keep_breach(breaches: &mut Vec<String>, what: String) {
    if breaches.len() < MAX_BREACHES {
        breaches.push(what);
    }
}
