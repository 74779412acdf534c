//! The followers of a live consumer: each reads the entries of one session.

use std::collections::HashSet;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument;

use super::super::begin::{Begin, FIRST_READS, first_cursor};
use super::super::request::Request;
use super::Live;
use crate::hub::{Follow, Followed, Follower, Kinds};
use crate::model::SessionId;

/// The most entries queued for a consumer; others wait in the store.
const MAX_QUEUED_ENTRIES: usize = 64;
/// How often the store is read for entries of other replicas, for one session and for many.
const REREAD_ONE: Duration = Duration::from_secs(2);
const REREAD_EACH: Duration = Duration::from_secs(30);

/// An entry, with its session.
pub(super) type SessionEntry = (SessionId, Followed);

/// The tasks that read a consumer's entries, and the queue of these.
pub(super) struct Followers {
    live: Live,
    kinds: Kinds,
    reread_every: Duration,
    followed: HashSet<SessionId>,
    tasks: JoinSet<()>,
    entries: mpsc::Receiver<SessionEntry>,
    sender: mpsc::Sender<SessionEntry>,
}

impl Followers {
    pub(super) fn new(live: &Live, request: &Request) -> Self {
        let (sender, entries) = mpsc::channel(MAX_QUEUED_ENTRIES);
        Self {
            live: live.clone(),
            kinds: request.kinds.clone(),
            reread_every: if request.session.is_some() { REREAD_ONE } else { REREAD_EACH },
            followed: HashSet::new(),
            tasks: JoinSet::new(),
            entries,
            sender,
        }
    }

    /// Follows a session, once. Keeps `turn` until all of the session is read.
    pub(super) fn follow(
        &mut self,
        session_id: SessionId,
        begin: Begin,
        turn: Option<OwnedSemaphorePermit>,
    ) {
        if !self.followed.insert(session_id) {
            return;
        }
        let (live, sender) = (self.live.clone(), self.sender.clone());
        let (kinds, reread_every) = (self.kinds.clone(), self.reread_every);
        self.spawn(async move {
            // For the first page only: after a restart, all consumers come back at once.
            let first_read = FIRST_READS.acquire().await;
            let after = first_cursor(&live.store, session_id, begin).await;
            let follow = Follow { session_id, after, kinds, reread_every };
            let mut follower = Follower::new(&live.hub, live.store, follow, live.stop);
            // `next` retries a failed read.
            let _ = follower.begin().await;
            drop(first_read);
            while let Some(followed) = follower.next().await {
                if sender.send((session_id, followed)).await.is_err() {
                    return;
                }
            }
            // This line moves the permit into the task.
            drop(turn);
        });
    }

    /// Allows an ended session to be followed again.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.followed.remove(&session);
    }

    /// Aborts all tasks and replaces their queue: its entries are read again.
    pub(super) fn abort(&mut self) {
        self.tasks = JoinSet::new();
        (self.sender, self.entries) = mpsc::channel(MAX_QUEUED_ENTRIES);
        self.followed.clear();
    }

    /// Runs a task beside the followers.
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task.in_current_span());
    }

    /// The next entry.
    pub(super) fn poll_entry(&mut self, cx: &mut Context<'_>) -> Poll<SessionEntry> {
        self.entries.poll_recv(cx).map(|entry| entry.expect("the queue is open: a sender is kept"))
    }

    /// Returns the next task to end. `None` if there are no tasks; then no waker is registered.
    pub(super) fn poll_ended(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(), JoinError>>> {
        self.tasks.poll_join_next(cx)
    }
}
