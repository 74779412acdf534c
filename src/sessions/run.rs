use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Settings;
use crate::clock;
use crate::hub::{Feed, Hub};
use crate::model::{EntryBody, Outcome, Product, StreamId, StreamRecord};
use crate::rtms::driver::{Command, Drive, Job, drive};
use crate::rtms::endpoint::Endpoint;
use crate::rtms::params::{Params, ParamsOverrides};
use crate::rtms::stream::{End, Setup};
use crate::secret::Secret;
use crate::store::{Claim, Store, StoreError};
use crate::zoom::signature::HandshakeKey;

/// The waits between tries to store a stream's end.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// The stop reason after which a new stream would fail like the old one (section 12.3).
const AUTHENTICATION_FAILURE: i64 = 18;

/// One stream, ready to run.
pub(super) struct Run {
    pub stream_id: StreamId,
    pub job: Job,
    pub commands: mpsc::Receiver<Command>,
    pub ender: Ender,
}

impl Run {
    /// Drives the stream, and records its end when it has one.
    pub async fn run(mut self) {
        let drive = drive(&mut self.job, &mut self.commands).await;
        // A supervisor that looks at the row from here on finds nobody to tell.
        self.commands.close();
        self.job.feed.finish().await;
        match drive {
            Drive::Left => {
                tracing::info!(stream_id = %self.stream_id, "stream left to be picked up")
            }
            Drive::Finished(end) => {
                // Boxed: a store's transaction is large, and every live stream would carry room for it.
                Box::pin(self.ender.end(&self.stream_id, self.job.generation, &end)).await;
                self.job.feed.over(true);
            }
        }
    }
}

/// Records how streams end, and tells whoever listens.
#[derive(Clone)]
pub(super) struct Ender {
    pub store: Store,
    pub hub: Arc<Hub>,
}

impl Ender {
    /// Records an end for as long as it takes: without it the stream would be picked up for ever. A stream that
    /// was announced again since `generation` lives on.
    pub async fn end(&self, stream_id: &StreamId, generation: i64, end: &End) {
        let (outcome, reason) = (end.outcome, end.stop_reason);
        let mut wait = FIRST_RETRY;
        loop {
            let now_ms = clock::now_ms();
            let ended = self.store.finish_stream(stream_id, generation, outcome, reason, now_ms);
            match ended.await {
                Err(StoreError::Unavailable(_)) => sleep(wait).await,
                Err(error) => {
                    return tracing::error!(%stream_id, %error, "a stream's end is not stored");
                }
                Ok(None) => return,
                Ok(Some(last_entry)) => {
                    log_end(stream_id, end);
                    return self.hub.publish(vec![last_entry]);
                }
            }
            wait = (wait * 2).min(LAST_RETRY);
        }
    }
}

/// Makes a stream ready: its handshake's signature, its parameters, and where its log goes on.
pub(super) fn job(
    settings: &Settings,
    claim: &Claim,
    endpoint: Endpoint,
    params: Params,
    mut feed: Feed,
) -> Job {
    let stream = &claim.stream;
    if claim.last_seq > 0 {
        feed.note(None, EntryBody::PickedUp {});
    }
    let setup = Setup {
        stream_id: stream.stream_id.clone(),
        instance: settings.handshake_ids.named(&stream.instance),
        signature: Secret::new(signature(settings, stream)),
        params,
        policy: settings.policy.clone(),
        timings: settings.timings.clone(),
    };
    let network = settings.network.clone();
    Job { setup, endpoint, generation: stream.generation, seed: rand::random(), network, feed }
}

/// What the session said when the stream was announced, else what is configured.
pub(super) fn params(settings: &Settings, stream: &StreamRecord) -> Params {
    let Some(media) = &stream.media else { return settings.params.clone() };
    let overrides: Option<ParamsOverrides> =
        serde_json::from_value(Value::Object(media.clone())).ok();
    let resolved = overrides.map(|overrides| Params::resolve(&settings.params, &overrides));
    resolved.and_then(Result::ok).unwrap_or_else(|| {
        let stream_id = &stream.stream_id;
        tracing::warn!(%stream_id, "the session's media parameters cannot be read; the configured ones are used");
        settings.params.clone()
    })
}

fn signature(settings: &Settings, stream: &StreamRecord) -> String {
    let own = settings.video_sdk.as_ref().filter(|_| stream.instance.product == Product::VideoSdk);
    let app = own.unwrap_or(&settings.client);
    HandshakeKey::new(&app.id, &app.secret).sign(&stream.instance, &stream.stream_id)
}

fn log_end(stream_id: &StreamId, end: &End) {
    let outcome = end.outcome.as_str();
    match end.outcome {
        _ if end.stop_reason == Some(AUTHENTICATION_FAILURE) => {
            tracing::error!(%stream_id, outcome, "Zoom ended the stream because it could not authenticate us: \
                check ZOOM_CLIENT_ID and ZOOM_CLIENT_SECRET; it is not started again");
        }
        Outcome::Stopped | Outcome::Closed => {
            tracing::info!(%stream_id, outcome, stop_reason = end.stop_reason, "stream ended");
        }
        _ => {
            let detail = &end.detail;
            tracing::warn!(%stream_id, outcome, stop_reason = end.stop_reason, %detail, "stream lost");
        }
    }
}
