//! Records the events of an event socket in the order in which they came. Zoom does not repeat them, so they wait here
//! while the store is unavailable.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::sleep;

use super::receiver::{ReceiveError, Receiver};
use super::sockets::Settings;
use crate::metrics::Metrics;
use crate::model::{AppName, Delivery, DeliveryMethod, WebhookReason};
use crate::net::retry::Doubling;
use crate::store::StoreError;
use crate::zoom::app::{App, Apps};
use crate::zoom::event::{self, Event};

const METHOD: DeliveryMethod = DeliveryMethod::WebSocket;
/// The most events of an app that wait, and the most bytes of them.
const MAX_WAITING: usize = 16 * 1024;
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;
/// The waits while the store is unavailable.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Takes the events of one app. Never waits.
pub(super) struct Intake {
    queue: mpsc::Sender<Arrived>,
    room: Arc<Semaphore>,
    app: AppName,
    metrics: Metrics,
    now_ms: fn() -> i64,
}

struct Arrived {
    text: String,
    at_ms: i64,
    _room: OwnedSemaphorePermit,
}

impl Intake {
    /// The intake of an app, and the future that records what it takes. The future ends after the intake is dropped and
    /// everything is recorded.
    pub(super) fn new(
        settings: &Settings,
        app: &AppName,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (queue, arrived) = mpsc::channel(MAX_WAITING);
        let (metrics, now_ms) = (settings.metrics.clone(), settings.now_ms);
        let recorder = Recorder {
            app: app.clone(),
            apps: settings.apps.clone(),
            receiver: settings.receiver.clone(),
            metrics: metrics.clone(),
        };
        let room = Arc::new(Semaphore::new(MAX_WAITING_BYTES));
        (Self { queue, room, app: app.clone(), metrics, now_ms }, recorder.run(arrived))
    }

    /// Takes an event. If too many wait, because the store is unavailable for long, the event is dropped and counted.
    pub(super) fn push(&self, text: String) {
        let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes);
        let at_ms = (self.now_ms)();
        let queued = room
            .ok()
            .is_some_and(|room| self.queue.try_send(Arrived { text, at_ms, _room: room }).is_ok());
        if !queued {
            let app = self.app.as_str();
            self.metrics.socket_events.inc([app, "", "failed"]);
            tracing::error!(
                app,
                "too many events wait for the store; this one is dropped, and Zoom does not repeat it"
            );
        }
    }
}

struct Recorder {
    app: AppName,
    apps: Apps,
    receiver: Receiver,
    metrics: Metrics,
}

impl Recorder {
    async fn run(self, mut arrived: mpsc::Receiver<Arrived>) {
        while let Some(arrived) = arrived.recv().await {
            // The app as it is now: products and retention may have changed. Events of a removed app are not recorded.
            if let Some(app) = self.apps.get(&self.app) {
                self.record(&app, &arrived).await;
            }
        }
    }

    async fn record(&self, app: &App, arrived: &Arrived) {
        let raw = arrived.text.as_bytes();
        let (event, outcome) = match event::parse(raw, &app.name, arrived.at_ms) {
            Ok(Event::Delivery(delivery)) => {
                let delivery = Delivery { method: METHOD, ..*delivery };
                let mut waits = Doubling::new(FIRST_WAIT, LONGEST_WAIT);
                loop {
                    match self.receiver.receive(app, delivery.clone()).await {
                        Ok(outcome) => break (delivery.event.clone(), outcome),
                        Err(ReceiveError::OtherApp) => break (delivery.event.clone(), "refused"),
                        Err(ReceiveError::Store(StoreError::Unavailable(_))) => {}
                        Err(ReceiveError::Store(error)) => {
                            tracing::error!(app = %app.name, event = delivery.event, %error,
                                "the store rejects an event; it is in the log of webhooks and can be processed again");
                            break (delivery.event.clone(), "failed");
                        }
                    }
                    sleep(waits.next_wait()).await;
                }
            }
            // Zoom validates URLs, and there is none here.
            Ok(Event::UrlValidation { .. }) => return,
            Err(error) => {
                tracing::warn!(app = %app.name, %error, "an event cannot be read; it is recorded as refused");
                let reason = WebhookReason::Malformed;
                self.receiver.record_unreadable(raw, app, METHOD, reason, arrived.at_ms).await;
                (String::new(), "refused")
            }
        };
        self.metrics.socket_events.inc([app.name.as_str(), &event, outcome]);
        self.metrics.last_webhook.set([app.name.as_str()], arrived.at_ms as f64 / 1000.0);
    }
}
