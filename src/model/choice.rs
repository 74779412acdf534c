//! The token chosen for a request to Zoom, and the reason for the choice.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::InstallationId;

/// The token that was chosen for a request to Zoom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// None for a configured token or a Video SDK key, which belong to no installation.
    pub installation_id: Option<InstallationId>,
    /// Why this token and no other.
    pub reason: ChoiceReason,
}

/// Why a token was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceReason {
    /// The request or its session names this installation.
    Named,
    /// The meeting's host installed the app.
    Host,
    /// The app runs for this participant, who installed it.
    Participant,
    /// The user who started the app in the meeting installed it.
    Operator,
    /// A user in the meeting's account installed the app.
    Account,
    /// Zoom accepted this token for this session before.
    UsedBefore,
    /// It is the only connected installation.
    OnlyInstallation,
    /// Server-to-server OAuth, or `ZOOM_ACCESS_TOKEN`.
    Configured,
    /// The Video SDK's API key.
    VideoSdkKey,
}

impl fmt::Display for Chosen {
    /// The token and the reason, such as "the token of installation 0193… (the host's)".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.installation_id {
            Some(id) => write!(f, "the token of installation {id}")?,
            None if self.reason == ChoiceReason::VideoSdkKey => {
                return f.write_str("the Video SDK API key");
            }
            None => f.write_str("the configured token")?,
        }
        let why = match self.reason {
            ChoiceReason::Named => "named by the request or the session",
            ChoiceReason::Host => "the host's",
            ChoiceReason::Participant => "the participant's",
            ChoiceReason::Operator => "of the user who started the app",
            ChoiceReason::Account => "of a user in the meeting's account",
            ChoiceReason::UsedBefore => "accepted by Zoom for this session before",
            ChoiceReason::OnlyInstallation => "the only connected installation",
            ChoiceReason::Configured | ChoiceReason::VideoSdkKey => "no installation fits",
        };
        write!(f, " ({why})")
    }
}
