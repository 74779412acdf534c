//! Who records what: one task for each stream that runs here, and one for each recording that is to be completed.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Shared;
use super::complete::complete;
use super::finish::blocking;
use super::spool::{FrameCounts, Label, Spool};
use super::take::{Left, record};
use crate::hub::{SinkStream, StreamInfo, Tap};
use crate::model::{Recording, RecordingId, RecordingStatus};
use crate::store::StoreError;

/// How often to look for streams that ended elsewhere, and for what is to be deleted.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a look may take.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// How long a stop waits for the last frames to be written.
const LAST_FRAMES: Duration = Duration::from_secs(5);
/// How many recordings are deleted at a time.
const DELETED_AT_ONCE: u32 = 16;

/// Owns every recording's task.
pub struct Recorder {
    shared: Arc<Shared>,
    streams: mpsc::UnboundedReceiver<SinkStream>,
    /// Recordings whose stream runs here.
    recording: JoinSet<(Label, Left)>,
    /// Recordings whose stream is over.
    completing: JoinSet<()>,
    tasks: HashMap<Id, RecordingId>,
    running: HashMap<RecordingId, CancellationToken>,
    /// What lies in the spool and has no task: its stream has left, and is not over for all we know.
    idle: Vec<Label>,
    is_reconciled: bool,
}

impl Recorder {
    pub(super) fn new(shared: Arc<Shared>, streams: mpsc::UnboundedReceiver<SinkStream>) -> Self {
        Self {
            shared,
            streams,
            recording: JoinSet::new(),
            completing: JoinSet::new(),
            tasks: HashMap::new(),
            running: HashMap::new(),
            idle: Vec::new(),
            is_reconciled: false,
        }
    }

    /// Runs until `stop`, which comes after the streams have left. What is not stored then is, after the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        self.find_what_was_left().await;
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
                    self.ended(id);
                }
                _ = look.tick() => self.look().await,
                () = shared.wake.notified() => self.look().await,
            }
        }
        let last_frames = async { while self.recording.join_next().await.is_some() {} };
        if timeout(LAST_FRAMES, last_frames).await.is_err() {
            tracing::warn!("the last frames of some recordings were not written in time");
        }
    }

    /// Of an earlier run.
    async fn find_what_was_left(&mut self) {
        if !self.shared.spools.exists() {
            self.is_reconciled = true;
            return;
        }
        match self.labels().await {
            Ok(labels) => self.idle = labels,
            Err(error) => {
                tracing::error!(%error, "what earlier runs have recorded cannot be read");
            }
        }
    }

    async fn labels(&self) -> io::Result<Vec<Label>> {
        let spool = self.shared.spool().await?;
        blocking(move || spool.labels()).await
    }

    /// A stream begins to run here: its recording begins, or goes on.
    fn begin(&mut self, stream: &StreamInfo, tap: Tap) {
        let known = self.idle.iter().rposition(|label| label.stream_id == stream.stream_id);
        let mut label = match known {
            Some(known) => self.idle.remove(known),
            None => self.new_label(stream),
        };
        label.media = tap.media().iter().map(|medium| medium.as_str().to_owned()).collect();
        let (id, cancel) = (label.id, CancellationToken::new());
        let (shared, cancelled) = (Arc::clone(&self.shared), cancel.clone());
        let task = self.recording.spawn(async move {
            let left = record(shared, label.clone(), tap, cancelled).await;
            (label, left)
        });
        self.tasks.insert(task.id(), id);
        self.running.insert(id, cancel);
    }

    fn new_label(&self, stream: &StreamInfo) -> Label {
        Label {
            id: RecordingId(Uuid::now_v7()),
            session_id: stream.session_id,
            stream_id: stream.stream_id.clone(),
            ordinal: stream.ordinal,
            media: Vec::new(),
            started_at_ms: (self.shared.now_ms)(),
            origin_ms: None,
            tracks: Vec::new(),
            frames: FrameCounts::default(),
        }
    }

    /// A stream has left.
    async fn recorded(&mut self, ended: Result<(Id, (Label, Left)), JoinError>) {
        let (task, outcome) = match ended {
            Ok((task, outcome)) => (task, Some(outcome)),
            Err(panic) => (panic.id(), None),
        };
        self.ended(task);
        match outcome {
            Some((label, left)) => self.left(&label, left).await,
            None => self.find_again().await,
        }
    }

    /// The label on disk knows more than the one that the recording began with.
    async fn left(&mut self, label: &Label, left: Left) {
        let Ok(spool) = self.shared.spool().await else { return };
        let id = label.id;
        // Without one nothing was written, and nothing is there to be completed.
        let Ok(label) = blocking(move || spool.label(id)).await else { return };
        match left {
            Left::Ended => self.complete(label).await,
            Left::Moved | Left::Cancelled => self.idle.push(label),
        }
    }

    async fn find_again(&mut self) {
        let labels = match self.labels().await {
            Ok(labels) => labels,
            Err(error) => return tracing::error!(%error, "the spool cannot be read"),
        };
        self.idle = labels;
        self.idle.retain(|label| !self.running.contains_key(&label.id));
    }

    async fn complete(&mut self, label: Label) {
        let Ok(spool) = self.shared.spool().await else { return };
        let (id, cancel) = (label.id, CancellationToken::new());
        let (shared, cancelled) = (Arc::clone(&self.shared), cancel.clone());
        let task = self.completing.spawn(async move {
            tokio::select! {
                () = cancelled.cancelled() => {}
                () = complete(shared, spool, label) => {}
            }
        });
        self.tasks.insert(task.id(), id);
        self.running.insert(id, cancel);
    }

    fn ended(&mut self, task: Id) {
        if let Some(id) = self.tasks.remove(&task) {
            self.running.remove(&id);
        }
    }

    async fn look(&mut self) {
        let looked = async {
            self.reconcile().await?;
            self.delete().await?;
            self.complete_what_ended().await
        };
        // A store that does not answer must not keep the next stream waiting.
        match timeout(LOOK_LIMIT, looked).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "recordings are looked after later"),
            Err(_) => tracing::debug!("recordings are looked after later"),
        }
    }

    /// Rows of our spool whose files are gone: nobody will ever store them.
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
            tracing::error!(recording = %row.id, "a recording's files are gone from the spool");
            let (to, now_ms) = (RecordingStatus::Failed, (self.shared.now_ms)());
            self.shared.store.move_recording(row.id, row.status, to, now_ms).await?;
        }
        self.is_reconciled = true;
        Ok(())
    }

    /// Streams may end while nobody records them: while we were down, or elsewhere.
    async fn complete_what_ended(&mut self) -> Result<(), StoreError> {
        let mut ended = HashSet::new();
        for label in &self.idle {
            match self.shared.store.stream(&label.stream_id).await? {
                Some(stream) if stream.outcome.is_none() => {}
                Some(_) => {
                    ended.insert(label.id);
                }
                // Another store's: the files are left for whoever has it.
                None => tracing::debug!(recording = %label.id, "its stream is not known here"),
            }
        }
        let (ended, idle) = self.idle.drain(..).partition(|label| ended.contains(&label.id));
        self.idle = idle;
        for label in ended {
            self.complete(label).await;
        }
        Ok(())
    }

    async fn delete(&mut self) -> Result<(), StoreError> {
        let spool = self.shared.spool.get().cloned();
        let own = spool.as_ref().map(|spool| spool.id);
        let rows = self.shared.store.recordings_to_delete(own, DELETED_AT_ONCE).await?;
        for row in rows {
            if let Some(task) = self.running.get(&row.id) {
                // When it has ended, its files can go.
                task.cancel();
                continue;
            }
            self.idle.retain(|label| label.id != row.id);
            let (id, shared) = (row.id, Arc::clone(&self.shared));
            let spool = spool.clone().filter(|spool| spool.id == row.spool);
            let task = self.completing.spawn(async move {
                if let Err(error) = delete_one(&shared, spool, &row).await {
                    tracing::warn!(recording = %row.id, %error, "a recording is not deleted yet");
                }
            });
            self.tasks.insert(task.id(), id);
            // A deletion is not cancelled.
            self.running.insert(id, CancellationToken::new());
        }
        Ok(())
    }
}

async fn delete_one(
    shared: &Shared,
    spool: Option<Arc<Spool>>,
    row: &Recording,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if let Some(spool) = spool {
        let id = row.id;
        blocking(move || spool.remove(id)).await?;
    }
    // Before that its files have no paths.
    if row.finished_at_ms.is_some() {
        for file in shared.store.recorded_files(row.id).await? {
            shared.target.remove(&file.path).await?;
        }
    }
    shared.store.forget_recording(row.id).await?;
    tracing::info!(recording = %row.id, "recording deleted");
    Ok(())
}
