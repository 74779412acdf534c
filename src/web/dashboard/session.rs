//! The page of one session.

mod ledger;

use askama::Template;

pub use self::ledger::Ledger;
use super::marks::{self, Mark};
use super::recordings::Recordings;
use super::{Layout, assets, bands, rendered};
use crate::control::{Missing, TimelineEvent};
use crate::model::{Session, StreamRecord, StreamStatus, rfc3339};

/// The whole page.
#[derive(Template)]
#[template(path = "dashboard/session.html")]
pub struct SessionPage {
    pub layout: Layout,
    pub id: String,
    /// Whether the session is over: nothing more arrives.
    pub is_over: bool,
    pub state: StatePart,
    pub ledger: Ledger,
    pub story: Story,
    pub recordings: Recordings,
}

/// The status, the facts and the actions.
#[derive(Template)]
#[template(path = "dashboard/session_status.html")]
pub struct StatePart {
    id: String,
    mark: Mark,
    is_active: bool,
    facts: Vec<(&'static str, String)>,
    since: Option<String>,
    ended: Option<String>,
    metadata: Option<String>,
    completeness: Option<String>,
    is_complete: bool,
    /// The actions that make sense now: name and words; none for a token that may not control.
    actions: Vec<(&'static str, &'static str)>,
}

/// What happened, and what is missing.
#[derive(Template)]
#[template(path = "dashboard/session_timeline.html")]
pub struct Story {
    id: String,
    is_active: bool,
    missing: Vec<Missing>,
    /// Newest first.
    moments: Vec<Moment>,
}

struct Moment {
    at: Option<String>,
    what: String,
    detail: String,
    ordinal: Option<u32>,
}

impl SessionPage {
    pub fn html(&self) -> String {
        rendered(self)
    }

    /// The resources of the session in the API: name and path.
    fn resources(&self) -> Vec<(&'static str, String)> {
        let parts = [
            ("Session and streams", ""),
            ("Timeline", "/timeline"),
            ("Ledger", "/ledger"),
            ("Transcript", "/transcript"),
            ("Recordings", "/recordings"),
            ("Forwards", "/forward"),
            ("Events, live", "/events"),
        ];
        let path = |(name, rest)| (name, format!("/api/v1/sdk/sessions/{}{rest}", self.id));
        parts.into_iter().map(path).collect()
    }
}

impl StatePart {
    pub fn of(session: &Session, streams: &[StreamRecord], may_control: bool, now_ms: i64) -> Self {
        let accounts: Vec<_> = streams.iter().flat_map(|stream| &stream.ledger).collect();
        let share = bands::completeness(&accounts);
        let since_ms = session.meeting_started_at_ms.unwrap_or(session.created_at_ms);
        let ended_ms = session.ended_at_ms;
        let mut facts = facts(session);
        facts.push(("Lasts", bands::duration(ended_ms.unwrap_or(now_ms) - since_ms)));
        Self {
            id: session.id.to_string(),
            mark: marks::of_session(session.status),
            is_active: session.status.is_under_way(),
            facts,
            since: rfc3339(since_ms),
            ended: ended_ms.and_then(rfc3339),
            metadata: session.metadata.as_ref().and_then(|data| serde_json::to_string(data).ok()),
            completeness: share.map(bands::percent),
            is_complete: share.is_none_or(|share| share >= 1.0),
            actions: if may_control { actions(session, streams) } else { Vec::new() },
        }
    }

    pub fn html(&self) -> String {
        rendered(self)
    }
}

fn facts(session: &Session) -> Vec<(&'static str, String)> {
    let instance = &session.instance;
    let mut facts = vec![("Product", marks::product(instance.product).to_owned())];
    facts.extend(session.meeting_id.clone().map(|id| ("Number", marks::number(&id))));
    facts.push(("Zoom’s id", instance.id().to_owned()));
    facts.extend(session.host_id.clone().map(|id| ("Host", id)));
    facts.push(("App", session.app.to_string()));
    facts.push(("Session", session.id.to_string()));
    facts
}

/// What can be asked of Zoom now.
fn actions(session: &Session, streams: &[StreamRecord]) -> Vec<(&'static str, &'static str)> {
    let open = || streams.iter().filter(|stream| stream.ended_at_ms.is_none());
    let is_paused = open().any(|stream| stream.status == StreamStatus::Paused);
    let is_running = open().any(|stream| stream.status != StreamStatus::Paused);
    let mut actions = Vec::new();
    if !session.status.is_under_way() {
        actions.push(("start", "Start"));
    }
    if is_paused {
        actions.push(("resume", "Resume"));
    }
    if is_running {
        actions.push(("pause", "Pause"));
    }
    if is_paused || is_running {
        actions.push(("stop", "Stop"));
    }
    actions
}

impl Story {
    pub fn of(session: &Session, moments: Vec<TimelineEvent>, missing: Vec<Missing>) -> Self {
        let moment = |event: TimelineEvent| Moment {
            at: rfc3339(event.at_ms),
            what: event.what.replace('_', " "),
            detail: event.detail,
            ordinal: event.ordinal,
        };
        Self {
            id: session.id.to_string(),
            is_active: session.status.is_under_way(),
            missing,
            moments: moments.into_iter().rev().map(moment).collect(),
        }
    }

    pub fn html(&self) -> String {
        rendered(self)
    }
}
