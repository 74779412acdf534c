//! Recordings in an object store that comes and goes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use rtmsd::sinks::record::target::Place;

use super::kit::*;
use crate::support::kit::{API_TOKEN, Home, Scene, TestDaemon, eventually};

/// A store that can be away.
#[derive(Debug, Default)]
struct Flaky {
    store: InMemory,
    is_away: AtomicBool,
}

impl Flaky {
    fn there(&self) -> Result<()> {
        match self.is_away.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Error::Generic { store: "flaky", source: "away".into() }),
        }
    }

    async fn paths(&self) -> Vec<String> {
        let found = self.store.list(None).map(|about| about.unwrap().location.to_string());
        found.collect().await
    }
}

impl fmt::Display for Flaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("flaky")
    }
}

#[async_trait]
impl ObjectStore for Flaky {
    async fn put_opts(&self, to: &Path, payload: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.there()?;
        self.store.put_opts(to, payload, how).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.there()?;
        self.store.put_multipart_opts(to, how).await
    }

    async fn get_opts(&self, from: &Path, how: GetOptions) -> Result<GetResult> {
        self.there()?;
        self.store.get_opts(from, how).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.there() {
            Ok(()) => self.store.delete_stream(paths),
            Err(error) => futures_util::stream::once(async { Err(error) }).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, how).await
    }
}

fn home(store: &Arc<Flaky>) -> Home {
    let mut home = recording_of(Home::sqlite(), "audio,transcript");
    home.recordings = Some(Place::Objects(Arc::clone(store) as Arc<dyn ObjectStore>));
    home
}

#[tokio::test]
async fn uploads_wait_for_a_store_that_is_away_and_outlive_a_restart() {
    let store = Arc::new(Flaky::default());
    store.is_away.store(true, Ordering::Relaxed);
    let Scene { home, daemon, zoom, log } = Scene::open(home(&store), meeting()).await;
    log.over().await;
    let waiting = recorded(daemon.api(), log.session_id(), "uploading").await;
    let files = waiting.checked().await;
    assert!(files.contains_key("1-audio-mix.wav"), "what waits is served from the spool");
    daemon.kill().await;
    store.is_away.store(false, Ordering::Relaxed);
    let daemon = TestDaemon::start(&home).await;
    let stored = recorded(daemon.api(), log.session_id(), "stored").await;
    assert_eq!(stored.checked().await, files);
    let path = stored.path("1-audio-mix.wav");
    let part = stored.api.ask("GET", &path, &[("range", "bytes=4-7")]).await.unwrap();
    assert_eq!(part.body, &files["1-audio-mix.wav"][4..8]);
    assert_eq!(store.paths().await.len(), files.len());
    eventually("the spool is empty", async || spooled(&home).is_empty().then_some(())).await;
    store.is_away.store(true, Ordering::Relaxed);
    let answer = stored.api.get(&path).await.unwrap();
    assert_eq!((answer.status, &*answer.code()), (503, "recordings_unavailable"));
    drop(zoom);
}

#[tokio::test]
async fn files_in_another_machines_folder_are_left_to_its_daemon_and_not_forgotten() {
    let boss = format!("boss:{API_TOKEN}:admin");
    let here = recording_of(Home::postgres().await, "audio,transcript").set("API_TOKENS", &boss);
    let database = here.variables().iter().find(|(name, _)| name == "DATABASE_URL").cloned();
    let elsewhere = recording_of(Home::sqlite(), "audio,transcript")
        .set("API_TOKENS", &boss)
        .set("DATABASE_URL", &database.unwrap().1);
    let Scene { home, daemon, zoom, log } = Scene::open(here, meeting()).await;
    log.over().await;
    let stored = recorded(daemon.api(), log.session_id(), "stored").await;
    let other = TestDaemon::start(&elsewhere).await;
    let answer = other.api().get(&stored.path("1-manifest.json")).await.unwrap();
    assert_eq!((answer.status, &*answer.code()), (409, "recording_elsewhere"));
    daemon.kill().await;
    let session = format!("/api/v1/sdk/sessions/{}", log.session_id());
    assert_eq!(other.api().delete(&session).await.status, 202);
    assert!(!files_below(&folder(&home)).is_empty(), "no daemon that can reach them runs");
    let _daemon = TestDaemon::start(&home).await;
    let all_gone = async || files_below(&folder(&home)).is_empty().then_some(());
    eventually("the files are gone", all_gone).await;
    drop(zoom);
}

#[tokio::test]
async fn recordings_at_a_former_place_are_neither_served_nor_forgotten() {
    let home = recording_of(Home::sqlite(), "audio,transcript")
        .set("API_TOKENS", &format!("boss:{API_TOKEN}:admin"));
    let Scene { home, daemon, zoom, log } = Scene::open(home, meeting()).await;
    log.over().await;
    let stored = recorded(daemon.api(), log.session_id(), "stored").await;
    let path = stored.path("1-manifest.json");
    let files = files_below(&folder(&home)).len();
    daemon.kill().await;
    let (before, other) = (folder(&home), home.folder().join("other"));
    let home = home.set("RECORDINGS_URL", other.to_str().unwrap());
    let daemon = TestDaemon::start(&home).await;
    let answer = daemon.api().get(&path).await.unwrap();
    assert_eq!((answer.status, &*answer.code()), (409, "recording_in_other_target"));
    let session = format!("/api/v1/sdk/sessions/{}", log.session_id());
    assert_eq!(daemon.api().delete(&session).await.status, 202);
    let gone = async || (daemon.api().get(&session).await.unwrap().status == 404).then_some(());
    eventually("the session is deleted", gone).await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(files_below(&before).len(), files);
    daemon.kill().await;
    let home = home.set("RECORDINGS_URL", before.to_str().unwrap());
    let _daemon = TestDaemon::start(&home).await;
    let all_gone = async || files_below(&before).is_empty().then_some(());
    eventually("the files are gone", all_gone).await;
    drop(zoom);
}
