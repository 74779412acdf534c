use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Hub;
use crate::model::{Cursor, Entry, EntryKind, SessionId, SessionStatus, StreamStatus};
use crate::store::{Store, StoreError};

/// Entries that are read from the store at a time.
const PAGE: u32 = 200;
/// How long to wait for a store that is away.
const RETRY: Duration = Duration::from_secs(2);
/// After the last entry of a stream its row is written, and then the session may be over.
const AFTER_ENDED: Duration = Duration::from_millis(100);

/// The kinds a subscriber wants; empty for all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kinds(pub Vec<EntryKind>);

impl Kinds {
    /// Names separated by commas.
    pub fn parse(text: &str) -> Option<Self> {
        let names = text.split(',').filter(|name| !name.is_empty());
        names.map(EntryKind::parse).collect::<Option<_>>().map(Self)
    }

    /// What [`Self::parse`] takes, for errors.
    pub fn form() -> &'static str {
        static FORM: LazyLock<String> = LazyLock::new(|| {
            let names = EntryKind::ALL.map(EntryKind::as_str).join(", ");
            format!("must be a list of entry kinds, separated by commas: {names}")
        });
        &FORM
    }

    fn include(&self, kind: EntryKind) -> bool {
        self.0.is_empty() || self.0.contains(&kind)
    }
}

/// What a follower is to give.
#[derive(Debug, Clone)]
pub struct Follow {
    pub session_id: SessionId,
    /// Entries after this.
    pub after: Cursor,
    pub kinds: Kinds,
    /// The store is read this often, news or not: another replica may write the entries of another stream.
    pub reread_every: Duration,
}

/// What a follower gives, with where a reader stands after it.
#[derive(Debug, Clone)]
pub enum Followed {
    Entry {
        cursor: String,
        entry: Arc<Entry>,
    },
    /// The session has ended and this was all of it.
    End {
        cursor: String,
    },
}

/// One subscriber's way through a session: each entry once, in order, from any point on.
///
/// The hub pushes an entry after it was stored, and a stream's entries in order. So a pushed entry that is the next one
/// of its stream is given as it is, and anything else means that the store has entries to be given first.
pub struct Follower {
    store: Store,
    stop: CancellationToken,
    session_id: SessionId,
    entries: broadcast::Receiver<Arc<Entry>>,
    /// The last entry of each stream that was given, or left out because its kind is not wanted.
    cursor: Cursor,
    kinds: Kinds,
    ready: VecDeque<Followed>,
    /// A pushed entry that the store's come before. It need not be there itself: what people say may be live only.
    held: Option<Arc<Entry>>,
    phase: Phase,
    reread_every: Duration,
    reread_at: Instant,
}

enum Phase {
    /// The store has, or may have, entries after the cursor. `over`: the session had ended before it was read.
    Behind {
        over: bool,
    },
    Live,
    /// Nothing comes after what is ready.
    Done,
}

/// What a page of the store was.
struct Page {
    entries: u32,
    is_last: bool,
}

impl Follower {
    /// Follows until the session has ended or `stop`.
    pub fn new(hub: &Hub, store: Store, follow: Follow, stop: CancellationToken) -> Self {
        let Follow { session_id, after, kinds, reread_every } = follow;
        Self {
            store,
            stop,
            session_id,
            // Before the store is read: an entry written in between comes twice, not never.
            entries: hub.entries(session_id),
            cursor: after,
            kinds,
            ready: VecDeque::new(),
            held: None,
            phase: Phase::Behind { over: false },
            reread_every,
            reread_at: Instant::now(),
        }
    }

    /// Reads the first page. False when the session is over and has nothing after the cursor.
    pub async fn begin(&mut self) -> Result<bool, StoreError> {
        let over = self.is_over().await?;
        let page = self.read_page().await?;
        self.reread_at = Instant::now() + self.reread_every;
        self.after_page(&page, over);
        Ok(!over || page.entries > 0)
    }

    /// What comes next; none after the end. Cancel-safe, but what is cancelled all the time reads no page to its end.
    pub async fn next(&mut self) -> Option<Followed> {
        loop {
            if let Some(followed) = self.ready.pop_front() {
                return Some(followed);
            }
            match self.phase {
                Phase::Done => return None,
                Phase::Behind { over } => self.catch_up(over).await,
                Phase::Live => self.wait().await,
            }
        }
    }

    /// What is there already.
    pub fn try_next(&mut self) -> Option<Followed> {
        self.ready.pop_front()
    }

    /// Whether the session has ended and no stream of it can get another entry.
    async fn is_over(&self) -> Result<bool, StoreError> {
        let session = self.store.session(self.session_id).await?;
        if session.is_some_and(|session| session.status != SessionStatus::Ended) {
            return Ok(false);
        }
        let streams = self.store.streams_of(self.session_id).await?;
        Ok(streams.iter().all(|stream| stream.status == StreamStatus::Ended))
    }

    async fn read_page(&mut self) -> Result<Page, StoreError> {
        // All kinds: the numbers must be seen without holes, or a pushed entry could not be told to be the next.
        let entries = self.store.entries_after(self.session_id, &self.cursor, &[], PAGE).await?;
        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        for entry in entries {
            self.take(Arc::new(entry));
        }
        Ok(Page { entries: count, is_last: count < PAGE })
    }

    fn after_page(&mut self, page: &Page, over: bool) {
        if page.is_last
            && let Some(entry) = self.held.take()
        {
            self.take(entry);
        }
        self.phase = match (page.is_last, over) {
            (false, _) => Phase::Behind { over },
            (true, false) => Phase::Live,
            (true, true) => {
                self.ready.push_back(Followed::End { cursor: self.cursor.to_string() });
                Phase::Done
            }
        };
    }

    async fn catch_up(&mut self, over: bool) {
        if self.stop.is_cancelled() {
            self.phase = Phase::Done;
            return;
        }
        match self.read_page().await {
            Ok(page) => self.after_page(&page, over),
            Err(error) => self.try_later(&error),
        }
    }

    /// The subscriber stays: a browser that is answered 503 on its next connection gives up for good.
    fn try_later(&mut self, error: &StoreError) {
        tracing::warn!(%error, "a live subscriber waits for the store");
        self.reread_at = Instant::now() + RETRY;
        self.phase = Phase::Live;
    }

    async fn wait(&mut self) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => self.phase = Phase::Done,
            received = self.entries.recv() => self.receive(received),
            () = sleep_until(self.reread_at) => self.reread().await,
        }
    }

    async fn reread(&mut self) {
        match self.is_over().await {
            Ok(over) => {
                self.reread_at = Instant::now() + self.reread_every;
                self.phase = Phase::Behind { over };
            }
            Err(error) => self.try_later(&error),
        }
    }

    fn receive(&mut self, received: Result<Arc<Entry>, RecvError>) {
        match received {
            Ok(entry) if entry.seq <= self.cursor.seen(entry.stream_ordinal) => {}
            Ok(entry) if entry.seq - 1 == self.cursor.seen(entry.stream_ordinal) => {
                if entry.body.kind() == EntryKind::Ended {
                    self.reread_at = Instant::now() + AFTER_ENDED;
                }
                self.take(entry);
            }
            Ok(entry) => {
                self.held = Some(entry);
                self.phase = Phase::Behind { over: false };
            }
            Err(RecvError::Lagged(_)) => self.phase = Phase::Behind { over: false },
            // The hub is gone: the daemon stops.
            Err(RecvError::Closed) => self.phase = Phase::Done,
        }
    }

    /// Gives an entry, unless it was given or its kind is not wanted.
    fn take(&mut self, entry: Arc<Entry>) {
        let is_new = self.cursor.advance(entry.stream_ordinal, entry.seq);
        if is_new && self.kinds.include(entry.body.kind()) {
            self.ready.push_back(Followed::Entry { cursor: self.cursor.to_string(), entry });
        }
    }
}
