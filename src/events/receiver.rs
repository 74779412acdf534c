//! Records Zoom's events with their effects, whether they come by webhook or over the event socket, and notifies the
//! parts that act on them.

use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, Span, info_span};

use super::Changes;
use crate::metrics::Metrics;
use crate::model::{
    Delivery, DeliveryMethod, Keep, Notice, Unprocessed, WebhookEffect, WebhookOutcome,
    WebhookReason,
};
use crate::store::{Recorded, Store, StoreError};
use crate::telemetry::{TRACES, note_announced, stream_span, stream_span_of};
use crate::zoom::app::App;
use crate::zoom::event;

/// Zoom waits 3 s for the answer to a webhook (section 13.4) and ignores a later one.
const RECORD_DEADLINE: Duration = Duration::from_millis(2500);

/// The name in the log of an event that cannot be read.
const UNREADABLE: &str = "unreadable";

/// Why an event has no effect.
#[derive(Debug, Error)]
pub enum ReceiveError {
    #[error("the app does not have the product of the event")]
    OtherApp,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Records events. Cheap to clone.
#[derive(Clone)]
pub struct Receiver {
    store: Store,
    pub changes: Changes,
    metrics: Metrics,
}

impl Receiver {
    pub fn new(store: Store, changes: Changes, metrics: Metrics) -> Self {
        Self { store, changes, metrics }
    }

    /// Records an event and its effect, in bounded time, and notifies the parts that act on it. Returns the outcome,
    /// for metrics.
    ///
    /// # Errors
    /// The app does not have the product of the event, or the store did not accept it. After
    /// [`StoreError::Unavailable`] it may be recorded; receiving it again is harmless.
    pub async fn receive(
        &self,
        app: &App,
        delivery: Delivery,
    ) -> Result<&'static str, ReceiveError> {
        let delivery = without_unkept(app, delivery);
        if !app.may_send(&delivery.event) {
            let (outcome, reason) = (WebhookOutcome::Refused, WebhookReason::OtherApp);
            self.record_unprocessed(Unprocessed::of(&delivery, outcome, reason)).await;
            return Err(ReceiveError::OtherApp);
        }
        // The future is dropped at the deadline. The event comes again, and its digest makes the repetition harmless.
        let stored = info_span!(target: TRACES, "store.record_delivery");
        let recording = self.store.record_delivery(&delivery).instrument(stored);
        let recorded = timeout(RECORD_DEADLINE, recording)
            .await
            .unwrap_or_else(|_| Err(StoreError::timed_out()));
        match recorded {
            Ok(recorded) if is_in_request_line(&delivery) => Ok(outcome_of(&recorded)),
            Ok(recorded) => Ok(self.follow_up(&delivery, recorded).await),
            Err(error) => {
                // An unavailable store would not take the row either.
                if !error.is_temporary() {
                    let (outcome, reason) = (WebhookOutcome::Failed, WebhookReason::StoreError);
                    self.record_unprocessed(Unprocessed::of(&delivery, outcome, reason)).await;
                }
                Err(error.into())
            }
        }
    }

    /// Logs a recorded event and notifies the parts that act on it. Also called for an event that is processed again.
    /// Returns the outcome, for metrics.
    pub async fn follow_up(&self, delivery: &Delivery, recorded: Recorded) -> &'static str {
        let outcome = outcome_of(&recorded);
        self.log(delivery, outcome, &recorded).await;
        // After the commit, because the reader polls the store.
        if !delivery.announcement.is_none() {
            self.changes.notify_control();
        }
        match &delivery.announcement {
            WebhookEffect::Deauthorized(_) => self.end_revoked_streams().await,
            WebhookEffect::Notice(notice) => self.note_limit(delivery, notice),
            _ => {}
        }
        if let Recorded::Changed { stream_id, .. } = recorded {
            note_announced(&stream_id, &Span::current());
            self.changes.notify_stream(stream_id);
        }
        outcome
    }

    /// Records an event without an effect, unless a copy of it is recorded. A failure is only logged.
    pub async fn record_unprocessed(&self, webhook: Unprocessed) {
        let recording = self.store.record_unprocessed(&webhook);
        let recorded = timeout(RECORD_DEADLINE, recording).await;
        if let Err(error) = recorded.unwrap_or_else(|_| Err(StoreError::timed_out())) {
            tracing::warn!(app = %webhook.app, event = webhook.event, reason = webhook.reason.as_str(), %error,
                "cannot write an event without an effect to the log of webhooks; it is missing there");
        }
    }

    /// Records an event that cannot be read. Its body is not kept, because no deletion would find the people in it.
    pub async fn record_unreadable(
        &self,
        raw: &[u8],
        app: &App,
        method: DeliveryMethod,
        reason: WebhookReason,
        now_ms: i64,
    ) {
        let unreadable = Unprocessed {
            app: app.name.clone(),
            method,
            digest: Delivery::digest_of(&app.name, raw),
            event: event::name_of(raw).unwrap_or_else(|| UNREADABLE.to_owned()),
            event_ts_ms: now_ms,
            received_at_ms: now_ms,
            stream_id: None,
            user_id: None,
            body: String::new(),
            outcome: WebhookOutcome::Refused,
            reason,
        };
        self.record_unprocessed(unreadable).await;
    }

    /// Records a webhook that was signed too long ago. It can be processed again when the clock is right.
    pub async fn record_late(&self, app: &App, delivery: Delivery) {
        let delivery = without_unkept(app, delivery);
        let (outcome, reason) = (WebhookOutcome::Refused, WebhookReason::OutOfWindow);
        self.record_unprocessed(Unprocessed::of(&delivery, outcome, reason)).await;
    }

    /// Wakes the supervisor for revoked streams. Other daemons find theirs when they write or poll, and so does this
    /// one if the store does not answer.
    pub async fn end_revoked_streams(&self) {
        for stream_id in self.store.revoked_streams().await.unwrap_or_default() {
            self.changes.notify_stream(stream_id);
        }
    }

    /// Shows how near an account is to Zoom's limit of streams, as its event says.
    fn note_limit(&self, delivery: &Delivery, notice: &Notice) {
        let Some(number) = notice.concurrent_streams else { return };
        let app = [delivery.app.as_str()];
        self.metrics.concurrent_streams.set(app, number as f64);
        // `rtms.concurrency_limited` does not name the limit: it is reached.
        let limit = notice.concurrency_limit.unwrap_or(number);
        self.metrics.concurrency_limit.set(app, limit as f64);
        self.metrics.concurrency_reported.set(app, delivery.received_at_ms as f64 / 1000.0);
    }

    /// Logs an event, in the span of its stream if it is about one.
    async fn log(&self, delivery: &Delivery, outcome: &str, recorded: &Recorded) {
        if LevelFilter::current() < LevelFilter::INFO {
            return;
        }
        let context = self.context_of(delivery, recorded).await;
        context.in_scope(|| {
            let (app, event) = (delivery.app.as_str(), &*delivery.event);
            let method = delivery.method.as_str();
            if *recorded == Recorded::AlreadyEnded {
                tracing::info!(
                    app,
                    event,
                    method,
                    outcome,
                    "the stream has already ended; the webhook is ignored"
                );
            } else {
                tracing::info!(app, event, method, outcome, "webhook");
            }
        });
    }

    /// The span of the stream that an event is about, or none. Reads the stream only if the outcome does not name it.
    async fn context_of(&self, delivery: &Delivery, recorded: &Recorded) -> Span {
        let effect = &delivery.announcement;
        if let (Recorded::Changed { stream_id, session_id }, Some(instance)) =
            (recorded, effect.instance())
        {
            return stream_span_of(*session_id, stream_id, instance.product, &delivery.app);
        }
        let Some(id) = effect.stream_id() else { return Span::none() };
        let stream = self.store.stream(id).await.ok().flatten();
        // Not if another app owns the stream that the event names.
        let stream = stream.filter(|stream| stream.app == delivery.app);
        stream.as_ref().map_or_else(Span::none, stream_span)
    }
}

/// Whether an event needs neither follow-up nor its own log line: it has no effect, and its request's line names it.
fn is_in_request_line(delivery: &Delivery) -> bool {
    delivery.method == DeliveryMethod::Webhook && delivery.announcement.is_none()
}

/// The outcome for metrics and the log.
fn outcome_of(recorded: &Recorded) -> &'static str {
    match recorded {
        Recorded::Repeat => "repeated",
        Recorded::NoChange | Recorded::AlreadyEnded => "no_change",
        Recorded::Changed { .. } | Recorded::Session(_) => "changed",
    }
}

/// Empties the body if bodies are not kept. The row stays, so that a repetition is still recognised.
fn without_unkept(app: &App, mut delivery: Delivery) -> Delivery {
    if app.retention.deliveries == Keep::Nothing {
        delivery.body.clear();
    }
    delivery
}
