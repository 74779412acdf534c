//! Errors of Zoom's REST API, mapped to the codes of our API (rtms-protocol.md section 14.1).

use serde::Deserialize;
use thiserror::Error;

use crate::json::{self, Number};
use crate::model::ZoomAnswer;

/// The most characters of Zoom's own message that are kept.
const MAX_MESSAGE_CHARS: usize = 500;

/// The kinds of failed requests to Zoom. [`Problem::code`] is for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Problem {
    ScopeMissing,
    AppNotAuthorized,
    NotHost,
    NotEligible,
    MeetingNotLive,
    RateLimited,
    TokenRejected,
    InvalidRequest,
    /// A refusal that this version does not know.
    Refused,
    Unavailable,
}

impl Problem {
    pub const ALL: [Self; 10] = [
        Self::ScopeMissing,
        Self::AppNotAuthorized,
        Self::NotHost,
        Self::NotEligible,
        Self::MeetingNotLive,
        Self::RateLimited,
        Self::TokenRejected,
        Self::InvalidRequest,
        Self::Refused,
        Self::Unavailable,
    ];

    /// The problem that an answer reports. Every code between 13200 and 13299 is read like the documented one.
    pub fn of(status: u16, code: Option<i64>) -> Self {
        match (status, code) {
            // The status first: the body of a failing server may come from a proxy.
            (500.., _) => Self::Unavailable,
            (429, _) | (_, Some(429)) => Self::RateLimited,
            (_, Some(124 | 4700)) => Self::TokenRejected,
            (_, Some(4711)) => Self::ScopeMissing,
            (_, Some(300)) => Self::InvalidRequest,
            (_, Some(2308)) => Self::NotHost,
            (_, Some(2310)) => Self::NotEligible,
            (_, Some(3000 | 3001)) => Self::MeetingNotLive,
            (_, Some(13_200..=13_299)) => Self::AppNotAuthorized,
            (401, _) => Self::TokenRejected,
            (403, _) => Self::AppNotAuthorized,
            (404, _) => Self::MeetingNotLive,
            (400, _) => Self::InvalidRequest,
            _ => Self::Refused,
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Self::ScopeMissing => "scope_missing",
            Self::AppNotAuthorized => "app_not_authorized",
            Self::NotHost => "not_host",
            Self::NotEligible => "not_eligible",
            Self::MeetingNotLive => "meeting_not_live",
            Self::RateLimited => "rate_limited",
            Self::TokenRejected => "token_rejected",
            Self::InvalidRequest => "invalid_request",
            Self::Refused => "zoom_refused",
            Self::Unavailable => "zoom_unavailable",
        }
    }

    /// Whether the same request may succeed later unchanged.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::MeetingNotLive | Self::RateLimited | Self::Unavailable)
    }

    /// One sentence on what to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::ScopeMissing => {
                "add the scope meeting:update:participant_rtms_app_status to the Zoom app and \
                 install it again"
            }
            Self::AppNotAuthorized => {
                "turn on \"Share realtime meeting content with apps\" in the account, and have this \
                 user install the app, which must be a user-managed General App"
            }
            Self::NotHost => "use the host's installation, or name the host in participant_user_id",
            Self::NotEligible => {
                "the account or the app has no RTMS: ask Zoom for it (Developer Pack)"
            }
            Self::MeetingNotLive => {
                "start when the meeting is live and the participant is in it, and check the meeting \
                 number"
            }
            Self::RateLimited => "wait for as long as the header retry-after says, and try again",
            Self::TokenRejected => "Zoom rejects this user's token: install the app again",
            Self::InvalidRequest => {
                "Zoom did not understand the request: check the meeting number and \
                 participant_user_id"
            }
            Self::Refused => "see Zoom's answer in the field zoom",
            Self::Unavailable => "Zoom is unavailable: try again later",
        }
    }
}

/// Zoom refused a request or did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", .problem.advice())]
pub struct ZoomError {
    pub problem: Problem,
    /// `None` without an answer.
    pub answer: Option<ZoomAnswer>,
    /// How long Zoom asks to wait, if it says so.
    pub wait_ms: Option<u64>,
}

impl ZoomError {
    /// There was no answer, or no readable one.
    pub fn no_answer() -> Self {
        Self { problem: Problem::Unavailable, answer: None, wait_ms: None }
    }

    /// Reads an unsuccessful answer, as far as its body can be parsed.
    pub fn from_answer(
        status: u16,
        body: &[u8],
        tracking_id: Option<String>,
        wait_ms: Option<u64>,
    ) -> Self {
        let (code, message) = read_body(body);
        let problem = Problem::of(status, code);
        let answer = ZoomAnswer { status, code, message, tracking_id };
        Self { problem, answer: Some(answer), wait_ms }
    }
}

#[derive(Deserialize)]
struct Body {
    #[serde(default, deserialize_with = "json::or_none")]
    code: Option<Number>,
    #[serde(default, deserialize_with = "json::or_none")]
    message: Option<String>,
    #[serde(default, deserialize_with = "json::or_none")]
    errors: Option<Vec<FieldError>>,
}

#[derive(Deserialize)]
struct FieldError {
    #[serde(default, deserialize_with = "json::or_none")]
    field: Option<String>,
    #[serde(default, deserialize_with = "json::or_none")]
    message: Option<String>,
}

fn read_body(body: &[u8]) -> (Option<i64>, Option<String>) {
    let Some(body) = json::from_slice::<Body>(body) else { return (None, None) };
    let code = body.code.and_then(Number::exact);
    let fields = body.errors.unwrap_or_default().into_iter().map(|error| {
        let field = error.field.unwrap_or_default();
        format!("; {field}: {}", error.message.unwrap_or_default())
    });
    let message = body.message.map(|message| message + &fields.collect::<String>());
    (code, message.map(|message| message.chars().take(MAX_MESSAGE_CHARS).collect()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_error_of_the_control_api_has_its_code() {
        let table = [
            (401, Some(124), "token_rejected", false),
            (400, Some(4700), "token_rejected", false),
            (401, Some(4700), "token_rejected", false),
            (401, None, "token_rejected", false),
            (400, Some(4711), "scope_missing", false),
            (400, Some(300), "invalid_request", false),
            (400, None, "invalid_request", false),
            (403, Some(13_262), "app_not_authorized", false),
            (403, Some(13_299), "app_not_authorized", false),
            (403, None, "app_not_authorized", false),
            (403, Some(2308), "not_host", false),
            (400, Some(2310), "not_eligible", false),
            (403, Some(2310), "not_eligible", false),
            (400, Some(3000), "meeting_not_live", true),
            (404, Some(3001), "meeting_not_live", true),
            (404, None, "meeting_not_live", true),
            (429, Some(429), "rate_limited", true),
            (429, None, "rate_limited", true),
            (500, None, "zoom_unavailable", true),
            (503, Some(300), "zoom_unavailable", true),
            (409, None, "zoom_refused", false),
            (302, None, "zoom_refused", false),
        ];
        for (status, code, word, retryable) in table {
            let problem = Problem::of(status, code);
            assert_eq!(
                (problem.code(), problem.is_retryable()),
                (word, retryable),
                "{status} {code:?}"
            );
        }
        let words: HashSet<_> = table.iter().map(|row| row.2).collect();
        assert!(Problem::ALL.iter().all(|problem| words.contains(problem.code())));
    }

    #[test]
    fn a_body_is_read_as_far_as_it_goes() {
        let body = br#"{"code":300,"message":"Validation Failed.","errors":[{"field":"settings","message":"Invalid"}]}"#;
        let error = ZoomError::from_answer(400, body, Some("t1".into()), None);
        let answer = error.answer.unwrap();
        assert_eq!(answer.code, Some(300));
        assert_eq!(answer.message.as_deref(), Some("Validation Failed.; settings: Invalid"));
        assert_eq!(answer.tracking_id.as_deref(), Some("t1"));
        let as_text = ZoomError::from_answer(403, br#"{"code":"2308","message":"x"}"#, None, None);
        assert_eq!(as_text.problem, Problem::NotHost);
        for nonsense in [&b""[..], b"<html>", b"[]", b"{\"code\":{}}", b"\xff"] {
            let error = ZoomError::from_answer(404, nonsense, None, None);
            assert_eq!(error.problem, Problem::MeetingNotLive);
        }
    }

    #[test]
    fn zooms_message_is_cut_to_the_limit() {
        let body = format!(r#"{{"code":1,"message":"{}"}}"#, "é".repeat(10_000));
        let error = ZoomError::from_answer(400, body.as_bytes(), None, None);
        assert_eq!(error.answer.unwrap().message.unwrap().chars().count(), MAX_MESSAGE_CHARS);
    }
}
