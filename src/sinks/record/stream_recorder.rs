//! One stream's frames on their way to disk. The stream never waits: what comes while the disk does waits in the tap,
//! and what finds no room is a gap in the stream's ledger.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::disk_quota::DiskQuota;
use super::finalize::{blocking, underway};
use super::spool::{RecordingMeta, Spool};
use super::track_set::TrackSet;
use super::upload::announced;
use crate::hub::{Frame, LeftOut, LeftOuts, Tap, Tapped};

/// Frames are written together: a thread is borrowed once for all that came in this time.
const GATHER: Duration = Duration::from_millis(200);
/// How often to look whether there is room again, and what else is to be done.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How the stream left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCause {
    /// It is over.
    Ended,
    /// Somebody goes on with it, perhaps here.
    Moved,
    /// The recording is not wanted any more.
    Cancelled,
}

/// Records until the stream leaves.
pub async fn record(
    shared: Arc<Shared>,
    meta: RecordingMeta,
    mut tap: Tap,
    cancel: CancellationToken,
) -> StopCause {
    let mut reporter =
        StatusReporter { shared: Arc::clone(&shared), told: None, task: JoinSet::new() };
    let (mut state, mut has_complained) = (None, false);
    loop {
        let batch = tokio::select! {
            () = cancel.cancelled() => return StopCause::Cancelled,
            batch = gather(&mut tap, &shared) => batch,
        };
        let Batch { frames, left, must_settle, turn: _turn } = batch;
        let taken: LeftOuts = frames.iter().map(|frame| LeftOut::of(frame)).collect();
        let mut now = match state.take() {
            Some(state) => state,
            None => match open(&shared, &meta).await {
                Ok(state) => state,
                Err(error) => {
                    if !std::mem::replace(&mut has_complained, true) {
                        complain(&meta, &error);
                    }
                    tap.refuse(true);
                    give_up(&tap, taken, must_settle);
                    match left {
                        Some(left) => return left,
                        None => continue,
                    }
                }
            },
        };
        let is_last = left.is_some() || must_settle;
        if is_last || now.has_work(&frames) {
            let now_ms = (shared.now_ms)();
            let work = move || {
                now.work(frames, is_last, now_ms);
                Ok(now)
            };
            match blocking(work).await {
                Ok(done) => now = done,
                Err(error) => {
                    complain(&meta, &error);
                    give_up(&tap, taken, must_settle);
                    match left {
                        Some(left) => return left,
                        None => continue,
                    }
                }
            }
        }
        tap.refuse(now.is_refusing);
        tap.left_out(now.tracks.take_left_out());
        if must_settle {
            tap.settled();
        }
        reporter.tell(now.tracks.meta(), &now.spool);
        if let Some(left) = left {
            return left;
        }
        state = Some(now);
    }
}

/// What came within a short time, and whether it was the last.
#[derive(Default)]
struct Batch<'a> {
    /// What lets us write them.
    turn: Option<SemaphorePermit<'a>>,
    frames: Vec<Arc<Frame>>,
    left: Option<StopCause>,
    /// The stream waits until what it sent is in files, or left out.
    must_settle: bool,
}

impl Batch<'_> {
    fn add(&mut self, item: Tapped) {
        match item {
            Tapped::Frame(frame) => self.frames.push(frame),
            // The ledger has it.
            Tapped::Dropped(..) => {}
            Tapped::Settle => self.must_settle = true,
            Tapped::Over { is_final: true, .. } => self.left = Some(StopCause::Ended),
            Tapped::Over { is_final: false, .. } => self.left = Some(StopCause::Moved),
        }
    }
}

async fn gather<'a>(tap: &mut Tap, shared: &'a Shared) -> Batch<'a> {
    let mut batch = Batch::default();
    let first = timeout_at(Instant::now() + POLL_INTERVAL, tap.next()).await;
    let is_any = first.is_ok();
    first.into_iter().for_each(|first| batch.add(first));
    if is_any && batch.left.is_none() && !batch.must_settle {
        sleep(GATHER).await;
    }
    // Until it is our turn to write, what comes waits in the tap, where it is bounded over all streams.
    batch.turn = shared.writes.acquire().await.ok();
    while let Some(item) = tap.try_next() {
        batch.add(item);
    }
    batch
}

/// What was taken is not recorded.
fn give_up(tap: &Tap, taken: LeftOuts, must_settle: bool) {
    tap.left_out(taken);
    if must_settle {
        tap.settled();
    }
}

async fn open(shared: &Shared, meta: &RecordingMeta) -> io::Result<WriterState> {
    let spool = shared.spool().await?;
    let (layout, meta) = (Arc::clone(&shared.layout), meta.clone());
    let room = Arc::clone(&shared.room);
    let open = move || {
        // What lies there knows its tracks.
        let known = spool.meta(meta.id).unwrap_or_else(|_| meta.clone());
        let meta = RecordingMeta { media: meta.media, ..known };
        let tracks = TrackSet::open(Arc::clone(&spool), layout, meta, room.max_each_bytes())?;
        let waiting = VecDeque::new();
        Ok(WriterState { spool, tracks, room, waiting, is_refusing: false, is_in_trouble: false })
    };
    blocking(open).await
}

fn complain(meta: &RecordingMeta, error: &io::Error) {
    tracing::error!(stream_id = %meta.stream_id, %error, "a stream cannot be recorded now");
}

/// What a thread needs to write a stream's frames.
struct WriterState {
    spool: Arc<Spool>,
    tracks: TrackSet,
    room: Arc<DiskQuota>,
    waiting: VecDeque<Arc<Frame>>,
    /// There is no room for more.
    is_refusing: bool,
    /// The last write failed.
    is_in_trouble: bool,
}

impl WriterState {
    fn has_work(&self, frames: &[Arc<Frame>]) -> bool {
        let is_idle = frames.is_empty() && self.waiting.is_empty();
        !is_idle || self.is_refusing || !self.tracks.is_synced()
    }

    /// Writes what came and what still waits. Blocks.
    fn work(&mut self, frames: Vec<Arc<Frame>>, is_last: bool, now_ms: i64) {
        self.waiting.extend(frames);
        let mut written = self.tracks.take(&mut self.waiting, now_ms);
        if is_last {
            written = written.and_then(|()| self.tracks.close_all());
            self.tracks.give_up(std::mem::take(&mut self.waiting));
        }
        let RecordingMeta { id, stream_id, .. } = self.tracks.meta();
        self.room.set(*id, self.tracks.bytes());
        match &written {
            Err(error) if !self.is_in_trouble => {
                tracing::error!(%stream_id, %error, "the disk takes no frames; what comes now is a gap");
            }
            Ok(()) if self.is_in_trouble => {
                tracing::info!(%stream_id, "the disk takes frames again")
            }
            _ => {}
        }
        self.is_in_trouble = written.is_err();
        let full = self.room.is_full_for(*id);
        if let (Some(reason), false) = (full, self.is_refusing) {
            tracing::warn!(%stream_id, reason, "no room to record a stream; what comes now is a gap");
        }
        self.is_refusing = full.is_some() || self.is_in_trouble;
    }
}

/// Tells the store what is recorded, beside the recording: a store that is away holds nothing up.
struct StatusReporter {
    shared: Arc<Shared>,
    /// How many tracks the store was told of.
    told: Option<usize>,
    task: JoinSet<()>,
}

impl StatusReporter {
    fn tell(&mut self, meta: &RecordingMeta, spool: &Spool) {
        while self.task.try_join_next().is_some() {}
        if !self.task.is_empty() || self.told == Some(meta.tracks.len()) {
            return;
        }
        self.told = Some(meta.tracks.len());
        let (shared, meta, spool) = (Arc::clone(&self.shared), meta.clone(), spool.id);
        self.task.spawn(async move {
            let recording = announced(&shared, spool, &meta).await;
            let files = underway(&recording, &meta);
            if let Err(error) = shared.store.write_recorded_files(&recording, &files).await {
                tracing::debug!(recording = %meta.id, %error, "files are listed when they are finished");
            }
        });
    }
}
