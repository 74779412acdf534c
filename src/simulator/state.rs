//! The state that every part of a simulator shares: settings, running tasks, meetings, users and tokens.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::app::{App, Apps};
use super::audio::Encoder;
use super::directory::Directory;
use super::event;
use super::fault_plan::FaultPlan;
use super::lock;
use super::picture;
use super::report::{Report, StrayReport};
use super::settings::{Settings, User};
use crate::clock;
use crate::rtms::server::params::AudioParams;

/// One simulator's shared state.
pub(super) struct SimulatorState {
    pub settings: Settings,
    /// The base URL of WebSockets: `ws://127.0.0.1:1234` or `wss://localhost:1234`.
    pub origin: String,
    pub apps: Apps,
    /// Ends meetings, requests and the accept loop; open sockets send a Close frame.
    pub stop: CancellationToken,
    /// Drops the sockets that have not closed in time.
    pub cut: CancellationToken,
    /// The tasks of meetings and of webhook delivery.
    pub plays: TaskTracker,
    /// The tasks of connections, of the accept loop and of URL validations.
    pub connections: TaskTracker,
    pub directory: Directory,
    /// The users who can sign in. The first is the host, so the list is never empty.
    pub users: Vec<User>,
    pub fault_plan: Arc<FaultPlan>,
    /// Sockets that named no live stream.
    pub strays: Mutex<StrayReport>,
    /// One encoder for each set of audio parameters, shared by streams, so that a tone is encoded only once.
    encoders: Mutex<HashMap<AudioParams, Arc<Encoder>>>,
    next_socket: AtomicU64,
}

impl SimulatorState {
    pub(super) fn new(
        settings: Settings,
        origin: String,
        apps: Apps,
        stop: CancellationToken,
    ) -> Self {
        let users = settings.users();
        Self {
            settings,
            origin,
            apps,
            stop,
            cut: CancellationToken::new(),
            plays: TaskTracker::new(),
            connections: TaskTracker::new(),
            directory: Directory::default(),
            users,
            fault_plan: Arc::default(),
            strays: Mutex::default(),
            encoders: Mutex::default(),
            next_socket: AtomicU64::new(1),
        }
    }

    /// `origin` with port 1, on which nothing listens.
    pub(super) fn dead_origin(&self) -> String {
        self.origin.rsplit_once(':').map_or_else(String::new, |(host, _)| format!("{host}:1"))
    }

    /// The base URL of REST and OAuth.
    pub(super) fn base_url(&self) -> String {
        // The replacement maps `ws` to `http` and `wss` to `https`.
        self.origin.replacen("ws", "http", 1)
    }

    pub(super) fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    pub(super) fn next_socket_id(&self) -> u64 {
        // Relaxed: only uniqueness matters.
        self.next_socket.fetch_add(1, Ordering::Relaxed)
    }

    /// Revokes the tokens that a user gave an app, and sends it `app_deauthorized` (section 15.7).
    pub(super) fn deauthorize(&self, app: &App, user_id: &str) {
        lock(&app.grants).revoke_user(user_id);
        let (account_id, client_id) = (&self.settings.script.account_id, &app.settings.client_id);
        let event = event::app_deauthorized(account_id, user_id, client_id, clock::now_ms());
        let webhook_sender = app.webhook_sender.clone();
        self.plays.spawn(async move { webhook_sender.deliver(event).await });
    }

    /// The encoder for these parameters, built on first use.
    pub(super) fn encoder(&self, params: AudioParams) -> Arc<Encoder> {
        let mut encoders = lock(&self.encoders);
        let make = || Arc::new(Encoder::new(params, &self.settings.script));
        encoders.entry(params).or_insert_with(make).clone()
    }

    pub(super) fn report(&self) -> Report {
        // Each lock is released before the next is taken, so that a report does not hold up the streams.
        let streams = self.directory.reports();
        let strays = lock(&self.strays).clone();
        let of_streams: u64 = streams.iter().map(|stream| stream.breach_count).sum();
        let event_sockets = self.apps.iter().map(|app| app.event_socket_report());
        let of_event_sockets: u64 = event_sockets.map(|report| report.breach_count).sum();
        Report {
            webhooks: self.apps.first().webhook_sender.report(),
            breaches: of_streams + strays.breaches.len() as u64 + of_event_sockets,
            streams,
            strays,
            calls: self.fault_plan.report(),
            oauth: lock(&self.apps.first().grants).report.clone(),
            event_socket: self.apps.first().event_socket_report(),
            further_apps: self.apps.further_reports(),
            payloads: picture::PAYLOADS.into_iter().collect(),
        }
    }
}
