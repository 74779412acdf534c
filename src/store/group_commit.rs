//! Commits concurrent deliveries together: a commit costs one disk flush whatever its size, and during a burst of
//! starts Zoom is waiting for the answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Mutex as AsyncMutex, oneshot};

use super::database::transaction;
use super::deliveries::record_delivery;
use super::{Recorded, Store, StoreError};
use crate::model::{Delivery, WebhookEffect};

/// The most deliveries in one transaction.
const MAX_GROUP: usize = 64;
/// The most bytes of their bodies, so that even a slow connection to the store commits them in time. A single delivery
/// may be larger.
const MAX_GROUP_BYTES: usize = 1024 * 1024;

/// Callers that wait for their delivery to be recorded. Bounded by the number of HTTP connections.
#[derive(Default)]
pub(super) struct Group {
    waiting: Mutex<VecDeque<Waiting>>,
    /// The right to record the queued deliveries, in order of arrival.
    turn: Arc<AsyncMutex<()>>,
}

struct Waiting {
    delivery: Delivery,
    answer: oneshot::Sender<Result<Recorded, StoreError>>,
}

impl Store {
    /// Records a delivery and its effect on sessions and streams in one transaction, together with those that arrived
    /// during the previous commit.
    pub async fn record_delivery(&self, delivery: &Delivery) -> Result<Recorded, StoreError> {
        let (answer, mut recorded) = oneshot::channel();
        self.group.lock().push_back(Waiting { delivery: delivery.clone(), answer });
        // Several turns if the queue holds more than one group.
        loop {
            let turn = Arc::clone(&self.group.turn).lock_owned().await;
            match recorded.try_recv() {
                Ok(answer) => return answer,
                // The whole group failed, or its task panicked: the sender was dropped.
                Err(TryRecvError::Closed) => return Err(StoreError::timed_out()),
                Err(TryRecvError::Empty) => {}
            }
            let (store, group) = (self.clone(), self.group.take());
            // In a separate task: a caller that leaves must not cancel the others' deliveries.
            let recording = tokio::spawn(async move {
                store.record_group(group).await;
                // The task owns the turn, so that the next group waits for this commit even if the caller has left.
                drop(turn);
            });
            // After a panic the answers are lost, and all callers get an error that makes them retry.
            let _ = recording.await;
        }
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
        let recorded = transaction!(self.database, |tx| {
            let mut recorded = Vec::with_capacity(group.len());
            for place in &order {
                let delivery = &group[*place].delivery;
                recorded.push((*place, record_delivery(&mut tx, delivery).await?));
            }
            recorded.sort_by_key(|(place, _)| *place);
            recorded.into_iter().map(|(_, recorded)| recorded).collect()
        });
        let deletes = |waiting: &Waiting| {
            matches!(waiting.delivery.announcement, WebhookEffect::Deauthorized(_))
        };
        if group.iter().any(deletes) {
            self.note_deleted();
        }
        recorded
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

impl Group {
    /// Takes the queued deliveries, without those of callers that stopped waiting.
    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.lock();
        waiting.retain(|waiting| !waiting.answer.is_closed());
        let mut bytes = 0;
        let fits = |waiting: &&Waiting| {
            bytes += waiting.delivery.body.len();
            bytes <= MAX_GROUP_BYTES
        };
        let count = waiting.iter().take(MAX_GROUP).take_while(fits).count();
        // At least one, because a body above the limit goes alone. None if an earlier turn has emptied the queue.
        let count = count.max(1).min(waiting.len());
        waiting.drain(..count).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().expect("nothing panics while holding the queue")
    }
}
