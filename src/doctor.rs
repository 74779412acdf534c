//! Checks what can be checked of a daemon and its surroundings from this machine, and says what to do about each finding.
//!
//! `probes` look, and `judge` (pure) turns what they saw into checks. All probes run at once, each in bounded time. A
//! check holds no secret.

mod judge;
mod last;
mod probes;
mod report;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

pub use self::judge::fault::{Fault, clock, free_disk, spool, store_latency};
pub use self::last::Doctor;
pub use self::report::{Check, Report, Status};
use crate::model::rfc3339;
use crate::net::Network;
use crate::sinks::{nats, record};
use crate::store::{Location, Store};
use crate::zoom::app::{App, Apps};
use crate::zoom::client::ZoomClient;
use crate::zoom::token::Tokens;

/// What is checked, and with what.
#[derive(Clone)]
pub struct Settings {
    /// `PUBLIC_URL`, without a trailing slash.
    pub public_url: String,
    /// The URL at which Zoom delivers the webhooks of an app.
    pub webhook_url: Arc<dyn Fn(&App) -> String + Send + Sync>,
    pub webhook_tolerance_s: u32,
    pub apps: Apps,
    pub database: Location,
    /// The store, to read the installations; `None` if it cannot be opened.
    pub store: Option<Store>,
    /// The tokens of installations; `None` without a store or a key. Their owner waits for refreshes that a run began,
    /// also if the run is cut short: a refresh token works once.
    pub tokens: Option<Tokens>,
    pub recordings: record::Settings,
    /// `None` without a broker.
    pub nats: Option<nats::Settings>,
    pub network: Network,
    pub zoom: ZoomClient,
    /// An additional certificate authority, which Zoom does not trust.
    pub ca_file: Option<PathBuf>,
    /// What is odd about the settings, though they are valid.
    pub notes: Vec<String>,
    /// The wall clock, Unix milliseconds.
    pub now_ms: fn() -> i64,
}

/// Runs every check. Takes as long as the slowest probe, less than a minute.
pub async fn run(settings: &Settings) -> Report {
    let (began, at_ms) = (Instant::now(), (settings.now_ms)());
    let all = settings.apps.all();
    let apps: Vec<Arc<App>> = all.values().cloned().collect();
    let mut checks = vec![judge::settings(&apps, &settings.notes)];
    checks.extend(probes::run(settings, &apps).await);
    Report::new(rfc3339(at_ms), began.elapsed(), checks)
}
