//! A simulator of Zoom's side of RTMS, for development and tests without a Zoom account.
//!
//! One port serves OAuth, REST, the signaling and media WebSockets and the simulator's own API. A sender posts
//! the webhooks. A script says what happens in the meetings. The simulator is written from rtms-protocol.md and
//! shares only the enumerations of `rtms::message` with the daemon, so a mistake in one of them does not hide in
//! the other. Section numbers in this folder are those of rtms-protocol.md.

mod app;
mod audio;
mod body;
mod command;
mod console;
mod control;
mod demo;
mod directory;
mod event;
mod event_socket;
mod fault_plan;
mod frame_log;
mod link;
mod meeting;
mod oauth;
mod picture;
mod planned;
mod quirk;
mod replay;
mod report;
mod rest;
mod script;
mod server;
mod settings;
mod shared;
mod signature;
mod socket;
mod state;
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
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;

use app::Apps;
pub use command::{SimulateArgs, Verdict, command, http_url};
pub use control::{ApiFault, Call, ControlError, CutKind, HandshakeFault, LinkName, MeetingAction};
use directory::Address;
pub use event_socket::EventSocketFault;
pub use frame_log::{FrameLog, LoggedFrame};
pub use quirk::Quirk;
pub use replay::{ReplayError, ReplayReport, ReplaySettings, replay};
pub use report::{
    AppReport, CallReport, EventSocketReport, KeepAliveReport, MediumReport, OAuthReport, Report,
    StrayReport, StreamReport, Validation, WebhookReport,
};
pub use script::{Script, ScriptError};
pub use settings::{
    Consent, Duplicates, Events, OAuthSettings, Settings, Start, Timings, User, ZoomApp,
};
use state::SimulatorState;
pub use tls::TlsFiles;

/// How long a shutdown waits for meetings to end their streams and for the last webhooks, and then for open sockets.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Why a simulator does not start or its command fails.
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

/// A running simulator. Dropping it ends everything at once; `shutdown` ends it gracefully.
pub struct Simulator {
    state: Arc<SimulatorState>,
    addr: SocketAddr,
    tls: Option<TlsFiles>,
}

/// Serves on `listener`, validates the webhook endpoint (section 13.3) and opens the first meetings.
pub async fn start(settings: Settings, listener: TcpListener) -> Result<Simulator, SimulatorError> {
    check_settings(&settings)?;
    let addr = listener.local_addr()?;
    let ensure = |folder| TlsFiles::ensure(folder, &settings.tls_host);
    let tls = settings.tls_dir.as_deref().map(ensure).transpose()?;
    let acceptor = match &tls {
        Some(files) => Some(TlsAcceptor::from(Arc::new(files.server_config()?))),
        None => None,
    };
    // With TLS the URL must hold the host name: Zoom's own client does not match IP SANs (section 22).
    let origin = match &tls {
        Some(_) => format!("wss://{}:{}", settings.tls_host, addr.port()),
        None => format!("ws://127.0.0.1:{}", addr.port()),
    };
    let stop = CancellationToken::new();
    let apps = Apps::new(&settings, tls.as_ref(), &stop)?;
    let state = Arc::new(SimulatorState::new(settings, origin, apps, stop));
    state.connections.spawn(server::accept_connections(state.clone(), listener, acceptor));
    // Meetings wait for the first validation: a stream announced to an endpoint that is not up yet would be lost.
    for app in state.apps.iter() {
        let webhook_sender = app.webhook_sender.clone();
        state.connections.spawn(async move {
            webhook_sender.validate().await;
            webhook_sender.revalidate().await;
        });
    }
    for _ in 0..state.settings.meetings {
        meeting::open_meeting(&state)?;
    }
    if let Some(seconds) = state.settings.seconds {
        state.connections.spawn(end_after(state.clone(), Duration::from_secs(seconds)));
    }
    Ok(Simulator { state, addr, tls })
}

fn check_settings(settings: &Settings) -> Result<(), SimulatorError> {
    // Waits and script times are divided by both numbers.
    let positive = |number: f64| number.is_finite() && number > 0.0;
    if !positive(settings.speed) || !positive(settings.timings.time_scale) {
        return Err(SimulatorError::Setting("speed and time_scale must be positive numbers"));
    }
    if !CloseCode::from(settings.close_code).is_allowed() {
        return Err(SimulatorError::Setting(
            "the close code must be 1000 to 1003, 1007 to 1013, or 3000 to 4999",
        ));
    }
    if !settings.app.has_streams(settings.script.product) {
        return Err(SimulatorError::Setting("the first app must have streams"));
    }
    let users = settings.users();
    let is_user = |id: &String| users.iter().any(|user| user.id == *id);
    if !settings.operators.iter().all(is_user) {
        return Err(SimulatorError::Setting("every operator must be a user who can sign in"));
    }
    let has_twin = |(index, id): (usize, &String)| settings.operators[..index].contains(id);
    if settings.operators.iter().enumerate().any(has_twin) {
        return Err(SimulatorError::Setting("every operator may be named once"));
    }
    Ok(())
}

/// Ends every meeting after `wait`, counted from the moment when meetings can begin.
async fn end_after(state: Arc<SimulatorState>, wait: Duration) {
    state.apps.validated().await;
    tokio::select! {
        () = state.stop.cancelled() => return,
        () = tokio::time::sleep(wait) => {}
    }
    end_all(&state).await;
}

async fn end_all(state: &SimulatorState) {
    for meeting_id in state.directory.live_meetings() {
        // Ignore the error: the meeting has already ended.
        let _ = state.directory.perform(&meeting_id, &Address::All, MeetingAction::End).await;
    }
}

impl Simulator {
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL of REST: `http://127.0.0.1:port`, or with TLS `https://` and the host of the settings.
    pub fn base_url(&self) -> String {
        self.state.base_url()
    }

    /// The signaling URL in the announcement of a stream that has not failed over.
    pub fn signaling_url(&self) -> String {
        format!("{}/signaling/1", self.state.origin)
    }

    /// The files in `tls_dir`, if the simulator serves TLS.
    pub fn tls_files(&self) -> Option<&TlsFiles> {
        self.tls.as_ref()
    }

    /// Opens one more meeting, which plays the script from its beginning, and returns its meeting number.
    /// The meeting is live once the webhook endpoint is validated.
    pub fn announce(&self) -> Result<String, ControlError> {
        meeting::open_meeting(&self.state)
    }

    /// The numbers of the live meetings, sorted.
    pub fn live_meetings(&self) -> Vec<String> {
        self.state.directory.live_meetings()
    }

    /// Performs an action on a live meeting, and on the stream of every app in it.
    pub async fn perform(
        &self,
        meeting_id: &str,
        action: MeetingAction,
    ) -> Result<(), ControlError> {
        self.state.directory.perform(meeting_id, &Address::All, action).await
    }

    /// Waits until the webhook endpoint of the first app is validated or refused, and returns which.
    pub async fn validated(&self) -> Validation {
        self.state.apps.first().webhook_sender.validated().await
    }

    /// The URL at which a browser starts to install the app, without its query.
    pub fn authorize_url(&self) -> String {
        format!("{}/oauth/authorize", self.base_url())
    }

    pub fn token_url(&self) -> String {
        format!("{}/oauth/token", self.base_url())
    }

    /// Makes the next `count` calls of this kind fail, after the failures that are already planned.
    pub fn fail_calls(&self, call: Call, count: u32, how: ApiFault) {
        self.state.fault_plan.planned.plan(call, count, how);
    }

    /// The URL of the first app's event subscription, without a token; `None` if events come by webhook only.
    pub fn events_url(&self) -> Option<String> {
        let socket = self.state.apps.first().event_socket.as_ref()?;
        let id = socket.subscription_id();
        Some(format!("{}/ws?subscriptionId={id}", self.state.origin))
    }

    /// Plans a fault of the first app's event socket. `count` is for those of the next connections.
    pub fn fail_event_socket(&self, fault: EventSocketFault, count: u32) {
        if let Some(socket) = &self.state.apps.first().event_socket {
            socket.plan(fault, count);
        }
    }

    /// Drops the faults that are planned for the next connections to the first app's event socket.
    pub fn forgive_event_socket(&self) {
        if let Some(socket) = &self.state.apps.first().event_socket {
            socket.forgive();
        }
    }

    /// Removes the first app for a user: revokes their tokens and sends `app_deauthorized` (section 15.7).
    pub fn deauthorize(&self, user_id: &str) {
        self.state.deauthorize(self.state.apps.first(), user_id);
    }

    /// The base URL of the simulator's own API, which offers these methods over HTTP: see `console`.
    pub fn control_url(&self) -> String {
        format!("{}/simulator", self.base_url())
    }

    /// Expires every access token without notice: the next call with one is answered 401/124.
    pub fn expire_access_tokens(&self) {
        self.state.apps.expire_access_tokens();
    }

    /// What the simulator has sent and received up to now.
    pub fn report(&self) -> Report {
        self.state.report()
    }

    /// Waits until every meeting has ended and each of its webhooks has been attempted once.
    pub async fn finished(&self) {
        // `wait` returns only for a closed tracker; a closed tracker still takes new tasks.
        self.state.plays.close();
        self.state.plays.wait().await;
    }

    /// Ends every meeting, then everything else, and returns the report.
    pub async fn shutdown(self) -> Report {
        let deadline = Instant::now() + SHUTDOWN_GRACE;
        // After the grace period the rest is cancelled, so both timeouts below are ignored.
        let _ = tokio::time::timeout_at(deadline, async {
            end_all(&self.state).await;
            self.finished().await;
        })
        .await;
        // First the tasks that accept and start work, then the sockets, which may still be sending Close frames.
        self.state.stop.cancel();
        self.state.connections.close();
        let _ = timeout(SHUTDOWN_GRACE, self.state.connections.wait()).await;
        self.state.cut.cancel();
        self.state.connections.wait().await;
        // Last: a meeting's end may have queued a retry.
        for app in self.state.apps.iter() {
            app.webhook_sender.finish().await;
        }
        self.report()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.state.stop.cancel();
        self.state.cut.cancel();
    }
}

/// Locks a mutex of the simulator, also after a panic: no holder can leave its data half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
