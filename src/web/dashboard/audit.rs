//! The audit trail.

use askama::Template;

use super::{Layout, assets, rendered};
use crate::model::rfc3339;
use crate::store::Audited;

/// The page.
#[derive(Template)]
#[template(path = "dashboard/audit.html")]
pub struct Audit {
    pub layout: Layout,
    pub rows: Vec<Row>,
    pub actor: String,
    pub action: String,
    pub older: Option<String>,
    pub newest: Option<String>,
    pub raw: String,
}

impl Audit {
    pub fn html(&self) -> String {
        rendered(self)
    }

    fn is_limited(&self) -> bool {
        !self.actor.is_empty() || !self.action.is_empty() || self.newest.is_some()
    }
}

/// One row.
pub struct Row {
    at: Option<String>,
    actor: String,
    address: Option<String>,
    app: Option<String>,
    action: String,
    subject: String,
    outcome: String,
    /// JSON; none if it is empty.
    detail: Option<String>,
}

impl Row {
    pub fn of(row: Audited) -> Self {
        Self {
            at: rfc3339(row.at_ms),
            actor: row.actor,
            address: row.address,
            app: row.app,
            action: row.action,
            subject: row.subject,
            outcome: row.outcome,
            detail: Some(row.detail).filter(|detail| detail != "{}"),
        }
    }
}
