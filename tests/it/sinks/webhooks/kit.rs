//! A webhook sender with its own store. Tests move the sender's and the database's clocks.

use std::sync::Arc;
use std::time::Duration;

use rtmsd::model::{AppScope, AuditRow, EndpointId, EventKind, OutgoingEvent};
use rtmsd::seal::KeyRing;
use rtmsd::sinks::Context;
use rtmsd::sinks::webhooks::address::AddressPolicy;
use rtmsd::sinks::webhooks::{self, AskedEndpoint, Webhooks};
use rtmsd::store::{DeliveryStatus, LoggedDelivery, Store};
use serde_json::json;

use super::receiver::Receiver;
use crate::support::audit::act;
use crate::support::kit::eventually;
use crate::support::raw::Raw;
use crate::support::sinks::{Running, context, hub};
use crate::support::stores::TestStore;

pub(super) const HOUR_MS: i64 = 60 * 60 * 1000;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;

/// A clock of the test's own, that goes on from now and can be moved ahead.
macro_rules! clock {
    ($now_ms:ident, $move_ahead:ident) => {
        static AHEAD_MS: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);
        fn $now_ms() -> i64 {
            rtmsd::clock::now_ms() + AHEAD_MS.load(std::sync::atomic::Ordering::SeqCst)
        }
        #[allow(dead_code, reason = "not every test moves it")]
        fn $move_ahead(ms: i64) {
            AHEAD_MS.fetch_add(ms, std::sync::atomic::Ordering::SeqCst);
        }
    };
}
pub(super) use clock;

/// An audit row for tests that do not check the audit trail.
/// An endpoint for all events of all apps.
pub(super) fn asked(url: &str) -> AskedEndpoint {
    let (url, description) = (url.to_owned(), "of a test".to_owned());
    AskedEndpoint { url, description, events: vec![], apps: AppScope::All }
}

pub(super) fn by_now() -> AuditRow {
    act("boss", rtmsd::clock::now_ms())
}

/// Simulates that `ms` have passed for the database, by moving its stored times into the past.
pub(super) async fn let_pass(test: &TestStore, ms: i64) {
    let mut raw = Raw::connect(&test.database).await;
    for sql in [
        "UPDATE outgoing_deliveries SET due_at_ms = due_at_ms - ",
        "UPDATE webhook_endpoints SET failing_since_ms = failing_since_ms - ",
    ] {
        raw.execute(format!("{sql}{ms}")).await;
    }
}

pub(super) struct Kit {
    pub hooks: Webhooks,
    pub store: Store,
    settings: webhooks::Settings,
    context: Context,
    running: Option<Running>,
    now_ms: fn() -> i64,
    test: Option<TestStore>,
}

impl Kit {
    /// On SQLite, sending, allowed to go to 127.0.0.1.
    pub(super) async fn start(now_ms: fn() -> i64) -> Self {
        Self::allowing("127.0.0.1", now_ms).await
    }

    pub(super) async fn allowing(hosts: &str, now_ms: fn() -> i64) -> Self {
        let test = TestStore::sqlite().await;
        let mut kit = Self::on(test.store.clone(), hosts, now_ms);
        kit.test = Some(test);
        kit.work();
        kit
    }

    /// Not sending yet.
    pub(super) fn on(store: Store, hosts: &str, now_ms: fn() -> i64) -> Self {
        let settings = webhooks::Settings {
            ring: KeyRing::parse(&"07".repeat(32)).unwrap(),
            policy: Arc::new(AddressPolicy::parse(hosts).unwrap()),
            poll_interval: Duration::from_millis(20),
        };
        let context = Context { now_ms, ..context(&store, hub(&store), 1) };
        let (hooks, _) = webhooks::build(settings.clone(), &context);
        Self { hooks, store, settings, context, running: None, now_ms, test: None }
    }

    pub(super) fn work(&mut self) {
        let (hooks, runner) = webhooks::build(self.settings.clone(), &self.context);
        self.hooks = hooks;
        self.running = Some(Running::start(runner));
    }

    /// Ends as a daemon does that is told to.
    pub(super) async fn rest(&mut self) {
        self.running.take().expect("it works").stop().await;
    }

    /// Ends as a killed process does.
    pub(super) async fn die(&mut self) {
        self.running.take().expect("it works").kill().await;
    }

    /// Simulates that `ms` have passed for the database and, with `move_ahead`, for this daemon.
    pub(super) async fn let_pass(&self, ms: i64, move_ahead: fn(i64)) {
        move_ahead(ms);
        let_pass(self.test.as_ref().expect("a store of its own"), ms).await;
    }

    pub(super) async fn endpoint(&self, url: &str) -> EndpointId {
        self.endpoint_with_secret(url).await.0
    }

    pub(super) async fn endpoint_with_secret(&self, url: &str) -> (EndpointId, String) {
        let made = self.hooks.create(asked(url), &by_now()).await.unwrap();
        (made.0.id, made.1.to_string())
    }

    pub(super) async fn endpoint_at(&self, receiver: &Receiver) -> EndpointId {
        self.endpoint(&receiver.url()).await
    }

    /// Tells something that is no other's.
    pub(super) async fn tell(&self, subject: &str) -> OutgoingEvent {
        let data = json!({ "file": subject });
        let event = OutgoingEvent::new(EventKind::RecordingReady, subject, (self.now_ms)(), data);
        self.hooks.emit(std::slice::from_ref(&event)).await.unwrap();
        event
    }

    pub(super) async fn log(&self, id: EndpointId) -> Vec<LoggedDelivery> {
        self.hooks.deliveries(id, &AppScope::All, None, 100).await.unwrap()
    }

    /// The delivery of an event, as soon as it is as wanted.
    pub(super) async fn delivery(
        &self,
        id: EndpointId,
        event_id: &str,
        is_it: impl Fn(&LoggedDelivery) -> bool,
    ) -> LoggedDelivery {
        eventually("the delivery is as wanted", async || {
            let mut log = self.log(id).await.into_iter();
            log.find(|delivery| delivery.event_id == event_id && is_it(delivery))
        })
        .await
    }

    /// After this number of attempts, when the next one waits or none follows.
    pub(super) async fn tried(
        &self,
        id: EndpointId,
        event_id: &str,
        attempts: u32,
    ) -> LoggedDelivery {
        let is_over =
            |it: &LoggedDelivery| it.due_at_ms.is_some() || it.status != DeliveryStatus::Waiting;
        let is_done = |it: &LoggedDelivery| it.attempts == attempts && is_over(it);
        self.delivery(id, event_id, is_done).await
    }

    pub(super) async fn delivered(&self, id: EndpointId, event_id: &str) -> LoggedDelivery {
        self.delivery(id, event_id, |it| it.status == DeliveryStatus::Delivered).await
    }
}
