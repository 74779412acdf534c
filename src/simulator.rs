//! Zoom's side of RTMS, to develop and test against without a Zoom account.
//!
//! One port serves OAuth, REST, the signaling and media WebSockets and the simulator's own API; a sender posts
//! the webhooks; a script says what happens in the meetings. What it sends and what it checks is written from rtms-protocol.md, not from
//! the daemon: only the enumerations of `rtms::message` are shared.

mod audio;
mod body;
mod command;
mod console;
mod control;
mod demo;
mod directory;
mod event;
mod fault_plan;
mod frame_log;
mod handshake;
mod link;
mod meeting;
mod oauth;
mod params;
mod picture;
mod quirk;
mod report;
mod rest;
mod script;
mod server;
mod settings;
mod shared;
mod signature;
mod socket;
mod state;
mod status;
mod stream;
mod tls;
mod transport;
mod webhook;
mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use command::{SimulateArgs, Verdict, command};
pub use control::{Call, ControlError, CutKind, HandshakeFault, LinkName, Trouble, Verb};
pub use frame_log::{FrameLog, LoggedFrame};
pub use quirk::Quirk;
pub use report::{
    CallReport, KeepAliveReport, MediumReport, OAuthReport, Report, StrayReport, StreamReport,
    Validation, WebhookReport,
};
pub use script::{Script, ScriptError};
pub use settings::{Consent, Duplicates, OAuthSettings, Settings, Start, Timings, User};
use state::SimulatorState;
pub use tls::TlsFiles;
use webhook::WebhookSender;

/// For meetings to end their streams, and for the last webhooks, when a simulator is shut down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Why a simulator does not start, or its command fails.
#[derive(Debug, Error)]
pub enum SimulatorError {
    #[error(transparent)]
    Script(#[from] ScriptError),
    #[error("{0}")]
    Setting(&'static str),
    #[error("file or socket: {0}")]
    Io(#[from] std::io::Error),
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("cannot read a certificate or key: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the webhook client: {0}")]
    Webhook(#[from] reqwest::Error),
    #[error("{0}")]
    Control(#[from] ControlError),
}

/// A running simulator. Dropping it ends everything at once; `shutdown` ends it in order.
pub struct Simulator {
    state: Arc<SimulatorState>,
    addr: SocketAddr,
    tls: Option<TlsFiles>,
}

/// Serves on `listener`, challenges the webhook endpoint and opens the first meetings.
pub async fn start(settings: Settings, listener: TcpListener) -> Result<Simulator, SimulatorError> {
    check_settings(&settings)?;
    let addr = listener.local_addr()?;
    let ensure = |folder| TlsFiles::ensure(folder, &settings.tls_host);
    let tls = settings.tls_dir.as_deref().map(ensure).transpose()?;
    let acceptor = match &tls {
        Some(files) => Some(TlsAcceptor::from(Arc::new(files.server_config()?))),
        None => None,
    };
    // The name, not the address, where there is a certificate: see `tls`.
    let origin = match &tls {
        Some(_) => format!("wss://{}:{}", settings.tls_host, addr.port()),
        None => format!("ws://127.0.0.1:{}", addr.port()),
    };
    let stop = CancellationToken::new();
    let webhook_sender = WebhookSender::new(&settings, tls.as_ref(), stop.clone())?;
    let state = Arc::new(SimulatorState::new(settings, origin, webhook_sender, stop));
    state.connections.spawn(server::accept_connections(state.clone(), listener, acceptor));
    let validating = state.clone();
    state.connections.spawn(async move { validating.webhook_sender.validate().await });
    for _ in 0..state.settings.meetings {
        meeting::open_meeting(&state)?;
    }
    if let Some(seconds) = state.settings.seconds {
        state.connections.spawn(end_after(state.clone(), Duration::from_secs(seconds)));
    }
    Ok(Simulator { state, addr, tls })
}

fn check_settings(settings: &Settings) -> Result<(), SimulatorError> {
    let positive = |number: f64| number.is_finite() && number > 0.0;
    if !positive(settings.speed) || !positive(settings.timings.time_scale) {
        return Err(SimulatorError::Setting("speed and time_scale must be positive numbers"));
    }
    Ok(())
}

/// The time counts from when meetings can begin.
async fn end_after(state: Arc<SimulatorState>, wait: Duration) {
    state.webhook_sender.validated().await;
    tokio::select! {
        () = state.stop.cancelled() => return,
        () = tokio::time::sleep(wait) => {}
    }
    end_all(&state).await;
}

async fn end_all(state: &SimulatorState) {
    for meeting_id in state.directory.live_meetings() {
        // One that is over by itself needs no ending.
        let _ = state.directory.perform(&meeting_id, Verb::End).await;
    }
}

impl Simulator {
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base of REST: `http://127.0.0.1:port`, or `https://localhost:port` (or the host of the settings) with TLS.
    pub fn base_url(&self) -> String {
        self.state.base_url()
    }

    /// The signaling URL that streams are announced with, until they fail over.
    pub fn signaling_url(&self) -> String {
        format!("{}/signaling/1", self.state.origin)
    }

    /// The files of `tls_dir`, if it serves TLS.
    pub fn tls_files(&self) -> Option<&TlsFiles> {
        self.tls.as_ref()
    }

    /// Opens one more meeting, which plays the script from its beginning; returns its meeting number.
    /// It is live once the webhook endpoint is validated.
    pub fn announce(&self) -> Result<String, ControlError> {
        meeting::open_meeting(&self.state)
    }

    /// The numbers of the meetings that are live, sorted.
    pub fn live_meetings(&self) -> Vec<String> {
        self.state.directory.live_meetings()
    }

    /// Has a live meeting, or its stream, do something.
    pub async fn perform(&self, meeting_id: &str, verb: Verb) -> Result<(), ControlError> {
        self.state.directory.perform(meeting_id, verb).await
    }

    /// How the webhook endpoint answered its challenge, once it has.
    pub async fn validated(&self) -> Validation {
        self.state.webhook_sender.validated().await
    }

    /// Where a browser begins to install the app, without its query.
    pub fn authorize_url(&self) -> String {
        format!("{}/oauth/authorize", self.base_url())
    }

    pub fn token_url(&self) -> String {
        format!("{}/oauth/token", self.base_url())
    }

    /// The next `count` calls of this kind go wrong so, after those that are planned already.
    pub fn fail_calls(&self, call: Call, count: u32, how: Trouble) {
        self.state.fault_plan.plan(call, count, how);
    }

    /// A user removes the app: their tokens end, and `app_deauthorized` is sent (section 15.7).
    pub fn deauthorize(&self, user_id: &str) {
        self.state.deauthorize(user_id);
    }

    /// The base of the simulator's own API, which does over HTTP what is done here: see `console`.
    pub fn control_url(&self) -> String {
        format!("{}/simulator", self.base_url())
    }

    /// Every access token stops working, with nobody told: the next call is answered 401/124.
    pub fn expire_access_tokens(&self) {
        lock(&self.state.grants).expire_access_tokens();
    }

    pub fn report(&self) -> Report {
        self.state.report()
    }

    /// Waits until every meeting is over and its events have had their first attempt.
    pub async fn finished(&self) {
        self.state.plays.close();
        self.state.plays.wait().await;
    }

    /// Ends every meeting, then everything else, and says what happened.
    pub async fn shutdown(self) -> Report {
        let deadline = Instant::now() + SHUTDOWN_GRACE;
        let _ = tokio::time::timeout_at(deadline, async {
            end_all(&self.state).await;
            self.finished().await;
        })
        .await;
        self.state.stop.cancel();
        self.state.connections.close();
        let _ = timeout(SHUTDOWN_GRACE, self.state.connections.wait()).await;
        self.state.cut.cancel();
        self.state.connections.wait().await;
        self.state.webhook_sender.finish().await;
        self.report()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.state.stop.cancel();
        self.state.cut.cancel();
    }
}

/// Nothing that holds one of the simulator's locks can leave it half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
