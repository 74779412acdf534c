//! Derives each part's settings from the configuration.

use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::config::{AppDefaults, Config, Keep};
use crate::hub::WriterSettings;
use crate::model::NodeId;
use crate::net::Network;
use crate::rtms::stream::Timings;
use crate::seal::KeyRing;
use crate::sessions::Leases;
use crate::sinks::webhooks;
use crate::zoom::app::{Apps, Describe, Occupancy};
use crate::{control, sessions};

/// Reads further apps, with these defaults.
pub(crate) fn describe_app(defaults: AppDefaults) -> Describe {
    Arc::new(move |name, fields| defaults.describe(name, fields))
}

/// How often the store is checked for due outgoing webhooks.
const WEBHOOKS_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often the store is checked for planned requests to Zoom.
const CONTROL_POLL_INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn writer_settings(config: &Config) -> WriterSettings {
    WriterSettings {
        batch_interval: config.entry_batch_interval,
        max_queued_bytes: config.entry_buffer_bytes,
        keeps_personal: config.retention.entries != Keep::Nothing,
        now_ms: clock::now_ms,
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

pub(super) fn control_settings(
    config: &Config,
    apps: &Apps,
    occupancy: &Occupancy,
) -> control::Settings {
    control::Settings {
        apps: apps.clone(),
        occupancy: occupancy.clone(),
        start_timeout: config.start_timeout,
        may_record: config.retention.media != Keep::Nothing,
        poll_interval: CONTROL_POLL_INTERVAL,
        now_ms: clock::now_ms,
    }
}
