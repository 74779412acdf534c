//! Whose token Zoom is asked with, and why that one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::InstallationId;

/// The token that was chosen for a request to Zoom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// None for a token that is no installation's: a configured one, or the Video SDK's.
    pub installation_id: Option<InstallationId>,
    pub reason: ChoiceReason,
}

/// What made the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceReason {
    /// The request or its session names the installation.
    Named,
    /// The meeting's host installed the app.
    Host,
    /// The participant in whose name the app runs installed it.
    Participant,
    /// The user who started the app in the meeting installed it.
    Operator,
    /// Somebody in the meeting's account installed the app.
    Account,
    /// Zoom said yes to it for this session before.
    UsedBefore,
    /// No other installation is connected.
    OnlyInstallation,
    /// Server-to-server OAuth, or `ZOOM_ACCESS_TOKEN`.
    Configured,
    /// The Video SDK's API key.
    VideoSdkKey,
}

impl fmt::Display for Chosen {
    /// The token and the reason, such as "the token of installation 0193…, the host's".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.installation_id {
            Some(id) => write!(f, "the token of installation {id}")?,
            None if self.reason == ChoiceReason::VideoSdkKey => {
                return f.write_str("the Video SDK API key");
            }
            None => f.write_str("the configured token")?,
        }
        let why = match self.reason {
            ChoiceReason::Named => "which was named",
            ChoiceReason::Host => "the host's",
            ChoiceReason::Participant => "the participant's",
            ChoiceReason::Operator => "that of the user who started the app",
            ChoiceReason::Account => "one of the meeting's account",
            ChoiceReason::UsedBefore => "which Zoom accepted for this session before",
            ChoiceReason::OnlyInstallation => "the only one that is connected",
            ChoiceReason::Configured | ChoiceReason::VideoSdkKey => "since no installation fits",
        };
        write!(f, ", {why}")
    }
}
