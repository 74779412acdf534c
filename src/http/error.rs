//! Maps every error to an HTTP status and a body.

mod app;
mod control;
mod conversions;
mod install;
mod relay;
mod render;
mod webhook_endpoint;

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use thiserror::Error;

pub(super) use self::install::InstallRefusal;
use crate::control::ControlError;
use crate::model::{InstallationId, MediaError, ZoomAnswer};
use crate::sinks::forward::TargetError;
use crate::sinks::relays::RelayError;
use crate::sinks::webhooks::EndpointError;
use crate::store::StoreError;
use crate::zoom::app::AppError;
use crate::zoom::event::EventError;
use crate::zoom::signature::SignatureError;

/// The `Retry-After` of a 503, in seconds.
const RETRY_AFTER_S: u64 = 2;

/// A client's mistake or a failure of the daemon. The text is for the client: it says what to do and holds no secret.
#[derive(Debug, Clone, Error)]
pub enum ApiError {
    #[error("there is nothing at this path")]
    UnknownRoute,
    #[error("this path does not accept this method: see the header allow")]
    MethodNotAllowed,
    #[error("there is no session with this id")]
    UnknownSession,
    #[error("a stream of the session still runs: stop it first")]
    SessionLive,
    #[error("{0}")]
    Media(MediaError),
    #[error("there is no app with this name")]
    UnknownApp,
    #[error(
        "this app does not serve the event's product: Zoom must send each app's events to its own path, such as \
         /webhook/video for the app video"
    )]
    OtherApp,
    #[error("{0} needs a token of all apps: it concerns more than the app")]
    OperatorOnly(&'static str),
    #[error("the session has no recorded file of this name")]
    UnknownRecording,
    #[error("the recording is not finished yet: try again when its stream has ended")]
    RecordingNotFinished,
    #[error("the file was recorded but is lost")]
    RecordingLost,
    #[error("the file is in a folder of another machine: download it from the daemon there")]
    RecordingElsewhere,
    #[error(
        "the file is where recordings went before RECORDINGS_URL, or recordings_url of the app, was changed: set it back \
         or move the files"
    )]
    RecordingInOtherTarget,
    #[error("the recordings' storage is unavailable: try again later")]
    RecordingsUnavailable,
    #[error("the file has {bytes} bytes, none of them in this range: request another one")]
    RangeNotSatisfiable { bytes: u64 },
    #[error("there is no installation with this id")]
    UnknownInstallation,
    /// Store errors become [`ApiError::Store`] instead.
    #[error("{0}")]
    Endpoint(Arc<EndpointError>),
    /// Store errors become [`ApiError::Store`] instead.
    #[error("{0}")]
    Relay(Arc<RelayError>),
    /// Store errors become [`ApiError::Store`] instead.
    #[error("{0}")]
    App(Arc<AppError>),
    #[error("{0}")]
    Install(InstallRefusal),
    #[error(
        "Zoom could not be reached to revoke the grant, so nothing was deleted: try again, or delete it \
         here only with force=true"
    )]
    NotRevoked,
    #[error(
        "send the header authorization: Bearer with a token: one of API_TOKENS, or the one in the file \
         api-token of DATA_DIR"
    )]
    Unauthenticated,
    #[error("this token is unknown: send {0}")]
    UnknownToken(TokenSource),
    #[error("the browser is no longer signed in: sign in again")]
    SignedOut,
    #[error(
        "the browser does not say that a page of this server made the request: open the dashboard at its own address"
    )]
    CrossOrigin,
    #[error("the header rtmsd-csrf is missing or of another session: reload the page")]
    CsrfMissing,
    #[error(
        "the ticket was used, has expired, or is for another path: get a new one with POST /api/v1/tickets"
    )]
    TicketRefused,
    #[error("this token has reached its limit of tickets: try again later")]
    TooManyTickets,
    #[error("this token lacks the scope {0}")]
    Forbidden(&'static str),
    #[error("{name} {problem}")]
    InvalidValue { name: &'static str, problem: &'static str },
    #[error("available formats: {0}")]
    NotAcceptable(&'static str),
    #[error("the body is longer than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    #[error("the body did not arrive in time")]
    BodyTimeout,
    #[error("the body could not be read to its end")]
    BodyCut,
    #[error("{0}")]
    Signature(SignatureError),
    #[error("{0}")]
    Event(EventError),
    #[error("url {0}")]
    Target(TargetError),
    #[error("this session is forwarded to as many servers as allowed: remove one first")]
    TooManyForwards,
    #[error("there is no forward with this id")]
    UnknownForward,
    #[error("there is no API token with this id: those of API_TOKENS can be changed only there")]
    UnknownApiToken,
    #[error("there is no webhook of Zoom with this id: it may have expired")]
    UnknownWebhook,
    #[error(
        "the body of this webhook is not kept, so that it cannot be processed: see RETENTION_DELIVERIES"
    )]
    BodyNotKept,
    #[error(
        "the webhook would be refused again: first give its app the product of the event, in `products`"
    )]
    StillRefused,
    #[error("there are as many API tokens as allowed: revoke one first")]
    TooManyTokens,
    #[error("this session has ended")]
    SessionEnded,
    #[error("this is a WebSocket: connect with a WebSocket client")]
    UpgradeRequired,
    #[error("nothing was requested: put a request in the query or in the first message")]
    NoFirstMessage,
    #[error("the maximum number of subscribers is connected: try again later")]
    TooManySubscribers,
    #[error(
        "the sockets of this token, or of all tokens, name as many sessions in from as allowed: name fewer, or close a \
         socket first"
    )]
    TooManyCursors,
    #[error("as many downloads as allowed are being read: finish one first, or try again later")]
    TooManyDownloads,
    #[error("as many requests as MAX_CONNECTIONS allows are being answered: try again")]
    Overloaded,
    /// The cause goes to the log.
    #[error("the store is unavailable: try again later")]
    Store(Arc<StoreError>),
    #[error("this token has reached its rate limit: wait as long as the header retry-after says")]
    TooManyRequests { wait_s: u64 },
    #[error(
        "too many wrong tokens came from this address: wait as long as the header retry-after says"
    )]
    TooManyFailures { wait_s: u64 },
    #[error("this token may not use this installation: see API_TOKENS")]
    InstallationNotAllowed,
    #[error("the body must be a JSON object (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error("the body has an unknown field: {0:?}")]
    UnknownField(String),
    #[error("another request was sent with this idempotency-key: use a new key for a new request")]
    KeyReused,
    #[error("a request with this idempotency-key is still running: wait for its answer")]
    KeyInProgress,
    #[error(
        "the request with this idempotency-key was executed, and its answer was deleted with the \
         session's data, or with the key that sealed it: use a new key for a new request"
    )]
    AnswerDeleted,
    #[error("{}", control::detail(.0))]
    Control(Arc<ControlError>),
    #[error("an internal error of this server: its log has the details under the request id")]
    Panicked,
}

/// Where the tokens are set; displays which token to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenSource {
    /// `API_TOKENS`.
    #[default]
    Setting,
    /// The file that the first start makes.
    DataDir,
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Setting => "one of API_TOKENS",
            Self::DataDir => "the one in the file api-token of DATA_DIR",
        })
    }
}

impl ApiError {
    pub fn status(&self) -> StatusCode {
        match self {
            // 400 means unreadable, 422 readable but wrong.
            Self::Event(_) | Self::BodyCut | Self::NotJson { .. } => StatusCode::BAD_REQUEST,
            Self::Signature(_)
            | Self::Unauthenticated
            | Self::UnknownToken(_)
            | Self::SignedOut
            | Self::TicketRefused => StatusCode::UNAUTHORIZED,
            Self::CrossOrigin | Self::CsrfMissing => StatusCode::FORBIDDEN,
            Self::Forbidden(_)
            | Self::OtherApp
            | Self::OperatorOnly(_)
            | Self::InstallationNotAllowed => StatusCode::FORBIDDEN,
            Self::UnknownRoute
            | Self::UnknownSession
            | Self::UnknownInstallation
            | Self::UnknownRecording
            | Self::UnknownForward
            | Self::UnknownApiToken
            | Self::UnknownWebhook
            | Self::UnknownApp => StatusCode::NOT_FOUND,
            Self::RecordingLost | Self::AnswerDeleted => StatusCode::GONE,
            Self::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Endpoint(error) => webhook_endpoint::status(error),
            Self::Relay(error) => relay::status(error),
            Self::App(error) => app::status(error),
            Self::Install(refusal) => refusal.status(),
            Self::NotRevoked => StatusCode::BAD_GATEWAY,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::BodyTimeout | Self::NoFirstMessage => StatusCode::REQUEST_TIMEOUT,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InvalidValue { .. }
            | Self::Media(_)
            | Self::UnknownField(_)
            | Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::KeyInProgress
            | Self::SessionLive
            | Self::SessionEnded
            | Self::RecordingNotFinished
            | Self::RecordingElsewhere
            | Self::RecordingInOtherTarget
            | Self::BodyNotKept
            | Self::StillRefused
            | Self::TooManyTokens
            | Self::TooManyForwards => StatusCode::CONFLICT,
            Self::Target(_) => StatusCode::FORBIDDEN,
            Self::TooManyRequests { .. }
            | Self::TooManyFailures { .. }
            | Self::TooManyTickets
            | Self::TooManyCursors => StatusCode::TOO_MANY_REQUESTS,
            Self::Control(error) => control::status(error),
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooManySubscribers
            | Self::TooManyDownloads
            | Self::Overloaded
            | Self::Store(_)
            | Self::RecordingsUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownRoute => "route_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UnknownSession => "session_not_found",
            Self::SessionLive => "session_live",
            Self::UnknownInstallation => "installation_not_found",
            Self::UnknownApp => "unknown_app",
            Self::OtherApp => "other_app",
            Self::OperatorOnly(_) => "operator_only",
            Self::UnknownRecording => "recording_not_found",
            Self::RecordingNotFinished => "recording_not_finished",
            Self::RecordingLost => "recording_lost",
            Self::RecordingElsewhere => "recording_elsewhere",
            Self::RecordingInOtherTarget => "recording_in_other_target",
            Self::RecordingsUnavailable => "recordings_unavailable",
            Self::RangeNotSatisfiable { .. } => "range_not_satisfiable",
            Self::Endpoint(error) => webhook_endpoint::code(error),
            Self::Relay(error) => relay::code(error),
            Self::App(error) => app::code(error),
            Self::Install(refusal) => refusal.code(),
            Self::NotRevoked => "zoom_unavailable",
            Self::Unauthenticated | Self::UnknownToken(_) => "unauthenticated",
            Self::SignedOut => "signed_out",
            Self::CrossOrigin => "cross_origin",
            Self::CsrfMissing => "csrf_missing",
            Self::TicketRefused => "ticket_refused",
            Self::TooManyTickets => "too_many_tickets",
            Self::Forbidden(_) => "forbidden",
            Self::InvalidValue { .. } | Self::Media(_) => "invalid_value",
            Self::NotAcceptable(_) => "not_acceptable",
            Self::TooLarge { .. } => "too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyCut => "body_cut",
            Self::Signature(SignatureError::OutOfWindow { .. }) => "timestamp_out_of_window",
            Self::Signature(_) => "signature_invalid",
            Self::Event(_) => "malformed",
            Self::Target(_) => "url_refused",
            Self::TooManyForwards => "too_many_forwards",
            Self::UnknownForward => "forward_not_found",
            Self::UnknownApiToken => "token_not_found",
            Self::UnknownWebhook => "webhook_not_found",
            Self::BodyNotKept => "body_not_kept",
            Self::StillRefused => "still_refused",
            Self::TooManyTokens => "too_many_tokens",
            Self::SessionEnded => "session_ended",
            Self::UpgradeRequired => "upgrade_required",
            Self::NoFirstMessage => "nothing_asked",
            Self::TooManySubscribers => "too_many_subscribers",
            Self::TooManyCursors => "too_many_cursors",
            Self::TooManyDownloads => "too_many_downloads",
            Self::Overloaded => "overloaded",
            Self::Store(_) => "store_unavailable",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::TooManyFailures { .. } => "too_many_failures",
            Self::InstallationNotAllowed => "installation_not_allowed",
            Self::NotJson { .. } => "malformed",
            Self::UnknownField(_) => "unknown_field",
            Self::KeyReused => "idempotency_key_reused",
            Self::KeyInProgress => "idempotency_in_progress",
            Self::AnswerDeleted => "idempotency_answer_deleted",
            Self::Control(error) => control::code(error),
            Self::Panicked => "internal",
        }
    }

    /// Whether the same request may succeed later unchanged.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Control(error) => control::is_retryable(error),
            Self::TooManyRequests { .. } | Self::TooManyFailures { .. } => true,
            Self::KeyInProgress | Self::NotRevoked => true,
            Self::RecordingNotFinished | Self::TooManyTickets | Self::TooManyCursors => true,
            _ => self.status() == StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::TooManyRequests { wait_s } | Self::TooManyFailures { wait_s } => Some(*wait_s),
            Self::Control(error) => control::wait_s(error),
            _ => self.is_retryable().then_some(RETRY_AFTER_S),
        }
    }

    /// Zoom's answer, if there was one.
    fn zoom(&self) -> Option<&ZoomAnswer> {
        match self {
            Self::Control(error) => control::zoom(error),
            _ => None,
        }
    }

    /// The installations to choose from, if the request must name one.
    fn installations(&self) -> Option<&[InstallationId]> {
        match self {
            Self::Control(error) => control::installations(error),
            _ => None,
        }
    }
}

impl IntoResponse for ApiError {
    /// Only carries the error: `request::observe` renders it, because it knows the request id.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        // The status is set here too: layers between the handler and `observe` look at it.
        *response.status_mut() = self.status();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_error_text_does_not_reach_a_client() {
        let error = ApiError::from(StoreError::Row("the password is hunter2".into()));
        assert!(!error.to_string().contains("hunter2"));
    }
}
