//! The webhooks about one program's stream: when it is announced, interrupted and stopped (rtms-protocol.md section
//! 13.6).

use serde_json::{Map, Value};
use tokio::time::{Duration, Instant};

use super::served::Served;
use crate::model::{Medium, RelayId, Session, StopReason, StreamId};
use crate::rtms::server::webhook::{
    Announcement, Event, StreamIds, rtms_interrupted, rtms_started, rtms_stopped,
};
use crate::sinks::relays::Timings;
use crate::store::NewRelayEvent;

/// The stop reason of a stream that the daemon could not continue (section 10.6).
const INTERNAL_EXCEPTION: u16 = 10;
/// The stop reason after a program asked for the end of its stream.
const RECEIVER_CLOSED: u16 = 20;
/// How long an announcement waits for Zoom to grant the media: a handshake is answered with their parameters.
const GRANT_LIMIT: Duration = Duration::from_millis(1_500);
/// How often the grant is checked.
const GRANT_INTERVAL: Duration = Duration::from_millis(50);
/// The wait after the store did not take an announcement.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// The longest wait between two announcements to a program that is away.
const MAX_AWAY: Duration = Duration::from_secs(5 * 60);
/// How often a stream is announced to a program that accepts the webhooks and does not connect.
const MAX_REPEATS: u32 = 20;

/// When the stream is announced.
pub(super) struct Announcements {
    began: Instant,
    due_at: Option<Instant>,
    away: Duration,
    first_away: Duration,
    repeats: u32,
    is_connected: bool,
    is_made: bool,
    has_left: bool,
}

impl Announcements {
    /// A stream that was announced before is announced again only if the program does not come back by itself.
    pub(super) fn new(timings: &Timings, is_new: bool, has_moved: bool, has_left: bool) -> Self {
        let began = Instant::now();
        let due_at = Some(if has_moved { began } else { began + timings.away });
        Self {
            began,
            due_at,
            away: timings.away,
            first_away: timings.away,
            repeats: 0,
            is_connected: false,
            is_made: !is_new,
            has_left,
        }
    }

    pub(super) fn due_at(&self) -> Option<Instant> {
        self.due_at.filter(|_| !self.is_connected && !self.has_left)
    }

    pub(super) fn were_made(&self) -> bool {
        self.is_made
    }

    /// Notes whether the program is connected. After a loss it has some time to come back by itself.
    pub(super) fn connected(&mut self, is_connected: bool) {
        if std::mem::replace(&mut self.is_connected, is_connected) && !is_connected {
            self.away = self.first_away;
            self.repeats = 0;
            self.due_at = Some(Instant::now() + self.away);
        }
    }

    fn made(&mut self) {
        self.is_made = true;
        self.repeats += 1;
        let is_last = self.repeats >= MAX_REPEATS;
        self.due_at = (!is_last).then(|| Instant::now() + self.away);
        self.away = (self.away * 2).min(MAX_AWAY.max(self.first_away));
    }
}

impl Served {
    /// Announces the stream, or announces it again to a program that is away.
    pub(super) async fn announce_if_due(&mut self) {
        let is_due = self.announcements.due_at().is_some_and(|at| Instant::now() >= at);
        if !is_due || self.ending.is_some() {
            return;
        }
        let url = self.task.relays.signaling_url(self.task.relay.relay.id);
        let is_first = self.row.server_url != url;
        if is_first && !self.is_granted() {
            self.announcements.due_at = Some(Instant::now() + GRANT_INTERVAL);
            return;
        }
        // An announcement that is still being retried is not sent a second time.
        if (is_first || self.last_is_delivered().await) && !self.announce(url).await {
            self.announcements.due_at = Some(Instant::now() + STORE_RETRY);
            return;
        }
        self.announcements.made();
    }

    /// Stores the announcement and the progress of the program together. False if the store is unavailable.
    async fn announce(&mut self, url: String) -> bool {
        let before = self.row.clone();
        self.row.server_url = url;
        self.row.announcements += 1;
        self.row.updated_at_ms = self.now_ms();
        let event = self.event(self.started_id(), self.started());
        let inner = self.task.relays.inner();
        if let Err(error) = inner.store.announce_relay_stream(&self.row, &event).await {
            tracing::warn!(%error, "cannot store the announcement to a program; trying again");
            self.row = before;
            return false;
        }
        inner.events.notify_one();
        self.is_changed = false;
        true
    }

    /// Whether Zoom has said which parameters the media have.
    fn is_granted(&self) -> bool {
        let stream = self.stream_info();
        stream.effective.covers(self.task.params.media)
            || self.announcements.began.elapsed() >= GRANT_LIMIT
    }

    async fn last_is_delivered(&self) -> bool {
        let store = &self.task.relays.inner().store;
        store.is_relay_event_delivered(&self.started_id()).await.unwrap_or(false)
    }

    fn started_id(&self) -> String {
        format!("{}:started:{}", self.event_prefix(), self.row.announcements)
    }

    fn event_prefix(&self) -> String {
        format!("{}:{}", self.task.relay.relay.id, self.stream_id())
    }

    /// The URLs of message 2: one for each medium, and one for all.
    pub(super) fn server_urls(&self, media: &[Medium]) -> Map<String, Value> {
        let public_url = &self.task.relays.inner().settings.public_url;
        let url = |path: &str| {
            format!("{public_url}/relay/{}/media/{path}", self.task.relay.relay.id).into()
        };
        let media = media.iter().map(|medium| match medium {
            // The key that Zoom's own client expects (section 22).
            Medium::Share => ("deskshare".to_owned(), url("deskshare")),
            medium => (medium.as_str().to_owned(), url(medium.as_str())),
        });
        media.chain([("all".to_owned(), url("all"))]).collect()
    }

    fn started(&self) -> Event {
        let session = &self.task.session;
        let is_original_host =
            session.host_id.as_ref().and_then(|host| Some(host == session.operator_id.as_ref()?));
        let announcement = Announcement {
            server_urls: &self.row.server_url,
            account_id: session.account_id.as_deref(),
            operator_id: session.operator_id.as_deref(),
            is_original_host: is_original_host.or(Some(true)),
        };
        rtms_started(self.ids(), announcement, self.now_ms())
    }

    fn ids(&self) -> StreamIds<'_> {
        ids_of(&self.task.session, self.stream_id())
    }

    /// The program lost its signaling connection: it reconnects to the URL that it has (section 3.6, case B).
    pub(super) async fn notify_of_interruption(&mut self) {
        let now_ms = self.now_ms();
        let id = format!("{}:interrupted:{now_ms}", self.event_prefix());
        let event = rtms_interrupted(self.ids(), now_ms);
        self.add_stored(self.event(id, event)).await;
    }

    /// The program asked for the end of its stream, which goes on without it.
    pub(super) async fn notify_of_leaving(&mut self) {
        self.announcements.has_left = true;
        self.row.has_left = true;
        self.is_changed = true;
        self.store_progress().await;
        self.notify_of_end(RECEIVER_CLOSED).await;
    }

    pub(super) async fn notify_of_end(&mut self, reason: u16) {
        if self.row.announcements == 0 {
            return;
        }
        let ids = (self.task.relay.relay.id, self.stream_id());
        let event = stopped_event(ids, &self.task.session, reason, self.now_ms());
        self.add_stored(event).await;
    }

    fn event(&self, id: String, event: Event) -> NewRelayEvent {
        NewRelayEvent {
            id,
            relay_id: self.task.relay.relay.id,
            stream_id: self.stream_id().clone(),
            session_id: self.task.stream.session_id,
            name: event.name,
            body: event.body,
            created_at_ms: self.now_ms(),
        }
    }

    async fn add_stored(&self, event: NewRelayEvent) {
        let inner = self.task.relays.inner();
        if let Err(error) = inner.store.add_relay_event(&event).await {
            tracing::warn!(%error, event = event.name, "cannot store a webhook to a program; it is lost");
        }
        inner.events.notify_one();
    }
}

/// `rtms_stopped` for a program. Its id depends only on relay and stream, so it is stored once.
pub(in crate::sinks::relays) fn stopped_event(
    (relay_id, stream_id): (RelayId, &StreamId),
    session: &Session,
    reason: u16,
    now_ms: i64,
) -> NewRelayEvent {
    let event = rtms_stopped(ids_of(session, stream_id), reason, now_ms);
    NewRelayEvent {
        id: format!("{relay_id}:{stream_id}:stopped"),
        relay_id,
        stream_id: stream_id.clone(),
        session_id: session.id,
        name: event.name,
        body: event.body,
        created_at_ms: now_ms,
    }
}

fn ids_of<'a>(session: &'a Session, stream_id: &'a StreamId) -> StreamIds<'a> {
    StreamIds {
        product: session.instance.product,
        instance_id: session.instance.id(),
        stream: stream_id.as_str(),
        meeting_id: session.meeting_id.as_deref(),
    }
}

/// The stop reason that a program gets.
pub(in crate::sinks::relays) fn stop_reason(reason: Option<StopReason>) -> u16 {
    let reason = reason.and_then(|reason| reason.0.try_into().ok());
    reason.unwrap_or(INTERNAL_EXCEPTION)
}
