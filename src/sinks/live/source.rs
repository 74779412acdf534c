use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, ready};
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::request::{From, Request};
use super::wire::Running;
use crate::hub::{Follow, Followed, Follower, Frame, Hub, Medium, StreamInfo, Tap, Tapped};
use crate::model::{Cursor, EntryBody, Product, Session, SessionId, Speaker, StreamId};
use crate::store::{Store, StoreError};

/// Entries that wait for a consumer; more wait in the store.
const NEWS: usize = 64;
/// How often the store is read for what another replica wrote: one session, or each of many.
const REREAD_ONE: Duration = Duration::from_secs(2);
const REREAD_EACH: Duration = Duration::from_secs(30);
/// Ended sessions that a consumer of many is known to have got to the end.
const MAX_ENDED: usize = 1024;
/// Ended sessions that a consumer of many gets the rest of at a time.
const ENDED_AT_ONCE: usize = 4;
/// Consumers that come back after a restart take turns, session by session, for their first pages.
static FIRST_READS: Semaphore = Semaphore::const_new(8);
/// How long to wait for a store that is away.
const RETRY: Duration = Duration::from_secs(2);

/// Where live consumers get everything from.
#[derive(Clone)]
pub struct Live {
    pub hub: Arc<Hub>,
    pub store: Store,
    /// Cancelled when the daemon is told to stop.
    pub stop: CancellationToken,
    /// The frames that may wait for one consumer, in bytes.
    pub buffer_bytes: usize,
    /// The clock by which streams were announced: Unix milliseconds.
    pub now_ms: fn() -> i64,
}

/// What comes next for a consumer.
#[derive(Debug)]
pub enum Item {
    Frame(Arc<Frame>),
    /// So many frames were too many.
    Dropped(Medium, u64),
    /// It began, or is not what it was.
    Running(Arc<StreamInfo>),
    /// It does not run here any more.
    CloseReason(Arc<StreamInfo>),
    Entry(Followed, SessionId),
    /// A fault of ours.
    Failed,
}

/// Frames and entries for one consumer, from when it is opened.
pub struct Source {
    live: Live,
    request: Request,
    opened_ms: i64,
    tap: Tap,
    changes: watch::Receiver<()>,
    /// What the consumer was told of the streams.
    known: HashMap<StreamId, Arc<StreamInfo>>,
    followed: HashSet<SessionId>,
    /// Where sessions have ended, of many: another stream of one goes on behind that.
    ended: VecDeque<(SessionId, Cursor)>,
    followers: JoinSet<()>,
    news: mpsc::Receiver<(SessionId, Followed)>,
    tell: mpsc::Sender<(SessionId, Followed)>,
    ready: VecDeque<Item>,
}

impl Source {
    /// Frames are taken from now on.
    pub fn open(live: &Live, request: Request) -> Self {
        let (tell, news) = mpsc::channel(NEWS);
        let tap = live.hub.tap(request.session, request.wants(), live.buffer_bytes);
        let mut source = Self {
            live: live.clone(),
            opened_ms: (live.now_ms)(),
            tap,
            changes: live.hub.changes(),
            known: HashMap::new(),
            followed: HashSet::new(),
            ended: VecDeque::new(),
            followers: JoinSet::new(),
            news,
            tell,
            ready: VecDeque::new(),
            request,
        };
        source.follow_named();
        for (stream, _) in source.running() {
            let session = stream.session_id;
            let begin = source.begin(session).unwrap_or(Begin::Now);
            source.follow(session, begin);
        }
        source
    }

    pub fn request(&self) -> &Request {
        &self.request
    }

    /// What a consumer is told first; it is news no more.
    pub async fn hello(&mut self) -> Result<(Option<Session>, Vec<Running>), StoreError> {
        let session = match self.request.session {
            Some(id) => self.live.store.session(id).await?,
            None => None,
        };
        let running = self.running();
        self.known = running
            .iter()
            .map(|(stream, _)| (stream.stream_id.clone(), Arc::clone(stream)))
            .collect();
        Ok((session, running))
    }

    /// What comes next. Cancel-safe.
    pub async fn next(&mut self) -> Item {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return item;
            }
            tokio::select! {
                tapped = self.tap.next() => self.take(tapped),
                Some((session, followed)) = self.news.recv() => self.note(session, followed),
                Ok(()) = self.changes.changed() => self.look(),
                Some(Err(_)) = self.followers.join_next() => return Item::Failed,
            }
        }
    }

    /// The next frame or news of a stream, if it is there already.
    pub fn try_next(&mut self) -> Option<Item> {
        if self.ready.is_empty() {
            let tapped = self.tap.try_next()?;
            self.take(tapped);
        }
        self.ready.pop_front()
    }

    /// Forgets the frames that wait, and gives entries again from here on: the consumer was away. What was
    /// forgotten is told as dropped.
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
        self.followers = JoinSet::new();
        (self.tell, self.news) = mpsc::channel(NEWS);
        self.followed.clear();
        self.follow(session, Begin::After(after.clone()));
    }

    fn running(&self) -> Vec<Running> {
        let mut running = match self.request.session {
            Some(session) => self.live.hub.running(session),
            None => self.live.hub.running_all(),
        };
        let product = self.request.product;
        running.retain(|(stream, _)| product.is_none_or(|only| only == stream.instance.product));
        running
    }

    fn take(&mut self, tapped: Tapped) {
        match tapped {
            Tapped::Frame(frame) => {
                self.see(&frame.stream);
                self.ready.push_back(Item::Frame(frame));
            }
            Tapped::Dropped(medium, count) => self.ready.push_back(Item::Dropped(medium, count)),
            Tapped::Over { stream, .. } => self.over(&stream.stream_id),
            // Sinks are asked.
            Tapped::Settle => {}
        }
    }

    /// Whoever takes entries of many sessions hears of a new one by its first stream.
    fn see(&mut self, stream: &Arc<StreamInfo>) {
        match self.known.get(&stream.stream_id) {
            Some(known) if Arc::ptr_eq(known, stream) || known == stream => {}
            _ => {
                self.known.insert(stream.stream_id.clone(), Arc::clone(stream));
                // It may be picked up after a restart: what was said before the consumer came is not new.
                let since = Begin::Since(self.opened_ms);
                self.follow(stream.session_id, self.begin(stream.session_id).unwrap_or(since));
                self.ready.push_back(Item::Running(Arc::clone(stream)));
            }
        }
    }

    fn over(&mut self, stream: &StreamId) {
        self.ready.extend(self.known.remove(stream).map(Item::CloseReason));
    }

    /// Some stream has changed.
    fn look(&mut self) {
        let running = self.running();
        for (stream, _) in &running {
            self.see(stream);
        }
        // With frames on their way, the end comes behind them.
        if self.request.media.is_empty() {
            let runs = |id: &StreamId| running.iter().any(|(stream, _)| stream.stream_id == *id);
            let gone: Vec<_> = self.known.keys().filter(|id| !runs(id)).cloned().collect();
            gone.iter().for_each(|id| self.over(id));
        }
    }

    fn note(&mut self, session: SessionId, followed: Followed) {
        match &followed {
            Followed::Entry { entry, .. } if !self.is_wanted(&entry.body) => return,
            Followed::End { cursor } if self.request.session.is_none() => self.end(session, cursor),
            _ => {}
        }
        self.ready.push_back(Item::Entry(followed, session));
    }

    fn end(&mut self, session: SessionId, cursor: &str) {
        self.followed.remove(&session);
        if self.ended.len() == MAX_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back((session, cursor.parse().unwrap_or_default()));
    }

    /// Of others' words nothing, of everything else all.
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

    /// Where the consumer wants a session's entries to begin; none for what is new.
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

    /// Gives the entries of the sessions that the request names, whether they run here or not. One task follows all of
    /// them.
    fn follow_named(&mut self) {
        let named = self.request.sessions();
        if self.request.session.is_some() {
            return named.into_iter().for_each(|session| {
                let begin = self.begin(session).unwrap_or(Begin::Now);
                self.follow(session, begin);
            });
        }
        let begin = |session| (session, self.begin(session).unwrap_or(Begin::Now));
        let begins: Vec<_> = named.iter().copied().map(begin).collect();
        if begins.is_empty() {
            return;
        }
        self.followed.extend(named);
        let follow = self.following(REREAD_EACH);
        let (store, product) = (self.live.store.clone(), self.request.product);
        self.followers.spawn(async move {
            let known = known(&store, begins, product).await;
            let open: FuturesUnordered<BoxFuture<'static, ()>> =
                known.open.into_iter().map(|(id, begin)| follow(id, begin)).collect();
            let ended = known.ended.into_iter().map(|(id, begin)| follow(id, begin));
            let ended = stream::iter(ended).buffer_unordered(ENDED_AT_ONCE);
            tokio::join!(ended.for_each(|()| ready(())), open.for_each(|()| ready(())));
        });
    }

    /// Gives a session's entries, once.
    fn follow(&mut self, session_id: SessionId, begin: Begin) {
        if !self.followed.insert(session_id) {
            return;
        }
        let is_one = self.request.session.is_some();
        let follow = self.following(if is_one { REREAD_ONE } else { REREAD_EACH });
        self.followers.spawn(follow(session_id, begin));
    }

    /// What follows one session for this consumer, to its end.
    fn following(
        &self,
        reread_every: Duration,
    ) -> impl Fn(SessionId, Begin) -> BoxFuture<'static, ()> + Send + Sync + use<> {
        let (live, tell) = (self.live.clone(), self.tell.clone());
        let kinds = self.request.kinds.clone();
        move |session_id, begin| {
            let (live, tell, kinds) = (live.clone(), tell.clone(), kinds.clone());
            Box::pin(async move {
                let turn = FIRST_READS.acquire().await;
                let after = first(&live.store, session_id, begin).await;
                let follow = Follow { session_id, after, kinds, reread_every };
                let mut follower = Follower::new(&live.hub, live.store, follow, live.stop);
                // What fails is read again by `next`.
                let _ = follower.begin().await;
                drop(turn);
                while let Some(followed) = follower.next().await {
                    if tell.send((session_id, followed)).await.is_err() {
                        return;
                    }
                }
            })
        }
    }
}

/// Where one session's entries begin.
enum Begin {
    After(Cursor),
    Now,
    /// Now, but with all of the streams that were announced at this time or later.
    Since(i64),
}

/// The sessions that a consumer has named and that exist.
#[derive(Default)]
struct Known {
    open: Vec<(SessionId, Begin)>,
    ended: Vec<(SessionId, Begin)>,
}

/// Those of the sessions that exist and are of the product, asked for in a few statements.
async fn known(store: &Store, named: Vec<(SessionId, Begin)>, product: Option<Product>) -> Known {
    let ids: Vec<SessionId> = named.iter().map(|(id, _)| *id).collect();
    let turn = FIRST_READS.acquire().await;
    let found = patiently(|| store.known_sessions(&ids)).await;
    drop(turn);
    let mut known = Known::default();
    for (id, begin) in named {
        match found.get(&id) {
            Some(session) if product.is_some_and(|only| only != session.product) => {}
            Some(session) if session.is_ended => known.ended.push((id, begin)),
            Some(_) => known.open.push((id, begin)),
            None => {}
        }
    }
    known
}

/// After which entry to begin.
async fn first(store: &Store, session: SessionId, begin: Begin) -> Cursor {
    match begin {
        Begin::After(cursor) => cursor,
        Begin::Now => patiently(|| store.newest(session)).await,
        Begin::Since(opened_ms) => patiently(|| before(store, session, opened_ms)).await,
    }
}

/// The newest entries of the streams that were announced before.
async fn before(store: &Store, session: SessionId, opened_ms: i64) -> Result<Cursor, StoreError> {
    let newest = store.newest(session).await?;
    let mut cursor = Cursor::default();
    for stream in store.streams_of(session).await? {
        if stream.created_at_ms < opened_ms {
            cursor.advance(stream.ordinal, newest.seen(stream.ordinal));
        }
    }
    Ok(cursor)
}

/// Asks a store until it answers.
async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(ask: impl Fn() -> F) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => tracing::warn!(%error, "a live subscriber waits for the store"),
        }
        sleep(RETRY).await;
    }
}
