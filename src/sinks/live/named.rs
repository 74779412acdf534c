//! Finds which of the sessions that a consumer names have something to deliver. An idle session costs the consumer its
//! cursor and a share of one statement per poll; only the others get a follower.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::begin::{FIRST_READS, until_answered};
use super::request::Request;
use crate::model::{Cursor, SessionId};
use crate::store::Store;

/// How often idle sessions are looked up, because another replica may write their entries.
const POLL_INTERVAL: Duration = Duration::from_secs(30);
/// The most ended sessions that a consumer gets the rest of at a time.
const ENDED_AT_ONCE: usize = 4;

/// A named session that has ended or has entries after the consumer's cursor.
pub(super) struct Found {
    pub session: SessionId,
    pub after: Cursor,
    /// Held until the rest of an ended session is delivered.
    pub turn: Option<OwnedSemaphorePermit>,
}

type Named = BTreeMap<SessionId, Cursor>;

/// Sends each of the sessions to `found` once, when it has something to deliver. Leaves out sessions that do not exist
/// or that the request does not take. Ends when every session was sent or the consumer is gone.
pub(super) async fn watch_named(
    store: Store,
    named: Named,
    request: Request,
    found: mpsc::Sender<Found>,
) {
    // Holds each named session once at most.
    let (ended, to_hand_out) = mpsc::unbounded_channel();
    tokio::join!(poll_idle(&store, named, &request, &found, ended), hand_out(to_hand_out, &found));
}

async fn poll_idle(
    store: &Store,
    mut idle: Named,
    request: &Request,
    found: &mpsc::Sender<Found>,
    ended: UnboundedSender<Found>,
) {
    while !idle.is_empty() {
        let due = take_due(store, &mut idle, request).await;
        for found in due.ended {
            // The receiver ends only when the consumer is gone.
            let _ = ended.send(found);
        }
        for behind in due.behind {
            if found.send(behind).await.is_err() {
                return;
            }
        }
        sleep(POLL_INTERVAL).await;
    }
}

#[derive(Default)]
struct Due {
    behind: Vec<Found>,
    ended: Vec<Found>,
}

/// Removes from `idle` what is not to be looked up again, and returns what has something to deliver.
async fn take_due(store: &Store, idle: &mut Named, request: &Request) -> Due {
    let ids: Vec<SessionId> = idle.keys().copied().collect();
    let turn = FIRST_READS.acquire().await;
    let known = until_answered(|| store.known_sessions(&ids)).await;
    drop(turn);
    let mut due = Due::default();
    idle.retain(|id, after| {
        let Some(session) = known.get(id) else { return false };
        if !request.takes(session.product, &session.app) {
            return false;
        }
        let is_idle = !session.is_ended && after.has_reached(&session.newest);
        if !is_idle {
            let list = if session.is_ended { &mut due.ended } else { &mut due.behind };
            list.push(Found { session: *id, after: mem::take(after), turn: None });
        }
        is_idle
    });
    due
}

/// Hands out ended sessions, a few at a time.
async fn hand_out(mut ended: UnboundedReceiver<Found>, found: &mpsc::Sender<Found>) {
    let turns = Arc::new(Semaphore::new(ENDED_AT_ONCE));
    while let Some(next) = ended.recv().await {
        let turn = Arc::clone(&turns).acquire_owned().await.ok();
        if found.send(Found { turn, ..next }).await.is_err() {
            return;
        }
    }
}
