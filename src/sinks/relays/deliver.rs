//! Sends the webhooks to programs: signed and retried as Zoom does (rtms-protocol.md section 13).

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{OpenRelay, Relays};
use crate::rtms::server::webhook;
use crate::sinks::webhooks::{Answer, Client};
use crate::store::{ClaimedRelayEvent, RelayAttempt, StoreError};
use crate::zoom::signature::{PlainToken, SIGNATURE_HEADER, TIMESTAMP_HEADER};

/// How many events are sent at a time: enough that the events of a program that does not answer, which take a few seconds
/// each, leave room for those of the others.
const MAX_SENDING: usize = 256;
/// How long a claim keeps other daemons from sending the same event.
const CLAIM_MS: i64 = 60 * 1000;
/// How long a successful URL validation counts (section 13.3).
const VALID_MS: i64 = 72 * 60 * 60 * 1000;
/// How long after a failed URL validation there is no other.
const REVALIDATE_MS: i64 = 60 * 1000;
/// The length of the token that a URL validation sends.
const PLAIN_TOKEN_CHARS: usize = 22;
/// Zoom's own user agent, which some programs look for.
const ZOOM_AGENT: &str = "Zoom Marketplace/1.0a";

/// Sends what is due until the stop.
pub(super) async fn deliver_all(relays: &Relays, client: &Client, stop: CancellationToken) {
    let mut sending = JoinSet::new();
    while !stop.is_cancelled() {
        if let Err(error) = start_due(relays, client, &mut sending).await {
            tracing::warn!(%error, "cannot read the webhooks to programs; trying again");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = relays.inner().events.notified() => {}
            () = sleep(relays.inner().settings.timings.poll) => {}
            Some(sent) = sending.join_next() => {
                if sent.is_err() {
                    tracing::error!("the task that sends a webhook to a program panicked; the webhook is sent again");
                }
            }
        }
    }
    // Webhooks without an answer stay claimed, and are sent again when the claim expires.
    sending.shutdown().await;
}

async fn start_due(
    relays: &Relays,
    client: &Client,
    sending: &mut JoinSet<()>,
) -> Result<(), StoreError> {
    let free = MAX_SENDING.saturating_sub(sending.len());
    if free == 0 {
        return Ok(());
    }
    let now_ms = relays.now_ms();
    let limit = free.try_into().unwrap_or(u32::MAX);
    let store = &relays.inner().store;
    let claimed = store.claim_relay_events(now_ms, now_ms + CLAIM_MS, limit).await?;
    for event in claimed {
        let (relays, client) = (relays.clone(), client.clone());
        sending.spawn(async move { send_claimed(&relays, &client, &event).await });
    }
    Ok(())
}

async fn send_claimed(relays: &Relays, client: &Client, event: &ClaimedRelayEvent) {
    // The relay was deleted meanwhile, and its events with it.
    let Some(relay) = relays.known(event.relay_id) else { return };
    // The relay shows a failure; the webhook is sent anyway.
    validate_if_due(relays, client, &relay).await;
    let answer = post(relays, client, &relay, event.body.clone()).await;
    let attempt = outcome(&answer, event.attempts, relays);
    let event_id = &event.id;
    if !attempt.is_delivered {
        let (status, error) = (attempt.status, attempt.error.as_deref());
        let is_retried = attempt.due_at_ms.is_some();
        tracing::warn!(relay = %relay.relay.id, event_id, status, error, is_retried,
            "a program did not accept a webhook; is_retried says whether it is sent again");
    }
    if let Err(error) = relays.inner().store.settle_relay_event(event, &attempt).await {
        tracing::warn!(%error, event_id, "cannot record the outcome of a webhook to a program; it is sent again");
    }
}

/// The outcome of an attempt (section 13.5): it is repeated only after a 5xx or without an answer.
fn outcome(answer: &Result<Answer, String>, attempts: u32, relays: &Relays) -> RelayAttempt {
    let at_ms = relays.now_ms();
    let (status, error) = match answer {
        Ok(answer) => (Some(answer.status), None),
        Err(error) => (None, Some(error.clone())),
    };
    let is_delivered = status.is_some_and(|status| (200..300).contains(&status));
    let is_final = status.is_some_and(|status| status < 500);
    let retries = &relays.inner().settings.timings.retries;
    let wait = retries.get(attempts.saturating_sub(1) as usize).filter(|_| !is_final);
    let due_at_ms = wait.map(|wait| at_ms.saturating_add(wait.as_millis() as i64));
    RelayAttempt { is_delivered, due_at_ms, at_ms, status, error }
}

/// Validates the URL, unless it was validated within 72 hours (section 13.3).
pub(super) async fn validate_if_due(relays: &Relays, client: &Client, relay: &Arc<OpenRelay>) {
    let now_ms = relays.now_ms();
    let is_recent = |(at_ms, error): &(i64, Option<String>)| {
        let lasts_ms = if error.is_none() { VALID_MS } else { REVALIDATE_MS };
        *at_ms >= relay.relay.updated_at_ms && now_ms < at_ms + lasts_ms
    };
    if relay.validation().as_ref().is_some_and(is_recent) {
        return;
    }
    let error = challenge(relays, client, relay).await.err();
    if let Some(error) = &error {
        tracing::warn!(relay = %relay.relay.id, error,
            "the URL validation of a program failed; webhooks are sent anyway");
    }
    relay.note_validation(now_ms, error.clone());
    let store = &relays.inner().store;
    let noted = store.note_relay_validation(relay.relay.id, now_ms, error.as_deref()).await;
    if let Err(error) = noted {
        tracing::warn!(%error, "cannot record a URL validation; it is done again");
    }
}

async fn challenge(relays: &Relays, client: &Client, relay: &OpenRelay) -> Result<(), String> {
    let plain_token = random_token();
    let event = webhook::url_validation(plain_token.as_str(), relays.now_ms());
    let answer = post(relays, client, relay, event.body).await?;
    if answer.status != 200 {
        return Err(format!("the URL answered {} instead of 200", answer.status));
    }
    let said: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    let expected = relay.webhook_key.encrypted_token(&plain_token);
    let is_right =
        said["plainToken"] == *plain_token.as_str() && said["encryptedToken"] == *expected;
    let wrong = "the URL gave a wrong answer: check that the program uses this secret_token";
    if is_right { Ok(()) } else { Err(wrong.to_owned()) }
}

fn random_token() -> PlainToken {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let letter = || char::from(LETTERS[rand::random_range(0..LETTERS.len())]);
    let text: String = std::iter::repeat_with(letter).take(PLAIN_TOKEN_CHARS).collect();
    PlainToken::parse(&text).expect("letters and digits are a plain token")
}

/// Posts a body, signed now. The error is for people.
async fn post(
    relays: &Relays,
    client: &Client,
    relay: &OpenRelay,
    body: String,
) -> Result<Answer, String> {
    let settings = &relays.inner().settings;
    // Checked again: WEBHOOKS_ALLOWED_HOSTS may have changed.
    let url = settings.policy.read(&relay.relay.webhook_url);
    let url = url.map_err(|error| format!("the URL {error}"))?;
    let timestamp_s = relays.now_ms().div_euclid(1000);
    let headers = [
        (SIGNATURE_HEADER, relay.webhook_key.sign(timestamp_s, body.as_bytes())),
        (TIMESTAMP_HEADER, timestamp_s.to_string()),
        ("x-zm-request-id", uuid::Uuid::new_v4().simple().to_string()),
        ("clientid", relay.relay.client_id.clone()),
        ("user-agent", ZOOM_AGENT.to_owned()),
    ];
    let deadline: Duration = settings.timings.webhook_deadline;
    match timeout(deadline, client.post_as(url, &headers, body.into_bytes())).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}
