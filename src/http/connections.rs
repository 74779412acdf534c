//! The open connections: their limit, and which one closes to make room for a new one.
//!
//! A connection that holds a complete request keeps its slot. All others can lose theirs, so that no number of silent
//! or slow clients blocks a webhook.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// No complete request head has come since the connection opened or its last answer ended.
    Silent,
    /// The body of a request is being received.
    Receiving,
    /// A complete request is being answered.
    Answering,
}

/// Slots beyond the limit for health checks only, so that a busy daemon is not mistaken for a dead one.
const HEALTH_PLACES: usize = 16;

/// The connections of one listener.
pub(super) struct Connections {
    places: usize,
    max_requests: usize,
    table: Mutex<Table>,
    /// Notified when a slot may have become free.
    freed: Notify,
}

#[derive(Default)]
struct Table {
    open: HashMap<u64, Open>,
    /// How many connections hold a complete request.
    answering: usize,
    /// A logical clock: rises with every new connection and every change of phase.
    ticks: u64,
}

struct Open {
    peer: IpAddr,
    phase: Phase,
    /// The tick of its last change of phase.
    since: u64,
    close: CancellationToken,
}

impl Connections {
    /// Creates slots for this many requests, plus those for health checks.
    pub fn new(max_requests: usize) -> Arc<Self> {
        Self::with_places(max_requests.saturating_add(HEALTH_PLACES), max_requests)
    }

    fn with_places(places: usize, max_requests: usize) -> Arc<Self> {
        Arc::new(Self { places, max_requests, table: Mutex::default(), freed: Notify::new() })
    }

    /// Takes a slot for a connection from `peer`. If none is free, closes the connection with the lowest priority;
    /// waits while all of them hold a complete request. Cancel-safe.
    pub async fn enter(self: &Arc<Self>, peer: IpAddr) -> Place {
        loop {
            let freed = self.freed.notified();
            if let Some(place) = self.try_enter(peer) {
                return place;
            }
            freed.await;
        }
    }

    fn try_enter(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let mut table = self.lock();
        if table.open.len() >= self.places {
            let victim = least_worth(&table.open)?;
            // Its task sees this at its next poll; its slot is free from now on.
            table.remove(victim)?.close.cancel();
        }
        let id = table.tick();
        let close = CancellationToken::new();
        let entry = Open { peer, phase: Phase::Silent, since: id, close: close.clone() };
        table.open.insert(id, entry);
        Some(Place { id, peer, close, connections: Arc::clone(self) })
    }

    fn set_phase(&self, id: u64, phase: Phase) {
        self.lock().set_phase(id, phase);
        if phase != Phase::Answering {
            self.freed.notify_one();
        }
    }

    fn is_full(&self) -> bool {
        self.lock().answering >= self.max_requests
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

    fn set_phase(&mut self, id: u64, phase: Phase) {
        let since = self.tick();
        let Some(open) = self.open.get_mut(&id) else { return };
        let before = std::mem::replace(&mut open.phase, phase);
        open.since = since;
        self.answering -= usize::from(before == Phase::Answering);
        self.answering += usize::from(phase == Phase::Answering);
    }

    fn remove(&mut self, id: u64) -> Option<Open> {
        self.set_phase(id, Phase::Silent);
        self.open.remove(&id)
    }
}

/// Picks the connection to close: silent ones before those with a partial request, then one from the address with the
/// most connections, then the oldest.
fn least_worth(open: &HashMap<u64, Open>) -> Option<u64> {
    let mut shares: HashMap<IpAddr, usize> = HashMap::new();
    for connection in open.values() {
        *shares.entry(connection.peer).or_default() += 1;
    }
    let closable = open.iter().filter(|(_, connection)| connection.phase != Phase::Answering);
    let worth = |(_, connection): &(&u64, &Open)| {
        (connection.phase, Reverse(shares[&connection.peer]), connection.since)
    };
    closable.min_by_key(worth).map(|(id, _)| *id)
}

/// The slot of one connection. Dropping it frees the slot.
pub(super) struct Place {
    id: u64,
    peer: IpAddr,
    close: CancellationToken,
    connections: Arc<Connections>,
}

impl Place {
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Waits until the connection must close to make room for another.
    pub async fn lost(&self) {
        self.close.cancelled().await;
    }

    /// Starts a request whose head has arrived; tracks the body of the request and of its answer.
    pub fn request(&self, body: &impl HttpBody) -> Request {
        let phase = if body.is_end_stream() { Phase::Answering } else { Phase::Receiving };
        let is_over = self.connections.is_full();
        self.connections.set_phase(self.id, phase);
        Request { id: self.id, is_over, connections: Arc::clone(&self.connections) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().remove(self.id);
        self.connections.freed.notify_one();
    }
}

/// A request that is being received or answered. When it is dropped, its connection counts as silent again.
pub(super) struct Request {
    id: u64,
    is_over: bool,
    connections: Arc<Connections>,
}

/// Marks a request beyond the limit, in a slot reserved for health checks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Overloaded;

impl Request {
    /// Whether the limit was reached when this request arrived.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Wraps the request's body to notice when it is complete.
    pub fn receive<B>(&self, body: B) -> Body
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        if body.is_end_stream() {
            return Body::new(body);
        }
        let (id, connections) = (self.id, Arc::clone(&self.connections));
        let whole = move || connections.set_phase(id, Phase::Answering);
        Body::new(Watched { body: body.map_err(axum::Error::new), at_end: AtEnd(Some(whole)) })
    }

    /// Wraps the answer's body; the request ends with it.
    pub fn answer(self, body: Body) -> Body {
        let over = move || drop(self);
        Body::new(Watched { body, at_end: AtEnd(Some(over)) })
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.connections.set_phase(self.id, Phase::Silent);
    }
}

/// A body that calls a function when it ends or is dropped.
struct Watched<B, F: FnOnce()> {
    body: B,
    at_end: AtEnd<F>,
}

struct AtEnd<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> AtEnd<F> {
    fn ring(&mut self) {
        if let Some(ring) = self.0.take() {
            ring();
        }
    }
}

impl<F: FnOnce()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        self.ring();
    }
}

impl<B, F> HttpBody for Watched<B, F>
where
    B: HttpBody<Data = Bytes> + Unpin,
    F: FnOnce() + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) {
            self.at_end.ring();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http_body_util::{Empty, Full};

    use super::*;

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    fn enter(connections: &Arc<Connections>, last: u8) -> Option<Place> {
        connections.try_enter(address(last))
    }

    fn is_lost(place: &Place) -> bool {
        place.close.is_cancelled()
    }

    #[test]
    fn a_new_connection_takes_the_place_of_the_one_that_is_silent_longest() {
        let connections = Connections::with_places(2, 2);
        let (first, second) = (enter(&connections, 1).unwrap(), enter(&connections, 1).unwrap());
        let _third = enter(&connections, 1).unwrap();
        assert!(is_lost(&first) && !is_lost(&second));
    }

    #[test]
    fn a_connection_with_a_complete_request_keeps_its_place() {
        let connections = Connections::with_places(2, 2);
        let (busy, silent) = (enter(&connections, 1).unwrap(), enter(&connections, 1).unwrap());
        let request = busy.request(&Empty::<Bytes>::new());
        let other = enter(&connections, 1).unwrap();
        assert!(is_lost(&silent) && !is_lost(&busy));
        let _both_busy = other.request(&Empty::<Bytes>::new());
        assert!(enter(&connections, 1).is_none());
        drop(request);
        assert!(enter(&connections, 1).is_some());
        assert!(is_lost(&busy), "it is silent again after its answer");
    }

    #[test]
    fn a_connection_with_half_a_request_closes_after_the_silent_ones() {
        let connections = Connections::with_places(2, 2);
        let (half, silent) = (enter(&connections, 1).unwrap(), enter(&connections, 1).unwrap());
        let request = half.request(&Full::<Bytes>::from("half"));
        let third = enter(&connections, 1).unwrap();
        assert!(is_lost(&silent) && !is_lost(&half));
        let _busy = third.request(&Empty::<Bytes>::new());
        assert!(enter(&connections, 1).is_some());
        assert!(is_lost(&half));
        drop(request);
    }

    #[tokio::test]
    async fn a_request_is_complete_when_its_body_has_ended() {
        let connections = Connections::with_places(1, 1);
        let place = enter(&connections, 1).unwrap();
        let request = place.request(&Full::<Bytes>::from("whole"));
        let body = request.receive(Full::<Bytes>::from("whole"));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "whole");
        assert!(enter(&connections, 1).is_none());
        let answer = request.answer(Body::from("answer"));
        assert!(enter(&connections, 1).is_none());
        assert_eq!(answer.collect().await.unwrap().to_bytes(), "answer");
        assert!(enter(&connections, 1).is_some());
    }

    #[test]
    fn the_address_with_the_most_connections_loses_one_first() {
        let connections = Connections::with_places(3, 3);
        let (lone, crowd) = (enter(&connections, 1).unwrap(), enter(&connections, 2).unwrap());
        let _crowd = enter(&connections, 2).unwrap();
        let _new = enter(&connections, 3).unwrap();
        assert!(is_lost(&crowd) && !is_lost(&lone));
    }

    #[tokio::test]
    async fn while_all_are_busy_a_new_connection_waits_for_one_to_end() {
        let connections = Connections::with_places(1, 1);
        let busy = connections.enter(address(1)).await;
        let request = busy.request(&Empty::<Bytes>::new());
        let mut waiting = Box::pin(connections.enter(address(1)));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        drop(request);
        waiting.await;
    }

    #[test]
    fn requests_beyond_the_limit_are_marked_while_they_last() {
        let connections = Connections::with_places(3, 1);
        let (first, second) = (enter(&connections, 1).unwrap(), enter(&connections, 1).unwrap());
        let within = first.request(&Empty::<Bytes>::new());
        assert!(!within.is_over());
        assert!(second.request(&Empty::<Bytes>::new()).is_over());
        drop(first);
        drop(within);
        assert!(!second.request(&Empty::<Bytes>::new()).is_over());
    }
}
