//! Writes one stream's frames to disk, on a thread that may block. The stream never waits: while the disk is busy, frames
//! are queued in the tap, and those beyond its limit become a gap in the stream's ledger.

mod batch;

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::batch::{Batch, gather_batch};
use super::Shared;
use super::capture_file::{CaptureFile, CaptureLimits};
use super::disk_quota::DiskQuota;
use super::finalize::{blocking, expected_files};
use super::recording_meta::RecordingMeta;
use super::spool::Spool;
use super::track_set::{Filming, TrackSet};
use super::upload::announce_recording;
use crate::capture::Events;
use crate::capture::event::Subject;
use crate::hub::{Frame, LeftOut, LeftOuts, Tap};
use crate::metrics::Metrics;

/// Why the recording stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopCause {
    /// The stream has ended.
    Ended,
    /// Another task continues it, perhaps on this daemon.
    Moved,
    /// The recording is to be deleted.
    Cancelled,
}

/// Records until the stream leaves this daemon. Blocks its thread while it writes a batch; reports to the store run on
/// `main_runtime`.
pub(super) async fn record_stream(
    shared: Arc<Shared>,
    subject: Subject,
    meta: RecordingMeta,
    mut tap: Tap,
    cancel: CancellationToken,
    main_runtime: Handle,
) -> StopCause {
    let mut reporter = StatusReporter::new(Arc::clone(&shared), main_runtime);
    let (mut state, mut has_warned, mut expects_frames) = (None, false, false);
    loop {
        let sync_due_in = state.as_ref().and_then(WriterState::sync_due_in);
        let batch = tokio::select! {
            // Drops the frames that were gathered: they belong to a recording that is to be deleted.
            () = cancel.cancelled() => return StopCause::Cancelled,
            batch = gather_batch(&mut tap, &shared, sync_due_in, expects_frames) => batch,
        };
        let Batch { frames, left, must_settle } = batch;
        expects_frames = !frames.is_empty();
        // Noted before the write: if it panics, these frames are still reported as left out.
        let taken: LeftOuts = frames.iter().map(LeftOut::of).collect();
        let mut now = match state.take() {
            Some(state) => state,
            None => match open_writer(&shared, &subject, &meta, &tap).await {
                Ok(state) => state,
                Err(error) => {
                    if !std::mem::replace(&mut has_warned, true) {
                        log_write_error(&error);
                    }
                    // Until the files can be opened, the tap drops further frames and reports them itself.
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
        let events = tap.capture().filter(|events| is_last || now.has_events(events));
        if is_last || events.is_some() || now.has_work(&frames) {
            let now_ms = (shared.now_ms)();
            match now.turn(frames, events, is_last, now_ms).await {
                Ok(done) => now = done,
                Err(error) => {
                    log_write_error(&error);
                    give_up(&tap, taken, must_settle);
                    match left {
                        Some(left) => return left,
                        None => continue,
                    }
                }
            }
        }
        tap.refuse(now.is_refusing);
        // Before `settled`: the stream waits until its ledger is complete.
        tap.left_out(now.tracks.take_left_out());
        if must_settle {
            tap.settled();
        }
        reporter.notify(now.tracks.meta(), &now.spool);
        if let Some(left) = left {
            return left;
        }
        state = Some(now);
    }
}

/// Reports frames that were taken and are not recorded.
fn give_up(tap: &Tap, taken: LeftOuts, must_settle: bool) {
    tap.left_out(taken);
    if must_settle {
        tap.settled();
    }
}

async fn open_writer(
    shared: &Shared,
    subject: &Subject,
    meta: &RecordingMeta,
    tap: &Tap,
) -> io::Result<WriterState> {
    let spool = shared.spool().await?;
    let destination = shared.destinations.of_app(&subject.app).map_err(io::Error::other)?;
    let (layout, meta) = (Arc::clone(&destination.layout), meta.clone());
    let (quota, metrics) = (Arc::clone(&shared.quota), shared.metrics.clone());
    let limits = tap.captures().map(|mode| shared.capture_limits(mode));
    let filming = Filming { expected: tap.media(), shows_screen: shared.shows_screen };
    let subject = subject.clone();
    let open = move || {
        // The metadata on disk knows the tracks.
        let known = spool.meta(meta.id).unwrap_or_else(|_| meta.clone());
        let meta = RecordingMeta { media: meta.media, meeting: meta.meeting, ..known };
        let max_bytes = quota.max_each_bytes();
        let tracks = TrackSet::open(Arc::clone(&spool), layout, meta.clone(), max_bytes, filming)?;
        let capture =
            limits.and_then(|limits| open_capture(&spool, &meta, &subject, limits, metrics));
        let waiting = VecDeque::new();
        Ok(WriterState {
            spool,
            tracks,
            quota,
            waiting,
            capture,
            is_refusing: false,
            is_in_trouble: false,
        })
    };
    blocking(open).await
}

/// Without its capture, a stream is recorded all the same.
fn open_capture(
    spool: &Spool,
    meta: &RecordingMeta,
    subject: &Subject,
    limits: CaptureLimits,
    metrics: Metrics,
) -> Option<CaptureFile> {
    let opened = CaptureFile::open(&spool.files(meta.id), subject, limits, metrics);
    let warn = |error| tracing::warn!(%error, "cannot open the capture of a stream; there is none");
    opened.map_err(warn).ok()
}

fn log_write_error(error: &io::Error) {
    tracing::error!(%error, "cannot record a stream; trying again");
}

/// A stream's open files and the frames that are still to be written.
struct WriterState {
    spool: Arc<Spool>,
    tracks: TrackSet,
    quota: Arc<DiskQuota>,
    waiting: VecDeque<Frame>,
    capture: Option<CaptureFile>,
    /// Whether there is no space for more frames.
    is_refusing: bool,
    /// Whether the last write failed.
    is_in_trouble: bool,
}

impl WriterState {
    /// How long the next sync may take to come. `None` also while the disk fails: that is tried again at the next poll.
    fn sync_due_in(&self) -> Option<Duration> {
        self.tracks.sync_due_in().filter(|_| !self.is_in_trouble)
    }

    fn has_work(&self, frames: &[Frame]) -> bool {
        let is_idle = frames.is_empty() && self.waiting.is_empty();
        !is_idle || self.is_refusing || !self.tracks.is_synced()
    }

    fn has_events(&self, events: &Events) -> bool {
        self.capture.as_ref().is_some_and(|file| file.has_lines() || !events.is_empty())
    }

    /// Writes frames and what is captured. Blocks, unless they are the last. Fails only after a panic, which drops the state:
    /// the next turn opens the files again.
    async fn turn(
        mut self,
        frames: Vec<Frame>,
        events: Option<Arc<Events>>,
        is_last: bool,
        now_ms: i64,
    ) -> io::Result<Self> {
        let work = move || {
            self.work(frames, is_last, now_ms);
            // Last: it must delay no frame.
            if let Some(events) = events {
                self.capture(&events, is_last);
            }
            self
        };
        match is_last {
            // Closing files waits for the disk, and must not keep other recordings from being written.
            true => blocking(move || Ok(work())).await,
            false => catch_unwind(AssertUnwindSafe(work)).map_err(|_| io::Error::other("a panic")),
        }
    }

    /// Writes what is captured. Blocks.
    fn capture(&mut self, events: &Events, is_last: bool) {
        let Some(capture) = &mut self.capture else { return };
        let (id, tracks) = (self.tracks.meta().id, self.tracks.bytes());
        let has_room = |captured| {
            self.quota.set(id, tracks + captured);
            self.quota.is_full_for(id).is_none()
        };
        capture.take(events, has_room, is_last);
        self.note_bytes();
    }

    fn note_bytes(&self) {
        let captured = self.capture.as_ref().map_or(0, CaptureFile::bytes);
        self.quota.set(self.tracks.meta().id, self.tracks.bytes() + captured);
    }

    /// Writes new and waiting frames. Blocks.
    fn work(&mut self, frames: Vec<Frame>, is_last: bool, now_ms: i64) {
        self.waiting.extend(frames);
        let written = match is_last {
            // No later turn would write what is left.
            true => self.tracks.take_last(&mut self.waiting, now_ms),
            false => self.tracks.take(&mut self.waiting, now_ms),
        };
        // Frees the batch's memory.
        self.waiting.shrink_to_fit();
        self.note_bytes();
        let id = &self.tracks.meta().id;
        match &written {
            Err(error) if !self.is_in_trouble => {
                tracing::error!(%error,
                    "cannot write a recording to disk; frames that are not in its files become a gap");
            }
            Ok(()) if self.is_in_trouble => {
                tracing::info!("the disk is writable again")
            }
            _ => {}
        }
        self.is_in_trouble = written.is_err();
        let full = self.quota.is_full_for(*id);
        if let (Some(reason), false) = (full, self.is_refusing) {
            tracing::warn!(reason, "no space to record a stream; its frames become a gap");
        }
        self.is_refusing = full.is_some() || self.is_in_trouble;
    }
}

/// Reports the tracks to the store in the background: an unavailable store delays nothing.
struct StatusReporter {
    shared: Arc<Shared>,
    /// The number of tracks that were reported last.
    last_reported: Option<usize>,
    task: JoinSet<()>,
    /// The runtime that reports to the store run on.
    main_runtime: Handle,
}

impl StatusReporter {
    fn new(shared: Arc<Shared>, main_runtime: Handle) -> Self {
        Self { shared, last_reported: None, task: JoinSet::new(), main_runtime }
    }

    fn notify(&mut self, meta: &RecordingMeta, spool: &Spool) {
        // At most one report runs, so two cannot overtake each other.
        while self.task.try_join_next().is_some() {}
        if !self.task.is_empty() || self.last_reported == Some(meta.tracks.len()) {
            return;
        }
        self.last_reported = Some(meta.tracks.len());
        let (shared, meta, spool) = (Arc::clone(&self.shared), meta.clone(), spool.id);
        let report = async move {
            let recording = announce_recording(&shared, spool, &meta).await;
            let files = expected_files(&recording, &meta);
            if let Err(error) = shared.store.write_recorded_files(&recording, &files).await {
                tracing::debug!(recording = %meta.id, %error,
                    "could not report a recording's files; they are listed when it is finished");
            }
        };
        self.task.spawn_on(report.in_current_span(), &self.main_runtime);
    }
}
