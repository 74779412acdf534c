//! Holds an event socket for each app that has one, and follows changes of the apps.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::holder::Holder;
use super::{Receiver, Timings};
use crate::control::Control;
use crate::metrics::Metrics;
use crate::model::{AppName, NodeId};
use crate::net::Network;
use crate::store::Store;
use crate::zoom::app::{App, Apps};
use crate::zoom::event_socket::EventsUrl;
use crate::zoom::oauth::OAuth;

/// How often the apps are compared with the event sockets.
const APPS_INTERVAL: Duration = Duration::from_secs(1);

/// What the event sockets are built from.
#[derive(Clone)]
pub struct Settings {
    pub store: Store,
    pub receiver: Receiver,
    /// Asks Zoom about meetings after a gap.
    pub control: Arc<Control>,
    pub apps: Apps,
    pub oauth: OAuth,
    pub network: Network,
    pub metrics: Metrics,
    /// This daemon among those that share the store.
    pub node: NodeId,
    pub timings: Timings,
    /// The wall clock, Unix milliseconds.
    pub now_ms: fn() -> i64,
}

/// The event sockets of all apps.
pub struct EventSockets {
    settings: Settings,
    running: HashMap<AppName, Running>,
}

/// The task of one app.
struct Running {
    app: Arc<App>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl EventSockets {
    pub fn new(settings: Settings) -> Self {
        Self { settings, running: HashMap::new() }
    }

    /// Runs until `stop`. Then another daemon, if there is one, takes the event sockets over without a gap.
    pub async fn run(&mut self, stop: CancellationToken) {
        let mut due = interval(APPS_INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(due.tick()).await.is_some() {
            self.follow_apps();
        }
        for running in self.running.values() {
            running.stop.cancel();
        }
        for (app, mut running) in self.running.drain() {
            if (&mut running.task).await.is_err() {
                tracing::error!(%app, "the task of an event socket panicked while it stopped");
            }
        }
    }

    /// Starts missing tasks, and stops those of removed and changed apps. A stopped task is replaced only when it has
    /// ended: two connections of one subscription would end each other.
    fn follow_apps(&mut self) {
        let apps = self.settings.apps.all();
        for (name, running) in &self.running {
            let is_same = apps.get(name).is_some_and(|app| is_same(app, &running.app));
            if !is_same {
                running.stop.cancel();
            }
            if running.task.is_finished() && !running.stop.is_cancelled() {
                tracing::error!(app = %name, "the task of an event socket panicked; it is started again");
            }
        }
        self.running.retain(|_, running| !running.task.is_finished());
        for (name, app) in apps.iter() {
            let Some(url) = app.events_url.clone() else { continue };
            if !self.running.contains_key(name) {
                self.running.insert(name.clone(), self.start(app, url));
            }
        }
    }

    fn start(&self, app: &Arc<App>, url: EventsUrl) -> Running {
        let stop = CancellationToken::new();
        let holder = Holder::new(self.settings.clone(), Arc::clone(app), url);
        let task = tokio::spawn(holder.run(stop.clone()));
        Running { app: Arc::clone(app), stop, task }
    }
}

/// Whether an app uses its event socket in the same way as before.
fn is_same(app: &App, before: &App) -> bool {
    (&app.events_url, &app.client, &app.configured, &app.oauth_base_url)
        == (&before.events_url, &before.client, &before.configured, &before.oauth_base_url)
}
