//! The whole daemon, the simulator as Zoom, and between them a post office that can lose webhooks.

mod daemon;
mod log;
mod post;
mod script;
mod webhooks;

use rtmsd::simulator::{
    ControlError, MediumReport, MeetingAction, Settings, Simulator, StreamReport, Timings, ZoomApp,
    start,
};
use tempfile::TempDir;
use tokio::net::TcpListener;

pub(crate) use daemon::{API_TOKEN, Api, Home, StreamView, TOKEN_KEY, TestDaemon};
pub(crate) use log::{Log, Page};
pub(crate) use post::{Post, send_webhook, send_webhook_to};
pub(crate) use script::{chatter, endless, script};
pub(crate) use webhooks::{started, stopped};

use super::wait::POLL_INTERVAL;
pub(crate) use super::wait::{TIMEOUT, eventually, eventually_within};

/// How much shorter the simulator's waits are: keep-alives come twice a second.
pub(crate) const TIME_SCALE: f64 = 20.0;

/// A simulator that sends its webhooks through a post office.
pub(crate) struct Zoom {
    pub simulator: Simulator,
    pub post: Post,
    _tls: Option<TempDir>,
}

/// A wait of the simulator that lasts so many real milliseconds.
pub(crate) fn real(ms: u64) -> u64 {
    ms * TIME_SCALE as u64
}

/// A simulator's settings with short waits, playing this script.
pub(crate) fn zoom(script: rtmsd::simulator::Script) -> Settings {
    Settings {
        script,
        timings: Timings {
            time_scale: TIME_SCALE,
            // These are not what the tests wait for, and a busy machine needs them.
            webhook_deadline_ms: real(10_000),
            handshake_ms: real(10_000),
            signaling_window_ms: real(10_000),
            media_window_ms: real(10_000),
            missed_keep_alives: 20,
            validation_retry_ms: real(20),
            webhook_retries_ms: [real(200); 3],
            ..Timings::default()
        },
        ..Settings::default()
    }
}

impl Zoom {
    pub(crate) async fn open(settings: Settings) -> Self {
        Self::open_on(settings, None).await
    }

    /// Over `wss`, with a certificate that the daemon must be configured to trust.
    pub(crate) async fn open_tls(settings: Settings) -> Self {
        Self::open_on(settings, Some(TempDir::new().unwrap())).await
    }

    async fn open_on(settings: Settings, tls: Option<TempDir>) -> Self {
        let post = Post::open().await;
        let to_post = |app: &ZoomApp| {
            // A test names the path, where it is not the usual one.
            let path = app.webhook_url.as_deref().unwrap_or("/webhook");
            ZoomApp { webhook_url: Some(post.url(path)), ..app.clone() }
        };
        let settings = Settings {
            app: to_post(&settings.app),
            more_apps: settings.more_apps.iter().map(to_post).collect(),
            tls_dir: tls.as_ref().map(|folder| folder.path().to_owned()),
            ..settings
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let simulator = start(settings, listener).await.unwrap();
        Self { simulator, post, _tls: tls }
    }

    /// Waits for the first stream.
    pub(crate) async fn announced(&self) -> StreamReport {
        eventually("a stream is announced", async || self.simulator.report().streams.pop()).await
    }

    /// The only stream, or the newest.
    pub(crate) fn stream(&self) -> StreamReport {
        self.simulator.report().streams.pop().expect("a stream was announced")
    }

    pub(crate) fn medium(&self, name: &str) -> MediumReport {
        self.stream().media.get(name).cloned().unwrap_or_default()
    }

    /// Makes the only live meeting do something.
    pub(crate) async fn perform(&self, verb: MeetingAction) {
        self.try_perform(verb).await.unwrap();
    }

    /// The same; fails without what the verb is about.
    pub(crate) async fn try_perform(&self, verb: MeetingAction) -> Result<(), ControlError> {
        let meetings = self.simulator.live_meetings();
        let [meeting] = meetings.as_slice() else { panic!("live meetings: {meetings:?}") };
        self.simulator.perform(meeting, verb).await
    }

    /// Ends everything and asserts that the daemon kept to the protocol.
    pub(crate) async fn close_clean(self) {
        let report = self.simulator.shutdown().await;
        let breaches: Vec<_> = report.streams.iter().flat_map(|stream| &stream.breaches).collect();
        assert!(report.is_clean(), "{breaches:?} {:?}", report.strays);
    }
}

/// A daemon that has joined the first stream of a simulated Zoom, and its log as a subscriber sees it.
pub(crate) struct Scene {
    pub home: Home,
    pub daemon: TestDaemon,
    pub zoom: Zoom,
    pub log: Log,
}

impl Scene {
    pub(crate) async fn open(home: Home, settings: Settings) -> Self {
        Self::with(home, Zoom::open(settings).await).await
    }

    pub(crate) async fn open_tls(home: Home, settings: Settings) -> Self {
        Self::over_tls(home, Zoom::open_tls(settings).await).await
    }

    /// Starts a daemon with a running simulator that has a certificate.
    pub(crate) async fn over_tls(home: Home, zoom: Zoom) -> Self {
        let ca = zoom.simulator.tls_files().unwrap().ca.display().to_string();
        Self::with(home.set("RTMS_CA_FILE", &ca), zoom).await
    }

    async fn with(home: Home, zoom: Zoom) -> Self {
        let daemon = TestDaemon::start(&home).await;
        Self::between(home, daemon, zoom).await
    }

    /// Starts a daemon, calls `prepare` with its API, and only then opens Zoom.
    pub(crate) async fn prepared(
        home: Home,
        settings: Settings,
        prepare: impl AsyncFnOnce(Api),
    ) -> Self {
        let daemon = TestDaemon::start(&home).await;
        prepare(daemon.api()).await;
        Self::between(home, daemon, Zoom::open(settings).await).await
    }

    async fn between(home: Home, daemon: TestDaemon, zoom: Zoom) -> Self {
        zoom.post.deliver_to(daemon.address);
        let stream = zoom.announced().await;
        let log = Log::follow(daemon.api(), &stream.instance_id).await;
        Self { home, daemon, zoom, log }
    }

    /// The newest stream's row, as the API shows it.
    pub(crate) async fn stream(&self) -> StreamView {
        self.daemon.api().stream(self.log.session_id()).await.expect("the session has a stream")
    }

    /// Waits until every link is up.
    pub(crate) async fn live(&self) {
        self.daemon.api().reaches(self.log.session_id(), "live").await;
    }

    /// Waits until the daemon has every line that the simulator has sent, and returns how many.
    pub(crate) async fn all_lines(&self) -> usize {
        eventually("every line that was sent has come", async || {
            let sent = self.zoom.medium("transcript").frames;
            let come = self.log.page().of("transcript").len();
            (sent == come as u64).then_some(come)
        })
        .await
    }

    /// Waits for the stream's end and returns its row.
    pub(crate) async fn ended(&self) -> StreamView {
        self.log.entries("ended", 1).await;
        self.daemon.api().reaches(self.log.session_id(), "ended").await
    }

    /// Pauses and resumes the stream, then moves it to another server. Returns once it is live there.
    pub(crate) async fn pauses_and_fails_over(&self) {
        self.zoom.perform(MeetingAction::Pause).await;
        self.daemon.api().reaches(self.log.session_id(), "paused").await;
        self.zoom.perform(MeetingAction::Resume).await;
        self.live().await;
        self.zoom.perform(MeetingAction::FailOver).await;
        self.log.entries("moved", 1).await;
        self.live().await;
    }
}
