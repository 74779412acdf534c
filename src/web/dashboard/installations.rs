//! Who has installed the app.

use askama::Template;

use super::marks::Mark;
use super::{Layout, assets, rendered};
use crate::model::{Installation, InstallationStatus, rfc3339};

/// The page.
#[derive(Template)]
#[template(path = "dashboard/installations.html")]
pub struct Installations {
    pub layout: Layout,
    /// The install links of the apps with users.
    pub installs: Vec<Install>,
    pub rows: Vec<Row>,
    /// How many of the rows need a reconnect.
    pub lost: usize,
    /// Whether the rows are of several apps.
    pub shows_app: bool,
    pub older: Option<String>,
    pub newest: Option<String>,
    pub raw: String,
}

impl Installations {
    pub fn html(&self) -> String {
        rendered(self)
    }
}

/// Where the install of an app begins.
pub struct Install {
    pub app: String,
    pub path: String,
}

/// One installation.
pub struct Row {
    id: String,
    app: String,
    /// The user's name, or Zoom's id of the user.
    name: String,
    email: Option<String>,
    account: String,
    mark: Mark,
    since: Option<String>,
    is_revocable: bool,
}

impl Row {
    pub fn of(installation: &Installation) -> Self {
        let (word, tone) = match installation.status {
            InstallationStatus::Connected => ("connected", "good"),
            InstallationStatus::NeedsReconnect => ("needs reconnect", "bad"),
            InstallationStatus::Revoked => ("revoked", ""),
        };
        let name = installation.display_name.clone();
        Self {
            id: installation.id.to_string(),
            app: installation.app.to_string(),
            name: name.unwrap_or_else(|| installation.user_id.clone()),
            email: installation.email.clone(),
            account: installation.account_id.clone(),
            mark: Mark { word, tone },
            since: rfc3339(installation.created_at_ms),
            is_revocable: installation.status != InstallationStatus::Revoked,
        }
    }
}
