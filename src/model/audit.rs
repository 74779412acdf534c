//! Rows of the audit trail.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::AppName;

/// One audited action: who did what, to what, from where, and with which outcome. Contains no secret and no meeting
/// content.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRow {
    /// When it was done, Unix milliseconds.
    pub at_ms: i64,
    /// An API token's name, a Zoom user's id for an install, `zoom` for a webhook, `rtmsd` for the daemon, or
    /// `anonymous` for a refused request without a known token.
    pub actor: String,
    /// The client's address; none for actions of Zoom and of the daemon itself.
    pub address: Option<IpAddr>,
    /// The app that it concerns; none for an action that concerns no app, or several.
    pub app: Option<AppName>,
    /// What was done, such as `installation.delete`.
    pub action: &'static str,
    /// The id of what it was done to.
    pub subject: String,
    /// `ok`, the code of an error, or `asked` while Zoom's answer is awaited.
    pub outcome: String,
    /// Counts and names, a JSON object.
    pub detail: Value,
}

impl AuditRow {
    /// A successful action without a client address and an app.
    pub fn new(at_ms: i64, actor: &str, action: &'static str, subject: &str) -> Self {
        Self {
            at_ms,
            actor: actor.to_owned(),
            address: None,
            app: None,
            action,
            subject: subject.to_owned(),
            outcome: "ok".to_owned(),
            detail: json!({}),
        }
    }

    /// The same action as one that concerns `app`.
    pub fn of_app(self, app: &AppName) -> Self {
        Self { app: Some(app.clone()), ..self }
    }

    /// The same action on another subject.
    pub fn on(&self, subject: &str) -> Self {
        Self { subject: subject.to_owned(), ..self.clone() }
    }
}
