//! Owns every stream's task and reconciles the running tasks with the streams that should run.

mod contested;
mod hand_over;
mod placing;
mod quota;
mod unreachable;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant as StdInstant;

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use self::placing::Placing;
use self::unreachable::GivenUp;
use super::Settings;
use super::pulse::{Pulse, Steps};
use super::stream_task::{After, Controls, StreamTask, record_end};
use super::stream_threads::StreamThreads;
use super::streams_per_meeting::why_left_out;
use crate::clock;
use crate::hub::Hub;
use crate::model::{AppName, Outcome, StopReason, StreamId, StreamRecord, UserId, ms};
use crate::rtms::endpoint::Endpoint;
use crate::rtms::stream::End;
use crate::sessions::driver::{Command, CommandSender, Lease, Reach, command_queue};
use crate::store::{Claim, LeasedStream, OfferKey, Store, StoreError};
use crate::telemetry::stream_span;
use crate::zoom::app::{App, Place};

/// How many changed streams are handled together.
const CHANGES_AT_ONCE: usize = 64;

/// Owns every stream's task.
pub struct Supervisor {
    settings: Settings,
    threads: StreamThreads,
    store: Store,
    hub: Arc<Hub>,
    changes: mpsc::Receiver<StreamId>,
    stop: CancellationToken,
    running: HashMap<StreamId, RunningTask>,
    tasks: JoinSet<After>,
    /// The stream of each task. A panicked task returns only its id.
    task_streams: HashMap<Id, StreamId>,
    /// Whether the last request to the store failed. Logged once per outage.
    store_is_away: bool,
    /// Until then no other node's stream is claimed: an outage of the store that this node saw may have kept
    /// the others from renewing their leases.
    patient_until: Option<Instant>,
    /// The apps of streams that were left to other daemons. Each is logged once until it is there again.
    missing_apps: HashSet<AppName>,
    /// Taken so often that none waits for more than one answer of the store.
    steps: Steps,
    placing: Placing,
    given_up: GivenUp,
}

/// A running stream, and the state of its row that it was last notified of.
struct RunningTask {
    /// The app as it was when the stream started here; `None` for a stream that only ends here.
    app: Option<Arc<App>>,
    commands: CommandSender,
    lease: watch::Sender<Lease>,
    reach: Reach,
    generation: i64,
    interrupts: i64,
    stop_sent: bool,
    revocation_sent: bool,
    video_user_id: Option<UserId>,
    /// The key of the last offer from another daemon that was passed to the stream.
    offered: OfferKey,
    /// When another daemon was first seen to have the stream.
    lost_since: Option<StdInstant>,
    /// What log lines about the stream carry.
    context: Span,
    /// Counts the stream for its app's quota.
    _place: Place,
}

impl RunningTask {
    fn epoch(&self) -> i64 {
        self.lease.borrow().epoch
    }

    /// Whether [`Supervisor::send_changes`] has nothing to send for this row.
    fn is_up_to_date(&self, row: &LeasedStream) -> bool {
        row.generation <= self.generation
            && row.interrupts <= self.interrupts
            && self.new_video(row.video_user_id).is_none()
            && !(row.is_stopped && self.needs_stop(row.stop_reason))
    }

    /// The participant of the requested video, unless the stream knows it.
    fn new_video(&self, requested: Option<UserId>) -> Option<UserId> {
        requested.filter(|id| self.video_user_id != Some(*id))
    }

    /// Whether the stream does not know of its stop. One that is ending already ends at once when it is revoked.
    fn needs_stop(&self, reason: Option<StopReason>) -> bool {
        let is_revoked = reason.is_some_and(StopReason::is_revoked);
        !self.stop_sent || (is_revoked && !self.revocation_sent)
    }

    /// Records a renewed lease and notifies a stream that waits for one.
    fn prolong(&mut self, epoch: i64, until: StdInstant) {
        let before = self.lease.send_replace(Lease { epoch, until });
        if before.epoch != epoch || before.until <= StdInstant::now() {
            // If the queue is full, the stream sees the lease after the next command.
            let _ = self.commands.try_send(Command::Leased);
        }
    }
}

impl Supervisor {
    pub(super) fn new(
        settings: Settings,
        threads: StreamThreads,
        store: Store,
        hub: Arc<Hub>,
        changes: mpsc::Receiver<StreamId>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            settings,
            threads,
            hub,
            store,
            changes,
            stop,
            running: HashMap::new(),
            tasks: JoinSet::new(),
            task_streams: HashMap::new(),
            store_is_away: false,
            patient_until: None,
            missing_apps: HashSet::new(),
            steps: Steps::default(),
            placing: Placing::new(),
            given_up: GivenUp::default(),
        }
    }

    /// Shows whether the supervisor and the threads of streams make progress.
    pub fn pulse(&self) -> Pulse {
        self.steps.pulse(self.threads.clone())
    }

    /// Runs until the stop, then ends or leaves the streams inside the grace.
    pub async fn run(mut self) {
        let mut poll = interval(self.settings.leases.poll_interval);
        // A slow store would otherwise be asked several times in a row to catch up.
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (stop, hub, mut changed) = (self.stop.clone(), Arc::clone(&self.hub), Vec::new());
        loop {
            self.steps.take();
            let next_look = self.placing.next_look().into();
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.steps.asked() => {}
                Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    self.ended(ended).await;
                }
                // Cancel-safe: a cancelled `recv_many` has moved nothing into `changed`.
                1.. = self.changes.recv_many(&mut changed, CHANGES_AT_ONCE) => {
                    self.reconcile(std::mem::take(&mut changed)).await;
                }
                Some((stream_id, epoch)) = hub.fenced() => self.fenced(stream_id, epoch).await,
                _ = poll.tick() => self.reconcile_all().await,
                () = sleep_until(next_look) => self.place_streams().await,
            }
        }
        self.shut_down().await;
    }

    /// Reads the rows of changed streams, claims those that do not run here, and notifies those that do.
    async fn reconcile(&mut self, streams: Vec<StreamId>) {
        let (running, others): (Vec<_>, Vec<_>) =
            streams.into_iter().partition(|stream| self.running.contains_key(stream));
        let kept = self.kept(others);
        let (mut reconciled, mut revoked) = (self.claim(&kept).await, Vec::new());
        for stream_id in running {
            self.steps.take();
            match self.store.stream(&stream_id).await {
                // Its writes are rejected already.
                Ok(Some(record)) if record.is_revoked() => revoked.push(stream_id),
                Ok(Some(record)) => self.send_changes(&record),
                Ok(None) => {}
                Err(error) => reconciled = Err(error),
            }
        }
        let settled = self.settle(revoked).await;
        self.note_answer(reconciled.and(settled));
    }

    async fn claim(&mut self, streams: &[StreamId]) -> Result<(), StoreError> {
        let streams = self.admitted(streams).await?;
        if streams.is_empty() {
            return Ok(());
        }
        let (node, lease_ms, until) = (self.settings.node, self.lease_ms(), self.lease_until());
        let claims = self.store.claim_streams(node, &streams, lease_ms).await?;
        self.start_all(claims, until).await
    }

    /// Renews this node's leases and acts on changed rows.
    async fn reconcile_all(&mut self) {
        let reconciled = self.try_reconcile_all().await;
        self.note_answer(reconciled);
    }

    async fn try_reconcile_all(&mut self) -> Result<(), StoreError> {
        // Taken before the request: the lease here must not outlast the lease in the store.
        let (node, lease_ms, until) = (self.settings.node, self.lease_ms(), self.lease_until());
        let ours = self.store.renew_leases(node, lease_ms).await?;
        let mut lost: HashSet<StreamId> = self.running.keys().cloned().collect();
        let (mut changed, mut unclaimed) = (Vec::new(), Vec::new());
        for stream in ours {
            match self.running.get_mut(&stream.stream_id) {
                Some(running) if running.epoch() == stream.epoch => {
                    lost.remove(&stream.stream_id);
                    running.prolong(stream.epoch, until);
                    if !running.is_up_to_date(&stream) {
                        changed.push(stream.stream_id);
                    }
                }
                // Claimed again under a later epoch by this node: `settle` handles it, since it stays in
                // `lost`.
                Some(_) => {}
                // Claimed, but the store's answer was lost: the lease is this node's, and no task runs the
                // stream.
                None => unclaimed.push(stream),
            }
        }
        // An unreadable row keeps no other stream from its changes.
        let mut read = Ok(());
        for stream_id in changed {
            self.steps.take();
            match self.store.stream(&stream_id).await {
                Ok(record) => record.iter().for_each(|record| self.send_changes(record)),
                Err(error) => read = Err(error),
            }
        }
        self.steps.take();
        self.settle(lost.into_iter().collect()).await?;
        self.steps.take();
        let ids: Vec<_> = unclaimed.iter().map(|stream| stream.stream_id.clone()).collect();
        self.claim(&ids).await?;
        self.steps.take();
        self.give_back_idle(&unclaimed).await?;
        self.steps.take();
        self.take_offers().await.and(read)
    }

    /// Sends a running stream the changes of its row that it does not know yet. A change that finds the
    /// stream's queue full is sent at the next poll.
    fn send_changes(&mut self, record: &StreamRecord) {
        let Some(running) = self.running.get_mut(&record.stream_id) else { return };
        if let Some(app) = &running.app
            && record.generation > running.generation
        {
            let generation = record.generation;
            let is_sent = match app.rtms_hosts.first_allowed(&record.server_urls) {
                Ok(endpoint) => {
                    running.commands.try_send(Command::Moved { endpoint, generation }).is_ok()
                }
                Err(error) => {
                    // Counts as delivered: the same row would be refused, and logged, at every poll.
                    stream_span(record).in_scope(|| tracing::warn!("the new server_urls {error}"));
                    true
                }
            };
            if is_sent {
                running.generation = generation;
            }
        }
        if record.interrupts > running.interrupts
            && running.commands.try_send(Command::Interrupted).is_ok()
        {
            running.interrupts = record.interrupts;
        }
        if let Some(user_id) = running.new_video(record.video_user_id)
            && running.commands.try_send(Command::PinVideo(user_id)).is_ok()
        {
            running.video_user_id = Some(user_id);
        }
        if record.stop_seen_at_ms.is_some() && running.needs_stop(record.stop_reason) {
            let stopped = Command::Stopped { reason: record.stop_reason };
            running.stop_sent = running.commands.try_send(stopped).is_ok();
            running.revocation_sent = running.stop_sent && record.is_revoked();
        }
    }

    /// Starts claimed streams. Those that an error leaves over are started at the next poll.
    async fn start_all(&mut self, claims: Vec<Claim>, until: StdInstant) -> Result<(), StoreError> {
        for claim in claims {
            self.start(claim, until).await?;
        }
        Ok(())
    }

    async fn start(&mut self, claim: Claim, until: StdInstant) -> Result<(), StoreError> {
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

    fn join(&mut self, app: Arc<App>, claim: &Claim, until: StdInstant) {
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

    /// Logs once that streams of an app are left to other daemons.
    fn warn_missing(&mut self, app: &AppName) {
        if self.missing_apps.insert(app.clone()) {
            tracing::warn!(%app, "the app of a stream is not configured here; leaving its streams to another daemon");
        }
    }

    fn start_at(&mut self, endpoint: Endpoint, app: Arc<App>, claim: &Claim, until: StdInstant) {
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

    /// Ends a stream that does not run here.
    fn end(&mut self, stream: &StreamRecord, end: End) {
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
        Controls { context, commands, lease, reach }: Controls,
        task: impl Future<Output = After> + Send + 'static,
    ) {
        let place = self.settings.occupancy.enter(app.as_ref().map(|app| &app.name));
        let running = RunningTask {
            app,
            commands,
            lease,
            reach,
            generation: stream.generation,
            interrupts: stream.interrupts,
            stop_sent: false,
            revocation_sent: false,
            video_user_id: None,
            offered: OfferKey::default(),
            lost_since: None,
            context: context.clone(),
            _place: place,
        };
        self.running.insert(stream.stream_id.clone(), running);
        let task = self.tasks.spawn(task.instrument(context));
        self.task_streams.insert(task.id(), stream.stream_id.clone());
    }

    /// Handles a task that ended. A panic ends only its own stream.
    async fn ended(&mut self, ended: Result<(Id, After), JoinError>) {
        let task = ended.as_ref().map_or_else(JoinError::id, |(task, _)| *task);
        let Some(stream_id) = self.task_streams.remove(&task) else { return };
        let Some(running) = self.running.remove(&stream_id) else { return };
        // If one of these fails, the claim stays without a task, and the next poll starts the stream again.
        let answer = match ended {
            Ok((_, After::Reread)) => return self.reconcile(vec![stream_id]).await,
            Ok((_, After::GiveBack)) => self.give_back(&stream_id, running.epoch()).await,
            Ok((_, After::Release)) => self.store.release_stream(&stream_id, running.epoch()).await,
            Err(_) => self.panicked(&stream_id, running.epoch()).await,
        };
        self.note_answer(answer);
    }

    async fn panicked(&mut self, stream_id: &StreamId, epoch: i64) -> Result<(), StoreError> {
        let Some(mut stream) = self.store.stream(stream_id).await? else { return Ok(()) };
        stream_span(&stream).in_scope(|| {
            tracing::error!("a stream's task panicked; the stream is given up");
        });
        // The end must not be written under another daemon's claim.
        stream.epoch = epoch;
        self.end(&stream, stream_end(Outcome::Failed, None));
        Ok(())
    }

    /// The time until which a stream that is claimed or renewed now belongs to this daemon for certain.
    fn lease_until(&self) -> StdInstant {
        StdInstant::now() + self.settings.leases.lease
    }

    /// Whether the others may have been kept from renewing their leases until a moment ago.
    fn is_patient(&self) -> bool {
        self.patient_until.is_some_and(|until| Instant::now() < until)
    }

    fn lease_ms(&self) -> i64 {
        ms(self.settings.leases.lease)
    }

    fn note_answer(&mut self, answer: Result<(), StoreError>) {
        match answer {
            Ok(()) => self.store_is_away = false,
            Err(error) if !self.store_is_away => {
                self.store_is_away = true;
                self.patient_until = Some(Instant::now() + self.settings.leases.lease);
                tracing::warn!(%error, "the store does not answer; live streams go on");
            }
            Err(_) => self.patient_until = Some(Instant::now() + self.settings.leases.lease),
        }
    }
}

/// Whether the end of a stream that Zoom stopped is recorded without starting it: if no daemon joined it before the stop
/// (rtms-protocol.md section 3.9), its data is to be deleted, or its app is not here. Otherwise the stream is started and
/// then stopped, so that the time without a daemon is recorded as a gap.
fn is_only_to_be_ended(stream: &StreamRecord, last_seq: u64, has_app: bool) -> bool {
    stream.stop_seen_at_ms.is_some() && (last_seq == 0 || stream.is_revoked() || !has_app)
}

fn stream_end(outcome: Outcome, stop_reason: Option<StopReason>) -> End {
    End { outcome, stop_reason, detail: String::new() }
}
