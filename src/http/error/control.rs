//! The codes and texts of the API for actions that were not carried out.

use axum::http::StatusCode;

use crate::control::{ControlError, NO_CAPACITY, Refusal, token_code};
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
            // The account's settings or role forbid it; a retry or another token does not help.
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
        ControlError::NoCapacity | ControlError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

pub(super) fn code(error: &ControlError) -> &'static str {
    match error {
        ControlError::UnknownSession => "session_not_found",
        ControlError::Refused(refusal, _) => refusal.as_str(),
        ControlError::Zoom(error) => error.problem.code(),
        ControlError::Token(error) => token_code(error),
        ControlError::NoCapacity => NO_CAPACITY,
        ControlError::Store(_) => "store_unavailable",
    }
}

/// One sentence that says what to do.
pub(super) fn detail(error: &ControlError) -> String {
    let ControlError::Token(error) = error else { return error.to_string() };
    match error {
        TokenError::Missing(what) => format!("there is no token for this meeting: {what}"),
        TokenError::NeedsReconnect(_) => {
            "Zoom rejects this user's tokens: have them install the app again".to_owned()
        }
        TokenError::Revoked(_) => {
            "this user removed the app: have them install it again".to_owned()
        }
        TokenError::Ambiguous { .. } | TokenError::NotAllowed | TokenError::NoApp(_) => {
            error.to_string()
        }
        TokenError::Unavailable(_) | TokenError::Store(_) => {
            "Zoom issues no token at the moment: try again later".to_owned()
        }
    }
}

pub(super) fn is_retryable(error: &ControlError) -> bool {
    match error {
        ControlError::Zoom(error) => error.problem.is_retryable(),
        ControlError::Token(error) => matches!(error, TokenError::Unavailable(..)),
        ControlError::NoCapacity
        | ControlError::Store(_)
        | ControlError::Refused(Refusal::Stopping, _) => true,
        ControlError::UnknownSession | ControlError::Refused(..) => false,
    }
}

/// How long a client should wait before the next try, in seconds.
pub(super) fn wait_s(error: &ControlError) -> Option<u64> {
    match error {
        ControlError::Zoom(zoom) if zoom.wait_ms.is_some() => {
            // Rounded up to whole seconds, the only unit of `Retry-After` besides a date.
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
