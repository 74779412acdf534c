//! Builds every sink.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{AppError, settings};
use crate::config::Config;
use crate::seal::KeyRing;
use crate::sinks::forward::Forwards;
use crate::sinks::live::Live;
use crate::sinks::record::Recordings;
use crate::sinks::relays::{self, Relays};
use crate::sinks::webhooks::Webhooks;
use crate::sinks::{Context, Runner, forward, nats, record, webhooks};
use crate::zoom::app::Apps;

/// The handles of the sinks for HTTP, and their tasks.
pub(super) struct Sinks {
    pub recordings: Recordings,
    pub webhooks: Webhooks,
    pub forwards: Arc<Forwards>,
    pub relays: Relays,
    pub live: Live,
    /// The connection to the broker, if there is one.
    pub broker: Option<nats::Handle>,
    pub runners: Vec<Box<dyn Runner>>,
}

/// `ring` seals the secrets of webhooks and relays; `draining` ends live subscribers.
pub(super) async fn build(
    config: &Config,
    context: &Context,
    apps: &Apps,
    ring: &KeyRing,
    draining: CancellationToken,
) -> Result<Sinks, AppError> {
    let live = Live {
        hub: Arc::clone(&context.hub),
        store: context.store.clone(),
        stop: draining,
        buffer_bytes: config.live_buffer_bytes,
        now_ms: context.now_ms,
    };
    let (recordings, recorder) = record::build(&config.recordings, apps, context)?;
    let (webhooks, sender) = webhooks::build(settings::webhook_settings(config, ring), context);
    webhooks.configure(&config.webhooks.endpoints).await?;
    let relay_settings = settings::relay_settings(config, ring, apps);
    let (relays, relay_runner) = relays::build(relay_settings, context);
    relays.configure(&config.relays.relays).await?;
    let (targets, apps) = (config.targets.clone(), apps.clone());
    let settings = forward::Settings { targets, live: live.clone(), apps };
    let (forwards, forwarder) = forward::build(settings, context);
    let (mut broker, mut runners) = (None, vec![recorder, sender, forwarder, relay_runner]);
    if let Some(settings) = config.nats.clone() {
        let (handle, runner) = nats::build(settings, context).await?;
        broker = Some(handle);
        runners.push(runner);
    }
    Ok(Sinks { recordings, webhooks, forwards, relays, live, broker, runners })
}
