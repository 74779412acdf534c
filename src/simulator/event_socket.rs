//! Zoom's event socket: delivers the events of an app to the newest connection of its subscription (section 23.1).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::event::Event;
use super::lock;
use super::planned::Planned;
use super::report::EventSocketReport;
use super::settings::Timings;
use super::socket::WebSocket;

/// The length of the queue to a client.
const QUEUE: usize = 1024;
/// The most planned refusals, each with its count.
const MAX_PLANNED: usize = 100;

/// A fault of the event socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventSocketFault {
    /// The next connections are refused with 401: their token does not count.
    Refuse,
    /// The next connections are refused by Zoom's first message, and closed.
    Reject,
    /// The TCP connection is closed without a Close frame.
    Drop,
    /// The connection is closed with a Close frame.
    Close,
    /// Nothing is sent on the connection from now on: no event and no answer to a heartbeat.
    Silence,
    /// Another program connects to the subscription, which ends the connection.
    Replace,
}

/// What a connection is told to do.
enum Order {
    Send(String),
    Drop,
    Close,
    Silence,
}

/// The newest connection of the subscription.
struct Current {
    id: u64,
    orders: mpsc::Sender<Order>,
    is_silent: bool,
}

/// The event subscription of one app.
pub(super) struct EventSocket {
    subscription_id: String,
    timings: Timings,
    current: Mutex<Option<Current>>,
    refusals: Planned<(), EventSocketFault, MAX_PLANNED>,
    report: Mutex<EventSocketReport>,
    next_id: AtomicU64,
}

impl EventSocket {
    pub(super) fn new(client_id: &str, timings: &Timings) -> Self {
        Self {
            subscription_id: format!("{client_id}-events"),
            timings: timings.clone(),
            current: Mutex::default(),
            refusals: Planned::default(),
            report: Mutex::default(),
            next_id: AtomicU64::new(1),
        }
    }

    pub(super) fn subscription_id(&self) -> &str {
        &self.subscription_id
    }

    pub(super) fn report(&self) -> EventSocketReport {
        lock(&self.report).clone()
    }

    /// Sends an event to the newest connection. Without one it is lost, as with Zoom.
    pub(super) fn deliver(&self, event: &Event) {
        let message = json!({"module": "message", "content": event.body}).to_string();
        let current = lock(&self.current);
        let is_sent = current.as_ref().is_some_and(|current| {
            !current.is_silent && current.orders.try_send(Order::Send(message)).is_ok()
        });
        let mut report = lock(&self.report);
        let count = if is_sent { &mut report.delivered } else { &mut report.missed };
        *count.entry(event.name.clone()).or_default() += 1;
    }

    /// Refuses the next `count` connections, or does something to the newest one.
    pub(super) fn plan(&self, fault: EventSocketFault, count: u32) {
        use EventSocketFault as F;
        let order = match fault {
            F::Refuse | F::Reject => return self.refusals.plan((), count, fault),
            F::Drop => Order::Drop,
            F::Close | F::Replace => Order::Close,
            F::Silence => Order::Silence,
        };
        let mut current = lock(&self.current);
        if let Some(connection) = current.as_mut() {
            connection.is_silent |= fault == F::Silence;
            // A full queue belongs to a client that does not read, which ends by itself.
            let _ = connection.orders.try_send(order);
        }
        if !matches!(fault, F::Silence) {
            *current = None;
        }
    }

    /// Drops the planned refusals.
    pub(super) fn forgive(&self) {
        self.refusals.clear();
    }

    /// Whether the next connection is refused before the upgrade.
    pub(super) fn refuses(&self, is_token_valid: bool) -> bool {
        let is_planned = self.refusals.next_if(|fault| fault == EventSocketFault::Refuse);
        let refuses = is_planned || !is_token_valid;
        lock(&self.report).refused += u64::from(refuses);
        refuses
    }

    /// Serves a connection until it ends, at the latest when its token does. Calls `on_open` when events reach it.
    pub(super) async fn serve(
        self: Arc<Self>,
        mut socket: WebSocket,
        token_ends: Instant,
        on_open: impl FnOnce(),
    ) {
        if self.refusals.next_if(|fault| fault == EventSocketFault::Reject) {
            lock(&self.report).refused += 1;
            let no = json!({"module": "build_connection", "success": false});
            if send(&mut socket, &no).await {
                close(socket).await;
            }
            return;
        }
        let (orders, received) = mpsc::channel(QUEUE);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        // Accepted before it gets events.
        if !send(&mut socket, &json!({"module": "build_connection", "success": true})).await {
            return;
        }
        let replaced = lock(&self.current).replace(Current { id, orders, is_silent: false });
        lock(&self.report).connections += 1;
        on_open();
        if let Some(older) = replaced {
            lock(&self.report).replaced += 1;
            let _ = older.orders.try_send(Order::Close);
        }
        self.converse(socket, received, token_ends).await;
        let mut current = lock(&self.current);
        if current.as_ref().is_some_and(|current| current.id == id) {
            *current = None;
        }
    }

    async fn converse(
        &self,
        mut socket: WebSocket,
        mut orders: mpsc::Receiver<Order>,
        token_ends: Instant,
    ) {
        let patience = self.timings.wait(self.timings.event_heartbeat_ms);
        let (mut heartbeat_until, mut is_silent) = (Instant::now() + patience, false);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Send(text)) => {
                        if !is_silent && socket.send(Message::Text(text.into())).await.is_err() {
                            return;
                        }
                    }
                    Some(Order::Silence) => is_silent = true,
                    Some(Order::Drop) => return,
                    // The sender is dropped when another connection has taken the place of this one.
                    Some(Order::Close) | None => return close(socket).await,
                },
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        if !self.is_heartbeat(text.as_str()) {
                            continue;
                        }
                        heartbeat_until = Instant::now() + patience;
                        let answer = json!({"module": "heartbeat"});
                        if !is_silent && !send(&mut socket, &answer).await {
                            return;
                        }
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => {}
                },
                () = sleep_until(heartbeat_until) => {
                    self.breach("no heartbeat came in time");
                    return close(socket).await;
                }
                () = sleep_until(token_ends) => {
                    lock(&self.report).expired += 1;
                    return close(socket).await;
                }
            }
        }
    }

    fn is_heartbeat(&self, text: &str) -> bool {
        let message: Option<Value> = serde_json::from_str(text).ok();
        let is_heartbeat = message.is_some_and(|message| message["module"] == "heartbeat");
        if is_heartbeat {
            lock(&self.report).heartbeats += 1;
        } else {
            self.breach("a message that is no heartbeat");
        }
        is_heartbeat
    }

    fn breach(&self, what: &str) {
        lock(&self.report).breach(what);
    }
}

async fn send(socket: &mut WebSocket, message: &Value) -> bool {
    socket.send(Message::Text(message.to_string().into())).await.is_ok()
}

/// Sends a Close frame and waits a moment for the client's.
async fn close(mut socket: WebSocket) {
    const LIMIT: Duration = Duration::from_secs(1);
    let goodbye = async {
        let frame = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::from_static("") };
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // A client that does not answer loses the connection.
    let _ = timeout(LIMIT, goodbye).await;
}
