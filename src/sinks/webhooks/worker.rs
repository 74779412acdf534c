//! Sends due deliveries. Each endpoint has a few requests at a time of its own, so that a slow one delays no other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field, info_span};

use super::client::{Answer, Client, SendError, Signed, TOTAL_TIMEOUT};
use super::schedule::{self, Verdict};
use super::{Webhooks, body, secrets, signature};
use crate::model::{AppName, Content, EndpointId, EndpointStatus, ms};
use crate::net::Network;
use crate::net::retry_after::wait_ms;
use crate::store::{Attempt, ClaimedDelivery, DeliveryStatus, StoreError, StoredEndpoint};
use crate::telemetry::{TRACES, traceparent};

/// The most requests to one endpoint at a time.
const PER_ENDPOINT: usize = 4;
/// How long a delivery is claimed: longer than any attempt, so that no two daemons send the same.
const LEASE: Duration = Duration::from_secs(4 * TOTAL_TIMEOUT.as_secs());
/// How long running requests may take after a stop.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
/// The most deliveries that may wait for an endpoint.
const MAX_WAITING: u32 = 200_000;
/// How often waiting deliveries are counted.
const COUNT_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Worker {
    hooks: Webhooks,
    client: Client,
    /// The free requests of each endpoint.
    rooms: HashMap<EndpointId, Arc<Semaphore>>,
    sends: JoinSet<()>,
    /// Cancels requests that take too long after a stop.
    broken_off: CancellationToken,
    counted_at: Option<Instant>,
}

/// The result of an attempt, with its `Retry-After` in milliseconds.
struct Tried {
    attempt: Attempt,
    pause_ms: Option<u64>,
}

impl Worker {
    pub(super) fn new(hooks: Webhooks, network: &Network) -> Self {
        let client = Client::new(network, Arc::clone(&hooks.0.settings.policy));
        Self {
            hooks,
            client,
            rooms: HashMap::new(),
            sends: JoinSet::new(),
            broken_off: CancellationToken::new(),
            counted_at: None,
        }
    }

    /// Sends due deliveries until `stop`. After a panic it can run again: running requests continue.
    pub(super) async fn run(&mut self, stop: CancellationToken) {
        let mut due = interval(self.hooks.0.settings.poll_interval);
        // Not `Burst`: after a slow poll, the missed ones would follow at once.
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let hooks = self.hooks.clone();
        let mut store_fails = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = self.sends.join_next(), if !self.sends.is_empty() => {
                    if ended.is_err() {
                        tracing::error!("a webhook delivery panicked; it is sent again");
                    }
                    // One poll for all that have ended: a burst of answers must not cause as many queries.
                    while self.sends.try_join_next().is_some() {}
                }
                () = hooks.0.news.notified() => {}
                _ = due.tick() => {}
            }
            let looked = self.poll().await;
            if let Err(error) = &looked
                && !store_fails
            {
                tracing::warn!(%error, "the store is unavailable; outgoing webhooks wait for it");
            }
            // Logged once per outage, not once per poll.
            store_fails = looked.is_err();
        }
        self.finish().await;
    }

    async fn finish(&mut self) {
        let all = async { while self.sends.join_next().await.is_some() {} };
        if timeout(LAST_ANSWERS, all).await.is_err() {
            self.broken_off.cancel();
            // Each task then releases its claim, so that another daemon can send at once.
            while self.sends.join_next().await.is_some() {}
        }
    }

    /// Claims due deliveries, as far as requests are free. A fault in one endpoint's rows does not affect others.
    async fn poll(&mut self) -> Result<(), StoreError> {
        if self.counted_at.is_none_or(|at| at.elapsed() >= COUNT_EVERY) {
            self.counted_at = Some(Instant::now());
            self.check_backlogs(self.hooks.now_ms()).await?;
        }
        let mut looked = Ok(());
        for id in self.hooks.0.store.endpoints_with_due_deliveries().await? {
            match self.take_up(id).await {
                // The store is away for every endpoint; other errors concern this one only.
                Err(error @ StoreError::Unavailable(_)) => return Err(error),
                Err(error) => looked = Err(error),
                Ok(()) => {}
            }
        }
        looked
    }

    async fn take_up(&mut self, id: EndpointId) -> Result<(), StoreError> {
        let room = self.rooms.entry(id).or_insert_with(|| Arc::new(Semaphore::new(PER_ENDPOINT)));
        let limit = u32::try_from(room.available_permits()).unwrap_or(0);
        if limit == 0 {
            // Not claimed: a claimed delivery that waits here could not be sent by another daemon.
            return Ok(());
        }
        let room = Arc::clone(room);
        let store = &self.hooks.0.store;
        for delivery in store.claim_deliveries(id, ms(LEASE), limit).await? {
            // No other task takes permits: as many are free as were counted.
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { break };
            let sender = Sender { hooks: self.hooks.clone(), client: self.client.clone() };
            // The permit moves into the task: an endpoint's slot is free when its delivery is settled.
            self.sends.spawn(sender.deliver(delivery, permit, self.broken_off.clone()));
        }
        Ok(())
    }

    /// Disables endpoints with too many waiting deliveries, and drops the state of removed ones.
    async fn check_backlogs(&mut self, now_ms: i64) -> Result<(), StoreError> {
        let store = &self.hooks.0.store;
        let endpoints = store.endpoints().await?;
        // Safe while requests run: their permits keep the old semaphore alive.
        self.rooms.retain(|id, _| endpoints.iter().any(|stored| stored.endpoint.id == *id));
        for StoredEndpoint { endpoint, .. } in endpoints {
            let is_full = endpoint.status == EndpointStatus::Enabled
                && store.count_waiting(endpoint.id, MAX_WAITING).await? >= u64::from(MAX_WAITING);
            if is_full {
                switch_off(&self.hooks, endpoint.id, EndpointStatus::Overflowing, now_ms).await?;
            }
        }
        Ok(())
    }
}

/// Sends one delivery.
struct Sender {
    hooks: Webhooks,
    client: Client,
}

impl Sender {
    async fn deliver(
        self,
        delivery: ClaimedDelivery,
        _permit: OwnedSemaphorePermit,
        broken_off: CancellationToken,
    ) {
        let store = &self.hooks.0.store;
        let done = match broken_off.run_until_cancelled(self.attempt(&delivery)).await {
            // Not an attempt: a stop of the daemon must not count as a failure of the endpoint.
            None => {
                self.count(&delivery, "interrupted");
                store.release_delivery(&delivery).await
            }
            Some(Ok(tried)) => self.settle(&delivery, tried).await,
            Some(Err(error)) => Err(error),
        };
        if let Err(error) = done {
            let (endpoint, event) = (delivery.endpoint.endpoint.id, &delivery.event.id);
            tracing::warn!(%endpoint, event, %error, "cannot record the outcome of a webhook; it is sent again");
        }
    }

    /// `None` if the data that it reports was deleted.
    async fn attempt(&self, delivery: &ClaimedDelivery) -> Result<Option<Tried>, StoreError> {
        let Some(body) = self.body(delivery).await? else { return Ok(None) };
        let began = Instant::now();
        let sent = self.send(delivery, body).await;
        self.hooks.0.metrics.outgoing_seconds.observe_time([], began.elapsed());
        Ok(Some(match sent {
            Ok(Answer { status, retry_after, text }) => Tried {
                attempt: Attempt { status: Some(status), error: None, answer: Some(text) },
                pause_ms: retry_after.and_then(|text| wait_ms(&text, self.hooks.now_ms())),
            },
            Err(error) => Tried {
                attempt: Attempt { status: None, error: Some(error), answer: None },
                pause_ms: None,
            },
        }))
    }

    async fn body(&self, delivery: &ClaimedDelivery) -> Result<Option<Vec<u8>>, StoreError> {
        let event = &delivery.event;
        match (&event.content, &event.stream_id) {
            (Content::Data(data), _) => Ok(Some(body::event_body(event, data))),
            (Content::Entry { seq }, Some(stream)) => {
                let entry = self.hooks.0.store.entry(stream, *seq).await?;
                Ok(entry.map(|entry| body::of_entry(event, &entry)))
            }
            // Only a damaged row: entries always have a stream.
            (Content::Entry { .. }, None) => Ok(None),
        }
    }

    async fn send(
        &self,
        delivery: &ClaimedDelivery,
        body: Vec<u8>,
    ) -> Result<Answer, &'static str> {
        let StoredEndpoint { endpoint, secrets } = &delivery.endpoint;
        let settings = &self.hooks.0.settings;
        // Checked again, because the policy may have changed since the endpoint was created.
        let url = settings.policy.read(&endpoint.url).map_err(|_| "url_refused")?;
        let open =
            secrets::open_secrets(&settings.ring, endpoint.id, secrets).map_err(|error| {
                tracing::error!(endpoint = %endpoint.id, %error,
                "cannot decrypt a webhook secret; the attempt counts as failed");
                "secret_unreadable"
            })?;
        let now_ms = self.hooks.now_ms();
        let is_previous_good = endpoint.previous_until_ms.is_none_or(|until| now_ms < until);
        let previous = open.previous.filter(|_| is_previous_good);
        // The current secret first; receivers accept any signature in the list.
        let signers: Vec<_> = std::iter::once(open.current).chain(previous).collect();
        let signers: Vec<&str> = signers.iter().map(|secret| secret.as_str()).collect();
        let (id, timestamp_s) = (&*delivery.event.id, now_ms.div_euclid(1000));
        let signature = signature::sign_body(&signers, id, timestamp_s, &body);
        let signed = Signed { id, timestamp_s, signature: &signature };
        // The signature covers these very bytes; the client must not serialize them again.
        let span = info_span!(
            target: TRACES, "webhook", otel.kind = "client", otel.name = "POST webhook endpoint",
            endpoint = %endpoint.id, event = delivery.event.kind.as_str(), server.address = url.host_str(),
            http.response.status_code = field::Empty, "error.type" = field::Empty,
        );
        let sending = self.client.post(url, &signed, traceparent(&span), body);
        let answer = sending.instrument(span.clone()).await.map_err(|error| match error {
            SendError::AddressRefused => "address_refused",
            SendError::NoConnection => "no_connection",
            SendError::TimedOut => "timed_out",
        });
        match &answer {
            Ok(answer) => span.record("http.response.status_code", i64::from(answer.status)),
            Err(error) => span.record("error.type", *error),
        };
        answer
    }

    fn count(&self, delivery: &ClaimedDelivery, outcome: &str) {
        let app = delivery.event.app.as_ref().map_or("", AppName::as_str);
        self.hooks.0.metrics.outgoing.inc([app, outcome]);
    }

    async fn settle(
        &self,
        delivery: &ClaimedDelivery,
        tried: Option<Tried>,
    ) -> Result<(), StoreError> {
        let (store, now_ms) = (&self.hooks.0.store, self.hooks.now_ms());
        let id = delivery.endpoint.endpoint.id;
        let Some(Tried { attempt, pause_ms }) = tried else {
            // Withdrawn, not failed: the endpoint is not to blame.
            self.count(delivery, "withdrawn");
            let (status, nothing) = (DeliveryStatus::Withdrawn, Attempt::default());
            return store.settle_delivery(delivery, status, None, &nothing).await.map(drop);
        };
        let attempts = delivery.attempts;
        let jitter = schedule::delivery_jitter(&id.to_string(), &delivery.event.id, attempts);
        let verdict = schedule::verdict(attempt.status, attempts, pause_ms, jitter);
        let (status, wait_ms, outcome) = match verdict {
            Verdict::Delivered => (DeliveryStatus::Delivered, None, "delivered"),
            Verdict::RetryAfter(ms) => (DeliveryStatus::Waiting, Some(ms), "retried"),
            Verdict::GiveUp | Verdict::Gone => (DeliveryStatus::Failed, None, "failed"),
        };
        self.count(delivery, outcome);
        // Settles only if the claim still holds; a later claim has its own attempt.
        let failing = store.settle_delivery(delivery, status, wait_ms, &attempt).await?;
        if verdict == Verdict::Gone {
            return switch_off(&self.hooks, id, EndpointStatus::Gone, now_ms).await;
        }
        // One failure after a long silence means little: a delivery must have failed for all of its time.
        let is_exhausted = verdict == Verdict::GiveUp;
        if is_exhausted && failing.is_some_and(schedule::is_hopeless) {
            return switch_off(&self.hooks, id, EndpointStatus::Failing, now_ms).await;
        }
        Ok(())
    }
}

async fn switch_off(
    hooks: &Webhooks,
    id: EndpointId,
    why: EndpointStatus,
    now_ms: i64,
) -> Result<(), StoreError> {
    if hooks.0.store.disable_endpoint(id, why, now_ms).await? {
        tracing::warn!(endpoint = %id, why = why.as_str(), "disabled a webhook endpoint");
        hooks.0.news.notify_one();
    }
    Ok(())
}
