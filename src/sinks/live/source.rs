//! The source of a live consumer: frames from the hub and entries from the store, in one sequence.

mod followers;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::followers::{Followers, SessionEntry};
use super::batches::Batches;
use super::begin::Begin;
use super::known_streams::KnownStreams;
use super::named::{self, Found};
use super::request::{From, Request};
use super::wire::{Hello, RunningStream};
use crate::hub::{Followed, Frame, Hub, StreamInfo, Tap, Tapped};
use crate::model::{Cursor, EntryBody, Medium, SessionId, Speaker, StreamId};
use crate::store::{Store, StoreError};
use crate::wake_flag::{WakeFlag, WakeFlags};

/// The most ended sessions that a consumer of many is remembered to have read to the end.
const MAX_ENDED: usize = 1024;

/// What live consumers need to read their sessions.
#[derive(Clone)]
pub struct Live {
    pub hub: Arc<Hub>,
    pub store: Store,
    /// Cancelled when the daemon stops.
    pub stop: CancellationToken,
    /// The most bytes of frames queued for one consumer.
    pub buffer_bytes: usize,
    /// The clock of announcements: Unix milliseconds.
    pub now_ms: fn() -> i64,
}

/// The next item for a consumer.
#[derive(Debug)]
pub enum Item {
    Frame(Frame),
    /// This many frames were dropped.
    Dropped(Medium, u64),
    /// The stream has started or changed.
    Running(Arc<StreamInfo>),
    /// The stream has stopped running here.
    Over(Arc<StreamInfo>),
    Entry(Followed, SessionId),
    /// An internal error.
    Failed,
}

/// Frames and entries for one consumer, starting when it is opened.
pub struct Source {
    live: Live,
    request: Request,
    opened_ms: i64,
    tap: Tap,
    /// Set if the consumer gets frames in batches.
    batches: Option<Batches>,
    /// Resolves at the next change of streams. Kept across polls: registering anew takes locks that all consumers
    /// share.
    change: BoxFuture<'static, watch::Receiver<()>>,
    known: KnownStreams,
    followers: Followers,
    /// The sessions that the request names among many and that were not followed yet.
    idle: HashSet<SessionId>,
    found: mpsc::Receiver<Found>,
    /// Where sessions have ended, of many: another stream of one goes on behind that.
    ended: VecDeque<(SessionId, Cursor)>,
    ready: VecDeque<Item>,
    wakes: Arc<WakeFlags>,
    /// The flag for everything except frames.
    others_wake: WakeFlag,
}

impl Source {
    /// Opens a source; frames are queued from now on.
    pub fn open(live: &Live, request: Request) -> Self {
        // Before the running streams are listed below, so that no frame falls in between.
        let tap = live.hub.tap(request.session, request.wants(), live.buffer_bytes);
        let wakes = Arc::default();
        let mut source = Self {
            live: live.clone(),
            opened_ms: (live.now_ms)(),
            tap,
            batches: Batches::of(request.batch),
            change: next_change(live.hub.changes()).boxed(),
            known: KnownStreams::default(),
            followers: Followers::new(live, &request),
            idle: HashSet::new(),
            // Closed until the request names sessions among many.
            found: mpsc::channel(1).1,
            ended: VecDeque::new(),
            ready: VecDeque::new(),
            others_wake: WakeFlag::of(&wakes),
            wakes,
            request,
        };
        source.follow_named();
        // A consumer of one session follows it from the cursor that its hello names.
        let running = source.request.session.is_none().then(|| source.running());
        for (stream, _) in running.into_iter().flatten() {
            let session = stream.session_id;
            let begin = source.begin(session).unwrap_or(Begin::Now);
            source.follow(session, begin);
        }
        source
    }

    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The first information for a consumer; it is not repeated as an item. Begins to follow the session of a consumer of
    /// one.
    pub(super) async fn hello(&mut self) -> Result<Hello, StoreError> {
        let (mut session, mut cursor) = (None, None);
        if let Some(id) = self.request.session {
            session = self.live.store.session(id).await?;
            cursor = Some(self.follow_only(id).await?);
        }
        let running = self.running();
        self.known = KnownStreams::of(running.iter().map(|(stream, _)| stream));
        Ok(Hello { session, cursor, running })
    }

    /// Follows the session of a consumer of one, and returns the position behind which its entries begin.
    async fn follow_only(&mut self, session: SessionId) -> Result<Cursor, StoreError> {
        let after = match self.begin(session) {
            Some(Begin::After(cursor)) => cursor,
            _ => self.live.store.newest(session).await?,
        };
        self.follow(session, Begin::After(after.clone()));
        Ok(after)
    }

    /// Returns the next item; if there is none, wakes the task when one may have come.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        self.wakes.register(cx.waker());
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Poll::Ready(item);
            }
            // At most one item of each kind per round, so that none starves.
            let (frame, other) = (self.poll_frame(cx), self.poll_others());
            if frame.is_pending() && other.is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Has no flag: most turns bring a frame, and setting one for each would cost the stream's thread.
        let tapped = match &mut self.batches {
            Some(batches) => batches.poll_next(&mut self.tap, cx),
            None => self.tap.poll_next(cx),
        };
        tapped.map(|tapped| self.queue(tapped))
    }

    /// Handles what is rarer than frames: entries, sessions and changes of streams.
    fn poll_others(&mut self) -> Poll<()> {
        if !self.others_wake.take() {
            return Poll::Pending;
        }
        let cx = &mut self.others_wake.context();
        let (entry, found) = (self.followers.poll_entry(cx), self.found.poll_recv(cx));
        let (change, ended) = (self.change.poll_unpin(cx), self.followers.poll_ended(cx));
        let mut is_any = false;
        if let Poll::Ready(entry) = entry {
            is_any = true;
            self.queue_entry(entry);
        }
        if let Poll::Ready(Some(found)) = found {
            is_any = true;
            self.follow_found(found);
        }
        if let Poll::Ready(changes) = change {
            is_any = true;
            self.change = next_change(changes).boxed();
            self.poll_streams();
        }
        if let Poll::Ready(Some(ended)) = ended {
            is_any = true;
            self.ready.extend(ended.err().map(|_| Item::Failed));
        }
        if !is_any {
            return Poll::Pending;
        }
        self.others_wake.set();
        Poll::Ready(())
    }

    /// Returns the next queued frame or stream change, even if its batch is not due.
    pub fn try_next(&mut self) -> Option<Item> {
        if self.ready.is_empty() {
            self.queue_next();
        }
        self.ready.pop_front()
    }

    /// Drops the queued frames and repeats entries after this cursor, because the consumer was disconnected. Dropped
    /// frames are reported.
    pub fn resume(&mut self, session: SessionId, after: &Cursor) {
        let mut lost = [0_u64; Medium::ALL.len()];
        while let Some(item) = self.try_next() {
            match item {
                Item::Frame(frame) => lost[frame.medium as usize] += 1,
                Item::Dropped(medium, count) => lost[medium as usize] += count,
                _ => {}
            }
        }
        for (medium, count) in Medium::ALL.into_iter().zip(lost).filter(|(_, count)| *count > 0) {
            self.ready.push_back(Item::Dropped(medium, count));
        }
        // `follow` below makes the new queue polled.
        self.followers.abort();
        // The next hello names this cursor.
        self.request.from = From::After(BTreeMap::from([(session, after.clone())]));
        self.follow(session, Begin::After(after.clone()));
    }

    fn running(&self) -> Vec<RunningStream> {
        let mut running = match self.request.session {
            Some(session) => self.live.hub.running(session),
            None => self.live.hub.running_all(),
        };
        let request = &self.request;
        running.retain(|(stream, _)| request.takes(stream.instance.product, &stream.app));
        running
    }

    /// Queues what the tap has next. Returns false if it is empty.
    fn queue_next(&mut self) -> bool {
        let Some(tapped) = self.tap.try_next() else {
            if let Some(batches) = &mut self.batches {
                batches.end();
            }
            return false;
        };
        self.queue(tapped);
        true
    }

    /// Queues what the tap holds, before something that must come behind it. Bounded by the tap: called while nothing else
    /// is queued.
    fn queue_all(&mut self) {
        while self.queue_next() {}
    }

    fn queue(&mut self, tapped: Tapped) {
        match tapped {
            Tapped::Frame(frame) => {
                self.note_stream(frame.stream());
                self.ready.push_back(Item::Frame(frame));
            }
            Tapped::Dropped(medium, count) => self.ready.push_back(Item::Dropped(medium, count)),
            Tapped::Over { stream, .. } => self.note_end(&stream.stream_id),
            // Concerns other sinks only.
            Tapped::Settle => {}
        }
    }

    /// Follows a new session when its first stream appears, for a consumer of all sessions.
    fn note_stream(&mut self, stream: &Arc<StreamInfo>) {
        if self.known.note(stream) {
            // The stream may have been resumed after a restart: what was said before the consumer came is not new.
            let since = Begin::Since(self.opened_ms);
            self.follow(stream.session_id, self.begin(stream.session_id).unwrap_or(since));
            self.ready.push_back(Item::Running(Arc::clone(stream)));
        }
    }

    fn note_end(&mut self, stream: &StreamId) {
        self.ready.extend(self.known.forget(stream).map(Item::Over));
    }

    /// Reacts to a change of streams.
    fn poll_streams(&mut self) {
        // Older frames have the former description of their stream.
        self.queue_all();
        let running = self.running();
        for (stream, _) in &running {
            self.note_stream(stream);
        }
        // While frames are queued, the end comes after them.
        if self.request.media.is_empty() {
            let runs = |id: &StreamId| running.iter().any(|(stream, _)| stream.stream_id == *id);
            self.ready.extend(self.known.forget_unless(runs).into_iter().map(Item::Over));
        }
    }

    fn queue_entry(&mut self, (session, followed): SessionEntry) {
        match &followed {
            Followed::Entry { entry, .. } if !self.is_wanted(&entry.body) => return,
            Followed::Entry { .. } => {}
            Followed::End { cursor } => {
                // Frames and entries take separate ways: the end may overtake the last frames.
                self.queue_all();
                if self.request.session.is_none() {
                    self.note_session_end(session, cursor);
                }
            }
        }
        self.ready.push_back(Item::Entry(followed, session));
    }

    fn note_session_end(&mut self, session: SessionId, cursor: &str) {
        self.followers.forget(session);
        if self.ended.len() == MAX_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back((session, cursor.parse().unwrap_or_default()));
    }

    /// Whether the consumer wants an entry: with a speaker filter, no words of others.
    fn is_wanted(&self, body: &EntryBody) -> bool {
        let speakers = &self.request.speakers;
        match body {
            EntryBody::Transcript(line) => speakers.takes(Some(&line.speaker)),
            EntryBody::Chat(message) => {
                let sender = message.user_id.map(|user_id| Speaker::participant(user_id, None));
                speakers.takes(sender.as_ref())
            }
            _ => true,
        }
    }

    /// Where the consumer wants a session's entries to begin; `None` for new ones only.
    fn begin(&self, session: SessionId) -> Option<Begin> {
        let ended = self.ended.iter().rev().find(|(ended, _)| *ended == session);
        if let Some((_, cursor)) = ended {
            return Some(Begin::After(cursor.clone()));
        }
        match &self.request.from {
            From::Start => Some(Begin::After(Cursor::default())),
            From::After(cursors) => {
                Some(Begin::After(cursors.get(&session).cloned().unwrap_or_default()))
            }
            From::Now => None,
        }
    }

    /// Gives the entries of the sessions that a request for many names, whether they run here or not.
    fn follow_named(&mut self) {
        if self.request.session.is_some() {
            return;
        }
        let From::After(cursors) = &self.request.from else { return };
        self.idle = cursors.keys().copied().collect();
        let (found, named) = mpsc::channel(1);
        self.found = named;
        let (store, cursors, request) =
            (self.live.store.clone(), cursors.clone(), self.request.clone());
        self.followers.spawn(named::watch_named(store, cursors, request, found));
        self.others_wake.set();
    }

    /// A named session has something to give; a stream of it may have begun here meanwhile.
    fn follow_found(&mut self, found: Found) {
        if self.idle.contains(&found.session) {
            self.follow_in_turn(found.session, Begin::After(found.after), found.turn);
        }
    }

    /// Follows a session's entries, once.
    fn follow(&mut self, session: SessionId, begin: Begin) {
        self.follow_in_turn(session, begin, None);
    }

    fn follow_in_turn(
        &mut self,
        session: SessionId,
        begin: Begin,
        turn: Option<OwnedSemaphorePermit>,
    ) {
        self.idle.remove(&session);
        self.followers.follow(session, begin, turn);
        // An empty `JoinSet` registers no waker, so it is polled again once it has a task.
        self.others_wake.set();
    }
}

/// Waits for a change, and returns the receiver of the next one.
async fn next_change(mut changes: watch::Receiver<()>) -> watch::Receiver<()> {
    changes.changed().await.expect("the source holds the hub, which sends the changes");
    changes
}
