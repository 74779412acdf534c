//! Why an install failed: a page for people, a code for programs.

use axum::http::StatusCode;
use thiserror::Error;

use super::INSTALL_PATH;
use crate::web::Page;
use crate::zoom::install::InstallError;
use crate::zoom::oauth::OAuthError;
use crate::zoom::state::StateError;

/// Why an install failed. The text is for programs and for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
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

impl Refusal {
    pub fn of(error: &InstallError) -> Self {
        match error {
            InstallError::State(error) => Self::State(*error),
            InstallError::Used => Self::Used,
            InstallError::Busy => Self::Busy,
            InstallError::OAuth(OAuthError::Dead) => Self::DeadCode,
            InstallError::OAuth(OAuthError::Misconfigured(what)) => Self::Misconfigured(what),
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
            Self::Used => "state_used",
            Self::Busy => "too_many_installs",
            Self::DeadCode => "code_invalid",
            Self::Misconfigured(_) => "app_misconfigured",
            Self::ZoomAway => "zoom_unavailable",
            Self::NotStored => "store_unavailable",
        }
    }

    pub fn page(self) -> Page {
        let again = |page: Page, label| page.with_action(label, INSTALL_PATH);
        let text = self.text().to_owned();
        match self {
            Self::Denied => {
                again(Page::neutral("The app was not installed", vec![text]), "Install after all")
            }
            Self::NoState => again(Page::neutral("One more step", vec![text]), "Continue to Zoom"),
            Self::Used => again(Page::neutral("Already installed", vec![text]), "Install again"),
            Self::Misconfigured(what) => {
                let note = format!("For the operator: Zoom rejects this app: {what}.");
                Page::bad("The app is not set up correctly", vec![text, note])
            }
            Self::State(StateError::Expired) => {
                again(Page::bad("That took too long", vec![text]), "Start again")
            }
            _ => again(Page::bad("The app is not installed yet", vec![text]), "Start again"),
        }
    }

    /// The text for the person at the browser: what happened, and what it means for them.
    fn text(self) -> &'static str {
        match self {
            Self::Denied => {
                "You did not allow the app at Zoom, so nothing was stored and it has no access to your meetings."
            }
            Self::RefusedByZoom | Self::NoCode => {
                "Zoom did not confirm the installation. Nothing was stored. Please try it again."
            }
            Self::NoState => {
                "You came here from the Zoom App Marketplace. To make sure that it is really you who installs the \
                 app, please confirm it at Zoom once more."
            }
            Self::State(StateError::Forged) => {
                "This link was not made by this server, so it was not followed. Nothing was stored."
            }
            Self::State(StateError::Expired) => {
                "An installation has to be finished within 10 minutes. Nothing was stored. Please start again."
            }
            Self::State(StateError::OtherBrowser) => {
                "The installation was started in another browser, or this one does not keep cookies. Nothing was \
                 stored. Please start and finish it in the same browser."
            }
            Self::Used => {
                "This installation was finished already. If you saw the confirmation, all is well and you can close \
                 this page."
            }
            Self::Busy => {
                "Many people are installing the app right now. Please try it again in a minute."
            }
            Self::DeadCode => {
                "Zoom's confirmation is valid for five minutes and only once, and this one has expired. Please start \
                 again."
            }
            Self::Misconfigured(_) => {
                "You cannot fix this yourself. Please contact the operator of this server."
            }
            Self::ZoomAway => {
                "Zoom is not answering at the moment. Please start again in a minute."
            }
            Self::NotStored => {
                "You allowed the app at Zoom, but this server could not store it. Please start again in a minute."
            }
        }
    }
}
