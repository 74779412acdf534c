//! Runs the tasks of recordings: one for each stream that runs here, and one for each recording to be completed.

use std::collections::HashMap;
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::Shared;
use super::finalize::blocking;
use super::recording_meta::RecordingMeta;
use super::removal::delete_or_defer;
use super::stream_recorder::{StopCause, record_stream};
use super::upload::complete_recording;
use crate::capture::event::Subject;
use crate::hub::{SinkStream, StreamInfo, Tap};
use crate::model::{RecordingId, RecordingStatus};
use crate::sinks::Runner;
use crate::store::StoreError;
use crate::telemetry::{recording_span, stream_span, stream_span_of};
use crate::thread_pool::ThreadPool;

/// How often to poll for streams that ended elsewhere and for deletions.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The time limit of each half of a poll.
const POLL_LIMIT: Duration = Duration::from_secs(2);
/// How often the spool is reported to the store as present, and lost spools are checked.
const SEEN_EVERY: Duration = Duration::from_secs(60);
/// How long a stop waits until the last frames are written.
const LAST_FRAMES: Duration = Duration::from_secs(5);
/// The most threads that run recordings.
const MAX_RECORDING_THREADS: usize = 16;
/// The most recordings deleted at a time.
const DELETED_AT_ONCE: u32 = 16;

/// Owns every recording's task.
pub(super) struct Recorder {
    shared: Arc<Shared>,
    streams: mpsc::UnboundedReceiver<SinkStream>,
    /// The threads that recordings of running streams run on. Started with the first recording.
    threads: Option<ThreadPool>,
    /// Recordings of streams that run here.
    recording: JoinSet<(RecordingMeta, StopCause)>,
    /// Recordings of streams that have ended.
    completing: JoinSet<()>,
    tasks: HashMap<Id, RecordingId>,
    running: HashMap<RecordingId, CancellationToken>,
    /// Recordings in the spool without a task: their stream has left and has not ended as far as known.
    idle: Vec<RecordingMeta>,
    is_reconciled: bool,
    /// Recordings of another daemon were moved into the spool, and may be missing in `idle`.
    has_adopted: bool,
    seen_at: Option<Instant>,
}

impl Runner for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    /// Uploads that are not finished continue after the next start. After a panic the recordings' own tasks continue.
    fn run(&mut self, stop: CancellationToken) -> BoxFuture<'_, ()> {
        Box::pin(self.record_all(stop))
    }
}

impl Recorder {
    pub(super) fn new(shared: Arc<Shared>, streams: mpsc::UnboundedReceiver<SinkStream>) -> Self {
        Self {
            shared,
            streams,
            threads: None,
            recording: JoinSet::new(),
            completing: JoinSet::new(),
            tasks: HashMap::new(),
            running: HashMap::new(),
            idle: Vec::new(),
            is_reconciled: false,
            has_adopted: false,
            seen_at: None,
        }
    }

    async fn record_all(&mut self, stop: CancellationToken) {
        self.load_earlier().await;
        let mut polls = interval(POLL_INTERVAL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shared = Arc::clone(&self.shared);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some((stream, tap)) = self.streams.recv() => self.begin(&stream, tap),
                Some(ended) = self.recording.join_next_with_id(), if !self.recording.is_empty() => {
                    self.recorded(ended).await;
                }
                Some(ended) = self.completing.join_next_with_id(), if !self.completing.is_empty() => {
                    let id = ended.map_or_else(|panic| panic.id(), |(id, ())| id);
                    self.forget_task(id);
                }
                _ = polls.tick() => self.poll().await,
                () = shared.wake.notified() => self.poll().await,
            }
        }
        // Only the writers: uploads continue after the next start.
        let last_frames = async { while self.recording.join_next().await.is_some() {} };
        if timeout(LAST_FRAMES, last_frames).await.is_err() {
            tracing::warn!(
                "the last frames of some recordings were not written in time; they are lost"
            );
        }
    }

    /// Loads the recordings of earlier runs.
    async fn load_earlier(&mut self) {
        // Nothing was ever recorded here, so no folder is created either.
        if !self.shared.spools.exists() {
            self.is_reconciled = true;
            return;
        }
        match self.recordings().await {
            Ok(recordings) => self.idle = recordings,
            Err(error) => {
                tracing::error!(%error, "cannot read the recordings of earlier runs; they stay in the spool");
            }
        }
    }

    /// Reads the recordings in the spool and counts their sizes.
    async fn recordings(&self) -> io::Result<Vec<RecordingMeta>> {
        let (spool, quota) = (self.shared.spool().await?, Arc::clone(&self.shared.quota));
        let find = move || {
            let recordings = spool.recordings()?;
            recordings.iter().for_each(|meta| quota.set(meta.id, spool.bytes(meta.id)));
            Ok(recordings)
        };
        blocking(find).await
    }

    /// Starts or continues the recording of a stream that runs here.
    fn begin(&mut self, stream: &StreamInfo, tap: Tap) {
        // From the end: a stream may have left several parts, and the newest one continues.
        let known = self.idle.iter().rposition(|meta| meta.stream_id == stream.stream_id);
        let mut meta = match known {
            Some(known) => self.idle.remove(known),
            None => RecordingMeta::new(
                stream.session_id,
                stream.stream_id.clone(),
                stream.ordinal,
                (self.shared.now_ms)(),
            ),
        };
        // The session's media may have changed since the last run.
        let record = tap.record();
        (meta.media, meta.meeting) = (record.media, record.meeting);
        let (id, cancel) = (meta.id, CancellationToken::new());
        let (shared, cancelled) = (Arc::clone(&self.shared), cancel.clone());
        let app = stream.app.clone();
        let product = stream.instance.product;
        let subject = subject_of(stream);
        let context = stream_span_of(stream.session_id, &stream.stream_id, product, &app);
        // The store's connections belong to this runtime.
        let main_runtime = Handle::current();
        let recording = async move {
            let recorded =
                record_stream(shared, subject, meta.clone(), tap, cancelled, main_runtime);
            let cause = recorded.await;
            (meta, cause)
        };
        let runtime = self.recording_runtime();
        let task = self.recording.spawn_on(recording.instrument(context), &runtime);
        self.tasks.insert(task.id(), id);
        self.running.insert(id, cancel);
    }

    /// Returns the runtime of recordings, and starts it for the first one. Its threads block while the disk is slow. If it
    /// cannot be started, returns the current runtime.
    fn recording_runtime(&mut self) -> Handle {
        if self.threads.is_none() {
            let count =
                available_parallelism().map_or(2, NonZero::get).clamp(2, MAX_RECORDING_THREADS);
            match ThreadPool::start("recordings", count, || {}) {
                Ok(threads) => self.threads = Some(threads),
                Err(error) => {
                    tracing::error!(%error, "cannot start the threads of recordings; this one runs on the main threads, where a slow disk delays other work");
                }
            }
        }
        self.threads.as_ref().map_or_else(Handle::current, |threads| threads.handle().clone())
    }

    /// Handles the end of a stream's task.
    async fn recorded(&mut self, ended: Result<(Id, (RecordingMeta, StopCause)), JoinError>) {
        let (task, outcome) = match ended {
            Ok((task, outcome)) => (task, Some(outcome)),
            Err(panic) => (panic.id(), None),
        };
        self.forget_task(task);
        match outcome {
            Some((meta, cause)) => self.after_stop(&meta, cause).await,
            None => self.reload().await,
        }
    }

    /// Decides what follows. The metadata on disk is newer than that from the start of the recording.
    async fn after_stop(&mut self, meta: &RecordingMeta, cause: StopCause) {
        let Ok(spool) = self.shared.spool().await else { return };
        let id = meta.id;
        // Without it nothing was written, and there is nothing to complete.
        let Ok(meta) = blocking(move || spool.meta(id)).await else { return };
        match cause {
            // The store knows whether the stream has ended: another daemon may have taken it over from one that
            // believes so.
            StopCause::Ended => {
                self.idle.push(meta);
                // Completes it at once instead of with the next tick.
                self.shared.wake.notify_one();
            }
            StopCause::Moved | StopCause::Cancelled => self.idle.push(meta),
        }
    }

    async fn reload(&mut self) {
        let recordings = match self.recordings().await {
            Ok(recordings) => recordings,
            Err(error) => {
                return tracing::error!(%error, "cannot read the spool; the recording stays there");
            }
        };
        self.idle = recordings;
        self.idle.retain(|meta| !self.running.contains_key(&meta.id));
    }

    async fn complete(&mut self, meta: RecordingMeta, context: Span) {
        let Ok(spool) = self.shared.spool().await else { return };
        let (id, cancel) = (meta.id, CancellationToken::new());
        let (shared, cancelled) = (Arc::clone(&self.shared), cancel.clone());
        let completing = async move {
            tokio::select! {
                // For a deletion: every step of `complete_recording` can be dropped and repeated.
                () = cancelled.cancelled() => {}
                () = complete_recording(shared, spool, meta) => {}
            }
        };
        let task = self.completing.spawn(completing.instrument(context));
        self.tasks.insert(task.id(), id);
        self.running.insert(id, cancel);
    }

    fn forget_task(&mut self, task: Id) {
        if let Some(id) = self.tasks.remove(&task) {
            self.running.remove(&id);
        }
    }

    async fn poll(&mut self) {
        // Both halves run, whatever the result of the first.
        in_time(self.complete_what_ended()).await;
        in_time(async {
            self.adopt().await?;
            self.see_spools().await?;
            self.reconcile().await?;
            self.delete().await
        })
        .await;
    }

    /// Moves the recordings of abandoned spools in this folder into this spool.
    async fn adopt(&mut self) -> Result<(), StoreError> {
        let Some(spool) = self.shared.spool.get().cloned() else { return Ok(()) };
        let there = Arc::clone(&spool);
        let abandoned = blocking(move || there.abandoned()).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read the spools of other daemons; trying again");
            Vec::new()
        });
        for other in abandoned {
            // The rows first: files in another spool are found again, rows of a missing spool are not.
            self.shared.store.merge_spools(other.id, spool.id).await?;
            // Set before the files move: if that fails halfway, the next poll still rereads the spool.
            (self.has_adopted, self.is_reconciled) = (true, false);
            let into = Arc::clone(&spool);
            match blocking(move || into.adopt(&other)).await {
                Ok(()) => tracing::info!("took over the recordings of an earlier daemon"),
                Err(error) => tracing::error!(%error, "cannot take over a spool; trying again"),
            }
        }
        if self.has_adopted {
            self.reload().await;
            self.has_adopted = false;
        }
        Ok(())
    }

    /// A spool that is gone cannot end its own recordings.
    async fn see_spools(&mut self) -> Result<(), StoreError> {
        if self.seen_at.is_some_and(|seen_at| seen_at.elapsed() < SEEN_EVERY) {
            return Ok(());
        }
        let now_ms = (self.shared.now_ms)();
        if let Some(spool) = self.shared.spool.get() {
            self.shared.store.see_spool(spool.id, now_ms).await?;
        }
        let lost = self.shared.store.fail_lost_recordings(now_ms).await?;
        if lost > 0 {
            self.shared.metrics.recordings_failed.add([], lost);
            tracing::error!(lost, "gave up recordings of spools that have not been seen for a day");
        }
        self.seen_at = Some(Instant::now());
        Ok(())
    }

    /// Finds rows of this spool with missing files: they can never be uploaded.
    async fn reconcile(&mut self) -> Result<(), StoreError> {
        let Some(spool) = self.shared.spool.get().filter(|_| !self.is_reconciled) else {
            return Ok(());
        };
        for row in self.shared.store.unfinished_recordings(spool.id).await? {
            let is_ours = self.running.contains_key(&row.id) || spool.has(row.id);
            let is_done = matches!(row.status, RecordingStatus::Failed | RecordingStatus::Deleting);
            if is_ours || is_done {
                continue;
            }
            self.shared.metrics.recordings_failed.inc([]);
            recording_span(&row).in_scope(|| {
                tracing::error!(recording = %row.id,
                    "a recording's files are missing in the spool; it is marked as failed");
            });
            let (to, now_ms) = (RecordingStatus::Failed, (self.shared.now_ms)());
            self.shared.store.move_recording(row.id, row.status, to, now_ms).await?;
        }
        self.is_reconciled = true;
        Ok(())
    }

    /// Completes recordings of streams that ended while this daemon was down or elsewhere.
    async fn complete_what_ended(&mut self) -> Result<(), StoreError> {
        // Each is handled before the next: a poll that is cut short continues with the others.
        for _ in 0..self.idle.len() {
            let Some(meta) = self.idle.first() else { break };
            let stream = self.shared.store.stream(&meta.stream_id).await?;
            if let Some(stream) = stream.filter(|stream| stream.outcome.is_some()) {
                let meta = self.idle.remove(0);
                self.complete(meta, stream_span(&stream)).await;
            } else {
                // The stream still runs, or belongs to another store: its files stay.
                self.idle.rotate_left(1);
            }
        }
        Ok(())
    }

    async fn delete(&mut self) -> Result<(), StoreError> {
        let spool = self.shared.spool.get().cloned();
        let own = spool.as_ref().map(|spool| spool.id);
        let (store, now_ms) = (&self.shared.store, (self.shared.now_ms)());
        let is_shared = self.shared.destinations.is_shared();
        let rows = store.recordings_to_delete(own, is_shared, now_ms, DELETED_AT_ONCE).await?;
        for row in rows {
            if let Some(task) = self.running.get(&row.id) {
                // Its files can be removed when it has ended.
                task.cancel();
                continue;
            }
            // Before the task starts, so that no poll completes what is being deleted.
            self.idle.retain(|meta| meta.id != row.id);
            let (id, shared) = (row.id, Arc::clone(&self.shared));
            let spool = spool.clone().filter(|spool| spool.id == row.spool);
            let context = recording_span(&row);
            let deleting = async move { delete_or_defer(&shared, spool, &row).await };
            let task = self.completing.spawn(deleting.instrument(context));
            self.tasks.insert(task.id(), id);
            // A deletion cannot be cancelled.
            self.running.insert(id, CancellationToken::new());
        }
        Ok(())
    }
}

/// What a capture says of the stream.
fn subject_of(stream: &StreamInfo) -> Subject {
    Subject {
        session_id: stream.session_id,
        stream_id: stream.stream_id.clone(),
        ordinal: stream.ordinal,
        app: stream.app.clone(),
        product: stream.instance.product,
        id_key: stream.instance.key,
        instance_id: stream.instance.id().to_owned(),
    }
}

/// Limits the time: a store that does not answer must not delay the next stream.
async fn in_time(step: impl Future<Output = Result<(), StoreError>>) {
    match timeout(POLL_LIMIT, step).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "could not check the recordings; trying again"),
        Err(_) => tracing::debug!("checking the recordings took too long; trying again"),
    }
}
