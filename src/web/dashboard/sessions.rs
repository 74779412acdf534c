//! The list of sessions.

use askama::Template;

use super::bands::{self, Band, WIDTH, Window};
use super::marks::{self, Mark};
use super::{Layout, assets, rendered};
use crate::model::{Medium, MediumAccount, Session, StreamRecord, rfc3339};

/// How much of a live session its strip shows.
const STRIP_MS: i64 = 10 * 60 * 1000;

/// The page with the list.
#[derive(Template)]
#[template(path = "dashboard/sessions.html")]
pub struct Sessions {
    pub layout: Layout,
    pub filters: Filters,
    /// The apps to choose from; empty for a single one.
    pub apps: Vec<String>,
    /// Sessions under way; `None` where the filters or the page show others.
    pub live: Option<Live>,
    /// Any other sessions, newest first.
    pub rows: Vec<Row>,
    /// The address of the next page.
    pub older: Option<String>,
    /// The address of the first page, on the others.
    pub newest: Option<String>,
}

/// The sessions under way, which update by themselves.
#[derive(Template)]
#[template(path = "dashboard/sessions_live.html")]
pub struct Live {
    pub rows: Vec<Row>,
    /// There are more than fit.
    pub has_more: bool,
    /// The address of the next state.
    pub refresh: String,
}

/// What the list is limited to, as in the form.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    pub search: String,
    pub status: String,
    pub product: String,
    pub app: String,
}

impl Filters {
    fn is_set(&self) -> bool {
        [&self.search, &self.status, &self.product, &self.app].iter().any(|text| !text.is_empty())
    }
}

/// The choices of a form: value and words.
const STATUSES: [(&str, &str); 6] = [
    ("", "Any"),
    ("rtms_start_requested,connecting,live", "Under way"),
    ("stopped", "Stopped"),
    ("ended", "Ended"),
    ("start_refused,start_timed_out", "Not started"),
    ("created", "Created"),
];
const PRODUCTS: [(&str, &str); 6] = [
    ("", "Any"),
    ("meeting", "Meetings"),
    ("webinar", "Webinars"),
    ("video_sdk", "Video SDK"),
    ("contact_center", "Contact Center"),
    ("phone", "Phone"),
];

/// One session.
pub struct Row {
    id: String,
    mark: Mark,
    product: &'static str,
    /// The number, or Zoom's id.
    name: String,
    app: String,
    host: Option<String>,
    metadata: Option<String>,
    since: Option<String>,
    ended: Option<String>,
    is_live: bool,
    media: Vec<Figure>,
    completeness: Option<String>,
    is_complete: bool,
    strip: Vec<Band>,
}

/// How much of a medium came.
struct Figure {
    medium: Medium,
    /// Bytes of audio, video and share; lines of transcript and chat.
    count: u64,
    is_bytes: bool,
    /// When it was counted, Unix milliseconds.
    at_ms: i64,
    /// Per second since the beginning.
    average: u64,
}

impl Figure {
    fn rate(&self) -> String {
        match self.count {
            0 => "–".to_owned(),
            _ => format!("{}/s", marks::bytes(self.average)),
        }
    }

    fn total(&self) -> String {
        match (self.is_bytes, self.count) {
            (true, bytes) => marks::bytes(bytes),
            (false, 1) => "1 line".to_owned(),
            (false, lines) => format!("{lines} lines"),
        }
    }
}

impl Row {
    pub fn of(session: &Session, streams: &[StreamRecord], now_ms: i64) -> Self {
        let accounts: Vec<_> = streams.iter().flat_map(|stream| &stream.ledger).collect();
        let is_live = session.status.is_under_way();
        let share = bands::completeness(&accounts);
        let since_ms = session.meeting_started_at_ms.unwrap_or(session.created_at_ms);
        let name = session.meeting_id.as_deref().unwrap_or(session.instance.id());
        Self {
            id: session.id.to_string(),
            mark: marks::of_session(session.status),
            product: marks::product(session.instance.product),
            name: marks::number(name),
            app: session.app.to_string(),
            host: session.host_id.clone(),
            metadata: session.metadata.as_ref().map(json),
            since: rfc3339(since_ms),
            ended: session.ended_at_ms.and_then(rfc3339),
            is_live,
            media: figures(streams, &accounts),
            completeness: share.map(bands::percent),
            is_complete: share.is_none_or(|share| share >= 1.0),
            strip: strip(&accounts, is_live.then_some(now_ms)),
        }
    }

    /// What the strip shows, in words.
    fn strip_words(&self) -> String {
        let words = self.strip.iter().map(|band| {
            let gaps = match band.parts.iter().filter(|part| part.is_gap()).count() {
                0 => "complete".to_owned(),
                1 => "1 gap".to_owned(),
                gaps => format!("{gaps} gaps"),
            };
            format!("{} {gaps}", band.medium.as_str())
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

fn json(metadata: &crate::model::Metadata) -> String {
    serde_json::to_string(metadata).unwrap_or_default()
}

fn figures(streams: &[StreamRecord], accounts: &[&MediumAccount]) -> Vec<Figure> {
    bands::media_of(accounts).into_iter().map(|medium| figure(medium, streams, accounts)).collect()
}

fn figure(medium: Medium, streams: &[StreamRecord], accounts: &[&MediumAccount]) -> Figure {
    let is_bytes = matches!(medium, Medium::Audio | Medium::Video | Medium::Share);
    let tallies = streams.iter().map(|stream| stream.tally.of(medium));
    let count = tallies.map(|tally| if is_bytes { tally.bytes } else { tally.frames }).sum();
    let own = accounts.iter().filter(|account| account.medium == medium);
    let at_ms = own.clone().map(|account| account.until_ms).max().unwrap_or_default();
    let seconds: i64 = own.map(|account| account.covered_ms() / 1000).sum();
    let average = count / u64::try_from(seconds).unwrap_or_default().max(1);
    Figure { medium, count, is_bytes, at_ms, average }
}

/// The last minutes of a live session, or the whole of another.
fn strip(accounts: &[&MediumAccount], now_ms: Option<i64>) -> Vec<Band> {
    let from_ms = accounts.iter().map(|account| account.since_ms).min();
    let to_ms = accounts.iter().map(|account| account.until_ms).max();
    let (Some(from_ms), Some(to_ms)) = (from_ms, to_ms) else { return Vec::new() };
    let window = match now_ms {
        Some(now_ms) => {
            Window { from_ms: from_ms.max(now_ms.saturating_sub(STRIP_MS)), to_ms: now_ms }
        }
        None => Window { from_ms, to_ms },
    };
    let media = bands::media_of(accounts).into_iter();
    media.map(|medium| bands::band(medium, accounts, window)).collect()
}

impl Sessions {
    pub fn html(&self) -> String {
        rendered(self)
    }
}

impl Live {
    pub fn html(&self) -> String {
        rendered(self)
    }
}
