//! Follows one session for a subscriber: stored entries first, then live ones, each once and in
//! order.

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

/// The most entries that are read from the store at a time.
const PAGE: u32 = 200;
/// How long to wait before reading again from an unavailable store.
const RETRY: Duration = Duration::from_secs(2);
/// How long after a stream's last entry the store is read again. The stream's row is written after
/// that entry, and then the session may be over.
const AFTER_ENDED: Duration = Duration::from_millis(100);

/// The kinds a subscriber wants; empty for all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kinds(pub Vec<EntryKind>);

impl Kinds {
    /// Parses names separated by commas. Returns none if one is unknown.
    pub fn parse(text: &str) -> Option<Self> {
        let names = text.split(',').filter(|name| !name.is_empty());
        names.map(EntryKind::parse).collect::<Option<_>>().map(Self)
    }

    /// Describes what [`Self::parse`] accepts, for error messages.
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

/// The entries that a follower returns.
#[derive(Debug, Clone)]
pub struct Follow {
    pub session_id: SessionId,
    /// The position after which entries are returned.
    pub after: Cursor,
    pub kinds: Kinds,
    /// How often the store is read without a notification: another replica may write the entries of
    /// another stream.
    pub reread_every: Duration,
}

/// An item that a follower returns, with the reader's position after it.
#[derive(Debug, Clone)]
pub enum Followed {
    Entry {
        cursor: String,
        entry: Arc<Entry>,
    },
    /// The session has ended, and every entry was returned.
    End {
        cursor: String,
    },
}

/// Follows a session for one subscriber from any position: each entry once and in order.
///
/// The hub pushes an entry after it was stored, and a stream's entries in order. A pushed entry
/// that is the next one of its stream is therefore returned directly. Any other means that the
/// store has entries that come first.
pub struct Follower {
    store: Store,
    stop: CancellationToken,
    session_id: SessionId,
    entries: broadcast::Receiver<Arc<Entry>>,
    /// The last entry of each stream that was returned, or skipped because its kind is not wanted.
    cursor: Cursor,
    kinds: Kinds,
    ready: VecDeque<Followed>,
    /// A pushed entry that waits for the stored entries before it. The store may not have its text:
    /// personal entries can be live only.
    held: Option<Arc<Entry>>,
    phase: Phase,
    reread_every: Duration,
    reread_at: Instant,
}

enum Phase {
    /// The store has, or may have, entries after the cursor. `over`: the session had ended before
    /// the read.
    Behind {
        over: bool,
    },
    Live,
    /// Nothing follows the items in `ready`.
    Done,
}

/// The size of a page that was read, and whether it was the last.
struct Page {
    entries: u32,
    is_last: bool,
}

impl Follower {
    /// Creates a follower that runs until the session has ended or `stop` is cancelled.
    pub fn new(hub: &Hub, store: Store, follow: Follow, stop: CancellationToken) -> Self {
        let Follow { session_id, after, kinds, reread_every } = follow;
        Self {
            store,
            stop,
            session_id,
            // Subscribe before the store is read: an entry written in between then comes twice, and
            // the cursor drops the repetition. In the other order it would be lost.
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

    /// Reads the first page. Returns false when the session is over and has nothing after the
    /// cursor.
    pub async fn begin(&mut self) -> Result<bool, StoreError> {
        // Before the page: if the session is over now, this page and those after it hold
        // everything.
        let over = self.is_over().await?;
        let page = self.read_page().await?;
        self.reread_at = Instant::now() + self.reread_every;
        self.after_page(&page, over);
        Ok(!over || page.entries > 0)
    }

    /// Waits for the next item; returns none after the end. Cancel-safe, but a caller that cancels
    /// every call before a page is read makes no progress.
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

    /// The next item if one is ready; does not wait.
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
        // Read all kinds: the cursor must see every number, or it could not recognize a pushed
        // entry as the next one.
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

    /// Keeps the subscriber connected: a browser that is answered with 503 on its next connection gives up for
    /// good.
    fn try_later(&mut self, error: &StoreError) {
        tracing::warn!(%error, "a live subscriber waits for the store");
        self.reread_at = Instant::now() + RETRY;
        self.phase = Phase::Live;
    }

    async fn wait(&mut self) {
        tokio::select! {
            // `biased`: a stop must win over a busy session, and pushed entries over a read of the
            // store.
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
                // Only the newest is held: the store has those between.
                self.held = Some(entry);
                self.phase = Phase::Behind { over: false };
            }
            Err(RecvError::Lagged(_)) => self.phase = Phase::Behind { over: false },
            // The hub was dropped: the daemon is stopping.
            Err(RecvError::Closed) => self.phase = Phase::Done,
        }
    }

    /// Queues an entry, unless it was returned before or its kind is not wanted.
    fn take(&mut self, entry: Arc<Entry>) {
        let is_new = self.cursor.advance(entry.stream_ordinal, entry.seq);
        if is_new && self.kinds.include(entry.body.kind()) {
            self.ready.push_back(Followed::Entry { cursor: self.cursor.to_string(), entry });
        }
    }
}
