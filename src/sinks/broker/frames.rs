//! Publishes frames to a broker, with one task per stream, so that none waits for another.

use std::iter;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Broker;
use crate::hub::{Frame, LeftOut, SinkStream, Tap, Tapped};
use crate::model::SessionId;
use crate::net::retry::retry;
use crate::sinks::message::Message;
use crate::store::Store;

/// How long frames wait for a broker that is away or slow. After that they are dropped until it is back, because the
/// queues of many streams would add up.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often a disconnected broker is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How often and after what wait the store is asked again for a session's account.
const ACCOUNT_RETRIES: usize = 4;
const ACCOUNT_RETRY: Duration = Duration::from_secs(1);

/// The frames of all streams that run here.
pub(super) struct Frames<B> {
    broker: Arc<B>,
    store: Store,
    streams: mpsc::UnboundedReceiver<SinkStream>,
    publishing: JoinSet<()>,
}

impl<B: Broker> Frames<B> {
    pub(super) fn new(
        broker: Arc<B>,
        store: Store,
        streams: mpsc::UnboundedReceiver<SinkStream>,
    ) -> Self {
        Self { broker, store, streams, publishing: JoinSet::new() }
    }

    /// Runs until `stop`, which comes after the streams have ended here, then publishes the rest.
    pub(super) async fn run(&mut self, stop: CancellationToken) {
        let Self { broker, store, streams, publishing } = self;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some((stream, tap)) = streams.recv() => {
                    publishing.spawn(publish(broker.clone(), store.clone(), stream.session_id, tap));
                }
                Some(_) = publishing.join_next() => {}
            }
        }
        // The streams have ended, so each task ends with its queue.
        while broker.is_up() && publishing.join_next().await.is_some() {}
        if broker.is_up() {
            broker.flush().await;
        }
    }
}

async fn publish<B: Broker>(broker: Arc<B>, store: Store, session_id: SessionId, mut tap: Tap) {
    let account_id = account_of(&store, session_id).await;
    while let Some(frame) = next(&*broker, &mut tap).await {
        let message = Message::of_frame(&frame, account_id.as_deref());
        if timeout(TIMEOUT, broker.publish_frame(message)).await != Ok(true) {
            tap.left_out([LeftOut::of(&frame)]);
        }
    }
}

/// `None` if no webhook named it, or the store is unavailable.
async fn account_of(store: &Store, session_id: SessionId) -> Option<String> {
    let waits = iter::repeat_n(ACCOUNT_RETRY, ACCOUNT_RETRIES);
    retry(waits, |_| true, || store.session(session_id)).await.ok()??.account_id
}

/// The next frame when the broker is connected; `None` when the stream has ended. While the broker is away, frames wait
/// in the tap, where an overflow becomes a gap in the ledger.
async fn next(broker: &impl Broker, tap: &mut Tap) -> Option<Frame> {
    if timeout(TIMEOUT, up(broker)).await.is_err() {
        // The tap drops new frames before they are queued and reports them, so an outage costs no memory.
        tap.refuse(true);
        tokio::select! {
            // Biased: once the broker is back, no further queued frame is dropped.
            biased;
            () = up(broker) => tap.refuse(false),
            () = drop_frames(tap) => return None,
        }
    }
    next_frame(tap).await
}

async fn up(broker: &impl Broker) {
    while !broker.is_up() {
        sleep(POLL_INTERVAL).await;
    }
}

/// The next queued frame; `None` when the stream has ended.
async fn next_frame(tap: &mut Tap) -> Option<Frame> {
    loop {
        match tap.next().await {
            Tapped::Frame(frame) => return Some(frame),
            // The ledger has it already.
            Tapped::Dropped(..) => {}
            Tapped::Settle => tap.settled(),
            Tapped::Over { .. } => return None,
        }
    }
}

/// Drops queued frames until the stream has ended.
async fn drop_frames(tap: &mut Tap) {
    while let Some(frame) = next_frame(tap).await {
        tap.left_out([LeftOut::of(&frame)]);
    }
}
