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
    /// `None` for a viewer who may not run it.
    pub doctor: Option<Doctor>,
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

/// The checks of the daemon's surroundings.
#[derive(Default)]
pub struct Doctor {
    pub is_running: bool,
    /// When the last run began; `None` before the first one.
    pub checked_at: Option<String>,
    /// How many checks passed and failed, in words.
    pub summary: String,
    /// Findings first.
    pub checks: Vec<Check>,
}

/// One check.
pub struct Check {
    pub mark: Mark,
    pub id: &'static str,
    pub subject: Option<String>,
    pub seen: String,
    pub todo: Option<String>,
}

/// A daemon that shares the store.
pub struct Replica {
    pub node: String,
    pub is_this: bool,
    pub streams: i64,
    /// The most that it runs; 0 while it takes none.
    pub max_streams: Option<i64>,
    /// Its streams as a share of that, in words.
    pub load: Option<String>,
    pub cpu: Option<String>,
    pub oldest: Option<String>,
    pub lease_until: Option<String>,
}
