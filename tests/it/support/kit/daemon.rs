//! A daemon inside the test process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rtmsd::app::{App, AppError};
use rtmsd::config::Config;
use rtmsd::events;
use rtmsd::model::Tally;
use rtmsd::net::Resolver;
use rtmsd::rtms::stream::Timings;
use rtmsd::sessions::Leases;
use rtmsd::sinks::record::target::Place;
use rtmsd::sinks::relays;
use rtmsd::store::{Store, StoreError};
use rtmsd::zoom::event_socket;
use rtmsd::zoom::token::Tokens;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{TIMEOUT, eventually};
use crate::support::client::{Answer, head, try_exchange};
use crate::support::postgres;

pub(crate) const API_TOKEN: &str = "read-token-of-the-tests";
pub(crate) const TOKEN_KEY: &str =
    "4242424242424242424242424242424242424242424242424242424242424242";

/// What a daemon finds when it starts: its variables and its data, which are there as long as it or the daemon is.
pub(crate) struct Home {
    variables: Vec<(String, String)>,
    pub timings: Timings,
    pub leases: Leases,
    /// The waits of event sockets.
    pub event_timings: events::Timings,
    /// Where recordings go, where no variable can say it.
    pub recordings: Option<Place>,
    /// The waits of relays, which no variable sets.
    pub relays: relays::Timings,
    /// Resolves the hosts that the daemon connects to.
    pub resolver: Resolver,
    folder: Arc<TempDir>,
}

impl Home {
    pub(crate) fn sqlite() -> Self {
        let folder = Arc::new(TempDir::new().unwrap());
        let data = folder.path().join("data").display().to_string();
        let variables = [
            ("HOST", "127.0.0.1"),
            ("PORT", "0"),
            ("DATA_DIR", &data),
            ("ZOOM_CLIENT_ID", "demoClientId01"),
            ("ZOOM_CLIENT_SECRET", "demoClientSecret01"),
            ("ZOOM_SECRET_TOKEN", "demoSecretToken01"),
            ("TOKEN_ENCRYPTION_KEYS", TOKEN_KEY),
            ("API_TOKENS", &format!("tests:{API_TOKEN}:read+control")),
            ("RTMS_ALLOWED_HOSTS", "127.0.0.1,localhost"),
            ("RTMS_ALLOW_WS", "true"),
            ("MEDIA_TYPES", "audio,video,share,transcript,chat"),
            ("ENTRY_BATCH_MS", "20"),
            // The tests keep the machine busy, and the daemons inside the test process count as one.
            ("MAX_CPU_PERCENT", "100"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (timings, leases) = (fast(), Leases::default());
        let resolver = Resolver::system();
        let (variables, recordings) = (variables.into(), None);
        let (event_timings, relays) = (fast_events(), relays::Timings::default());
        Self { variables, timings, leases, event_timings, recordings, relays, resolver, folder }
    }

    /// With an empty Postgres database of its own.
    pub(crate) async fn postgres() -> Self {
        Self::sqlite().set("DATABASE_URL", &postgres::fresh_database().await)
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self
    }

    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// The daemon's `DATA_DIR`.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Lasts as long as this home.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder, for as long as this value or the home is there.
    pub(crate) fn held(&self) -> Arc<TempDir> {
        Arc::clone(&self.folder)
    }

    /// In a value, `{address}` stands for the address that the daemon listens on.
    fn config(&self, address: SocketAddr) -> Config {
        let lookup = |name: &str| {
            let found = self.variables.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.replace("{address}", &address.to_string()))
        };
        let mut config = Config::from_lookup(lookup).unwrap();
        config.relays.timings = self.relays.clone();
        if let Some(place) = &self.recordings {
            config.recordings.place = place.clone();
        }
        config
    }
}

/// Waits for a test, and still long enough for a busy machine.
fn fast() -> Timings {
    Timings {
        dial: Duration::from_secs(5),
        handshake: Duration::from_secs(5),
        silence: Duration::from_secs(3),
        stable: Duration::from_millis(100),
        signaling_window: Duration::from_secs(10),
        media_window: Duration::from_secs(10),
        close: Duration::from_secs(3),
        drain: Duration::from_secs(1),
    }
}

/// Waits for a test: heartbeats come twice a second.
fn fast_events() -> events::Timings {
    events::Timings {
        socket: event_socket::Timings {
            dial: Duration::from_secs(5),
            first_message: Duration::from_secs(5),
            heartbeat: Duration::from_millis(500),
            answer: Duration::from_secs(2),
        },
        lease: Duration::from_secs(2),
        poll_interval: Duration::from_millis(200),
        first_wait: Duration::from_millis(50),
        longest_wait: Duration::from_millis(200),
        stable: Duration::from_secs(2),
        new_meeting: Duration::ZERO,
        overlap: Duration::from_secs(3),
    }
}

/// A running daemon. It has a runtime of its own, so that it can die like a process.
pub(crate) struct TestDaemon {
    pub address: SocketAddr,
    pub store: Store,
    pub tokens: Tokens,
    stop: CancellationToken,
    running: JoinHandle<()>,
    runtime: Option<Runtime>,
    /// The daemon's files.
    _folder: Arc<TempDir>,
}

impl Drop for TestDaemon {
    fn drop(&mut self) {
        self.die();
    }
}

impl TestDaemon {
    pub(crate) async fn start(home: &Home) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let config = home.config(address);
        let (timings, leases) = (home.timings.clone(), home.leases);
        let (resolver, event_timings) = (home.resolver.clone(), home.event_timings);
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (sender, parts) = tokio::sync::oneshot::channel();
        let running = runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let app = build_when_free(config, timings, leases, resolver).await;
            let app = app.with_event_timings(event_timings);
            sender.send((app.store.clone(), app.tokens.clone())).unwrap_or(());
            app.run(listener, stopped).await.unwrap();
        });
        let (store, tokens) = parts.await.expect("the daemon starts");
        let (runtime, _folder) = (Some(runtime), home.held());
        Self { address, store, tokens, stop, running, runtime, _folder }
    }

    /// Asks for a stop and waits for its end.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        timeout(TIMEOUT, &mut self.running).await.expect("it stops").expect("no panic");
    }

    /// Ends as a killed process does: every task and socket is gone, nothing is said or stored.
    pub(crate) async fn kill(mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        // Waited for: the next start finds the data folder's lock free.
        let gone = spawn_blocking(move || runtime.shutdown_timeout(TIMEOUT));
        gone.await.expect("a shutdown does not panic");
    }

    fn die(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub(crate) fn api(&self) -> Api {
        Api(self.address)
    }
}

/// The threads of a killed daemon's streams leave the store, and with it the data folder, a moment after it.
async fn build_when_free(
    config: Config,
    timings: Timings,
    leases: Leases,
    resolver: Resolver,
) -> App {
    for _ in 0..100 {
        match App::build(config.clone(), timings.clone(), leases, resolver.clone()).await {
            Err(AppError::Store(StoreError::Locked { .. })) => {
                sleep(Duration::from_millis(20)).await;
            }
            built => return built.unwrap(),
        }
    }
    panic!("the data folder stays locked");
}

/// A daemon's REST API, as the tests' token sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Api(pub SocketAddr);

impl Api {
    /// `None` when the daemon is not there.
    pub(crate) async fn get(self, path: &str) -> Option<Answer> {
        self.ask("GET", path, &[]).await
    }

    /// With further headers. `None` when the daemon is not there.
    pub(crate) async fn ask(
        self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Option<Answer> {
        let authorization = format!("Bearer {API_TOKEN}");
        let own = [("authorization", authorization.as_str())];
        let headers: Vec<_> = own.iter().chain(headers).copied().collect();
        try_exchange(self.0, &head(method, path, &headers)).await
    }

    pub(crate) async fn post(self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body).await
    }

    pub(crate) async fn patch(self, path: &str, body: Value) -> Answer {
        self.send("PATCH", path, &body).await
    }

    pub(crate) async fn put(self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, &body).await
    }

    async fn send(self, method: &str, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let (authorization, length) = (format!("Bearer {API_TOKEN}"), body.len().to_string());
        let headers = [("authorization", &*authorization), ("content-length", &*length)];
        let request = [&head(method, path, &headers), body.as_bytes()].concat();
        try_exchange(self.0, &request).await.expect("the daemon is there")
    }

    pub(crate) async fn delete(self, path: &str) -> Answer {
        let authorization = format!("Bearer {API_TOKEN}");
        let request = head("DELETE", path, &[("authorization", &authorization)]);
        try_exchange(self.0, &request).await.expect("the daemon is there")
    }

    async fn data(self, path: &str) -> Option<Value> {
        let answer = self.get(path).await.filter(|answer| answer.status == 200)?;
        Some(answer.json()["data"].take())
    }

    pub(crate) async fn sessions(self) -> Vec<Value> {
        let data = self.data("/api/v1/sdk/sessions?limit=200").await.unwrap_or_default();
        data["sessions"].as_array().cloned().unwrap_or_default()
    }

    /// The session's id, as soon as there is one of this instance.
    pub(crate) async fn session_of(self, instance_id: &str) -> String {
        eventually("the session is known", async || {
            let sessions = self.sessions().await;
            let found = sessions.iter().find(|session| session["instance_id"] == instance_id)?;
            found["id"].as_str().map(ToOwned::to_owned)
        })
        .await
    }

    pub(crate) async fn session(self, id: &str) -> Value {
        let data = self.data(&format!("/api/v1/sdk/sessions/{id}")).await;
        data.expect("the daemon is there")["session"].take()
    }

    /// A session's newest stream; none while the store is away.
    pub(crate) async fn stream(self, session_id: &str) -> Option<StreamView> {
        let mut data = self.data(&format!("/api/v1/sdk/sessions/{session_id}")).await?;
        let streams: Vec<StreamView> = serde_json::from_value(data["streams"].take()).unwrap();
        streams.into_iter().next_back()
    }

    /// Waits until the session's newest stream has this status.
    pub(crate) async fn reaches(self, session_id: &str, status: &str) -> StreamView {
        eventually(&format!("the stream is {status}"), async || {
            self.stream(session_id).await.filter(|stream| stream.status == status)
        })
        .await
    }
}

/// What the API says of a stream.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StreamView {
    pub stream_id: String,
    pub status: String,
    pub generation: i64,
    pub interrupts: i64,
    pub stop_reason: Option<StopReason>,
    pub outcome: Option<String>,
    pub tally: Tally,
    pub media: Option<Value>,
    pub effective: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StopReason {
    pub code: i64,
}

impl StreamView {
    /// The outcome and Zoom's reason.
    pub(crate) fn end(&self) -> (&str, Option<i64>) {
        let outcome = self.outcome.as_deref().unwrap_or("none");
        (outcome, self.stop_reason.as_ref().map(|reason| reason.code))
    }
}
