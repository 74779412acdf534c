//! The statuses, codes and texts of failed installs.

use axum::http::StatusCode;
use thiserror::Error;

use crate::http::INSTALL_PATH;
use crate::zoom::install::InstallError;
use crate::zoom::oauth::OAuthError;
use crate::zoom::state::StateError;

/// Why an install failed. The text is for programs and for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InstallRefusal {
    #[error("the user did not allow the app")]
    Denied,
    #[error("Zoom returned an error instead of a code: begin again")]
    RefusedByZoom,
    #[error("the state is missing: begin at {INSTALL_PATH}")]
    NoState,
    #[error("the code is missing: begin again")]
    NoCode,
    #[error(transparent)]
    State(StateError),
    #[error("there is no app with this name: see GET /api/v1/apps")]
    UnknownApp,
    #[error("this install was already finished")]
    Used,
    #[error("too many installs at once: try again later")]
    Busy,
    #[error("Zoom rejected the code: it is valid for 5 minutes and once; begin again")]
    DeadCode,
    #[error("Zoom rejects this app: {0}")]
    Misconfigured(&'static str),
    #[error("Zoom is unavailable: begin again later")]
    ZoomAway,
    #[error("the tokens could not be stored: begin again")]
    NotStored,
}

impl InstallRefusal {
    pub fn of(error: &InstallError) -> Self {
        match error {
            InstallError::State(error) => Self::State(*error),
            InstallError::UnknownApp(_) => Self::UnknownApp,
            InstallError::Used => Self::Used,
            InstallError::Busy => Self::Busy,
            InstallError::OAuth(OAuthError::Dead) => Self::DeadCode,
            InstallError::OAuth(OAuthError::Misconfigured(what)) => Self::Misconfigured(what),
            // The cause stays in the log: it may contain Zoom's answer.
            InstallError::OAuth(error) => {
                tracing::warn!(%error, "could not exchange an authorization code; the user is asked to begin again");
                Self::ZoomAway
            }
            InstallError::Store(_) | InstallError::Panicked => {
                tracing::error!(%error, "could not store an install; the user is asked to begin again");
                Self::NotStored
            }
        }
    }

    pub fn status(self) -> StatusCode {
        match self {
            Self::Denied => StatusCode::FORBIDDEN,
            Self::NoState | Self::NoCode | Self::State(_) => StatusCode::BAD_REQUEST,
            Self::RefusedByZoom | Self::DeadCode => StatusCode::BAD_REQUEST,
            Self::UnknownApp => StatusCode::NOT_FOUND,
            Self::Used => StatusCode::CONFLICT,
            Self::Misconfigured(_) | Self::ZoomAway => StatusCode::BAD_GATEWAY,
            Self::Busy | Self::NotStored => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Self::Denied => "access_denied",
            Self::RefusedByZoom => "authorization_failed",
            Self::NoState => "state_missing",
            Self::NoCode => "code_missing",
            Self::State(StateError::Forged) => "state_invalid",
            Self::State(StateError::Expired) => "state_expired",
            Self::State(StateError::OtherBrowser) => "state_of_other_browser",
            Self::UnknownApp => "unknown_app",
            Self::Used => "state_used",
            Self::Busy => "too_many_installs",
            Self::DeadCode => "code_invalid",
            Self::Misconfigured(_) => "app_misconfigured",
            Self::ZoomAway => "zoom_unavailable",
            Self::NotStored => "store_unavailable",
        }
    }
}
