//! A stream that is served to a program: handles what the program's sockets and the stream's log bring.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::announce::{Announcements, stop_reason};
use super::{Input, ProgramStatus, ProgramTask};
use crate::hub::{Follow, Followed, Follower, Kinds, StreamInfo};
use crate::model::{Cursor, Entry, EntryBody, Medium, RelayGap, StreamId};
use crate::rtms::message::{session_state, stream_state};
use crate::rtms::server::handshake::Handshake;
use crate::rtms::server::program::{Grant, Program};
use crate::sinks::relays::gaps::add_gap;
use crate::sinks::relays::socket::{Command, Outbox};
use crate::sinks::relays::wire;
use crate::store::RelayStream;

/// The most entries that wait for a reader.
const MAX_ENTRIES: usize = 64;
/// How often the store is read for entries of other daemons.
const REREAD_INTERVAL: Duration = Duration::from_secs(5);
/// How often changes of the program's progress are stored.
const STORE_INTERVAL: Duration = Duration::from_secs(1);
/// How long a program may take to read the rest of an ended stream.
const FINISH_LIMIT: Duration = Duration::from_secs(15);
/// How long the last entry of a stream is awaited after the stream has left this daemon.
const LAST_ENTRY_LIMIT: Duration = Duration::from_secs(5);

/// A stream that is being served to a program.
pub(super) struct Served {
    pub task: ProgramTask,
    pub program: Program,
    pub sockets: HashMap<u64, Outbox>,
    pub row: RelayStream,
    pub announcements: Announcements,
    pub status: watch::Sender<ProgramStatus>,
    /// The lines that the program acknowledged.
    pub delivered: watch::Sender<Cursor>,
    pub video_of: Arc<AtomicU32>,
    /// Entries up to here are from before this task.
    history: u64,
    /// Since when no socket takes video and share, Unix milliseconds.
    pub away_since_ms: [Option<i64>; 2],
    /// The participant whose video is requested for this program.
    pub claimed_video: Option<u32>,
    pub ending: Option<Ending>,
    /// Whether the row differs from the stored one.
    pub is_changed: bool,
    store_at: Instant,
    /// Until when the last entry of a stream that has left this daemon is awaited.
    gone_until: Option<Instant>,
    /// Whether another daemon runs the stream.
    is_elsewhere: bool,
}

/// The end of a stream: the program reads the rest.
pub(super) struct Ending {
    reason: u16,
    pending: HashSet<u64>,
    until: Instant,
    is_done: bool,
}

impl Served {
    /// Continues where the program was, if the stream was served before.
    pub(super) async fn load(task: ProgramTask, status: watch::Sender<ProgramStatus>) -> Self {
        let (relays, stream) = (&task.relays, &task.stream);
        let (relay_id, stream_id) = (task.relay.relay.id, stream.stream_id.clone());
        let store = &relays.inner().store;
        let row = match store.relay_stream(relay_id, &stream_id).await {
            Ok(row) => row,
            Err(error) => {
                tracing::warn!(%error, "cannot read the position of a program; it may get lines again");
                None
            }
        };
        let is_new = row.is_none();
        let row = row.unwrap_or_else(|| RelayStream {
            relay_id,
            stream_id,
            session_id: stream.session_id,
            server_url: String::new(),
            announcements: 0,
            acknowledged: 0,
            gaps: Vec::new(),
            subscriptions: Vec::new(),
            has_left: false,
            updated_at_ms: relays.now_ms(),
        });
        let newest = store.newest(stream.session_id).await.unwrap_or_default();
        let mut delivered = Cursor::default();
        delivered.advance(stream.ordinal, row.acknowledged);
        // At another address, as after a take-over, the program does not come back by itself.
        let has_moved = row.server_url != relays.signaling_url(relay_id);
        let timings = &relays.inner().settings.timings;
        let announcements = Announcements::new(timings, is_new, has_moved, row.has_left);
        let mut program = Program::new(stream.stream_id.as_str(), timings.keep_alives());
        program.resume(&row.subscriptions, row.has_left);
        Self {
            program,
            sockets: HashMap::new(),
            announcements,
            status,
            delivered: watch::Sender::new(delivered),
            video_of: Arc::default(),
            history: newest.seen(stream.ordinal),
            away_since_ms: [(!is_new).then_some(row.updated_at_ms); 2],
            claimed_video: None,
            ending: None,
            is_changed: true,
            store_at: Instant::now() + STORE_INTERVAL,
            gone_until: None,
            is_elsewhere: false,
            row,
            task,
        }
    }

    /// Starts a task that reads the entries of these kinds after `after`. Dropping the set ends it.
    pub(super) fn follow(
        &self,
        after: Cursor,
        kinds: Kinds,
    ) -> (mpsc::Receiver<Followed>, JoinSet<()>) {
        let inner = self.task.relays.inner();
        let session_id = self.task.stream.session_id;
        let follow = Follow { session_id, after, kinds, reread_every: REREAD_INTERVAL };
        let (sender, entries) = mpsc::channel(MAX_ENTRIES);
        let stop = CancellationToken::new();
        let mut follower = Follower::new(&inner.hub, inner.store.clone(), follow, stop);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Some(followed) = follower.next().await {
                if sender.send(followed).await.is_err() {
                    return;
                }
            }
        });
        (entries, tasks)
    }

    pub(super) async fn input(&mut self, input: Input) {
        let (now, now_ms) = (std::time::Instant::now(), self.now_ms());
        match input {
            Input::Handshake { socket, handshake, outbox } => {
                self.sockets.insert(socket, outbox);
                self.handshake(socket, &handshake);
            }
            Input::Text { socket, text } => self.program.message(now, now_ms, socket, &text),
            Input::Lost { socket, code } => {
                self.sockets.remove(&socket);
                self.program.lost(now_ms, socket, code);
                self.finished(socket);
            }
            Input::Finished { socket } => self.finished(socket),
            Input::Missed(gaps) => self.missed(gaps),
            Input::ReceiptDue { socket } => {
                self.program.ask(now, socket);
                self.program.advance(now, now_ms);
            }
        }
    }

    pub(super) fn missed(&mut self, gaps: Vec<RelayGap>) {
        gaps.into_iter().for_each(|gap| add_gap(&mut self.row.gaps, gap));
        self.is_changed = true;
    }

    fn handshake(&mut self, socket: u64, handshake: &Handshake) {
        let stream = self.stream_info();
        let media = self.media();
        let relay = &self.task.relay;
        let instance = &stream.instance;
        let grant = Grant {
            is_signed: relay.has_signed(handshake, instance, &stream.stream_id),
            media: &media,
            server_urls: self.server_urls(&media),
            first_packet_ms: stream.first_packet_ms,
            media_params: &|media| stream.effective.media_params(&self.task.params, media),
        };
        self.program.handshake(std::time::Instant::now(), socket, handshake, grant);
    }

    /// The stream as it is now.
    pub(super) fn stream_info(&self) -> Arc<StreamInfo> {
        let stream = &self.task.stream;
        let running = self.task.relays.inner().hub.running(stream.session_id);
        let own = running.into_iter().find(|(other, _)| other.stream_id == stream.stream_id);
        own.map_or_else(|| Arc::clone(stream), |(own, _)| own)
    }

    /// The media that the program may have.
    pub(super) fn media(&self) -> Vec<Medium> {
        let wanted = self.task.relay.relay.filter.media;
        wanted.iter().filter(|medium| self.task.params.media.contains(*medium)).collect()
    }

    /// Sends due keep-alives, announces again, and stores what has changed.
    pub(super) async fn advance(&mut self) {
        let now_ms = self.now_ms();
        self.program.advance(std::time::Instant::now(), now_ms);
        if self.ending.as_ref().is_some_and(|ending| Instant::now() >= ending.until) {
            self.finish().await;
        }
        if self.gone_until.is_some_and(|until| Instant::now() >= until) {
            self.look_elsewhere().await;
        }
        self.announce_if_due().await;
        if Instant::now() >= self.store_at {
            self.store_at = Instant::now() + STORE_INTERVAL;
            self.store_progress().await;
        }
    }

    pub(super) fn deadline(&mut self) -> Instant {
        let keep_alive = self.program.deadline().map(Instant::from);
        let ending = self.ending.as_ref().map(|ending| ending.until);
        let store_at = self.is_changed.then_some(self.store_at);
        let gone = self.gone_until.filter(|_| self.ending.is_none());
        let due = [keep_alive, ending, store_at, gone, self.announcements.due_at()];
        let far = Instant::now() + Duration::from_secs(60);
        due.into_iter().flatten().fold(far, Instant::min)
    }

    /// Passes an entry of the stream on to the program.
    pub(super) async fn entry(&mut self, entry: &Entry) {
        if entry.stream_ordinal != self.task.stream.ordinal {
            return;
        }
        let (at_ms, is_news) = (entry.at_ms, entry.seq > self.history);
        match &entry.body {
            EntryBody::StreamState { state, reason } => {
                let reason = reason.and_then(|reason| reason.0.try_into().ok()).unwrap_or(0);
                if let Some(state) = passed_on(state) {
                    self.program.stream_state(state, reason, at_ms);
                }
            }
            EntryBody::SessionState { rtms_session_id, state, reason } => {
                let reason = reason.and_then(|reason| reason.0.try_into().ok());
                let mut numbers = 0..=session_state::STOPPED;
                let number = numbers.find(|number| session_state::name(*number) == state.as_ref());
                if let Some(state) = number {
                    let at = (at_ms, is_news);
                    self.program.session_state(rtms_session_id, state, reason, at);
                }
            }
            EntryBody::Ended { reason, .. } => self.end(stop_reason(*reason)).await,
            _ => {}
        }
        if let EntryBody::VideoOff(who) = &entry.body
            && is_news
        {
            self.program.camera_off(who.user_id.0);
        }
        if is_news && let Some((event_type, text)) = wire::event_of(entry) {
            self.program.event(event_type, || text);
        }
    }

    /// Begins the end: the media sockets send what they have.
    async fn end(&mut self, reason: u16) {
        if self.ending.is_some() {
            return;
        }
        let mut pending = HashSet::new();
        for (id, outbox) in &self.sockets {
            if !self.program.media_of(*id).is_empty() && outbox.send(Command::Finish) {
                pending.insert(*id);
            }
        }
        let until = Instant::now() + FINISH_LIMIT;
        let is_done = pending.is_empty();
        self.ending = Some(Ending { reason, pending, until, is_done: false });
        if is_done {
            self.finish().await;
        }
    }

    fn finished(&mut self, socket: u64) {
        if let Some(ending) = &mut self.ending {
            ending.pending.remove(&socket);
            if ending.pending.is_empty() {
                ending.until = Instant::now();
            }
        }
    }

    /// Ends the stream for the program.
    async fn finish(&mut self) {
        let now_ms = self.now_ms();
        if let Some(ending) = self.ending.as_mut().filter(|ending| !ending.is_done) {
            ending.is_done = true;
            let reason = ending.reason;
            self.program.end(reason, now_ms);
            self.notify_of_end(reason).await;
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_elsewhere || self.ending.as_ref().is_some_and(|ending| ending.is_done)
    }

    /// The stream has left this daemon: it has ended, and its last entry follows, or another daemon runs it.
    pub(super) fn gone(&mut self) {
        self.gone_until.get_or_insert(Instant::now() + LAST_ENTRY_LIMIT);
    }

    async fn look_elsewhere(&mut self) {
        self.gone_until = None;
        let (inner, stream) = (self.task.relays.inner(), &self.task.stream);
        let running = inner.hub.running(stream.session_id);
        let streams = inner.store.streams_of(stream.session_id).await.unwrap_or_default();
        let found = streams.iter().find(|other| other.stream_id == stream.stream_id);
        if found.is_some_and(|stream| stream.ended_at_ms.is_some()) {
            self.gone();
        } else {
            self.is_elsewhere = running.iter().all(|(it, _)| it.stream_id != stream.stream_id);
        }
    }

    /// The log has ended without the stream's last entry, because its session was deleted.
    pub(super) async fn log_is_over(&mut self) {
        self.end(stop_reason(None)).await;
    }

    pub(super) async fn store_progress(&mut self) {
        if !self.is_changed || self.row.announcements == 0 {
            return;
        }
        self.row.updated_at_ms = self.now_ms();
        match self.task.relays.inner().store.put_relay_stream(&self.row).await {
            Ok(()) => self.is_changed = false,
            Err(error) => {
                tracing::warn!(%error, "cannot store the position of a program; it may get lines again");
            }
        }
    }

    /// Disconnects the program of a stream that continues elsewhere, and stores its position.
    pub(super) async fn leave(&mut self) {
        let has_ended = self.ending.as_ref().is_some_and(|ending| ending.is_done);
        if !has_ended {
            self.program.drop_sockets();
        }
        self.carry_out().await;
        self.sockets.clear();
        self.choose_video(None).await;
        self.note_rest().await;
        self.is_changed = true;
        self.store_progress().await;
    }

    pub(super) fn stream_id(&self) -> &StreamId {
        &self.task.stream.stream_id
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.task.relays.now_ms()
    }
}

/// The states of a stream that concern its programs. The others are about rtmsd's own connections to Zoom.
fn passed_on(name: &str) -> Option<i64> {
    let states = [stream_state::PAUSED, stream_state::RESUMED, stream_state::TERMINATING];
    states.into_iter().find(|state| stream_state::name(*state) == name)
}
