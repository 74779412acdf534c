//! The codes and texts of the API for actions that were not carried out.

use axum::http::StatusCode;

use crate::control::{ControlError, Refusal, token_code};
use crate::model::{InstallationId, ZoomAnswer};
use crate::zoom::error::Problem;
use crate::zoom::token::TokenError;

/// The wait if Zoom gives no `Retry-After`, in seconds.
const RETRY_AFTER_S: u64 = 5;

pub(super) fn status(error: &ControlError) -> StatusCode {
    match error {
        ControlError::UnknownSession => StatusCode::NOT_FOUND,
        ControlError::Refused(..) => StatusCode::CONFLICT,
        ControlError::Zoom(error) => match error.problem {
            Problem::ScopeMissing
            | Problem::AppNotAuthorized
            | Problem::NotHost
            | Problem::NotEligible => StatusCode::FORBIDDEN,
            Problem::MeetingNotLive | Problem::TokenRejected => StatusCode::CONFLICT,
            Problem::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Problem::InvalidRequest => StatusCode::UNPROCESSABLE_ENTITY,
            Problem::Refused | Problem::Unavailable => StatusCode::BAD_GATEWAY,
        },
        ControlError::Token(TokenError::Unavailable(..)) => StatusCode::BAD_GATEWAY,
        ControlError::Token(TokenError::NotAllowed) => StatusCode::FORBIDDEN,
        ControlError::Token(_) => StatusCode::CONFLICT,
        ControlError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

pub(super) fn code(error: &ControlError) -> &'static str {
    match error {
        ControlError::UnknownSession => "session_not_found",
        ControlError::Refused(refusal, _) => refusal_code(*refusal),
        ControlError::Zoom(error) => error.problem.code(),
        ControlError::Token(error) => token_code(error),
        ControlError::Store(_) => "store_unavailable",
    }
}

/// The error code for a refusal.
pub(super) fn refusal_code(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::AlreadyLive => "already_live",
        Refusal::AlreadyRequested => "already_requested",
        Refusal::AlreadyPaused => "already_paused",
        Refusal::NoStream => "no_stream",
        Refusal::Stopping => "stopping",
        Refusal::PlanDropped => "plan_dropped",
        Refusal::SessionEnded => "session_ended",
        Refusal::VideoNotIndividual => "video_not_individual",
        Refusal::NumberUnknown => "meeting_number_unknown",
    }
}

/// One sentence that says what to do.
pub(super) fn detail(error: &ControlError) -> String {
    let refusal = match error {
        ControlError::Refused(refusal, _) => refusal,
        ControlError::Token(TokenError::Missing(what)) => {
            return format!("there is no token for this meeting: {what}");
        }
        ControlError::Token(TokenError::NeedsReconnect(_)) => {
            return "Zoom rejects this user's tokens: have them install the app \
                    again"
                .to_owned();
        }
        ControlError::Token(TokenError::Revoked(_)) => {
            return "this user removed the app: have them install it again".to_owned();
        }
        ControlError::Token(error @ (TokenError::Ambiguous { .. } | TokenError::NotAllowed)) => {
            return error.to_string();
        }
        ControlError::Token(_) => {
            return "Zoom issues no token at the moment: try again later".to_owned();
        }
        other => return other.to_string(),
    };
    let detail = match refusal {
        Refusal::AlreadyLive => "the stream is already live",
        Refusal::AlreadyRequested => {
            "a start was requested, and its stream may still arrive: wait for it"
        }
        Refusal::AlreadyPaused => "the stream is already paused",
        Refusal::Stopping => {
            "a stop was requested, and its stream has not ended yet: try again later"
        }
        Refusal::PlanDropped => "the planned start was dropped",
        Refusal::NoStream => "this session has no stream now: start one first",
        Refusal::SessionEnded => "this meeting is over: create a session for the next one",
        Refusal::VideoNotIndividual => {
            "this session's media parameters must include video with select individual"
        }
        Refusal::NumberUnknown => {
            "Zoom needs the meeting's number, and no webhook contained it: create a session with it"
        }
    };
    detail.to_owned()
}

pub(super) fn is_retryable(error: &ControlError) -> bool {
    match error {
        ControlError::Zoom(error) => error.problem.is_retryable(),
        ControlError::Token(error) => matches!(error, TokenError::Unavailable(..)),
        ControlError::Store(_) | ControlError::Refused(Refusal::Stopping, _) => true,
        ControlError::UnknownSession | ControlError::Refused(..) => false,
    }
}

/// How long a client should wait before the next try, in seconds.
pub(super) fn wait_s(error: &ControlError) -> Option<u64> {
    match error {
        ControlError::Zoom(zoom) if zoom.wait_ms.is_some() => {
            zoom.wait_ms.map(|ms| ms.div_ceil(1000))
        }
        error => is_retryable(error).then_some(RETRY_AFTER_S),
    }
}

/// The installations to choose from, if the request must name one.
pub(super) fn installations(error: &ControlError) -> Option<&[InstallationId]> {
    match error {
        ControlError::Token(TokenError::Ambiguous { ids, .. }) => Some(ids),
        _ => None,
    }
}

/// Zoom's answer, if there was one.
pub(super) fn zoom(error: &ControlError) -> Option<&ZoomAnswer> {
    match error {
        ControlError::Zoom(error) => error.answer.as_ref(),
        _ => None,
    }
}
