//! Looks at everything at once, each thing in bounded time, and hands what it sees to the judges.

mod app;
mod network;
mod places;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::Settings;
use super::judge;
use super::report::Check;
use crate::store::Store;
use crate::zoom::app::App;

/// How long one probe may take. Longer than the timeouts inside it, which know better what was slow.
const LIMIT: Duration = Duration::from_secs(25);

pub(super) async fn run(settings: &Settings, apps: &[Arc<App>]) -> Vec<Check> {
    let of_apps = join_all(apps.iter().map(|app| {
        let name = app.name.as_str();
        bounded(&judge::oauth::IDS, Some(name), app::look(settings, app))
    }));
    let (clocks, store, disk, recordings, nats, network, webhooks, of_apps) = tokio::join!(
        clocks(settings, apps),
        bounded(&judge::store::IDS, None, store(settings)),
        bounded(&judge::places::DISK, None, places::disk(settings)),
        places::recordings(settings, apps),
        bounded(&[judge::places::NATS], None, places::nats(settings)),
        network::look(settings, apps),
        webhook::look(settings, apps),
        of_apps,
    );
    let of_apps = of_apps.into_iter().flatten();
    let parts = [clocks, store, disk, recordings, nats, network, webhooks];
    parts.into_iter().flatten().chain(of_apps).collect()
}

/// Runs a probe. If it does not end in time, each of its checks fails.
async fn bounded(
    ids: &[&'static str],
    subject: Option<&str>,
    probe: impl Future<Output = Vec<Check>>,
) -> Vec<Check> {
    let checks = timeout(LIMIT, probe).await.unwrap_or_else(|_| {
        let seen = format!("There was no end after {} s.", LIMIT.as_secs());
        let late = |id| Check::fail(id, seen.clone(), "See what hangs there.");
        ids.iter().copied().map(late).collect()
    });
    match subject {
        None => checks,
        Some(subject) => checks.into_iter().map(|check| check.of(subject)).collect(),
    }
}

/// The clock against each of Zoom's APIs: one, unless apps have others.
async fn clocks(settings: &Settings, apps: &[Arc<App>]) -> Vec<Check> {
    let mut bases: Vec<&str> = apps.iter().map(|app| &*app.api_base_url).collect();
    bases.sort_unstable();
    bases.dedup();
    let checks = bases.into_iter().map(|base| {
        bounded(&[judge::CLOCK], Some(base), async move {
            let began_ms = (settings.now_ms)();
            let date = settings.zoom.date(base).await;
            let times = (began_ms, (settings.now_ms)());
            let date = date.as_ref().map(|date| date.as_deref()).map_err(|error| *error);
            vec![judge::clock(times, date, settings.webhook_tolerance_s)]
        })
    });
    join_all(checks).await.concat()
}

async fn store(settings: &Settings) -> Vec<Check> {
    judge::store::store(&Store::examine(&settings.database).await)
}
