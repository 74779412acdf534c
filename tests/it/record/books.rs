//! What was received, what the ledger says, what the manifest says and what the files hold are the same.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use rtmsd::clock::now_ms;
use rtmsd::hub::{Feed, Hub, MediaSet, Medium, WriterSettings};
use rtmsd::model::{EntryBody, Outcome, StreamRecord};
use rtmsd::rtms::message::{self, Message};
use rtmsd::rtms::params::{Effective, Params};
use rtmsd::sinks::record::layout::Layout;
use rtmsd::sinks::record::target::Place;
use rtmsd::sinks::record::{Recordings, Settings};
use rtmsd::tls::client_config;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::tools::{duration_s, samples};
use crate::store::webhooks::{URL, read, record, started};
use crate::support::stores::TestStore;

/// A stream that is recorded.
struct Studio {
    test: TestStore,
    folder: TempDir,
    feed: Feed,
    tasks: JoinSet<()>,
}

impl Studio {
    async fn open() -> Self {
        let (test, folder) = (TestStore::sqlite().await, TempDir::new().unwrap());
        let (hub, writer) = Hub::new(test.store.clone(), 1, WriterSettings::default());
        let settings = Settings {
            media: MediaSet::from_iter([Medium::Audio]),
            place: Place::Folder(folder.path().join("recordings")),
            layout: Layout::parse("{stream}").unwrap(),
            spools: folder.path().join("spool"),
            spool_bytes: u64::MAX,
        };
        let tls = client_config(None).unwrap();
        let (_, mut recorder) =
            Recordings::new(&settings, test.store.clone(), &hub, &tls, now_ms).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run());
        tasks.spawn(async move { recorder.run(CancellationToken::new()).await });
        record(&test.store, started("s1", now_ms(), URL)).await;
        let stream = read(&test.store, "s1").await;
        let mut feed = Feed::new(Arc::clone(&hub), &stream, 0, &[Medium::Audio]);
        let given = json!({"audio":
            {"content_type": 2, "codec": 1, "sample_rate": 1, "channel": 1, "data_opt": 2, "send_rate": 20}});
        feed.effective(&Effective::read(&Params::default(), &[Medium::Audio], &given));
        Self { test, folder, feed, tasks }
    }

    /// A frame as it comes from Zoom.
    fn hear(&mut self, at_ms: i64, payload: &[u8]) {
        let text = json!({"msg_type": 14, "content": {
            "user_id": 7, "data": BASE64_STANDARD.encode(payload), "timestamp": at_ms,
        }})
        .to_string();
        let Ok(Message::Frame(medium, info)) = message::parse(&text) else { panic!("no frame") };
        self.feed.frame(medium, info, &text);
    }

    /// Ends the stream. What the store has of it then, and where its recording is.
    async fn end(mut self) -> (StreamRecord, PathBuf, Value) {
        self.feed.end();
        self.feed.finish().await;
        let stream = read(&self.test.store, "s1").await;
        let (id, generation) = (&stream.stream_id, stream.generation);
        let ended = self.test.store.finish_stream(id, generation, Outcome::Stopped, Some(6), now_ms());
        ended.await.unwrap().unwrap();
        self.feed.over(true);
        let folder = self.folder.keep().join("recordings/s1");
        let manifest = folder.join("manifest.json");
        for _ in 0..600 {
            if manifest.exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let manifest = std::fs::read(manifest).expect("the recording is stored");
        self.tasks.shutdown().await;
        (stream, folder, serde_json::from_slice(&manifest).unwrap())
    }
}

/// 20 ms of sound that is never silent.
fn voice(n: i64) -> Vec<u8> {
    (1 + n as i16 % 1_000).to_le_bytes().repeat(320)
}

#[tokio::test]
async fn half_a_minute_that_zoom_kept_is_in_the_files_the_ledger_and_the_manifest() {
    let mut studio = Studio::open().await;
    let connected_ms = now_ms();
    studio.feed.note(Some(connected_ms), EntryBody::FirstPacket {});
    for n in 0..1_500 {
        studio.hear(connected_ms - 30_000 + 20 * n, &voice(n));
    }
    let (stream, folder, manifest) = studio.end().await;
    for name in ["audio-7.wav", "audio-mix.wav"] {
        assert_eq!(duration_s(&folder.join(name)), 30.0, "{name}");
        assert!(samples(&folder.join(name)).iter().all(|sample| *sample != 0), "{name}");
    }
    assert_eq!(manifest["origin_ms"], connected_ms - 30_000);
    let audio = &manifest["media"]["audio"];
    assert_eq!((&audio["received"], &audio["written"]), (&json!(1_500), &json!(1_500)));
    assert_eq!(manifest["frames"]["written"], 1_500);
    assert_eq!(stream.tally.audio.frames, 1_500);
    assert_eq!((stream.ledger[0].left_out.frames, stream.ledger[0].gaps.len()), (0, 0));
    std::fs::remove_dir_all(folder.parent().unwrap().parent().unwrap()).unwrap();
}

#[tokio::test]
async fn what_a_recording_leaves_out_is_in_the_ledger_and_in_the_manifest() {
    let mut studio = Studio::open().await;
    let from_ms = now_ms() - 10_000;
    for n in 0..100 {
        studio.hear(from_ms + 20 * n, &voice(n));
    }
    // Less than a sample, and other sound at a time that has some.
    studio.hear(from_ms + 2_000, &[1]);
    for n in 0..10 {
        studio.hear(from_ms + 20 * n, &voice(500));
    }
    let (stream, folder, manifest) = studio.end().await;
    let audio = &manifest["media"]["audio"];
    let of = |name: &str| audio[name].as_u64().unwrap();
    assert_eq!((of("received"), of("written"), of("unreadable"), of("late")), (111, 100, 1, 10));
    let account = &stream.ledger[0];
    assert_eq!((stream.tally.audio.frames, account.left_out.frames), (111, 11));
    assert!(!account.gaps.is_empty() && account.covered_ms() < account.expected_ms());
    let told = &manifest["ledger"][0];
    assert_eq!((&told["left_out"]["frames"], &told["gaps"][0]["cause"]), (&json!(11), &json!("left_out")));
    std::fs::remove_dir_all(folder.parent().unwrap().parent().unwrap()).unwrap();
}
