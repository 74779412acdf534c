//! What every part of a simulator shares: its settings, its tasks, and the registers of what it has made.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::audio::Encoder;
use super::directory::Directory;
use super::event;
use super::fault_plan::FaultPlan;
use super::lock;
use super::oauth::Grants;
use super::params::AudioParams;
use super::picture;
use super::report::{Report, StrayReport};
use super::settings::{Settings, User};
use super::webhook::WebhookSender;
use crate::clock;

pub(super) struct SimulatorState {
    pub settings: Settings,
    /// `ws://127.0.0.1:1234` or `wss://localhost:1234`.
    pub origin: String,
    pub webhook_sender: Arc<WebhookSender>,
    /// Ends meetings, requests and the accept loop; sockets close with a status.
    pub stop: CancellationToken,
    /// Ends the sockets that did not close in time.
    pub cut: CancellationToken,
    /// Meetings and the delivery of their events.
    pub plays: TaskTracker,
    /// Connections and the accept loop.
    pub connections: TaskTracker,
    pub directory: Directory,
    /// Who can sign in: at least the host, who is the first.
    pub users: Vec<User>,
    pub grants: Mutex<Grants>,
    pub fault_plan: Arc<FaultPlan>,
    /// Sockets that found no stream.
    pub strays: Mutex<StrayReport>,
    /// One encoder for every stream with the same parameters, so that a frame of a tone is made once.
    encoders: Mutex<HashMap<AudioParams, Arc<Encoder>>>,
    next_socket: AtomicU64,
}

impl SimulatorState {
    pub(super) fn new(
        settings: Settings,
        origin: String,
        webhook_sender: WebhookSender,
        stop: CancellationToken,
    ) -> Self {
        let users = settings.users();
        let grants = Mutex::new(Grants::new(settings.oauth.clone(), settings.seed));
        Self {
            settings,
            origin,
            webhook_sender: Arc::new(webhook_sender),
            stop,
            cut: CancellationToken::new(),
            plays: TaskTracker::new(),
            connections: TaskTracker::new(),
            directory: Directory::default(),
            users,
            grants,
            fault_plan: Arc::default(),
            strays: Mutex::default(),
            encoders: Mutex::default(),
            next_socket: AtomicU64::new(1),
        }
    }

    /// Like `origin`, but at port 1, where nothing listens.
    pub(super) fn dead_origin(&self) -> String {
        self.origin.rsplit_once(':').map_or_else(String::new, |(host, _)| format!("{host}:1"))
    }

    /// The base of REST and OAuth.
    pub(super) fn base_url(&self) -> String {
        // `ws` and `wss` differ from `http` and `https` in the same letter.
        self.origin.replacen("ws", "http", 1)
    }

    pub(super) fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    pub(super) fn next_socket_id(&self) -> u64 {
        self.next_socket.fetch_add(1, Ordering::Relaxed)
    }

    /// A user removes the app (section 15.7).
    pub(super) fn deauthorize(&self, user_id: &str) {
        lock(&self.grants).revoke_user(user_id);
        let settings = &self.settings;
        let (account_id, client_id) = (&settings.script.account_id, &settings.client_id);
        let event = event::app_deauthorized(account_id, user_id, client_id, clock::now_ms());
        let webhook_sender = self.webhook_sender.clone();
        self.plays.spawn(async move { webhook_sender.deliver(event).await });
    }

    pub(super) fn encoder(&self, params: AudioParams) -> Arc<Encoder> {
        let mut encoders = lock(&self.encoders);
        let make = || Arc::new(Encoder::new(params, &self.settings.script));
        encoders.entry(params).or_insert_with(make).clone()
    }

    pub(super) fn report(&self) -> Report {
        let streams = self.directory.reports();
        let strays = lock(&self.strays).clone();
        let of_streams: u64 = streams.iter().map(|stream| stream.breach_count).sum();
        Report {
            webhooks: self.webhook_sender.report(),
            breaches: of_streams + strays.breaches.len() as u64,
            streams,
            strays,
            calls: self.fault_plan.report(),
            oauth: lock(&self.grants).report.clone(),
            payloads: picture::PAYLOADS.into_iter().collect(),
        }
    }
}
