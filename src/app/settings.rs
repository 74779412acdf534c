//! Derives each part's settings from the configuration.

use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::config::Config;
use crate::doctor;
use crate::http::app_webhook_path;
use crate::hub::WriterSettings;
use crate::metrics::Metrics;
use crate::model::{Keep, NodeId};
use crate::net::Network;
use crate::rtms::stream::Timings;
use crate::seal::KeyRing;
use crate::sessions::Leases;
use crate::sinks::{relays, webhooks};
use crate::store::Store;
use crate::zoom::app::{AppSources, Apps, Occupancy};
use crate::zoom::client::ZoomClient;
use crate::zoom::token::Tokens;
use crate::{control, sessions};

/// What the settings say of apps.
pub(crate) fn app_sources(config: &Config) -> AppSources {
    let defaults = config.app_defaults.clone();
    AppSources {
        configured: config.apps.clone(),
        describe: Arc::new(move |name, fields| defaults.describe(name, fields)),
        retention: config.retention,
    }
}

/// How often the store is checked for due outgoing webhooks.
const WEBHOOKS_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often the store is checked for planned requests to Zoom.
const CONTROL_POLL_INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn writer_settings(config: &Config, apps: &Apps, metrics: Metrics) -> WriterSettings {
    let apps = apps.clone();
    WriterSettings {
        batch_interval: config.entry_batch_interval,
        max_queued_bytes: config.entry_buffer_bytes,
        keeps_personal: Arc::new(move |app| apps.retention(app).entries != Keep::Nothing),
        now_ms: clock::now_ms,
        metrics,
    }
}

pub(super) fn stream_settings(
    config: &Config,
    apps: &Apps,
    occupancy: &Occupancy,
    node: NodeId,
    timings: Timings,
    leases: Leases,
    network: Network,
) -> sessions::Settings {
    sessions::Settings {
        node,
        apps: apps.clone(),
        timings,
        network,
        threads: config.stream_threads,
        occupancy: occupancy.clone(),
        leases,
        at_shutdown: config.at_shutdown,
        grace: config.shutdown_grace,
    }
}

pub(super) fn webhook_settings(config: &Config, ring: &KeyRing) -> webhooks::Settings {
    webhooks::Settings {
        ring: ring.clone(),
        policy: Arc::clone(&config.webhooks.policy),
        poll_interval: WEBHOOKS_POLL_INTERVAL,
    }
}

pub(super) fn relay_settings(config: &Config, ring: &KeyRing, apps: &Apps) -> relays::Settings {
    relays::Settings {
        ring: ring.clone(),
        policy: Arc::clone(&config.webhooks.policy),
        public_url: config.relays.public_url.clone(),
        buffer_bytes: config.relays.buffer_bytes,
        apps: apps.clone(),
        timings: config.relays.timings.clone(),
    }
}

/// What the doctor checks, over this network and with this store and its tokens, if it is open.
pub(crate) fn doctor_settings(
    config: &Config,
    apps: &Apps,
    store: Option<Store>,
    tokens: Option<Tokens>,
    network: &Network,
    zoom: &ZoomClient,
) -> doctor::Settings {
    let (public_url, path) = (config.install.public_url.clone(), config.webhook_path.clone());
    doctor::Settings {
        webhook_url: Arc::new({
            let public_url = public_url.clone();
            move |app| format!("{public_url}{}", app_webhook_path(&path, app.name.as_str()))
        }),
        public_url,
        webhook_tolerance_s: config.webhook_tolerance_s,
        apps: apps.clone(),
        database: config.database.clone(),
        store,
        tokens,
        recordings: config.recordings.clone(),
        nats: config.nats.clone(),
        network: network.clone(),
        zoom: zoom.clone(),
        ca_file: config.ca_file.clone(),
        notes: Vec::new(),
        now_ms: clock::now_ms,
    }
}

pub(super) fn control_settings(
    config: &Config,
    apps: &Apps,
    occupancy: &Occupancy,
    node: NodeId,
) -> control::Settings {
    control::Settings {
        node,
        apps: apps.clone(),
        occupancy: occupancy.clone(),
        start_timeout: config.start_timeout,
        poll_interval: CONTROL_POLL_INTERVAL,
        now_ms: clock::now_ms,
    }
}
