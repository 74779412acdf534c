//! What every part of a simulator shares: settings, the directory of what is live, reports.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::account::FrameAccount;
use super::audio::Encoder;
use super::control::{ControlError, Verb};
use super::event::{self, Identity};
use super::fault_plan::FaultPlan;
use super::lock;
use super::meeting::Input;
use super::oauth::Grants;
use super::params::AudioParams;
use super::picture;
use super::report::{CallReport, Report, StrayReport, StreamReport};
use super::settings::{Settings, User};
use super::webhook::WebhookSender;
use crate::clock;

/// Meetings and streams that one simulator makes in its life: bounds the report.
const MAX_STREAMS: usize = 100_000;

pub(super) struct SimulatorState {
    pub settings: Settings,
    /// `ws://127.0.0.1:1234` or `wss://localhost:1234`.
    pub origin: String,
    pub webhook_sender: Arc<WebhookSender>,
    /// Ends meetings, requests and the accept loop; sockets say goodbye.
    pub stop: CancellationToken,
    /// Ends sockets that did not.
    pub cut: CancellationToken,
    /// Meetings and the delivery of their events.
    pub plays: TaskTracker,
    /// Connections and the accept loop.
    pub connections: TaskTracker,
    pub strays: Mutex<StrayReport>,
    directory: Mutex<Directory>,
    /// Who can sign in: at least the host, who is the first.
    pub users: Vec<User>,
    pub grants: Mutex<Grants>,
    pub troubles: FaultPlan,
    pub calls: Mutex<CallReport>,
    /// One encoder for every stream with the same parameters: frames of tones are made once.
    encoders: Mutex<HashMap<AudioParams, Arc<Encoder>>>,
    next_socket: AtomicU64,
}

#[derive(Default)]
struct Directory {
    meetings_made: u64,
    /// By meeting number: those that are live.
    meetings: HashMap<String, mpsc::Sender<Input>>,
    /// The meeting number by instance id.
    instances: HashMap<String, String>,
    /// By stream id: those that are live.
    streams: HashMap<String, mpsc::Sender<Input>>,
    /// Every stream ever, in order.
    reports: Vec<Arc<Mutex<StreamReport>>>,
    /// By stream id: those of every stream ever, if they are wanted.
    accounts: HashMap<String, Arc<Mutex<FrameAccount>>>,
}

impl SimulatorState {
    pub(super) fn new(
        settings: Settings,
        origin: String,
        webhook_sender: WebhookSender,
        stop: CancellationToken,
    ) -> Self {
        let users = users_of(&settings);
        let grants = Mutex::new(Grants::new(settings.oauth.clone(), settings.seed));
        Self {
            settings,
            users,
            grants,
            troubles: FaultPlan::default(),
            calls: Mutex::default(),
            origin,
            webhook_sender: Arc::new(webhook_sender),
            stop,
            cut: CancellationToken::new(),
            plays: TaskTracker::new(),
            connections: TaskTracker::new(),
            strays: Mutex::default(),
            directory: Mutex::default(),
            encoders: Mutex::default(),
            next_socket: AtomicU64::new(1),
        }
    }

    /// Like `origin`, but where nobody listens: port 1 was given to a service that is long gone.
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

    /// The place of one more meeting in the order of all.
    pub(super) fn next_meeting(&self) -> Result<u64, ControlError> {
        let mut directory = lock(&self.directory);
        if directory.meetings_made as usize >= MAX_STREAMS {
            return Err(ControlError::Full);
        }
        directory.meetings_made += 1;
        Ok(directory.meetings_made - 1)
    }

    pub(super) fn open_meeting(&self, who: &Identity, inbox: mpsc::Sender<Input>) {
        let mut directory = lock(&self.directory);
        directory.meetings.insert(who.meeting_id.clone(), inbox);
        directory.instances.insert(who.instance_id.clone(), who.meeting_id.clone());
    }

    pub(super) fn close_meeting(&self, who: &Identity) {
        let mut directory = lock(&self.directory);
        directory.meetings.remove(&who.meeting_id);
        directory.instances.remove(&who.instance_id);
    }

    pub(super) fn meeting_of_instance(&self, instance_id: &str) -> Option<String> {
        lock(&self.directory).instances.get(instance_id).cloned()
    }

    /// Has a live meeting do something, and waits for its word.
    pub(super) async fn perform(&self, meeting_id: &str, verb: Verb) -> Result<(), ControlError> {
        let inbox = lock(&self.directory).meetings.get(meeting_id).cloned();
        let inbox = inbox.ok_or(ControlError::NoMeeting)?;
        let (answer, answered) = oneshot::channel();
        let input = Input::Do { verb, answer };
        inbox.send(input).await.map_err(|_| ControlError::NoMeeting)?;
        answered.await.unwrap_or(Err(ControlError::NoMeeting))
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

    pub(super) fn live_meetings(&self) -> Vec<String> {
        let mut ids: Vec<_> = lock(&self.directory).meetings.keys().cloned().collect();
        ids.sort();
        ids
    }

    pub(super) fn open_stream(
        &self,
        report: StreamReport,
        inbox: mpsc::Sender<Input>,
    ) -> Result<Arc<Mutex<StreamReport>>, ControlError> {
        let mut directory = lock(&self.directory);
        if directory.reports.len() >= MAX_STREAMS {
            return Err(ControlError::Full);
        }
        directory.streams.insert(report.stream_id.clone(), inbox);
        let report = Arc::new(Mutex::new(report));
        directory.reports.push(report.clone());
        Ok(report)
    }

    /// Where a stream's frames are remembered, if they are.
    pub(super) fn open_account(&self, stream_id: &str) -> Option<Arc<Mutex<FrameAccount>>> {
        self.settings.remembers_frames.then(|| {
            let mut directory = lock(&self.directory);
            directory.accounts.entry(stream_id.to_owned()).or_default().clone()
        })
    }

    pub(super) fn account_of(&self, stream_id: &str) -> Option<FrameAccount> {
        let account = lock(&self.directory).accounts.get(stream_id).cloned()?;
        Some(lock(&account).clone())
    }

    pub(super) fn close_stream(&self, stream_id: &str) {
        lock(&self.directory).streams.remove(stream_id);
    }

    pub(super) fn inbox_of_stream(&self, stream_id: &str) -> Option<mpsc::Sender<Input>> {
        lock(&self.directory).streams.get(stream_id).cloned()
    }

    pub(super) fn encoder(&self, params: AudioParams) -> Arc<Encoder> {
        let mut encoders = lock(&self.encoders);
        let make = || Arc::new(Encoder::new(params, &self.settings.script));
        encoders.entry(params).or_insert_with(make).clone()
    }

    pub(super) fn report(&self) -> Report {
        let streams: Vec<_> =
            lock(&self.directory).reports.iter().map(|report| lock(report).clone()).collect();
        let strays = lock(&self.strays).clone();
        let of_streams: u64 = streams.iter().map(|stream| stream.breach_count).sum();
        Report {
            webhooks: self.webhook_sender.report(),
            breaches: of_streams + strays.breaches.len() as u64,
            streams,
            strays,
            calls: lock(&self.calls).clone(),
            oauth: lock(&self.grants).report.clone(),
            payloads: picture::PAYLOADS.into_iter().collect(),
        }
    }
}

/// Those of the settings, or of the script; the host is one of them.
fn users_of(settings: &Settings) -> Vec<User> {
    let host = &settings.script.host;
    let mut users = settings.oauth.users.clone();
    if users.is_empty() {
        users = settings.script.users();
    }
    match users.iter().position(|user| user.id == *host) {
        Some(place) => users[..=place].rotate_right(1),
        None => users.insert(0, User::new(host, "Host")),
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::OAuthSettings;

    #[test]
    fn the_host_is_the_first_user_named_or_not() {
        let ids = |settings: &Settings| -> Vec<String> {
            users_of(settings).into_iter().map(|user| user.id).collect()
        };
        assert_eq!(ids(&Settings::default()), ["u-ana", "u-bo", "u-chidi"]);
        let of = |users: [&str; 2]| Settings {
            oauth: OAuthSettings {
                users: users.map(|id| User::new(id, "Name")).to_vec(),
                ..OAuthSettings::default()
            },
            ..Settings::default()
        };
        assert_eq!(ids(&of(["u-bo", "u-ana"])), ["u-ana", "u-bo"]);
        assert_eq!(ids(&of(["u-bo", "u-eve"])), ["u-ana", "u-bo", "u-eve"]);
    }
}
