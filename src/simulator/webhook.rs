//! The webhook sender of section 13: signs, challenges the endpoint first, tries again as Zoom does.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::{Client, Response, StatusCode, redirect};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::event::{self, Event};
use super::report::{Validation, WebhookReport};
use super::settings::{Settings, Timings};
use super::{SimulatorError, lock, signature, tls};
use crate::clock;
use crate::secret::Secret;

/// Attempts to reach an endpoint that does not answer its first challenge; it may be starting up.
const VALIDATION_ATTEMPTS: u32 = 30;
/// Of the challenges that reach no endpoint, one in so many is logged.
const LOGGED_ATTEMPTS: u32 = 5;
/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// Events of one meeting that wait for earlier ones.
const MAILBOX: usize = 256;

/// Sends events to the one endpoint.
pub(super) struct WebhookSender {
    client: Client,
    url: Option<String>,
    client_id: String,
    secret_token: Secret<String>,
    timings: Timings,
    validation: watch::Sender<Option<Validation>>,
    report: Mutex<WebhookReport>,
    rng: Mutex<StdRng>,
    stop: CancellationToken,
    /// Events that are being tried again.
    retries: TaskTracker,
}

/// The events of one meeting, in order.
pub(super) struct Mailbox {
    events: mpsc::Sender<Event>,
    webhook_sender: Arc<WebhookSender>,
}

/// What came of one challenge. The texts are for the person who runs the simulator.
enum Challenge {
    Passed,
    Refused(String),
    /// No answer, or 5xx: the endpoint may be starting.
    Unreachable(String),
}

enum Outcome {
    Delivered,
    /// Zoom tries no more: 3xx and 4xx.
    GivenUp,
    /// 5xx, a time-out, no connection.
    Failed,
}

impl WebhookSender {
    pub(super) fn new(
        settings: &Settings,
        own_ca: Option<&tls::TlsFiles>,
        stop: CancellationToken,
    ) -> Result<Self, SimulatorError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls::client_config(own_ca)?)
            .redirect(redirect::Policy::none())
            .timeout(settings.timings.wait(settings.timings.webhook_deadline_ms))
            .user_agent("Zoom Marketplace/1.0a")
            .no_proxy()
            .build()?;
        Ok(Self {
            client,
            url: settings.webhook_url.clone(),
            client_id: settings.client_id.clone(),
            secret_token: settings.secret_token.clone(),
            timings: settings.timings.clone(),
            validation: watch::Sender::new(
                settings.skip_url_validation.then_some(Validation::Skipped),
            ),
            report: Mutex::default(),
            rng: Mutex::new(StdRng::seed_from_u64(settings.seed ^ 0x77eb)),
            stop,
            retries: TaskTracker::new(),
        })
    }

    pub(super) fn report(&self) -> WebhookReport {
        let mut report = lock(&self.report).clone();
        report.validation = *self.validation.borrow();
        report
    }

    /// Waits until the endpoint has been challenged, or need not be.
    pub(super) async fn validated(&self) -> Validation {
        if self.url.is_none() {
            return Validation::Skipped;
        }
        let mut seen = self.validation.subscribe();
        let answer = seen.wait_for(Option::is_some).await;
        answer.ok().and_then(|answer| *answer).unwrap_or(Validation::Refused)
    }

    /// Challenges the endpoint (section 13.3) until it answers, rightly or wrongly.
    pub(super) async fn validate(&self) {
        let (Some(url), None) = (&self.url, *self.validation.borrow()) else { return };
        for attempt in 0..VALIDATION_ATTEMPTS {
            match self.challenge(url).await {
                Challenge::Passed => {
                    self.validation.send_replace(Some(Validation::Passed));
                    return;
                }
                Challenge::Refused(problem) => return self.refuse(problem),
                Challenge::Unreachable(problem) if attempt.is_multiple_of(LOGGED_ATTEMPTS) => {
                    tracing::warn!("{problem}; trying again");
                }
                Challenge::Unreachable(_) => {}
            }
            if !self.pause(self.timings.wait(self.timings.validation_retry_ms)).await {
                return self.refuse("the URL validation was interrupted".to_owned());
            }
        }
        self.refuse(format!("{url} was not reached in {VALIDATION_ATTEMPTS} attempts; giving up"));
    }

    fn refuse(&self, problem: String) {
        tracing::warn!("{problem}");
        lock(&self.report).validation_problem = Some(problem);
        self.validation.send_replace(Some(Validation::Refused));
    }

    async fn challenge(&self, url: &str) -> Challenge {
        let plain_token = self.random_text(22);
        let event = event::url_validation(&plain_token, clock::now_ms());
        let response = match self.post(url, &event, &self.random_text(32)).await {
            Ok(response) => response,
            Err(error) => {
                let cause = if error.is_timeout() { "it does not answer" } else { "no connection" };
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

    /// A mailbox whose events are delivered by the returned future, which ends after the last of them.
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

    /// One attempt now; the others, if need be, beside the caller.
    pub(super) async fn deliver(self: &Arc<Self>, event: Event) {
        let allowed = self.validated().await != Validation::Refused;
        let Some(url) = self.url.clone().filter(|_| allowed) else {
            lock(&self.report).withheld += 1;
            return;
        };
        let request_id = self.random_text(32);
        if self.attempt(&url, &event, &request_id).await {
            return;
        }
        let webhook_sender = self.clone();
        self.retries.spawn(async move {
            for wait_ms in webhook_sender.timings.webhook_retries_ms {
                let again = webhook_sender.pause(webhook_sender.timings.wait(wait_ms)).await;
                if !again || webhook_sender.attempt(&url, &event, &request_id).await {
                    return;
                }
            }
            lock(&webhook_sender.report).given_up += 1;
        });
    }

    /// Whether the event is settled, one way or the other.
    async fn attempt(&self, url: &str, event: &Event, request_id: &str) -> bool {
        let outcome = match self.post(url, event, request_id).await {
            Ok(response) if response.status().is_success() => Outcome::Delivered,
            Ok(response) if response.status().is_server_error() => Outcome::Failed,
            Ok(_) => Outcome::GivenUp,
            Err(_) => Outcome::Failed,
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

    /// The same body each time, with a timestamp and a signature of its own (section 13.2).
    async fn post(&self, url: &str, event: &Event, request_id: &str) -> reqwest::Result<Response> {
        let timestamp = (clock::now_ms() / 1000).to_string();
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

    /// Whether the wait went by without the simulator being stopped.
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

    /// Ends the retries; the owner cancels `stop` first.
    pub(super) async fn finish(&self) {
        self.retries.close();
        self.retries.wait().await;
    }
}

impl Mailbox {
    /// Never waits: an event too many is lost, as it would be with an endpoint that is hours behind.
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
