//! The webhook sender: validates the endpoint, signs events and retries them as Zoom does (section 13).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::{Client, Response, StatusCode, redirect};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::event::{self, Event};
use super::event_socket::EventSocket;
use super::report::{Validation, WebhookReport};
use super::settings::{Events, Settings, Timings, ZoomApp};
use super::{SimulatorError, lock, signature, tls};
use crate::clock;
use crate::secret::Secret;

/// The most attempts to validate an endpoint that cannot be reached: it may still be starting.
const VALIDATION_ATTEMPTS: u32 = 30;
/// Of the validations that reach no endpoint, every fifth is logged.
const LOGGED_ATTEMPTS: u32 = 5;
/// After this many failed validations in a row, an endpoint that passed before gets no further events (section 13.3).
const MAX_FAILURES: u32 = 6;
/// The largest answer to a URL validation that is read.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// How many events of one meeting may wait for earlier ones.
const MAILBOX: usize = 256;

/// Sends the events of one app to its endpoint.
pub(super) struct WebhookSender {
    client: Client,
    url: Option<String>,
    event_socket: Option<Arc<EventSocket>>,
    client_id: String,
    secret_token: Secret<String>,
    timings: Timings,
    /// How far Zoom's clock is ahead.
    clock_ahead_ms: i64,
    validation: watch::Sender<Option<Validation>>,
    report: Mutex<WebhookReport>,
    rng: Mutex<StdRng>,
    stop: CancellationToken,
    /// The tasks that retry events.
    retries: TaskTracker,
}

/// Queues the events of one meeting, which are delivered in order.
pub(super) struct Mailbox {
    events: mpsc::Sender<Event>,
    webhook_sender: Arc<WebhookSender>,
}

/// The result of one URL validation. The texts address the person who runs the simulator.
enum Challenge {
    Passed,
    Refused(String),
    /// No answer, or a 5xx: the endpoint may still be starting.
    Unreachable(String),
}

/// The result of one attempt (section 13.5).
enum Outcome {
    Delivered,
    /// A 3xx or 4xx, which Zoom does not retry.
    GivenUp,
    /// A 5xx, a time-out or no connection, which Zoom retries.
    Failed,
}

impl WebhookSender {
    pub(super) fn new(
        app: &ZoomApp,
        settings: &Settings,
        event_socket: Option<Arc<EventSocket>>,
        seed: u64,
        own_ca: Option<&tls::TlsFiles>,
        stop: CancellationToken,
    ) -> Result<Self, SimulatorError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls::client_config(own_ca)?)
            // A 3xx is final (section 13.5).
            .redirect(redirect::Policy::none())
            .timeout(settings.timings.wait(settings.timings.webhook_deadline_ms))
            .user_agent("Zoom Marketplace/1.0a")
            // The endpoint is local; a proxy from the environment would not reach it.
            .no_proxy()
            .build()?;
        Ok(Self {
            client,
            url: app.webhook_url.clone().filter(|_| settings.events != Events::WebSocket),
            event_socket,
            client_id: app.client_id.clone(),
            secret_token: app.secret_token.clone(),
            timings: settings.timings.clone(),
            clock_ahead_ms: settings.clock_ahead_ms,
            validation: watch::Sender::new(
                settings.skip_url_validation.then_some(Validation::Skipped),
            ),
            report: Mutex::default(),
            // A sequence of its own: the number of attempts must not change the ids of meetings.
            rng: Mutex::new(StdRng::seed_from_u64(seed ^ 0x77eb)),
            stop,
            retries: TaskTracker::new(),
        })
    }

    pub(super) fn report(&self) -> WebhookReport {
        let mut report = lock(&self.report).clone();
        report.validation = *self.validation.borrow();
        report
    }

    /// Waits until the endpoint is validated or refused, and returns which. Returns at once if neither is needed.
    pub(super) async fn validated(&self) -> Validation {
        if self.url.is_none() && self.event_socket.is_none() {
            return Validation::Skipped;
        }
        let mut seen = self.validation.subscribe();
        let answer = seen.wait_for(Option::is_some).await;
        // An error means that the sender is gone, and no event can be sent.
        answer.ok().and_then(|answer| *answer).unwrap_or(Validation::Refused)
    }

    /// Validates the endpoint (section 13.3): repeats the challenge until there is an answer, right or wrong.
    pub(super) async fn validate(&self) {
        let Some(url) = &self.url else { return self.wait_for_connection().await };
        if self.validation.borrow().is_some() {
            return;
        }
        for attempt in 0..VALIDATION_ATTEMPTS {
            match self.challenge(url).await {
                Challenge::Passed => {
                    // Not `send`, which fails and keeps the old value while no one waits.
                    self.validation.send_replace(Some(Validation::Passed));
                    return;
                }
                Challenge::Refused(problem) => return self.refuse(problem),
                Challenge::Unreachable(problem) if attempt.is_multiple_of(LOGGED_ATTEMPTS) => {
                    tracing::warn!("{problem}; retrying");
                }
                Challenge::Unreachable(_) => {}
            }
            if !self.pause(self.timings.wait(self.timings.validation_retry_ms)).await {
                return self.refuse(
                    "the simulator stopped before the URL validation succeeded".to_owned(),
                );
            }
        }
        self.refuse(format!(
            "{url} could not be reached in {VALIDATION_ATTEMPTS} attempts; giving up"
        ));
    }

    /// Repeats the validation of an endpoint that passed, at regular intervals. After six failures in a row it gets no
    /// further events.
    pub(super) async fn revalidate(&self) {
        let Some(url) = &self.url else { return };
        if *self.validation.borrow() != Some(Validation::Passed) {
            return;
        }
        let mut failures = 0;
        while self.pause(self.timings.wait(self.timings.revalidation_ms)).await {
            let problem = match self.challenge(url).await {
                Challenge::Passed => {
                    failures = 0;
                    continue;
                }
                Challenge::Refused(problem) | Challenge::Unreachable(problem) => problem,
            };
            failures += 1;
            if failures == MAX_FAILURES {
                return self.refuse(format!(
                    "{problem}; this was failure {failures} in a row, so the endpoint gets no further events"
                ));
            }
            tracing::warn!(
                "{problem}; this was failure {failures} in a row, and after {MAX_FAILURES} the endpoint gets no further \
                 events"
            );
        }
    }

    /// A client has connected to the event socket: events may be sent.
    pub(super) fn note_connection(&self) {
        self.validation.send_if_modified(|validation| {
            let is_awaited = self.url.is_none() && validation.is_none();
            if is_awaited {
                *validation = Some(Validation::Skipped);
            }
            is_awaited
        });
    }

    /// Waits until a client is connected to the event socket: an event before that would be lost.
    async fn wait_for_connection(&self) {
        if self.event_socket.is_none() {
            return;
        }
        let mut seen = self.validation.subscribe();
        tokio::select! {
            _ = seen.wait_for(Option::is_some) => {}
            () = self.stop.cancelled() => {
                self.refuse("the simulator stopped before a client connected to its event socket".to_owned());
            }
        }
    }

    fn refuse(&self, problem: String) {
        tracing::warn!("{problem}");
        lock(&self.report).validation_problem = Some(problem);
        self.validation.send_replace(Some(Validation::Refused));
    }

    async fn challenge(&self, url: &str) -> Challenge {
        // 22 characters, like the token in Zoom's documentation.
        let plain_token = self.random_text(22);
        let event = event::url_validation(&plain_token, clock::now_ms());
        let response = match self.post(url, &event, &self.random_text(32)).await {
            Ok(response) => response,
            Err(error) => {
                let cause = if error.is_timeout() { "no answer" } else { "no connection" };
                return Challenge::Unreachable(format!("{url} cannot be reached ({cause})"));
            }
        };
        let status = response.status();
        if status.is_server_error() {
            return Challenge::Unreachable(format!(
                "the endpoint answered {} to the URL validation",
                status.as_u16()
            ));
        }
        // Not 204 either: the answer needs a body.
        if status != StatusCode::OK {
            return Challenge::Refused(refusal_advice(status));
        }
        let expected = serde_json::json!({
            "plainToken": plain_token,
            "encryptedToken": signature::url_validation(self.secret_token.expose(), &plain_token),
        });
        let answer: Option<serde_json::Value> = read_json(response).await;
        let is_correct = answer.is_some_and(|answer| {
            ["plainToken", "encryptedToken"].iter().all(|name| answer[*name] == expected[*name])
        });
        if is_correct {
            Challenge::Passed
        } else {
            Challenge::Refused(format!(
                "the endpoint gave a wrong answer to the URL validation; {CHECK_TOKEN}"
            ))
        }
    }

    /// A mailbox, and the future that delivers its events. The future ends after the mailbox is dropped and empty.
    pub(super) fn mailbox(self: &Arc<Self>) -> (Mailbox, impl Future<Output = ()> + Send + use<>) {
        let (sender, mut events) = mpsc::channel(MAILBOX);
        let webhook_sender = self.clone();
        let deliver_all = async move {
            while let Some(event) = events.recv().await {
                webhook_sender.deliver(event).await;
            }
        };
        (Mailbox { events: sender, webhook_sender: self.clone() }, deliver_all)
    }

    /// Attempts an event once. Retries run in a task of their own, so that later events do not wait for them.
    pub(super) async fn deliver(self: &Arc<Self>, event: Event) {
        // Events wait for the validation, as with Zoom: a subscription without it cannot be saved (section 13.3).
        let allowed = self.validated().await != Validation::Refused;
        let socket = self.event_socket.as_ref().filter(|_| allowed);
        if let Some(socket) = socket {
            socket.deliver(&event);
        }
        let Some(url) = self.url.clone().filter(|_| allowed) else {
            lock(&self.report).withheld += u64::from(socket.is_none());
            return;
        };
        // One id for all attempts. Whether Zoom keeps it is not published (section 20).
        let request_id = self.random_text(32);
        if self.attempt(&url, &event, &request_id).await {
            return;
        }
        let webhook_sender = self.clone();
        self.retries.spawn(async move {
            for wait_ms in webhook_sender.timings.webhook_retries_ms {
                if !webhook_sender.pause(webhook_sender.timings.wait(wait_ms)).await {
                    return;
                }
                // A later validation may have failed meanwhile.
                if webhook_sender.validated().await == Validation::Refused {
                    break;
                }
                if webhook_sender.attempt(&url, &event, &request_id).await {
                    return;
                }
            }
            lock(&webhook_sender.report).given_up += 1;
        });
    }

    /// Posts the event once. Returns whether it is settled: delivered or given up.
    async fn attempt(&self, url: &str, event: &Event, request_id: &str) -> bool {
        let outcome = match self.post(url, event, request_id).await {
            Ok(response) if response.status().is_success() => Outcome::Delivered,
            Ok(response) if response.status().is_server_error() => Outcome::Failed,
            Ok(_) => Outcome::GivenUp,
            Err(error) => {
                let cause = if error.is_timeout() { "no answer in time" } else { "no connection" };
                tracing::warn!(
                    event = event.name,
                    cause,
                    "a webhook was not delivered; it is sent again later"
                );
                Outcome::Failed
            }
        };
        let mut report = lock(&self.report);
        report.attempts += 1;
        match outcome {
            Outcome::Delivered => *report.delivered.entry(event.name.clone()).or_default() += 1,
            Outcome::GivenUp => report.given_up += 1,
            Outcome::Failed => report.failed_attempts += 1,
        }
        !matches!(outcome, Outcome::Failed)
    }

    /// Posts an event. Each attempt has the same body but its own timestamp and signature (section 13.2).
    async fn post(&self, url: &str, event: &Event, request_id: &str) -> reqwest::Result<Response> {
        let timestamp = ((clock::now_ms() + self.clock_ahead_ms) / 1000).to_string();
        let signature = signature::webhook(self.secret_token.expose(), &timestamp, &event.body);
        self.client
            .post(url)
            .header("content-type", "application/json; charset=utf-8")
            .header("x-zm-signature", signature)
            .header("x-zm-request-timestamp", timestamp)
            .header("x-zm-request-id", request_id)
            .header("clientid", &self.client_id)
            .body(event.body.clone())
            .send()
            .await
    }

    /// Waits. Returns false if the simulator was stopped meanwhile.
    async fn pause(&self, wait: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(wait) => true,
        }
    }

    fn random_text(&self, length: usize) -> String {
        const LETTERS: &[u8] = b"0123456789abcdef";
        let mut rng = lock(&self.rng);
        (0..length).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect()
    }

    /// Waits for the retry tasks, which end once `stop` is cancelled.
    pub(super) async fn finish(&self) {
        self.retries.close();
        self.retries.wait().await;
    }
}

impl Mailbox {
    /// Queues an event without waiting. If the queue is full, the event is given up: a slow endpoint must not
    /// delay the meeting.
    pub(super) fn push(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            lock(&self.webhook_sender.report).given_up += 1;
        }
    }
}

const CHECK_TOKEN: &str = "is --secret-token the daemon's ZOOM_SECRET_TOKEN?";

fn refusal_advice(status: StatusCode) -> String {
    let advice = match status {
        StatusCode::UNAUTHORIZED => CHECK_TOKEN,
        StatusCode::NOT_FOUND => "does --webhook-url end with the daemon's WEBHOOK_PATH?",
        _ => "does --webhook-url name the daemon?",
    };
    format!("the endpoint answered {} to the URL validation; {advice}", status.as_u16())
}

async fn read_json(mut response: Response) -> Option<serde_json::Value> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).ok()
}
