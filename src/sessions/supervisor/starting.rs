//! Starts the tasks of claimed streams. A stream that is not to be joined gets a task that only records its end.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tracing::Instrument;

use super::Supervisor;
use super::running_task::RunningTask;
use crate::clock;
use crate::model::{AppName, Outcome, StopReason, StreamRecord};
use crate::rtms::endpoint::Endpoint;
use crate::rtms::stream::End;
use crate::sessions::driver::{Lease, Reach, command_queue};
use crate::sessions::stream_task::{After, Controls, StreamTask, record_end};
use crate::sessions::streams_per_meeting::why_left_out;
use crate::store::{Claim, StoreError};
use crate::telemetry::stream_span;
use crate::zoom::app::App;

impl Supervisor {
    /// Starts claimed streams. Those that an error leaves over are started at the next poll.
    pub(super) async fn start_all(
        &mut self,
        claims: Vec<Claim>,
        until: Instant,
    ) -> Result<(), StoreError> {
        for claim in claims {
            self.start(claim, until).await?;
        }
        Ok(())
    }

    /// Ends a stream that does not run here.
    pub(super) fn end(&mut self, stream: &StreamRecord, end: End) {
        let (store, hub) = (self.store.clone(), Arc::clone(&self.hub));
        let (stream_id, generation) = (stream.stream_id.clone(), stream.generation);
        let controls = self.no_controls(stream);
        let leased = controls.lease.subscribe();
        let (app, product) = (stream.app.clone(), stream.instance.product.as_str());
        self.own(stream, None, controls, async move {
            // Entries from before the panic must be stored before the end.
            hub.flush().await;
            let now_ms = clock::now_ms();
            if record_end(&store, &hub, &stream_id, generation, &leased, &end, now_ms)
                .await
                .is_some()
            {
                let labels = [app.as_str(), product, end.outcome.as_str()];
                hub.metrics().streams_ended.inc(labels);
            }
            After::Reread
        });
    }

    /// Logs once that streams of an app are left to other daemons.
    pub(super) fn warn_missing(&mut self, app: &AppName) {
        if self.missing_apps.insert(app.clone()) {
            tracing::warn!(%app, "the app of a stream is not configured here; leaving its streams to another daemon");
        }
    }

    async fn start(&mut self, claim: Claim, until: Instant) -> Result<(), StoreError> {
        self.steps.take();
        let stream = &claim.stream;
        // Two claims of one stream may be under way: by a webhook and by a poll.
        if self.running.contains_key(&stream.stream_id) {
            return Ok(());
        }
        let app = self.settings.apps.for_stream(stream);
        if is_only_to_be_ended(stream, claim.last_seq, app.is_some()) {
            self.end(stream, stream_end(Outcome::Stopped, stream.stop_reason));
            return Ok(());
        }
        let Some(app) = app else {
            // Another daemon may have the app, or get it soon.
            self.warn_missing(&stream.app);
            return self.give_back(&stream.stream_id, stream.epoch).await;
        };
        self.missing_apps.remove(&stream.app);
        match why_left_out(&self.store, &app, stream).await? {
            Some(detail) => {
                self.end(stream, End { detail, ..stream_end(Outcome::LeftOut, None) });
            }
            None => self.join(app, &claim, until),
        }
        Ok(())
    }

    fn join(&mut self, app: Arc<App>, claim: &Claim, until: Instant) {
        let stream = &claim.stream;
        match app.rtms_hosts.first_allowed(&stream.server_urls) {
            Ok(endpoint) => self.start_at(endpoint, app, claim, until),
            Err(_) if stream.stop_seen_at_ms.is_some() => {
                self.end(stream, stream_end(Outcome::Stopped, stream.stop_reason));
            }
            Err(error) => {
                let detail = format!("the announced URL {error}");
                stream_span(stream)
                    .in_scope(|| tracing::warn!("{detail}; the stream is not joined"));
                self.end(stream, End { detail, ..stream_end(Outcome::UrlRefused, None) });
            }
        }
    }

    fn start_at(&mut self, endpoint: Endpoint, app: Arc<App>, claim: &Claim, until: Instant) {
        let stream = &claim.stream;
        let event = if claim.is_taken_over { "taken_over" } else { "claimed" };
        self.hub.metrics().leases.inc([event]);
        stream_span(stream).in_scope(|| {
            tracing::info!(server = %endpoint, resumed = claim.last_seq > 0, "stream started");
        });
        let (store, hub) = (self.store.clone(), Arc::clone(&self.hub));
        let (task, controls) =
            StreamTask::new(&self.settings, &app, store, hub, claim, endpoint, until);
        self.own(stream, Some(app), controls, Box::new(task).run(self.threads.clone()));
        self.send_changes(stream);
    }

    /// The controls of a task that takes no commands.
    fn no_controls(&self, stream: &StreamRecord) -> Controls {
        // The receivers are dropped at once.
        let (commands, _) = command_queue(0);
        let until = self.lease_until();
        let lease = watch::channel(Lease { epoch: stream.epoch, until }).0;
        Controls { context: stream_span(stream), commands, lease, reach: Reach::default() }
    }

    fn own(
        &mut self,
        stream: &StreamRecord,
        app: Option<Arc<App>>,
        controls: Controls,
        task: impl Future<Output = After> + Send + 'static,
    ) {
        let place = self.settings.occupancy.enter(app.as_ref().map(|app| &app.name));
        let context = controls.context.clone();
        let running = RunningTask::new(stream, app, place, controls);
        self.running.insert(stream.stream_id.clone(), running);
        let task = self.tasks.spawn(task.instrument(context));
        self.task_streams.insert(task.id(), stream.stream_id.clone());
    }
}

pub(super) fn stream_end(outcome: Outcome, stop_reason: Option<StopReason>) -> End {
    End { outcome, stop_reason, detail: String::new() }
}

/// Whether the end of a stream that Zoom stopped is recorded without starting it: if no daemon joined it before the stop
/// (rtms-protocol.md section 3.9), its data is to be deleted, or its app is not here. Otherwise the stream is started and
/// then stopped, so that the time without a daemon is recorded as a gap.
fn is_only_to_be_ended(stream: &StreamRecord, last_seq: u64, has_app: bool) -> bool {
    stream.stop_seen_at_ms.is_some() && (last_seq == 0 || stream.is_revoked() || !has_app)
}
