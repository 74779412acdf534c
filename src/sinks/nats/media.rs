//! Publishes frames to core NATS subjects.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Nats;
use crate::hub::{Frame, LeftOut, SinkStream, Tap, Tapped};
use crate::model::SessionId;
use crate::store::Store;

/// How long frames wait for a broker that is away or slow. After that they are dropped until it is back, because the
/// queues of many streams would add up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the store is asked for a session's account, once a second.
const ACCOUNT_TRIES: u32 = 5;
const ACCOUNT_RETRY: Duration = Duration::from_secs(1);

/// Publishes frames to core subjects, with one task per stream, so that none waits for another.
pub(super) struct Media {
    nats: Arc<Nats>,
    store: Store,
    streams: mpsc::UnboundedReceiver<SinkStream>,
    publishing: JoinSet<()>,
}

impl Media {
    pub(super) fn new(
        nats: Arc<Nats>,
        store: Store,
        streams: mpsc::UnboundedReceiver<SinkStream>,
    ) -> Self {
        Self { nats, store, streams, publishing: JoinSet::new() }
    }

    /// Runs until `stop`, which comes after the streams have ended here, then publishes the rest.
    pub(super) async fn run(&mut self, stop: CancellationToken) {
        let Self { publishing, .. } = self;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some((stream, tap)) = self.streams.recv() => {
                    let (nats, store) = (Arc::clone(&self.nats), self.store.clone());
                    publishing.spawn(publish(nats, store, stream.session_id, tap));
                }
                Some(_) = publishing.join_next() => {}
            }
        }
        // The streams have ended, so each task ends with its queue.
        while self.nats.link.is_up() && publishing.join_next().await.is_some() {}
        if self.nats.link.is_up()
            && let Err(error) = self.nats.link.client.flush().await
        {
            tracing::warn!(%error, "could not flush; the last frames may not have reached NATS");
        }
    }
}

async fn publish(nats: Arc<Nats>, store: Store, session_id: SessionId, mut tap: Tap) {
    let account_id = account_of(&store, session_id).await;
    while let Some(frame) = next(&nats, &mut tap).await {
        let published = nats.publish_frame(&frame, account_id.as_deref());
        if timeout(PATIENCE, published).await != Ok(true) {
            leave_out(&nats, &tap, &frame);
        }
    }
}

/// `None` if no webhook named it, or the store is unavailable.
async fn account_of(store: &Store, session_id: SessionId) -> Option<String> {
    for _ in 0..ACCOUNT_TRIES {
        if let Ok(session) = store.session(session_id).await {
            return session?.account_id;
        }
        sleep(ACCOUNT_RETRY).await;
    }
    None
}

/// The next frame when the broker is connected; `None` when the stream has ended. While the broker is away, frames wait
/// in the tap, where an overflow becomes a gap in the ledger.
async fn next(nats: &Nats, tap: &mut Tap) -> Option<Arc<Frame>> {
    if timeout(PATIENCE, nats.link.up()).await.is_err() {
        // From now on the tap drops new frames itself and reports them.
        tap.refuse(true);
        tokio::select! {
            // Biased: a broker that is back wins over dropping another frame.
            biased;
            () = nats.link.up() => tap.refuse(false),
            () = over(nats, tap) => return None,
        }
    }
    loop {
        match tap.next().await {
            Tapped::Frame(frame) => return Some(frame),
            Tapped::Dropped(_, frames) => {
                nats.counts.frames_dropped.fetch_add(frames, Ordering::Relaxed);
            }
            Tapped::Settle => tap.settled(),
            Tapped::Over { .. } => return None,
        }
    }
}

fn leave_out(nats: &Nats, tap: &Tap, frame: &Frame) {
    nats.counts.frames_dropped.fetch_add(1, Ordering::Relaxed);
    tap.left_out([LeftOut::of(frame)]);
}

/// Drops queued frames until the stream has ended.
async fn over(nats: &Nats, tap: &mut Tap) {
    loop {
        match tap.next().await {
            Tapped::Frame(frame) => leave_out(nats, tap, &frame),
            Tapped::Dropped(_, frames) => {
                nats.counts.frames_dropped.fetch_add(frames, Ordering::Relaxed);
            }
            Tapped::Settle => tap.settled(),
            Tapped::Over { .. } => return,
        }
    }
}
