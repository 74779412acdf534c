//! Records a stream without a socket.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine};
use rtmsd::clock::now_ms;
use rtmsd::hub::{Feed, Hub, WriterSettings};
use rtmsd::model::params::Params;
use rtmsd::model::{
    CaptureMode, MediaSet, Medium, MeetingPicture, Outcome, StopReason, StreamRecord,
    UnreadableMessages,
};
use rtmsd::rtms::message::{self, Message};
use rtmsd::rtms::params::Effective;
use rtmsd::sinks::record;
use rtmsd::sinks::record::layout::Layout;
use rtmsd::sinks::record::target::{Access, Place};
use rtmsd::store::Store;
use rtmsd::zoom::app::Apps;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::store::webhooks::{URL, read, record, started};
use crate::support::sinks::context;
use crate::support::stores::TestStore;
use crate::support::wait::eventually;

/// One daemon that runs the stream `s1`.
pub(super) struct Studio {
    pub store: Store,
    pub feed: Feed,
    folder: Arc<TempDir>,
    spools: PathBuf,
    tasks: JoinSet<()>,
    _test: Option<TestStore>,
}

impl Studio {
    pub(super) async fn open() -> Self {
        let test = TestStore::sqlite().await;
        record(&test.store, started("s1", now_ms(), URL)).await;
        let folder = Arc::new(TempDir::new().unwrap());
        let studio = Self::on(test.store.clone(), folder, "spool").await;
        Self { _test: Some(test), ..studio }
    }

    /// Another daemon that also runs the stream, with the same store and the same destination of recordings.
    pub(super) async fn beside(&self) -> Self {
        Self::on(self.store.clone(), Arc::clone(&self.folder), "other").await
    }

    async fn on(store: Store, folder: Arc<TempDir>, spools: &str) -> Self {
        let (hub, writer) = Hub::new(store.clone(), 1, WriterSettings::default());
        let spools = folder.path().join(spools);
        let settings = record::Settings {
            record: MediaSet::from(Medium::Audio).into(),
            received: Medium::Audio.into(),
            picture: MeetingPicture::Speaker,
            place: Place::Folder(folder.path().join("recordings")),
            layout: Layout::parse("{stream}").unwrap(),
            spools: spools.clone(),
            spool_bytes: u64::MAX,
            stream_percent: 100,
            access: Access::Owner,
            capture: CaptureMode::Off,
            capture_bytes: 1024 * 1024,
        };
        let context = context(&store, Arc::clone(&hub), 1);
        let (_, mut recorder) = record::build(&settings, &Apps::new([]), &context).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run());
        tasks.spawn(async move { recorder.run(CancellationToken::new()).await });
        let stream = read(&store, "s1").await;
        let mut feed = Feed::new(Arc::clone(&hub), &stream, 0, Medium::Audio.into());
        let given = json!({"audio":
            {"content_type": 2, "codec": 1, "sample_rate": 1, "channel": 1, "data_opt": 2, "send_rate": 20}});
        feed.effective(&Effective::read(&Params::default(), Medium::Audio.into(), &given));
        Self { store, feed, folder, spools, tasks, _test: None }
    }

    /// A frame as Zoom sends it.
    pub(super) fn hear(&mut self, at_ms: i64, payload: &[u8]) {
        let text = json!({"msg_type": 14, "content": {
            "user_id": 7, "data": BASE64_STANDARD.encode(payload), "timestamp": at_ms,
        }})
        .to_string();
        let decoded = message::decode(text.into(), &mut UnreadableMessages::default());
        let Ok(Message::Frame(frame)) = decoded else { panic!("no frame") };
        self.feed.frame(&frame);
    }

    /// Stores the received frames and leaves the stream.
    pub(super) async fn leave(&mut self, is_final: bool) {
        self.feed.end();
        self.feed.finish().await;
        self.feed.over(is_final);
    }

    /// Ends the stream, as Zoom does.
    pub(super) async fn over(&self) -> StreamRecord {
        let stream = read(&self.store, "s1").await;
        let (id, generation) = (&stream.stream_id, stream.generation);
        let (outcome, reason) = (Outcome::Stopped, Some(6));
        let ended = self
            .store
            .finish_stream(id, 0, generation, outcome, reason.map(StopReason), now_ms())
            .await
            .unwrap();
        ended.expect("it was running");
        read(&self.store, "s1").await
    }

    /// Ends the stream. Returns its row, and the folder and manifest of its recording.
    pub(super) async fn end(mut self) -> (StreamRecord, PathBuf, Value) {
        self.leave(false).await;
        let stream = self.over().await;
        let manifest = self.manifest("s1").await;
        self.tasks.shutdown().await;
        (stream, self.recordings().join("s1"), manifest)
    }

    /// The manifest of a recording, as soon as it is uploaded.
    pub(super) async fn manifest(&self, folder: &str) -> Value {
        let path = self.recordings().join(folder).join("manifest.json");
        serde_json::from_slice(&std::fs::read(found(&path).await).unwrap()).unwrap()
    }

    pub(super) fn recordings(&self) -> PathBuf {
        self.folder.path().join("recordings")
    }

    /// The files of the only recording in the spool.
    pub(super) fn spooled(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.spools.join("0")).unwrap();
        let mut folders = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        folders.next().expect("a recording").join("files")
    }

    /// Keeps the folder until the end of the test.
    pub(super) fn kept(&self) -> Arc<TempDir> {
        Arc::clone(&self.folder)
    }
}

/// A path, as soon as it exists.
pub(super) async fn found(path: &Path) -> PathBuf {
    let what = format!("{} is created", path.display());
    eventually(&what, async || path.exists().then(|| path.to_owned())).await
}

/// 20 ms of audio that is never silent.
pub(super) fn voice(n: i64) -> Vec<u8> {
    (1 + n as i16 % 1_000).to_le_bytes().repeat(320)
}
