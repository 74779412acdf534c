//! `rtmsd replay`: plays Zoom's side from a capture, to any client. Everything comes at its time in the file, counted from
//! the first answered handshake: messages, losses and webhooks. The clock pauses while the client is late to open a link.
//! Whatever is overdue is sent at once.

mod client;
mod clock;
mod plan;
mod socket;

use std::collections::HashMap;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::client::Client;
use self::clock::Clock;
use self::plan::{Announced, Life, Moment, Plan, with_times, with_urls};
use super::event::Event;
use super::transport::Transport;
use super::webhook::WebhookSender;
use super::{Settings, SimulatorError, TlsFiles, Validation, ZoomApp, lock};
use crate::capture::reader::{CaptureError, Reader};
use crate::clock::now_ms;
use crate::model::ms;
use crate::net::listen;

/// The most open connections.
const MAX_CONNECTIONS: usize = 256;
/// How long a client may take to connect after the first webhook.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the replay pauses for a link that the client has yet to open.
const LINK_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a client that is ready for media may take to open a link for the first time. Others it does not want.
const NEW_LINK_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a client may take to leave after the end.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How far the times in messages may be from those of the file.
const TIMES_AROUND_MS: i64 = 2 * 60 * 60 * 1000;

/// How a capture is played.
#[derive(Debug, Clone)]
pub struct ReplaySettings {
    /// The credentials of the client, and where its webhooks go.
    pub app: ZoomApp,
    pub skip_url_validation: bool,
    /// The file's milliseconds per real millisecond.
    pub speed: f64,
    /// Whether the times in messages become those of the replay; otherwise they stay those of the file.
    pub shifts_times: bool,
    /// The port on 127.0.0.1; 0 for a free one.
    pub port: u16,
    /// Serves `wss` with the certificate in this folder.
    pub tls_dir: Option<PathBuf>,
    /// The host name in URLs.
    pub tls_host: String,
}

/// Why a capture cannot be played.
#[derive(Debug, Error)]
pub enum ReplayError {
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Simulator(#[from] SimulatorError),
    #[error("the capture has no handshake that Zoom answered: there is nothing to replay")]
    Empty,
}

/// What a replay did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReplayReport {
    pub validation: Option<Validation>,
    pub webhooks: u64,
    /// Sockets with a right handshake.
    pub sockets: u64,
    /// Sockets whose first message was no right handshake.
    pub refused: u64,
    pub messages: u64,
    /// Messages that no client took.
    pub unsent: u64,
    /// Sockets that were ended as in the file.
    pub faults: u64,
    /// How long the replay paused for links, in real milliseconds, including one that the client never opened.
    pub paused_ms: i64,
    /// The messages of the client, by type.
    pub received: HashMap<u64, u64>,
    /// Events that are missing in the file.
    pub cut: u64,
    pub is_truncated: bool,
}

/// What all sockets share.
struct Shared {
    plan: Plan,
    settings: ReplaySettings,
    origin: String,
    /// Runs from the first answered handshake.
    clock: Clock,
    client: watch::Sender<Client>,
    report: Mutex<ReplayReport>,
    stop: CancellationToken,
    /// When the replay began, for the times in messages.
    began_ms: i64,
}

/// Plays the capture once. `ready` gets one line of JSON when clients may connect.
///
/// # Errors
/// The file is no capture, or the replay cannot start.
pub async fn replay(
    file: &Path,
    settings: ReplaySettings,
    stop: CancellationToken,
    ready: impl FnOnce(Value),
) -> Result<ReplayReport, ReplayError> {
    let mut reader = Reader::open(File::open(file).map_err(CaptureError::Io)?)?;
    let plan = Plan::read(&mut reader)?;
    if !plan.links.values().flatten().any(|life| life.answered.is_some()) {
        return Err(ReplayError::Empty);
    }
    let listener =
        listen((Ipv4Addr::LOCALHOST, settings.port).into()).map_err(SimulatorError::Io)?;
    let port = listener.local_addr().map_err(SimulatorError::Io)?.port();
    let tls =
        settings.tls_dir.as_deref().map(|folder| TlsFiles::ensure(folder, &settings.tls_host));
    let tls = tls.transpose()?;
    let (acceptor, origin) = match &tls {
        Some(files) => (
            Some(TlsAcceptor::from(Arc::new(files.server_config()?))),
            format!("wss://{}:{port}", settings.tls_host),
        ),
        None => (None, format!("ws://127.0.0.1:{port}")),
    };
    let sender = webhook_sender(&settings, tls.as_ref(), &stop)?;
    let report =
        ReplayReport { cut: plan.cut, is_truncated: plan.is_truncated, ..Default::default() };
    let shared = Arc::new(Shared {
        clock: Clock::new(plan.start(), settings.speed),
        plan,
        settings,
        origin,
        client: watch::Sender::default(),
        report: Mutex::new(report),
        stop,
        began_ms: now_ms(),
    });
    let sockets = TaskTracker::new();
    sockets.spawn(accept(Arc::clone(&shared), listener, acceptor, sockets.clone()));
    ready(json!({"replaying": {
        "signaling_url": shared.signaling_url(), "stream_id": shared.plan.header.stream_id,
        "ca_file": tls.map(|files| files.ca.display().to_string()),
    }}));
    shared.play(&sender).await;
    shared.stop.cancel();
    sockets.close();
    // Their own time-outs end them.
    let _ = timeout(LEAVE_TIMEOUT, sockets.wait()).await;
    let mut report = lock(&shared.report).clone();
    report.validation = sender.report().validation;
    report.unsent = shared.message_count().saturating_sub(report.messages);
    Ok(report)
}

fn webhook_sender(
    settings: &ReplaySettings,
    tls: Option<&TlsFiles>,
    stop: &CancellationToken,
) -> Result<Arc<WebhookSender>, SimulatorError> {
    let of = Settings {
        app: settings.app.clone(),
        skip_url_validation: settings.skip_url_validation,
        ..Settings::default()
    };
    WebhookSender::new(&settings.app, &of, None, 1, tls, stop.clone()).map(Arc::new)
}

impl Shared {
    /// Validates the endpoint, sends the webhooks in time, and returns when everything was played.
    async fn play(&self, sender: &Arc<WebhookSender>) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.play_all(sender) => {}
        }
    }

    async fn play_all(&self, sender: &Arc<WebhookSender>) {
        sender.validate().await;
        if sender.validated().await == Validation::Refused {
            return;
        }
        let links = async {
            self.clock.wait_until_started().await;
            self.wait_for_links().await;
            Ok(())
        };
        if tokio::try_join!(links, self.announce_all(sender)).is_err() {
            return;
        }
        self.clock.wait_until(self.plan.end).await;
        sleep(LEAVE_TIMEOUT).await;
    }

    /// Pauses the clock while the client is late to open a link. After the first link that it does not open in time, the
    /// clock no longer pauses.
    async fn wait_for_links(&self) {
        for (at, link, number) in self.plan.answers() {
            self.clock.set_horizon(at);
            self.clock.wait_until(at).await;
            let began = Instant::now();
            let is_in_time = self.wait_for_link(link, number, at).await;
            self.clock.add_pause(began.elapsed());
            lock(&self.report).paused_ms += ms(began.elapsed());
            if !is_in_time {
                break;
            }
        }
        self.clock.set_horizon(Moment::MAX);
    }

    /// Whether the client opens the link in time, or does not want it.
    async fn wait_for_link(&self, link: &str, number: usize, at: Moment) -> bool {
        let mut client = self.client.subscribe();
        let is_there = |client: &Client| !client.is_late_for(link, number, at);
        if !client.borrow().is_new(link) {
            return timeout(LINK_TIMEOUT, client.wait_for(is_there)).await.is_ok();
        }
        let is_ready = |client: &Client| client.is_ready || is_there(client);
        if timeout(LINK_TIMEOUT, client.wait_for(is_ready)).await.is_err() {
            return false;
        }
        if timeout(NEW_LINK_TIMEOUT, client.wait_for(is_there)).await.is_err() {
            self.client.send_modify(|client| client.give_up(link));
        }
        true
    }

    /// Sends the webhooks in time. Fails if no client connects after the first ones.
    async fn announce_all(&self, sender: &Arc<WebhookSender>) -> Result<(), Elapsed> {
        let start = self.plan.start();
        let (first, later): (Vec<_>, Vec<_>) =
            self.plan.webhooks.iter().partition(|(at, _)| *at <= start);
        for (_, webhook) in first {
            self.announce(sender, webhook).await;
        }
        timeout(CONNECT_TIMEOUT, self.clock.wait_until_started()).await?;
        for (at, webhook) in later {
            self.clock.wait_until(*at).await;
            self.announce(sender, webhook).await;
        }
        Ok(())
    }

    async fn announce(&self, sender: &Arc<WebhookSender>, webhook: &Announced) {
        let body = match &webhook.body {
            Some(body) => with_urls(&self.timed(body), |_| self.signaling_url()),
            None => self.start_body(&webhook.name),
        };
        let body = String::from_utf8_lossy(&body).into_owned();
        lock(&self.report).webhooks += 1;
        sender.deliver(Event { name: webhook.name.clone(), body }).await;
    }

    /// The webhook of a start that the file does not have (section 13.6).
    fn start_body(&self, name: &str) -> Vec<u8> {
        let header = &self.plan.header;
        let payload = json!({
            (header.id_key.as_str()): header.instance_id, "rtms_stream_id": header.stream_id,
            "server_urls": self.signaling_url(),
        });
        json!({"event": name, "event_ts": now_ms(), "payload": payload}).to_string().into_bytes()
    }

    fn signaling_url(&self) -> String {
        format!("{}/signaling", self.origin)
    }

    /// A message with its times moved, if that is wanted.
    fn timed(&self, message: &[u8]) -> Vec<u8> {
        if !self.settings.shifts_times {
            return message.to_vec();
        }
        let moment_ms = |moment: Moment| i64::try_from(moment / 1_000_000).unwrap_or(i64::MAX);
        let (start_ms, end_ms) = (moment_ms(self.plan.start()), moment_ms(self.plan.end));
        let times =
            start_ms.saturating_sub(TIMES_AROUND_MS)..end_ms.saturating_add(TIMES_AROUND_MS);
        with_times(message, &times, self.began_ms.saturating_sub(start_ms))
    }

    /// Takes the next life of a link for a client that asked for `wanted`, if it is one of these.
    fn take_life_if(&self, link: &str, wanted: &str, is_it: fn(&Life) -> bool) -> Option<&Life> {
        let mut life = None;
        self.client.send_if_modified(|client| {
            let number = client.next_life_index(link, wanted);
            life = self.plan.life(link, number).filter(|life| is_it(life));
            if life.is_some() {
                client.take_life(link, wanted);
            }
            life.is_some()
        });
        life
    }

    fn message_count(&self) -> u64 {
        self.plan.links.values().flatten().map(|life| life.sent.len() as u64).sum()
    }
}

async fn accept(
    shared: Arc<Shared>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    sockets: TaskTracker,
) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (Ok((tcp, _)), Ok(permit)) = (accepted, Arc::clone(&permits).acquire_owned().await)
        else {
            continue;
        };
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        sockets.spawn(async move {
            let _permit = permit;
            if let Some(transport) = secured(tcp, tls).await {
                socket::serve(&shared, transport).await;
            }
        });
    }
}

async fn secured(tcp: TcpStream, tls: Option<TlsAcceptor>) -> Option<Transport> {
    // Frames are small and due at once.
    tcp.set_nodelay(true).ok()?;
    match tls {
        None => Some(Transport::Plain(tcp)),
        Some(acceptor) => {
            let tls = timeout(CONNECT_TIMEOUT, acceptor.accept(tcp)).await.ok()?.ok()?;
            Some(Transport::Tls(Box::new(tls)))
        }
    }
}
