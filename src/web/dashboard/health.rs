//! The health of the daemon: what is wrong on top.

use askama::Template;

use super::marks::Mark;
use super::{Layout, assets, rendered};

/// The page.
#[derive(Template)]
#[template(path = "dashboard/health.html")]
pub struct Health {
    pub layout: Layout,
    /// `ok`, `degraded` or `failing`.
    pub status: &'static str,
    pub findings: Vec<Finding>,
    /// Figures by subject.
    pub groups: Vec<(&'static str, Vec<(&'static str, String)>)>,
    pub replicas: Vec<Replica>,
    pub started: Option<String>,
}

impl Health {
    pub fn html(&self) -> String {
        rendered(self)
    }

    fn mark(&self) -> Mark {
        let tone = match self.status {
            "ok" => "good",
            "degraded" => "warn",
            _ => "bad",
        };
        Mark { word: self.status, tone }
    }
}

/// Something that is wrong.
pub struct Finding {
    pub tone: &'static str,
    pub word: &'static str,
    pub app: Option<String>,
    pub what: String,
    pub todo: &'static str,
}

/// A daemon that runs streams.
pub struct Replica {
    pub node: String,
    pub is_this: bool,
    pub streams: i64,
    pub oldest: Option<String>,
    pub lease_until: Option<String>,
}
