//! Owns every stream's task and reconciles the running tasks with the streams that should run.

mod contested;
mod hand_over;
mod placing;
mod quota;
mod running_task;
mod starting;
mod unreachable;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant as StdInstant;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use self::placing::Placing;
use self::running_task::RunningTask;
use self::starting::stream_end;
use self::unreachable::GivenUp;
use super::Settings;
use super::pulse::{Pulse, Steps};
use super::stream_task::After;
use super::stream_threads::StreamThreads;
use crate::hub::Hub;
use crate::model::{AppName, Outcome, StreamId, StreamRecord, ms};
use crate::store::{Store, StoreError};
use crate::telemetry::stream_span;

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

    /// Sends a stream that runs here the changes of its row that it does not know yet.
    fn send_changes(&mut self, record: &StreamRecord) {
        if let Some(running) = self.running.get_mut(&record.stream_id) {
            running.send_changes(record);
        }
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
