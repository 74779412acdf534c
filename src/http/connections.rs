//! The open connections: their limit, and which one closes to make room for a new one.
//!
//! A connection that holds a complete request keeps its slot while its client reads the answer. A connection that is new, has
//! just been answered, or has sent a part of a request's body keeps its slot for a second, because more may have arrived
//! and not been read. All others can lose theirs, and webhooks have slots of their own, so that no number of silent or slow
//! clients blocks a webhook.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body as HttpBody;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::watched_body::{Reading, Watched};

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// It has just opened, and nobody has looked for its request.
    New,
    /// No complete request head has come since the connection opened or its last answer ended.
    Silent,
    /// The body of a request is being received.
    Receiving,
    /// A complete request is being answered.
    Answering,
}

/// Slots beyond the limit for webhooks and health checks only. A webhook in any slot is answered: Zoom would send a refused
/// one again only after five minutes, and a burst waits in the kernel's backlog.
const RESERVED_SLOTS: usize = 80;
/// How long a connection without a complete request keeps its slot, from when it opens or its last answer ends. On a busy
/// machine it takes hundreds of milliseconds to send and read a request of Zoom.
const SLOT_GRACE: Duration = Duration::from_secs(1);
/// How often a waiting connection tries to take a slot. Slots that become free because a client stalls or stays silent are
/// not notified.
const SLOT_RETRY: Duration = Duration::from_millis(50);
/// When this many connections are silent after an answer, each further answer ends its connection: an idle one holds 14 kB,
/// and a burst of webhooks leaves hundreds.
const MAX_IDLE: usize = 64;
/// How long a client may leave a part of its answer unread before its connection may be closed for another request. With
/// parts of 64 KiB this is a rate of some 20 KiB a second, required only while slots are short.
const STALL_LIMIT: Duration = Duration::from_secs(3);

/// The connections of one listener.
pub(super) struct Connections {
    slots: usize,
    max_requests: usize,
    stall_limit: Duration,
    /// How long a connection keeps its slot after an answer, or with a part of a request.
    slot_grace: Duration,
    table: Mutex<Table>,
    /// Notified when a slot may have become free.
    freed: Notify,
}

#[derive(Default)]
struct Table {
    open: HashMap<u64, Open>,
    /// How many connections hold a complete request.
    answering: usize,
    /// How many connections are silent after an answer.
    idle: usize,
    /// A logical clock: rises with every new connection and every change of phase.
    ticks: u64,
}

struct Open {
    peer: IpAddr,
    phase: Phase,
    /// Whether it has had a request.
    was_used: bool,
    /// The tick of its last change of phase.
    since: u64,
    /// Until when it keeps its slot though it is silent or slow.
    kept_until: Instant,
    reading: Arc<Reading>,
    close: CancellationToken,
}

impl Open {
    fn is_idle(&self) -> bool {
        self.phase == Phase::Silent && self.was_used
    }
}

impl Connections {
    /// Creates slots for this many requests, plus those for webhooks and health checks.
    pub(super) fn new(max_requests: usize) -> Arc<Self> {
        let slots = max_requests.saturating_add(RESERVED_SLOTS);
        Self::with_slots(slots, max_requests, STALL_LIMIT, SLOT_GRACE)
    }

    fn with_slots(
        slots: usize,
        max_requests: usize,
        stall_limit: Duration,
        slot_grace: Duration,
    ) -> Arc<Self> {
        let (table, freed) = (Mutex::default(), Notify::new());
        Arc::new(Self { slots, max_requests, stall_limit, slot_grace, table, freed })
    }

    /// Takes a slot for a connection from `peer`. If none is free, closes the connection with the lowest priority;
    /// waits while all of them hold a complete request and read their answers. Cancel-safe.
    pub(super) async fn enter(self: &Arc<Self>, peer: IpAddr) -> Slot {
        loop {
            // Created before `try_enter`: a slot freed in between wakes this waiter.
            let freed = self.freed.notified();
            if let Some(slot) = self.try_enter(peer) {
                return slot;
            }
            let _ = timeout(SLOT_RETRY, freed).await;
        }
    }

    fn try_enter(self: &Arc<Self>, peer: IpAddr) -> Option<Slot> {
        let mut table = self.lock();
        if table.open.len() >= self.slots {
            let victim = least_worth(&table.open, self.stall_limit)?;
            table.close(victim);
        }
        let id = table.tick();
        let close = CancellationToken::new();
        let reading = Reading::new();
        let (kept, close_kept) = (Arc::clone(&reading), close.clone());
        let entry = Open {
            peer,
            phase: Phase::New,
            was_used: false,
            since: id,
            kept_until: Instant::now() + self.slot_grace,
            reading: kept,
            close: close_kept,
        };
        table.open.insert(id, entry);
        Some(Slot { id, peer, reading, close, connections: Arc::clone(self) })
    }

    fn set_phase(&self, id: u64, phase: Phase) {
        self.lock().set_phase(id, phase, self.slot_grace);
        if phase != Phase::Answering {
            // `notify_one` keeps a permit if nobody waits, so the wake-up is not lost. The accept loop is the only
            // waiter.
            self.freed.notify_one();
        }
    }

    fn settle(&self, id: u64) {
        let mut table = self.lock();
        if table.open.get(&id).is_some_and(|open| open.phase == Phase::New) {
            // It was silent all the time.
            table.set_phase(id, Phase::Silent, Duration::ZERO);
            self.freed.notify_one();
        }
    }

    /// Whether as many requests as the limit are being answered. Then it closes the connection with the answer that has been
    /// unread longest.
    fn is_overloaded(&self) -> bool {
        let mut table = self.lock();
        if table.answering >= self.max_requests
            && let Some(victim) = longest_stalled(&table.open, self.stall_limit)
        {
            table.close(victim);
        }
        table.answering >= self.max_requests
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("nothing panics while holding the connections")
    }
}

impl Table {
    fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }

    fn set_phase(&mut self, id: u64, phase: Phase, kept: Duration) {
        let since = self.tick();
        // The slot may have been given away already; a late change of phase must not bring it back.
        let Some(open) = self.open.get_mut(&id) else { return };
        // Subtracted first: the sums cannot underflow, because the connection was counted as it was.
        self.answering -= usize::from(open.phase == Phase::Answering);
        self.idle -= usize::from(open.is_idle());
        open.was_used |= matches!(phase, Phase::Receiving | Phase::Answering);
        // The first request has as long as the connection is new: otherwise its head would buy the connection more time.
        if (open.phase, phase) != (Phase::New, Phase::Receiving) {
            open.kept_until = Instant::now() + kept;
        }
        (open.phase, open.since) = (phase, since);
        self.answering += usize::from(phase == Phase::Answering);
        self.idle += usize::from(open.is_idle());
    }

    fn remove(&mut self, id: u64) -> Option<Open> {
        // Through `set_phase`, so that `answering` and `idle` no longer count this connection.
        self.set_phase(id, Phase::New, Duration::ZERO);
        self.open.remove(&id)
    }

    /// Frees a connection's slot now; its task sees this at its next poll.
    fn close(&mut self, id: u64) {
        if let Some(open) = self.remove(id) {
            open.close.cancel();
        }
    }
}

/// The answer that has been left unread longest, beyond the limit.
fn longest_stalled(open: &HashMap<u64, Open>, limit: Duration) -> Option<u64> {
    let answering = open.iter().filter(|(_, connection)| connection.phase == Phase::Answering);
    let stalls = answering.map(|(id, connection)| (connection.reading.stalled_for(), *id));
    stalls.filter(|(stall, _)| *stall >= limit).max().map(|(_, id)| id)
}

/// Picks the connection to close, which is not a new one: silent ones before those with a partial request and those before
/// stalled answers, then one from the address with the most connections, then the oldest.
fn least_worth(open: &HashMap<u64, Open>, stall_limit: Duration) -> Option<u64> {
    let mut shares: HashMap<IpAddr, usize> = HashMap::new();
    for connection in open.values() {
        *shares.entry(connection.peer).or_default() += 1;
    }
    let now = Instant::now();
    let closable = open.iter().filter(|(_, connection)| match connection.phase {
        Phase::New => false,
        // A client may have sent its next request before it can know that the connection closes.
        // The rest of a request may have come, and wait to be read.
        Phase::Silent | Phase::Receiving => connection.kept_until <= now,
        Phase::Answering => connection.reading.stalled_for() >= stall_limit,
    });
    let worth = |(_, connection): &(&u64, &Open)| {
        // The derived order of `Phase` is the priority: silent, receiving, answering.
        (connection.phase, Reverse(shares[&connection.peer]), connection.since)
    };
    closable.min_by_key(worth).map(|(id, _)| *id)
}

/// The slot of one connection. Dropping it frees the slot.
pub(super) struct Slot {
    id: u64,
    peer: IpAddr,
    reading: Arc<Reading>,
    close: CancellationToken,
    connections: Arc<Connections>,
}

impl Slot {
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Waits until the connection must close to make room for another.
    pub(super) async fn lost(&self) {
        self.close.cancelled().await;
    }

    /// Counts the connection as silent if no request comes within [`SLOT_GRACE`]. Poll this after what reads the request, so
    /// that on a busy runtime a request that has come is read first.
    pub(super) async fn settle(&self) {
        sleep(SLOT_GRACE).await;
        self.connections.settle(self.id);
    }

    /// Starts a request when its head has arrived; tracks the body of the request and of its answer.
    pub(super) fn request(&self, body: &impl HttpBody) -> Request {
        let phase = if body.is_end_stream() { Phase::Answering } else { Phase::Receiving };
        // A connection may end its answer before it asks for another frame.
        self.reading.wants_frame();
        // Before `set_phase`: this request does not count towards its own limit.
        let is_overload = self.connections.is_overloaded();
        self.connections.set_phase(self.id, phase);
        let (reading, connections) = (Arc::clone(&self.reading), Arc::clone(&self.connections));
        Request { id: self.id, is_overload, reading, connections }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // After `close` the id is gone, and removing it again does nothing.
        self.connections.lock().remove(self.id);
        self.connections.freed.notify_one();
    }
}

/// A request that is being received or answered. When it is dropped, its connection counts as silent again.
pub(super) struct Request {
    id: u64,
    is_overload: bool,
    reading: Arc<Reading>,
    connections: Arc<Connections>,
}

/// Marks a request that came when as many as the limit were being answered: there is a slot if it is a webhook or a
/// health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overload;

impl Request {
    /// None when fewer requests than the limit were being answered when this one came.
    pub(super) fn overload(&self) -> Option<Overload> {
        self.is_overload.then_some(Overload)
    }

    /// Wraps the request's body to notice when it is complete.
    pub(super) fn receive<B>(&self, body: B) -> Body
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        if body.is_end_stream() {
            return Body::new(body);
        }
        let (id, connections) = (self.id, Arc::clone(&self.connections));
        let whole = move || connections.set_phase(id, Phase::Answering);
        Body::new(Watched::new(body.map_err(axum::Error::new), whole))
    }

    /// Whether the connection should end with this answer, because slots are short or many connections are idle. The
    /// answer says so, and the client sends nothing more on the connection. If the connection is closed later, the client
    /// may lose its next request.
    pub(super) fn is_last(&self) -> bool {
        let table = self.connections.lock();
        table.idle >= MAX_IDLE || table.open.len() >= self.connections.slots / 4 * 3
    }

    /// Wraps the answer's body; the request ends with it.
    pub(super) fn answer(self, body: Body) -> Body {
        let reading = Arc::clone(&self.reading);
        // The closure owns the request: dropping the body, whole or not, frees the slot.
        let over = move || drop(self);
        Body::new(Watched::new(body, over).with_reading(reading))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.connections.set_phase(self.id, Phase::Silent);
    }
}

#[cfg(test)]
mod tests;
