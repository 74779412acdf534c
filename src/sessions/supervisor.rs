use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::run::{Run, finish, job, update};
use super::{AtShutdown, Settings};
use crate::clock;
use crate::hub::{Feed, Hub, Progress, SharedProgress};
use crate::model::{Outcome, StreamId, StreamRecord};
use crate::rtms::driver::Command;
use crate::rtms::stream::End;
use crate::store::{Claim, Store, StoreError};

/// How many commands may wait for one stream.
const COMMANDS_QUEUE: usize = 16;
/// How many streams are taken up in one look.
const ORPHANS_PER_LOOK: u32 = 200;
/// How often a stream's news are written while its status stays the same.
const WRITE_PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Owns every stream's task.
pub struct Supervisor {
    settings: Settings,
    store: Store,
    hub: Arc<Hub>,
    changes: mpsc::Receiver<StreamId>,
    stop: CancellationToken,
    running: HashMap<StreamId, Running>,
    tasks: JoinSet<()>,
    /// Whose task it is that ended, panicked or not.
    task_streams: HashMap<Id, StreamId>,
    /// The last look failed; said once per outage.
    store_is_away: bool,
    status_changed: Arc<Notify>,
}

/// A running stream, and what its row said when we last told it.
struct Running {
    commands: mpsc::Sender<Command>,
    generation: i64,
    interrupts: i64,
    stop_told: bool,
    progress: SharedProgress,
    written: Progress,
}

impl Supervisor {
    pub(super) fn new(
        settings: Settings,
        store: Store,
        hub: Arc<Hub>,
        changes: mpsc::Receiver<StreamId>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            settings,
            store,
            hub,
            changes,
            stop,
            running: HashMap::new(),
            tasks: JoinSet::new(),
            task_streams: HashMap::new(),
            store_is_away: false,
            status_changed: Arc::default(),
        }
    }

    /// Runs until the stop, then ends or leaves the streams inside the grace.
    pub async fn run(mut self) {
        let mut look = interval(self.settings.leases.look_every);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut write_progress = interval(WRITE_PROGRESS_EVERY);
        write_progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (stop, status_changed) = (self.stop.clone(), Arc::clone(&self.status_changed));
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    self.ended(ended).await;
                }
                () = status_changed.notified() => {
                    self.write_progress(|now, written| now.status != written.status).await;
                }
                Some(stream_id) = self.changes.recv() => self.look_at(&stream_id).await,
                _ = look.tick() => self.look_at_all().await,
                _ = write_progress.tick() => self.write_progress(|_, _| true).await,
            }
        }
        self.shut_down().await;
    }

    /// One stream's row has changed.
    async fn look_at(&mut self, stream_id: &StreamId) {
        let looked = match self.running.contains_key(stream_id) {
            true => self.store.stream(stream_id).await.map(|record| {
                if let Some(record) = record {
                    self.tell(&record);
                }
            }),
            false => self.claim(stream_id).await,
        };
        self.note_answer(looked);
    }

    async fn claim(&mut self, stream_id: &StreamId) -> Result<(), StoreError> {
        if self.running.len() >= self.settings.max_streams {
            tracing::warn!(%stream_id, limit = self.settings.max_streams, "no room for a stream");
            return Ok(());
        }
        let (node, lease_ms) = (self.settings.node, self.lease_ms());
        let claim = self.store.claim_stream(node, stream_id, clock::now_ms(), lease_ms).await?;
        if let Some(claim) = claim {
            self.start(claim);
        }
        Ok(())
    }

    /// Prolongs our leases, acts on what changed in our rows, and takes up what nobody runs.
    async fn look_at_all(&mut self) {
        let looked = self.try_look_at_all().await;
        self.note_answer(looked);
    }

    async fn try_look_at_all(&mut self) -> Result<(), StoreError> {
        let (node, lease_ms) = (self.settings.node, self.lease_ms());
        let ours = self.store.renew_leases(node, clock::now_ms(), lease_ms).await?;
        for record in &ours {
            self.tell(record);
        }
        self.leave_what_is_not_ours(&ours);
        let room = self.settings.max_streams.saturating_sub(self.running.len());
        let limit = u32::try_from(room).unwrap_or(u32::MAX).min(ORPHANS_PER_LOOK);
        if limit > 0 {
            for claim in self.store.claim_orphans(node, clock::now_ms(), lease_ms, limit).await? {
                self.start(claim);
            }
        }
        Ok(())
    }

    /// A stream whose lease somebody else has now must not have two runners.
    fn leave_what_is_not_ours(&self, ours: &[StreamRecord]) {
        let ours: HashSet<&StreamId> = ours.iter().map(|record| &record.stream_id).collect();
        for (_, running) in self.running.iter().filter(|(id, _)| !ours.contains(id)) {
            // A task that ended already takes no commands.
            let _ = running.commands.try_send(Command::Leave);
        }
    }

    /// Tells a running stream what its row says and it does not know yet. What finds its queue full is told
    /// at the next look.
    fn tell(&mut self, record: &StreamRecord) {
        let Some(running) = self.running.get_mut(&record.stream_id) else { return };
        if record.generation > running.generation {
            let generation = record.generation;
            let is_told = match self.settings.policy.first_allowed(&record.server_urls) {
                Ok(endpoint) => {
                    running.commands.try_send(Command::Moved { endpoint, generation }).is_ok()
                }
                Err(error) => {
                    tracing::warn!(stream_id = %record.stream_id, "the new server_urls {error}");
                    true
                }
            };
            if is_told {
                running.generation = generation;
            }
        }
        if record.interrupts > running.interrupts
            && running.commands.try_send(Command::Interrupted).is_ok()
        {
            running.interrupts = record.interrupts;
        }
        if record.stop_seen_at_ms.is_some() && !running.stop_told {
            let stopped = Command::Stopped { reason: record.stop_reason };
            running.stop_told = running.commands.try_send(stopped).is_ok();
        }
    }

    fn start(&mut self, claim: Claim) {
        let stream = &claim.stream;
        let stream_id = stream.stream_id.clone();
        if self.running.contains_key(&stream_id) {
            return;
        }
        if stream.stop_seen_at_ms.is_some() {
            let end = ending(Outcome::Stopped, stream.stop_reason);
            return self.end_unstarted(stream_id, stream.generation, end);
        }
        let endpoint = match self.settings.policy.first_allowed(&stream.server_urls) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                tracing::warn!(%stream_id, "the announced server_urls {error}");
                let end = ending(Outcome::UrlRefused, None);
                return self.end_unstarted(stream_id, stream.generation, end);
            }
        };
        tracing::info!(%stream_id, server = %endpoint, resumed = claim.last_seq > 0, "stream started");
        let (hub, status_changed) = (Arc::clone(&self.hub), Arc::clone(&self.status_changed));
        let feed = Feed::new(hub, stream, claim.last_seq, status_changed);
        let (sender, commands) = mpsc::channel(COMMANDS_QUEUE);
        let progress = feed.progress();
        let written = progress.read();
        let running = Running {
            commands: sender,
            generation: stream.generation,
            interrupts: stream.interrupts,
            stop_told: false,
            progress,
            written,
        };
        let run = Run {
            stream_id: stream_id.clone(),
            job: job(&self.settings, &claim, endpoint, feed),
            progress: running.progress.clone(),
            commands,
            store: self.store.clone(),
            hub: Arc::clone(&self.hub),
        };
        self.running.insert(stream_id.clone(), running);
        let task = self.tasks.spawn(run.run());
        self.task_streams.insert(task.id(), stream_id);
    }

    /// Ends a stream that never ran here.
    fn end_unstarted(&mut self, stream_id: StreamId, generation: i64, end: End) {
        let store = self.store.clone();
        self.tasks.spawn(async move { finish(&store, &stream_id, generation, &end).await });
    }

    /// A task is over. A panic ends only its own stream.
    async fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let task = ended.as_ref().map_or_else(JoinError::id, |(task, ())| *task);
        let Some(stream_id) = self.task_streams.remove(&task) else { return };
        let running = self.running.remove(&stream_id);
        if let Some(running) = running.filter(|_| ended.as_ref().is_err_and(JoinError::is_panic)) {
            tracing::error!(%stream_id, "a stream's task panicked; the stream is given up");
            let end = ending(Outcome::Failed, None);
            return self.end_unstarted(stream_id, running.generation, end);
        }
        // It may have been announced again while it ended.
        self.look_at(&stream_id).await;
    }

    /// Writes the news of those streams that `is_due` picks by what is now and what was last written.
    async fn write_progress(&mut self, is_due: fn(&Progress, &Progress) -> bool) {
        let mut due = Vec::new();
        for (stream_id, running) in &self.running {
            let now = running.progress.read();
            if now != running.written && is_due(&now, &running.written) {
                due.push((stream_id.clone(), now));
            }
        }
        for (stream_id, now) in due {
            let written =
                self.store.update_stream(&stream_id, &update(&now), clock::now_ms()).await;
            match written {
                Ok(()) => {
                    if let Some(running) = self.running.get_mut(&stream_id) {
                        running.written = now;
                    }
                }
                Err(_) => return self.note_answer(written),
            }
        }
    }

    async fn shut_down(mut self) {
        let command = || match self.settings.at_shutdown {
            AtShutdown::Leave => Command::Leave,
            AtShutdown::Close => Command::Close,
        };
        for running in self.running.values() {
            // A full queue has a command that the stream ends with, or the grace does.
            let _ = running.commands.try_send(command());
        }
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(self.settings.grace, all_ended).await.is_err() {
            tracing::warn!(streams = self.tasks.len(), "streams did not end in time");
            self.tasks.shutdown().await;
        }
    }

    fn lease_ms(&self) -> i64 {
        i64::try_from(self.settings.leases.lease.as_millis()).unwrap_or(i64::MAX)
    }

    fn note_answer(&mut self, answer: Result<(), StoreError>) {
        match answer {
            Ok(()) => self.store_is_away = false,
            Err(error) if !self.store_is_away => {
                self.store_is_away = true;
                tracing::warn!(%error, "the store does not answer; live streams go on");
            }
            Err(_) => {}
        }
    }
}

fn ending(outcome: Outcome, stop_reason: Option<i64>) -> End {
    End { outcome, stop_reason, detail: String::new() }
}
