//! Recordings: every stream as files that common tools play.
//!
//! While a stream runs, its frames are written to files in the spool, a folder on this machine (`stream_recorder`).
//! When it has ended, the files are closed, texts and a manifest are written beside them (`finalize`), and everything
//! is uploaded (`upload`) to a folder or an object store ([`target`]). A row in the store holds the status of a
//! recording, so that a restart continues at any step; the spool holds its content, so that no other daemon works on
//! it.

mod capture_file;
mod capture_http;
mod destination;
mod disk_quota;
mod finalize;
// Folders and file names.
pub mod layout;
mod leftovers;
mod recorder;
mod recording_meta;
mod removal;
mod spool;
mod stream_recorder;
// The destination of recordings.
pub mod target;
mod texts;
pub mod track;
mod track_set;
mod upload;

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::{Notify, OnceCell, Semaphore};

use self::capture_file::CaptureLimits;
use self::destination::Destinations;
use self::disk_quota::DiskQuota;
pub use self::disk_quota::SpoolLoad;
use self::finalize::blocking;
use self::layout::Layout;
use self::recorder::Recorder;
use self::spool::Spool;
use self::target::{Access, Content, Place, PlaceError, TargetError, read_file};
use super::{Context, Runner};
use crate::hub::{SinkLimits, Wants};
use crate::metrics::Metrics;
use crate::model::{
    CaptureMode, Keep, MediaSet, MeetingPicture, RecordSet, RecordedFile, Recording,
    RecordingStatus, SessionId, StreamRecord,
};
use crate::store::{Store, StoreError};
use crate::zoom::app::Apps;

/// The name in metrics.
const NAME: &str = "recordings";
/// How much may be queued in memory while the disk is busy.
const QUEUES: SinkLimits =
    SinkLimits { each_bytes: 16 * 1024 * 1024, all_bytes: 512 * 1024 * 1024 };
/// How many recordings are closed at once, and how many files are uploaded to one target.
const FINISHES_AT_ONCE: usize = 2;
const UPLOADS_AT_ONCE: usize = 4;

/// The settings of recordings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is recorded of sessions that do not choose.
    pub record: RecordSet,
    /// The received media of sessions that do not choose.
    pub received: MediaSet,
    /// Whose picture a film of everything shows.
    pub picture: MeetingPicture,
    pub place: Place,
    pub layout: Layout,
    /// The folder of this machine's spools.
    pub spools: PathBuf,
    /// The most bytes in the spool; silence counts, even where it takes no space.
    pub spool_bytes: u64,
    /// The share of it that one stream may take, in percent.
    pub stream_percent: u8,
    /// Who may read recordings that are stored in a folder.
    pub access: Access,
    /// What is captured of the streams of sessions that do not choose.
    pub capture: CaptureMode,
    /// The most bytes of a stream's capture.
    pub capture_bytes: u64,
}

/// Why a file is not available.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Available later: its stream still runs, or it is being uploaded by another machine.
    #[error("the recording is not finished yet")]
    NotYet,
    #[error("the file is lost")]
    Lost,
    /// Recordings are stored in folders, and the file is in that of another machine.
    #[error("the file is on another machine")]
    Elsewhere,
    /// `RECORDINGS_URL` or the app's `recordings_url` has changed since it was stored, and the file is not where the
    /// app's recordings go now.
    #[error("the file is where recordings went before RECORDINGS_URL was changed")]
    OtherTarget,
    #[error("{0}")]
    Target(TargetError),
    /// The app's own `recordings_url` cannot be used.
    #[error("RECORDINGS_URL must be {0}")]
    Place(#[from] PlaceError),
}

/// The recordings of this daemon. Cheap to clone.
#[derive(Clone)]
pub struct Recordings(Arc<Shared>);

/// The state that all recordings share.
struct Shared {
    store: Store,
    destinations: Destinations,
    spools: PathBuf,
    /// Opened when something is recorded or found there.
    spool: OnceCell<Arc<Spool>>,
    quota: Arc<DiskQuota>,
    apps: Apps,
    /// The most bytes of a capture.
    capture_bytes: u64,
    /// Whether a shared screen comes before cameras in a film of everything.
    shows_screen: bool,
    finishes: Semaphore,
    /// Notified when a deletion is requested.
    wake: Notify,
    now_ms: fn() -> i64,
    metrics: Metrics,
}

/// Builds the sink. Streams that start after this call are recorded from their first frame on.
pub fn build(
    settings: &Settings,
    apps: &Apps,
    context: &Context,
) -> Result<(Recordings, Box<dyn Runner>), PlaceError> {
    let shared = Arc::new(Shared {
        store: context.store.clone(),
        destinations: Destinations::open(settings, apps, &context.network)?,
        spools: settings.spools.clone(),
        spool: OnceCell::new(),
        quota: DiskQuota::new(
            settings.spools.clone(),
            settings.spool_bytes,
            settings.stream_percent,
        ),
        apps: apps.clone(),
        capture_bytes: settings.capture_bytes,
        shows_screen: settings.picture == MeetingPicture::Screen,
        finishes: Semaphore::new(FINISHES_AT_ONCE),
        wake: Notify::new(),
        now_ms: context.now_ms,
        metrics: context.hub.metrics().clone(),
    });
    let (record, received, capture) = (settings.record, settings.received, settings.capture);
    let apps = apps.clone();
    let wants = move |stream: &StreamRecord| {
        // A session may still ask for media that its app no longer keeps.
        let is_kept = apps.retention(&stream.app).media != Keep::Nothing;
        wanted(stream, record, received, capture).filter(|_| is_kept)
    };
    let streams = context.hub.sink(NAME, wants, QUEUES);
    Ok((Recordings(Arc::clone(&shared)), Box::new(Recorder::new(shared, streams))))
}

/// How full the spools of this machine are, by the files in them. Queries the file system, which blocks.
pub fn spools_load(settings: &Settings) -> SpoolLoad {
    SpoolLoad {
        bytes: disk_quota::bytes_in(&settings.spools),
        max_bytes: settings.spool_bytes,
        free_bytes: disk_quota::free_bytes(&settings.spools),
    }
}

impl Recordings {
    /// Requests the deletion of all recordings of a session: they are no longer listed, and their files are removed
    /// soon, on any machine. Returns how many there were.
    pub async fn delete(&self, session: SessionId) -> Result<u64, StoreError> {
        let recordings = self.0.store.delete_recordings_of(session).await?;
        self.0.wake.notify_one();
        Ok(recordings)
    }

    /// How full this machine's spool is. Queries the file system, which blocks briefly.
    pub fn spool_load(&self) -> SpoolLoad {
        self.0.quota.load()
    }

    /// Reads the bytes of a file in `range`, which must be inside it.
    pub async fn open(
        &self,
        recording: &Recording,
        file: &RecordedFile,
        range: Range<u64>,
    ) -> Result<Content, OpenError> {
        match recording.status {
            RecordingStatus::Recording => Err(OpenError::NotYet),
            RecordingStatus::Failed | RecordingStatus::Deleting => Err(OpenError::Lost),
            RecordingStatus::Stored => self.0.read_stored(recording, file, range).await,
            RecordingStatus::Uploading => self.0.read_spooled(recording, file, range).await,
        }
    }
}

impl Shared {
    /// How much a capture of this mode may take.
    fn capture_limits(&self, mode: CaptureMode) -> CaptureLimits {
        CaptureLimits { mode, max_bytes: self.capture_bytes }
    }

    /// This daemon's spool; opened by the first call.
    async fn spool(&self) -> io::Result<Arc<Spool>> {
        let open = || async {
            let spools = self.spools.clone();
            blocking(move || Spool::open(&spools).map(Arc::new)).await
        };
        self.spool.get_or_try_init(open).await.cloned()
    }

    async fn read_stored(
        &self,
        recording: &Recording,
        file: &RecordedFile,
        range: Range<u64>,
    ) -> Result<Content, OpenError> {
        // Opened here if nothing has recorded since the start.
        let is_ours = self.spool().await.is_ok_and(|spool| spool.id == recording.spool);
        let (target, is_other) = match self.destinations.of_recording(recording)? {
            Ok(destination) => (destination.target.clone(), false),
            // Read all the same: somebody may have moved the files.
            Err(_) => (self.destinations.of_app(&recording.app)?.target.clone(), true),
        };
        target.read(&file.path, range).await.map_err(|error| match error {
            TargetError::Missing if !is_ours && !target.is_shared() => OpenError::Elsewhere,
            TargetError::Missing if is_other => OpenError::OtherTarget,
            TargetError::Missing => OpenError::Lost,
            error => OpenError::Target(error),
        })
    }

    /// Reads a file that is still in the spool, or already uploaded.
    async fn read_spooled(
        &self,
        recording: &Recording,
        file: &RecordedFile,
        range: Range<u64>,
    ) -> Result<Content, OpenError> {
        let spool = self.spool.get().filter(|spool| spool.id == recording.spool);
        let Some(spool) = spool else { return Err(OpenError::NotYet) };
        let path = spool.files(recording.id).join(&file.name);
        match read_file(&path, range.clone()).await {
            // Uploaded and removed from the spool since the row was read.
            Err(TargetError::Missing) => {
                let target = self.destinations.for_upload(recording)?.target.clone();
                target.read(&file.path, range).await.map_err(OpenError::Target)
            }
            read => read.map_err(OpenError::Target),
        }
    }
}

/// What the stream's session selects, otherwise what is configured.
fn wanted(
    stream: &StreamRecord,
    record: RecordSet,
    received: MediaSet,
    capture: CaptureMode,
) -> Option<Wants> {
    let plan = stream.media.as_ref();
    let record = plan.and_then(|plan| plan.record).unwrap_or(record);
    let media = record.wanted(plan.map_or(received, |plan| plan.params.media));
    let capture = plan.and_then(|plan| plan.capture).unwrap_or(capture);
    let capture = Some(capture).filter(|mode| *mode != CaptureMode::Off);
    let is_wanted = !record.is_empty() || capture.is_some();
    is_wanted.then(|| Wants { media, capture, record, ..Wants::default() })
}
