//! Commits concurrent deliveries together: a commit costs one disk flush whatever its size, and during a burst of
//! starts Zoom is waiting for the answers.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::burst::Burst;
use super::database::transaction;
use super::deliveries::record_deliveries;
use super::{Recorded, Store, StoreError};
use crate::model::{Delivery, WebhookEffect};

/// The most deliveries in one transaction.
const MAX_GROUP: usize = 64;
/// The most bytes of their bodies, so that even a slow connection to the store commits them in time. A single delivery
/// may be larger.
const MAX_GROUP_BYTES: usize = 1024 * 1024;

/// Callers that wait for their delivery to be recorded. Bounded by the number of HTTP connections.
#[derive(Default)]
pub(super) struct Group(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    /// In order of arrival.
    waiting: VecDeque<Waiting>,
    /// Whether a task records them.
    is_recording: bool,
    burst: Burst,
}

struct Waiting {
    delivery: Delivery,
    answer: oneshot::Sender<Result<Recorded, StoreError>>,
}

impl Store {
    /// Records a delivery and its effect on sessions and streams in one transaction, together with those that arrived
    /// during the previous commit.
    pub async fn record_delivery(&self, delivery: &Delivery) -> Result<Recorded, StoreError> {
        let (answer, recorded) = oneshot::channel();
        if self.group.push(Waiting { delivery: delivery.clone(), answer }) {
            // In a separate task: a caller that leaves must not cancel the others' deliveries.
            let reset = ResetOnPanic { store: self.clone(), is_over: false };
            tokio::spawn(record_groups(reset));
        }
        // The whole group failed, or the task panicked: the sender was dropped.
        recorded.await.unwrap_or_else(|_| Err(StoreError::timed_out()))
    }

    /// Records a group. If the store rejects it, records each delivery alone, so that one bad delivery does not fail
    /// the others; if the store is unavailable, all fail.
    async fn record_group(&self, group: Vec<Waiting>) {
        // With one daemon, all go together. Of several, another may hold the sessions of those about no stream and wait
        // for those of the streams, so each kind has a transaction of its own.
        let goes_first = |waiting: &Waiting| self.is_shared() && waiting.is_of_stream();
        let (first, rest): (Vec<_>, _) = group.into_iter().partition(goes_first);
        self.record_together(first).await;
        self.record_together(rest).await;
    }

    async fn record_together(&self, group: Vec<Waiting>) {
        if group.is_empty() {
            return;
        }
        match self.record_all(&group).await {
            Ok(recorded) => {
                for (waiting, recorded) in group.into_iter().zip(recorded) {
                    // A caller that stopped waiting was answered 503; its retry will be a repeat.
                    let _ = waiting.answer.send(Ok(recorded));
                }
            }
            // Dropping the group drops the senders, so every caller gets an error and answers 503, which Zoom retries
            // (section 13.5).
            Err(StoreError::Unavailable(error)) if group.len() > 1 => {
                tracing::warn!(%error, deliveries = group.len(),
                    "cannot record deliveries; Zoom is asked to retry them");
            }
            Err(_) if group.len() > 1 => {
                for waiting in group {
                    // Boxed, because the function calls itself.
                    Box::pin(self.record_together(vec![waiting])).await;
                }
            }
            Err(error) => {
                if let Some(waiting) = group.into_iter().next() {
                    // The caller may have stopped waiting.
                    let _ = waiting.answer.send(Err(error));
                }
            }
        }
    }

    async fn record_all(&self, group: &[Waiting]) -> Result<Vec<Recorded>, StoreError> {
        let order = lock_order(group);
        let deliveries: Vec<&Delivery> =
            order.iter().map(|place| &group[*place].delivery).collect();
        let recorded = if deliveries.iter().all(|delivery| delivery.announcement.is_none()) {
            // They change nothing else: the new ones are recorded in one statement, and each repeated one in its own. After a
            // conflict in the latter, all count as repeated.
            transaction!(self.database, writer, |tx| {
                record_deliveries(&mut tx, &deliveries).await?
            })
        } else {
            transaction!(self.database, |tx| { record_deliveries(&mut tx, &deliveries).await? })
        };
        let deletes = |waiting: &Waiting| {
            matches!(waiting.delivery.announcement, WebhookEffect::Deauthorized(_))
        };
        if group.iter().any(deletes) {
            self.note_deleted();
        }
        let mut recorded: Vec<_> = order.into_iter().zip(recorded?).collect();
        recorded.sort_by_key(|(place, _)| *place);
        Ok(recorded.into_iter().map(|(_, recorded)| recorded).collect())
    }
}

/// The order in which a group is recorded: that in which every transaction with several streams locks them. Deliveries
/// about one stream stay in their order.
fn lock_order(group: &[Waiting]) -> Vec<usize> {
    let effect = |place: &usize| &group[*place].delivery.announcement;
    let stream_id = |place: &usize| effect(place).stream_id();
    let instance_id = |place: &usize| match effect(place) {
        WebhookEffect::Meeting(meeting) => Some(meeting.instance.id()),
        _ => None,
    };
    let mut order: Vec<usize> = (0..group.len()).collect();
    order.sort_by_key(|place| (stream_id(place).is_none(), stream_id(place), instance_id(place)));
    order
}

impl Waiting {
    fn is_of_stream(&self) -> bool {
        self.delivery.announcement.stream_id().is_some()
    }
}

/// Records what is queued, group after group, until nothing is.
async fn record_groups(mut reset: ResetOnPanic) {
    let store = &reset.store;
    loop {
        // Lets waiting requests and answered callers run first; otherwise the first of a burst is committed alone and
        // the rest wait for its flush.
        tokio::task::yield_now().await;
        let Some(group) = store.group.next() else { break };
        store.record_group(group).await;
    }
    reset.is_over = true;
}

/// Empties the queue if the recording task panics: the waiting callers get an error, so that Zoom sends their webhooks again,
/// and the next delivery starts a new task. Also if the task's runtime ends.
struct ResetOnPanic {
    store: Store,
    is_over: bool,
}

impl Drop for ResetOnPanic {
    fn drop(&mut self) {
        if !self.is_over {
            *self.store.group.lock() = Queue::default();
        }
    }
}

impl Group {
    /// Queues a delivery. Returns true if no task is recording, so the caller must start one.
    fn push(&self, waiting: Waiting) -> bool {
        let mut queue = self.lock();
        queue.waiting.push_back(waiting);
        !std::mem::replace(&mut queue.is_recording, true)
    }

    /// Takes the next deliveries, without those of callers that stopped waiting. `None` if there are none: the task ends.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.lock();
        queue.waiting.retain(|waiting| !waiting.answer.is_closed());
        let mut bytes = 0;
        let fits = |waiting: &&Waiting| {
            bytes += waiting.delivery.body.len();
            bytes <= MAX_GROUP_BYTES
        };
        let count = queue.waiting.iter().take(MAX_GROUP).take_while(fits).count();
        // At least one, because a body above the limit goes alone.
        let count = count.max(1).min(queue.waiting.len());
        queue.is_recording = count > 0;
        queue.burst.note(count, Instant::now());
        queue.is_recording.then(|| queue.waiting.drain(..count).collect())
    }

    /// See [`Burst::until`].
    pub(super) fn burst_until(&self, now: Instant) -> Option<Instant> {
        self.lock().burst.until(now)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().expect("nothing panics while holding the queue")
    }
}
