//! A private NATS server, which a test can kill and start again.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use super::wait::TIMEOUT;
use async_nats::HeaderMap;
use async_nats::jetstream::{self, stream::Stream};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

const HOW_TO_INSTALL: &str = "the tests need nats-server: apt-get install nats-server";
const POLL_INTERVAL: Duration = Duration::from_millis(20);

pub(crate) struct Broker {
    folder: TempDir,
    port: u16,
    /// A shell that kills the server when its standard input closes, however this process ends.
    guard: Option<Child>,
}

/// One message of a JetStream stream.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub subject: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Stored {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

impl Broker {
    /// With more settings, in the server's own words.
    pub(crate) async fn start(settings: &str) -> Self {
        let mut broker = Self::away(settings).await;
        broker.come().await;
        broker
    }

    /// A broker that has its address and does not run yet.
    pub(crate) async fn away(settings: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let data = folder.path().join("data").display().to_string();
        let settings = format!(
            "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{data}\" }}\n{settings}\n"
        );
        std::fs::write(folder.path().join("nats.conf"), settings).unwrap();
        Self { folder, port, guard: None }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts, with what it had stored, and answers.
    pub(crate) async fn come(&mut self) {
        let guard = Command::new("sh")
            .args(["-c", include_str!("nats.sh"), "sh"])
            .arg(program().expect(HOW_TO_INSTALL))
            .args([self.folder.path().join("nats.conf"), self.folder.path().join("log")])
            .stdin(Stdio::piped())
            // Ctrl-C is for the tests.
            .process_group(0)
            .spawn()
            .unwrap();
        self.guard = Some(guard);
        let give_up_at = Instant::now() + TIMEOUT;
        while !self.answers().await {
            assert!(Instant::now() < give_up_at, "no NATS server: {}", self.log());
            sleep(POLL_INTERVAL).await;
        }
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) {
        let mut guard = self.guard.take().expect("it runs");
        drop(guard.stdin.take());
        guard.wait().await.unwrap();
    }

    async fn answers(&self) -> bool {
        let Ok(socket) = TcpStream::connect(("127.0.0.1", self.port)).await else { return false };
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line).await.is_ok() && line.starts_with("INFO ")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(crate) async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.url()).await.unwrap()
    }

    /// The stream of this name, once it is there.
    pub(crate) async fn stream(&self, name: &str) -> Stream {
        let context = jetstream::new(self.client().await);
        let give_up_at = Instant::now() + TIMEOUT;
        loop {
            match context.get_stream(name).await {
                Ok(stream) => return stream,
                Err(error) => assert!(Instant::now() < give_up_at, "no stream {name}: {error}"),
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// The first `count` messages of a stream, once there are as many.
    pub(crate) async fn stored(&self, name: &str, count: u64) -> Vec<Stored> {
        self.has_stored(name, count).await;
        self.all(name).await
    }

    /// Waits until a stream holds this many messages.
    pub(crate) async fn has_stored(&self, name: &str, count: u64) {
        let mut stream = self.stream(name).await;
        let give_up_at = Instant::now() + TIMEOUT;
        while stream.info().await.unwrap().state.messages < count {
            assert!(Instant::now() < give_up_at, "{:?}", stream.cached_info().state);
            sleep(POLL_INTERVAL).await;
        }
    }

    /// How many messages a stream holds.
    pub(crate) async fn count(&self, name: &str) -> u64 {
        self.stream(name).await.cached_info().state.messages
    }

    /// What a stream holds.
    pub(crate) async fn all(&self, name: &str) -> Vec<Stored> {
        let stream = self.stream(name).await;
        let mut messages = Vec::new();
        for seq in 1..=stream.cached_info().state.last_sequence {
            let message = stream.get_raw_message(seq).await.unwrap();
            messages.push(Stored {
                subject: message.subject.to_string(),
                headers: message.headers,
                body: message.payload.to_vec(),
            });
        }
        messages
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders.map(|folder| folder.join("nats-server")).find(|program| program.exists())
}
