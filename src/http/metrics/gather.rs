//! Reads what exists anyway: streams, queues, places, the spool, the store's rows, the process.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::http::AppState;
use crate::http::readiness::Checks;
use crate::hub::LiveStream;
use crate::metrics::{Gathered, read_process};
use crate::model::{AppName, InstallationStatus, RecordingStatus, StreamStatus, between};
use crate::store::StoreFigures;

/// How long a stream may run before it should have media.
const MEDIA_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn gather(state: &AppState) -> Gathered {
    let gathered = Gathered::default();
    gathered.build_info.set([env!("CARGO_PKG_VERSION")], 1.0);
    state.apps.all().keys().for_each(|app| state.metrics.add_app(app));
    streams(&gathered, &state.hub.live_streams());
    capacity(&gathered, state);
    queues(&gathered, state);
    spool(&gathered, state).await;
    read_process(&gathered);
    if let Some(difference_s) = state.arrivals.largest_clock_difference_s() {
        state.metrics.clock_difference.set(["webhook"], difference_s as f64);
    }
    store(&gathered, state).await;
    gathered
}

fn streams(gathered: &Gathered, streams: &[LiveStream]) {
    let mut sessions = HashSet::new();
    for live in streams {
        let app = live.stream.app.as_str();
        let product = live.stream.instance.product.as_str();
        gathered.streams.add([app, product, live.status.as_str()], 1.0);
        if sessions.insert(live.stream.session_id) {
            gathered.active_meetings.add([app, product], 1.0);
        }
        let lacks_media = !live.has_media && live.age >= MEDIA_WITHIN;
        let is_lacking = lacks_media && live.status != StreamStatus::Paused;
        // 0 for the others, so that the series does not vanish when the media comes.
        gathered.streams_without_media.add([app, product], f64::from(u8::from(is_lacking)));
    }
}

fn capacity(gathered: &Gathered, state: &AppState) {
    gathered.capacity.set_count([], state.occupancy.room());
    let rooms = state.occupancy.rooms(&state.apps);
    for (app, room) in rooms.iter() {
        gathered.app_capacity.set_count([app.as_str()], room);
    }
    let (subscribers, max) = state.hub.subscribers();
    gathered.subscribers.set_count([], subscribers);
    gathered.subscribers_limit.set_count([], max);
    gathered.downloads.set_count([], state.downloads.taken());
}

fn queues(gathered: &Gathered, state: &AppState) {
    let load = state.hub.queue_load();
    gathered.queue_depth.set_count([], load.items);
    gathered.queue_bytes.set_count([], load.bytes);
    gathered.queue_limit.set_count([], load.max_bytes);
    for (sink, bytes, max_bytes) in state.hub.sink_loads() {
        gathered.sink_bytes.set_count([sink], bytes);
        gathered.sink_limit.set_count([sink], max_bytes);
    }
}

async fn spool(gathered: &Gathered, state: &AppState) {
    let recordings = state.recordings.clone();
    // On a thread of its own, because a disk that hangs must not stop other requests.
    let Ok(load) = tokio::task::spawn_blocking(move || recordings.spool_load()).await else {
        return;
    };
    gathered.spool_bytes.set([], load.bytes as f64);
    gathered.spool_limit.set([], load.max_bytes as f64);
    if let Some(free_bytes) = load.free_bytes {
        gathered.spool_free.set([], free_bytes as f64);
    }
}

async fn store(gathered: &Gathered, state: &AppState) {
    gathered.unreadable_rows.add([], state.store.passed_over());
    let is_up = Checks::of(state).await.store_ok;
    gathered.store_up.set([], f64::from(u8::from(is_up)));
    if !is_up {
        return;
    }
    event_sockets(gathered, state).await;
    let now_ms = (state.now_ms)();
    if let Some(figures) = state.store_figures.read(&state.store, now_ms).await {
        store_figures(gathered, state, &figures, now_ms);
    }
}

async fn event_sockets(gathered: &Gathered, state: &AppState) {
    let mut names = Vec::new();
    for app in state.apps.all().values().filter(|app| app.events_url.is_some()) {
        names.push(app.name.clone());
    }
    if names.is_empty() {
        return;
    }
    let Ok((rows, now_ms)) = state.store.event_sockets().await else { return };
    for name in names.iter().map(AppName::as_str) {
        let is_connected = rows.iter().any(|row| row.app == name && row.is_connected(now_ms));
        gathered.socket_connected.set([name], f64::from(u8::from(is_connected)));
    }
}

fn store_figures(gathered: &Gathered, state: &AppState, figures: &Arc<StoreFigures>, now_ms: i64) {
    // 0 for what an app has none of: a series that vanished would keep its last value for a while.
    for app in state.apps.all().keys().map(AppName::as_str) {
        gathered.waiting_streams.set([app], 0.0);
        gathered.outgoing_waiting.set([app], 0.0);
        gathered.outgoing_oldest.set([app], 0.0);
        for status in InstallationStatus::ALL {
            gathered.installations.set([app, status.as_str()], 0.0);
        }
        for status in RecordingStatus::ALL.into_iter().filter(|it| *it != RecordingStatus::Stored) {
            gathered.recordings.set([app, status.as_str()], 0.0);
        }
    }
    for row in &figures.unclaimed_streams {
        gathered.waiting_streams.set([&row.app], row.count as f64);
    }
    for row in &figures.recordings {
        gathered.recordings.set([&row.app, &row.status], row.count as f64);
    }
    for row in &figures.installations {
        gathered.installations.set([&row.app, &row.status], row.count as f64);
    }
    for row in &figures.waiting_deliveries {
        gathered.outgoing_waiting.set([&row.app], row.count as f64);
        let age = between(row.oldest_ms, now_ms);
        gathered.outgoing_oldest.set([&row.app], age.as_secs_f64());
    }
    for row in &figures.sink_lags {
        gathered.relay_lag.set([&row.sink], row.count as f64);
    }
}
