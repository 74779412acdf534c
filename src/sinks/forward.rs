//! Forwards: a session's frames and entries on a WebSocket that the daemon opens to another server.
//!
//! Forwards are rows of the store, run by the daemon that runs a stream of their session: after a restart, or when
//! another replica takes the stream, entries continue after the last one known to be delivered. Frames continue with
//! the newest; missed ones are reported as dropped.

mod dial;
mod target;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub use self::target::{TargetError, Targets};

use self::dial::dial;
use super::live::{CloseReason, Connection, DeliveryAcks, Live, Request, Source};
use super::{Context, Runner, Stops};
use crate::hub::{Entrant, Permit, StreamInfo};
use crate::model::{AppName, Cursor, Forward, ForwardId, SessionId};
use crate::net::Network;
use crate::rtms::backoff::{self, Backoff};
use crate::rtms::endpoint::Endpoint;
use crate::store::StoreError;
use crate::telemetry::session_span_of;
use crate::zoom::app::Apps;

/// The most forwards of one session.
pub const MAX_PER_SESSION: u32 = 4;
/// The most forwards in total. No more than the allowed subscribers run anyway.
const MAX_ALL: u32 = 10_000;
/// How often the store is polled, and written with what was delivered.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The shortest time between two polls, because many streams may change at once.
const POLL_PAUSE: Duration = Duration::from_millis(100);
/// How long a forward stays after its stream has ended, to send the rest and to wait for another stream.
const AFTER_STREAM: Duration = Duration::from_secs(5);
/// How long ago a stream may have ended for its forwards to be polled: far longer than [`AFTER_STREAM`], because the
/// clocks of several daemons differ.
const RECENTLY_MS: i64 = 10 * 60 * 1000;
/// After this time, a connection counts as good.
const STABLE: Duration = Duration::from_secs(10);

/// The state of a forward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum ForwardStatus {
    /// No stream of its session runs here.
    Waiting,
    Connecting,
    Connected,
    /// Disconnected; the connection is tried again.
    Disconnected {
        error: String,
    },
    /// Failed; it is not tried again.
    Failed {
        error: String,
    },
    /// Everything was sent.
    Done,
}

/// The settings of forwards.
pub struct Settings {
    pub targets: Targets,
    pub live: Live,
    /// Each of several apps has its share of the subscribers' places.
    pub apps: Apps,
}

/// The forwards of this daemon.
pub struct Forwards {
    live: Live,
    apps: Apps,
    targets: Targets,
    /// For hosts that users of the API name.
    network: Network,
    /// The wall clock, Unix milliseconds.
    now_ms: fn() -> i64,
    running: Mutex<HashMap<ForwardId, RunningForward>>,
    wake: Notify,
}

/// A forward that runs here, or has run here and must not run again.
struct RunningForward {
    session_id: SessionId,
    stop: CancellationToken,
    status: watch::Receiver<ForwardStatus>,
    delivered: watch::Receiver<Cursor>,
    /// The position that the store has.
    stored: Cursor,
    /// Since when its session has had no stream here.
    idle_since: Option<Instant>,
}

/// Builds the sink. It stops with the live subscribers, when `live` does.
pub fn build(settings: Settings, context: &Context) -> (Arc<Forwards>, Box<dyn Runner>) {
    let Settings { targets, live, apps } = settings;
    let forwards = Arc::new(Forwards {
        live,
        apps,
        targets,
        network: context.network.for_named_hosts(),
        now_ms: context.now_ms,
        running: Mutex::default(),
        wake: Notify::new(),
    });
    let task = ForwardRunner { forwards: Arc::clone(&forwards), tasks: JoinSet::new() };
    (forwards, Box::new(task))
}

/// Owns every forward's task.
struct ForwardRunner {
    forwards: Arc<Forwards>,
    tasks: JoinSet<()>,
}

impl Runner for ForwardRunner {
    fn name(&self) -> &'static str {
        "forwards"
    }

    fn stops(&self) -> Stops {
        Stops::WithSubscribers
    }

    /// After a panic the forwards' own tasks continue.
    fn run(&mut self, stop: CancellationToken) -> BoxFuture<'_, ()> {
        Box::pin(self.forwards.run(&mut self.tasks, stop))
    }
}

impl Forwards {
    /// Checks that a URL may be forwarded to.
    pub fn check(&self, url: &str) -> Result<(), TargetError> {
        self.targets.endpoint(url).map(drop)
    }

    /// Wakes the task after a change of the store's forwards.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    pub fn status(&self, id: ForwardId) -> ForwardStatus {
        let running = self.running();
        running.get(&id).map_or(ForwardStatus::Waiting, |running| running.status.borrow().clone())
    }

    async fn run(self: &Arc<Self>, tasks: &mut JoinSet<()>, stop: CancellationToken) {
        let mut changes = self.live.hub.changes();
        while !stop.is_cancelled() {
            if let Err(error) = self.reconcile(tasks).await {
                tracing::warn!(%error, "cannot read the forwards; trying again");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                // Sleeps inside the branch, so that a burst of changes causes one poll.
                Ok(()) = changes.changed() => sleep(POLL_PAUSE).await,
                () = sleep(POLL_INTERVAL) => {}
                Some(ended) = tasks.join_next() => {
                    if ended.is_err() {
                        tracing::error!("a forward's task panicked; the forward has stopped");
                    }
                }
            }
        }
        while tasks.join_next().await.is_some() {}
        if let Err(error) = self.store_positions().await {
            tracing::warn!(%error, "cannot store the forwards' positions; the last entries may be sent again");
        }
    }

    async fn reconcile(self: &Arc<Self>, tasks: &mut JoinSet<()>) -> Result<(), StoreError> {
        // First: a forward that starts below continues after what was delivered.
        self.store_positions().await?;
        let since_ms = (self.now_ms)().saturating_sub(RECENTLY_MS);
        let forwards = self.live.store.forwards(since_ms, MAX_ALL).await?;
        if forwards.is_empty() && self.running().is_empty() {
            return Ok(());
        }
        let running = self.live.hub.running_all();
        let here: HashMap<SessionId, &StreamInfo> =
            running.iter().map(|(stream, _)| (stream.session_id, &**stream)).collect();
        self.stop_others(&forwards, &here);
        for forward in forwards {
            let Some(stream) = here.get(&forward.session_id) else { continue };
            if !self.running().contains_key(&forward.id) {
                self.start(forward, stream, tasks);
            }
        }
        Ok(())
    }

    /// Stops forwards that were removed or have had no stream of their session here for a while.
    fn stop_others(&self, forwards: &[Forward], here: &HashMap<SessionId, &StreamInfo>) {
        let known: HashSet<ForwardId> = forwards.iter().map(|forward| forward.id).collect();
        // A forward that has failed stays in the map, so that it is not started again.
        self.running().retain(|id, running| {
            running.idle_since = match here.contains_key(&running.session_id) {
                true => None,
                false => running.idle_since.or_else(|| Some(Instant::now())),
            };
            let is_idle = running.idle_since.is_some_and(|since| since.elapsed() >= AFTER_STREAM);
            let stays = known.contains(id) && !is_idle;
            if !stays {
                running.stop.cancel();
            }
            stays
        });
    }

    fn start(self: &Arc<Self>, forward: Forward, stream: &StreamInfo, tasks: &mut JoinSet<()>) {
        let app = stream.app.clone();
        let context = session_span_of(stream.session_id, stream.instance.product, &app);
        let (status, status_seen) = watch::channel(ForwardStatus::Connecting);
        let (delivered, delivered_seen) = watch::channel(forward.cursor.clone());
        let stop = self.live.stop.child_token();
        let running = RunningForward {
            session_id: forward.session_id,
            stop: stop.clone(),
            status: status_seen,
            delivered: delivered_seen,
            stored: forward.cursor.clone(),
            idle_since: None,
        };
        self.running().insert(forward.id, running);
        let task =
            ForwardTask { forwards: Arc::clone(self), forward, app, status, delivered, stop };
        let forwarding = async move {
            let last = task.run().await;
            tracing::info!(forward_id = %task.forward.id, ?last, "a forward has ended");
            task.status.send_replace(last);
        };
        tasks.spawn(forwarding.instrument(context));
    }

    /// Stores the positions of delivered entries, to continue there after a kill.
    async fn store_positions(&self) -> Result<(), StoreError> {
        // Collected first: the lock is not held across the writes.
        let new: Vec<(ForwardId, Cursor)> = self
            .running()
            .iter()
            .filter_map(|(id, running)| {
                let delivered = running.delivered.borrow().clone();
                let is_new = delivered != running.stored;
                is_new.then_some((*id, delivered))
            })
            .collect();
        for (id, cursor) in new {
            self.live.store.note_forwarded(id, &cursor).await?;
            if let Some(running) = self.running().get_mut(&id) {
                running.stored = cursor;
            }
        }
        Ok(())
    }

    fn running(&self) -> MutexGuard<'_, HashMap<ForwardId, RunningForward>> {
        self.running.lock().expect("nothing panics while holding the forwards")
    }
}

/// The task of one forward.
struct ForwardTask {
    forwards: Arc<Forwards>,
    forward: Forward,
    /// The app of its session.
    app: AppName,
    status: watch::Sender<ForwardStatus>,
    delivered: watch::Sender<Cursor>,
    stop: CancellationToken,
}

impl ForwardTask {
    /// Runs the forward. Returns its final state.
    async fn run(&self) -> ForwardStatus {
        let failed = |error: String| ForwardStatus::Failed { error };
        let Forward { session_id, url, asked, cursor, .. } = &self.forward;
        let endpoint = match self.forwards.targets.endpoint(url) {
            Ok(endpoint) => endpoint,
            Err(error) => return failed(format!("the URL {error}")),
        };
        let request = match Request::read(asked, Some(*session_id)) {
            Ok(request) => request.after(*session_id, cursor.clone()),
            Err(error) => return failed(error.to_string()),
        };
        let Some(_permit) = self.permit().await else { return ForwardStatus::Waiting };
        let mut source = Source::open(&self.forwards.live, request);
        let (mut rng, mut backoff) = (backoff::stream_rng(rand::random()), Backoff::default());
        loop {
            let since = Instant::now();
            let error = match self.connection(&endpoint, &mut source).await {
                Ok(last) => return last,
                Err(error) => error,
            };
            if since.elapsed() >= STABLE {
                backoff.clear();
            }
            if !self.wait(error, backoff.after_loss(&mut rng)).await {
                return ForwardStatus::Waiting;
            }
        }
    }

    /// Waits for a permit among the subscribers; `None` when the forward must stop.
    async fn permit(&self) -> Option<Permit> {
        let Forwards { live, apps, .. } = &*self.forwards;
        loop {
            // The only app shares with none.
            let app = (apps.all().len() > 1).then_some(&self.app);
            if let Some(permit) = live.hub.enter(Entrant::Forward(app)) {
                return Some(permit);
            }
            let error = "the maximum number of subscribers, or of this app's, is connected (MAX_SUBSCRIBERS)";
            if !self.wait(error.to_owned(), POLL_INTERVAL).await {
                return None;
            }
        }
    }

    /// Connects and runs the connection. Returns an error if it is lost, or the forward's final state.
    async fn connection(
        &self,
        endpoint: &Endpoint,
        source: &mut Source,
    ) -> Result<ForwardStatus, String> {
        let dial = dial(endpoint, &self.forwards.targets, &self.forwards.network);
        let Some(socket) = self.stop.run_until_cancelled(dial).await else {
            return Ok(ForwardStatus::Waiting);
        };
        let mut socket = socket?;
        // Frames that were queued for the server are stale.
        source.resume(self.forward.session_id, &self.delivered.borrow());
        self.status.send_replace(ForwardStatus::Connected);
        let acks = DeliveryAcks::new(self.delivered.clone());
        let connection = Connection::new(&mut socket, source).with_acks(acks);
        match connection.run(&self.stop).await {
            CloseReason::Session => Ok(ForwardStatus::Done),
            CloseReason::Stopped => Ok(ForwardStatus::Waiting),
            CloseReason::Unsupported(problem) => {
                Ok(ForwardStatus::Failed { error: problem.into() })
            }
            reason => Err(reason.to_string()),
        }
    }

    /// False when the forward must stop.
    async fn wait(&self, error: String, wait: Duration) -> bool {
        tracing::debug!(forward_id = %self.forward.id, error, "a forward is disconnected; connecting again");
        self.status.send_replace(ForwardStatus::Disconnected { error });
        self.stop.run_until_cancelled(sleep(wait)).await.is_some()
    }
}
