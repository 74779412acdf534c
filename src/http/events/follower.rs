use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::text;
use crate::http::AppState;
use crate::hub::Subscription;
use crate::model::{Cursor, Entry, EntryKind, SessionId, SessionStatus, StreamStatus};
use crate::store::StoreError;

/// Entries that are read from the store at a time.
const PAGE: u32 = 200;
/// The store is read this often, news or not: another replica may write the entries of another stream.
const REREAD: Duration = Duration::from_secs(2);
/// After the last entry of a stream its row is written, and then the session may be over.
const AFTER_ENDED: Duration = Duration::from_millis(100);
/// A client hears from us at least this often.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The kinds a subscriber wants; empty for all.
#[derive(Default)]
pub struct Kinds(pub Vec<EntryKind>);

impl Kinds {
    fn include(&self, kind: EntryKind) -> bool {
        self.0.is_empty() || self.0.contains(&kind)
    }
}

/// One subscriber's way through a session.
///
/// The hub pushes an entry after it was stored, and a stream's entries in order. So a pushed entry that is the next one
/// of its stream is sent as it is, and anything else means that the store has entries to be sent first.
pub struct Follower {
    state: Arc<AppState>,
    session_id: SessionId,
    subscription: Subscription,
    /// The last entry of each stream that was sent, or left out because its kind is not wanted.
    cursor: Cursor,
    kinds: Kinds,
    /// Text on its way out.
    ready: String,
    phase: Phase,
    reread_at: Instant,
    keep_alive_at: Instant,
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
    pub fn new(
        state: &Arc<AppState>,
        session_id: SessionId,
        subscription: Subscription,
        cursor: Cursor,
        kinds: Kinds,
    ) -> Self {
        Self {
            state: Arc::clone(state),
            session_id,
            subscription,
            cursor,
            kinds,
            ready: String::from(text::RETRY),
            phase: Phase::Behind { over: false },
            reread_at: Instant::now() + REREAD,
            keep_alive_at: Instant::now() + KEEP_ALIVE,
        }
    }

    /// Reads the first page. False when the session is over and has nothing after the cursor.
    pub async fn begin(&mut self) -> Result<bool, StoreError> {
        let over = self.is_over().await?;
        let page = self.read_page().await?;
        self.after_page(&page, over);
        Ok(!over || page.entries > 0)
    }

    /// The next text to send; none when the stream of events ends.
    pub async fn chunk(&mut self) -> Option<Bytes> {
        while self.ready.is_empty() {
            match self.phase {
                Phase::Done => return None,
                Phase::Behind { over } => self.catch_up(over).await,
                Phase::Live => self.wait().await,
            }
        }
        self.keep_alive_at = Instant::now() + KEEP_ALIVE;
        Some(std::mem::take(&mut self.ready).into())
    }

    /// Whether the session has ended and no stream of it can get another entry.
    async fn is_over(&self) -> Result<bool, StoreError> {
        let session = self.state.store.session(self.session_id).await?;
        if session.is_some_and(|session| session.status != SessionStatus::Ended) {
            return Ok(false);
        }
        let streams = self.state.store.streams_of(self.session_id).await?;
        Ok(streams.iter().all(|stream| stream.status == StreamStatus::Ended))
    }

    async fn read_page(&mut self) -> Result<Page, StoreError> {
        let store = &self.state.store;
        // All kinds: the numbers must be seen without holes, or a pushed entry could not be told to be the next.
        let entries = store.entries_after(self.session_id, &self.cursor, &[], PAGE).await?;
        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        for entry in &entries {
            self.take(entry);
        }
        Ok(Page { entries: count, is_last: count < PAGE })
    }

    fn after_page(&mut self, page: &Page, over: bool) {
        self.reread_at = Instant::now() + REREAD;
        self.phase = match (page.is_last, over) {
            (false, _) => Phase::Behind { over },
            (true, false) => Phase::Live,
            (true, true) => {
                self.ready.push_str(&text::end(&self.cursor, self.session_id));
                Phase::Done
            }
        };
    }

    async fn catch_up(&mut self, over: bool) {
        if self.state.draining.is_cancelled() {
            self.phase = Phase::Done;
            return;
        }
        match self.read_page().await {
            Ok(page) => self.after_page(&page, over),
            Err(error) => self.try_later(&error),
        }
    }

    /// The client keeps its connection: a browser that is answered 503 on the next one gives up for good.
    fn try_later(&mut self, error: &StoreError) {
        tracing::warn!(%error, "an event stream waits for the store");
        self.reread_at = Instant::now() + REREAD;
        self.phase = Phase::Live;
    }

    async fn wait(&mut self) {
        let draining = &self.state.draining;
        tokio::select! {
            biased;
            () = draining.cancelled() => self.phase = Phase::Done,
            received = self.subscription.entries.recv() => self.receive(received),
            () = sleep_until(self.reread_at) => self.reread().await,
            () = sleep_until(self.keep_alive_at) => self.ready.push_str(text::KEEP_ALIVE),
        }
    }

    async fn reread(&mut self) {
        match self.is_over().await {
            Ok(over) => self.phase = Phase::Behind { over },
            Err(error) => self.try_later(&error),
        }
    }

    fn receive(&mut self, received: Result<Arc<Entry>, RecvError>) {
        match received {
            Ok(entry) if entry.seq <= self.cursor.seen(entry.stream_ordinal) => {}
            Ok(entry) if entry.seq - 1 == self.cursor.seen(entry.stream_ordinal) => {
                self.take(&entry);
                if entry.body.kind() == EntryKind::Ended {
                    self.reread_at = Instant::now() + AFTER_ENDED;
                }
            }
            Ok(_) | Err(RecvError::Lagged(_)) => self.phase = Phase::Behind { over: false },
            // The hub is gone: the daemon stops.
            Err(RecvError::Closed) => self.phase = Phase::Done,
        }
    }

    /// Sends an entry, unless it was sent or its kind is not wanted.
    fn take(&mut self, entry: &Entry) {
        let is_new = self.cursor.advance(entry.stream_ordinal, entry.seq);
        if is_new && self.kinds.include(entry.body.kind()) {
            self.ready.push_str(&text::entry(&self.cursor, entry));
        }
    }
}
