//! What a simulator sent, saw and disliked (pure).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::status::Refusal;

/// Breaches kept with their text, for each stream; further ones are only counted.
const MAX_BREACHES: usize = 100;
/// Answers to keep-alives whose times are kept, for each stream.
const MAX_TIMES: usize = 1_000;

/// Everything since the start.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    pub webhooks: WebhookReport,
    /// In the order in which they were announced.
    pub streams: Vec<StreamReport>,
    /// Handshakes that named no live stream, and sockets that never spoke.
    pub strays: StrayReport,
    pub oauth: OAuthReport,
    pub calls: CallReport,
    /// Every breach of every stream, counted.
    pub breaches: u64,
    /// What the frames hold where they do not hold the script: see `simulator::audio` and `picture`.
    pub payloads: BTreeMap<&'static str, &'static str>,
}

impl Report {
    /// Whether every client followed the protocol and the webhook endpoint did its part.
    pub fn is_clean(&self) -> bool {
        self.breaches == 0
            && self.oauth.reused_refresh_tokens == 0
            && self.webhooks.validation != Some(Validation::Refused)
    }
}

/// How the endpoint answered the challenge of section 13.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Validation {
    Passed,
    Skipped,
    /// Wrong answer, or none for too long: no event is sent.
    Refused,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct WebhookReport {
    pub validation: Option<Validation>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_problem: Option<String>,
    /// Events, by name, that the endpoint took.
    pub delivered: BTreeMap<String, u64>,
    pub attempts: u64,
    /// Attempts that will be, or were, made again.
    pub failed_attempts: u64,
    /// Events given up: 3xx, 4xx, or too many attempts.
    pub given_up: u64,
    /// Events that nobody was told: no URL, or no passed validation.
    pub withheld: u64,
}

/// Calls of OAuth and REST, by kind: `status`, `user`, `token`, `revoke`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CallReport {
    /// How many were answered with each HTTP status.
    pub answers: BTreeMap<&'static str, BTreeMap<u16, u64>>,
    /// Those that were left without an answer on purpose.
    pub unanswered: BTreeMap<&'static str, u64>,
}

/// What the OAuth endpoints gave and refused.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OAuthReport {
    /// Codes that people allowed, and requests that they denied.
    pub authorizations: u64,
    pub denials: u64,
    /// Codes that became tokens.
    pub exchanges: u64,
    pub refreshes: u64,
    /// Tokens without a person.
    pub machine_tokens: u64,
    pub revocations: u64,
    /// Exchanges that ended an earlier authorisation of the same user (4741).
    pub replaced_authorizations: u64,
    /// Codes shown a second time.
    pub reused_codes: u64,
    /// Refresh tokens shown after they were replaced. A client that stores what it is given has none, unless
    /// an answer was lost (`Trouble::LoseAnswer`).
    pub reused_refresh_tokens: u64,
    /// Refusals of the token endpoint, by `error`.
    pub refusals: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct StrayReport {
    pub refusals: BTreeMap<i64, u64>,
    pub silent_sockets: u64,
    pub breaches: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct StreamReport {
    pub meeting_id: String,
    pub instance_id: String,
    pub stream_id: String,
    /// Unix milliseconds of the announcement.
    pub announced_ms: i64,
    /// Set when it is over (section 10.6).
    pub stop_reason: Option<u16>,
    pub signaling_handshakes: u64,
    pub media_handshakes: u64,
    pub ready_acks: u64,
    /// Handshakes and requests refused, by status code.
    pub refusals: BTreeMap<i64, u64>,
    pub keep_alives: KeepAliveReport,
    pub events: u64,
    /// What was sent, by medium.
    pub media: BTreeMap<&'static str, MediumReport>,
    pub lost_links: u64,
    pub breaches: Vec<String>,
    pub breach_count: u64,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct KeepAliveReport {
    pub sent: u64,
    pub answered: u64,
    /// Links given up because nobody answered.
    pub timeouts: u64,
    /// How long the first answers took, in microseconds, from the request's queue to the stream's task.
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

#[derive(Debug, Clone, Default, Serialize)]
pub struct MediumReport {
    pub frames: u64,
    /// Of the payload, before base64.
    pub bytes: u64,
    /// Not sent: the client read too slowly, or was away too long.
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
