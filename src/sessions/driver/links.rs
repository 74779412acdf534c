//! The sockets of one stream, polled together: dials, reads, writes, hang-ups.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::socket::{Dialled, Socket, dial_link};
use crate::net::Network;
use crate::net::websocket::Message;
use crate::rtms::LinkId;
use crate::rtms::endpoint::Endpoint;
use crate::rtms::stream::{HangUp, Input, LossReason};
use crate::sessions::dial_threads::DialThreads;
use crate::wake_flag::{WakeFlag, WakeFlags};

type Dial = Pin<Box<dyn Future<Output = Result<Dialled, String>> + Send>>;

/// The open sockets of one stream and its running dials.
pub(super) struct Links {
    slots: Vec<Slot>,
    /// Where the next poll begins, so that a busy link cannot hide another's messages.
    turn: usize,
    wakes: Arc<WakeFlags>,
    network: Network,
    dials: DialThreads,
}

struct Slot {
    id: LinkId,
    kind: Kind,
    /// Whether the socket woke the task. Polling an idle socket costs almost as much as polling a ready one.
    wake: WakeFlag,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a link is open nearly all the time, and a box costs a cache miss"
)]
enum Kind {
    Dialing(Dial),
    Open(Socket),
}

impl Links {
    pub(super) fn new(network: Network, dials: DialThreads, wakes: Arc<WakeFlags>) -> Self {
        Self { slots: Vec::new(), turn: 0, wakes, network, dials }
    }

    pub(super) fn dial(&mut self, id: LinkId, endpoint: Endpoint) {
        self.remove(id);
        let dial = self.dials.run(dial_link(endpoint, self.network.clone()));
        let wake = WakeFlag::of(&self.wakes);
        // `push` would double the capacity, for links that never open.
        self.slots.reserve_exact(1);
        self.slots.push(Slot { id, kind: Kind::Dialing(Box::pin(dial)), wake });
    }

    /// Queues a message; the next poll sends it. A peer that has stopped reading is lost. A message to a link
    /// that is not open is dropped: its loss is reported separately.
    pub(super) fn send(&mut self, id: LinkId, text: String) -> Result<(), LossReason> {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == id) else { return Ok(()) };
        let Kind::Open(socket) = &mut slot.kind else { return Ok(()) };
        // Nothing arrives to wake the socket, so the flag makes the next poll flush the message.
        slot.wake.set();
        if socket.send(&text).is_err() {
            self.remove(id);
            return Err(LossReason::Dropped("the peer has stopped reading".into()));
        }
        Ok(())
    }

    pub(super) fn hang_up(&mut self, id: LinkId, how: HangUp) {
        if let (Some(Kind::Open(socket)), HangUp::Politely) = (self.remove(id), how) {
            socket.close();
        }
    }

    /// Ends the sending side of every socket and gives up the dials. What the peers still send can be read.
    pub(super) fn end_sending(&mut self) {
        self.slots.retain(|slot| matches!(slot.kind, Kind::Open(_)));
        for slot in &mut self.slots {
            if let Kind::Open(socket) = &mut slot.kind {
                socket.end_sending();
            }
            // The flag of a socket that was not polled to its end may be unset.
            slot.wake.set();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Waits for the next event on any link. Cancel-safe.
    pub(super) async fn next(&mut self) -> Input {
        poll_fn(|cx| {
            // Registered before any flag is read: a socket that wakes after the read then finds this task.
            self.wakes.register(cx.waker());
            self.poll()
        })
        .await
    }

    /// The same for a caller that waits for more than links and has registered the task.
    pub(super) fn poll(&mut self) -> Poll<Input> {
        let count = self.slots.len();
        // Signaling first: it carries little traffic, and its message that the stream ends explains the losses
        // of the other links.
        let signaling = self.slots.iter().position(|slot| slot.id == LinkId::Signaling);
        let in_turn = (0..count).map(|step| (self.turn + step) % count);
        for index in signaling.into_iter().chain(in_turn) {
            let Poll::Ready(news) = self.slots[index].poll() else { continue };
            // Signaling is polled first anyway; it must not move the turn of the media links.
            if Some(index) != signaling {
                self.turn = index + 1;
            }
            if let Input::Lost(id, _) = news {
                self.remove(id);
            }
            return Poll::Ready(news);
        }
        Poll::Pending
    }

    fn remove(&mut self, id: LinkId) -> Option<Kind> {
        let index = self.slots.iter().position(|slot| slot.id == id)?;
        Some(self.slots.swap_remove(index).kind)
    }
}

impl Slot {
    /// Polls the socket if it was woken.
    fn poll(&mut self) -> Poll<Input> {
        let Self { id, kind, wake } = self;
        wake.poll(|cx| kind.poll(*id, cx))
    }
}

impl Kind {
    fn poll(&mut self, id: LinkId, cx: &mut Context<'_>) -> Poll<Input> {
        let news = match self {
            Kind::Open(socket) => {
                socket.prefetch();
                match ready!(socket.poll(cx)) {
                    Ok(Message::Whole(bytes)) => Input::Received(id, bytes),
                    Ok(Message::TooLarge(head)) => Input::TooLarge(id, head),
                    Err(loss) => Input::Lost(id, loss),
                }
            }
            Kind::Dialing(dial) => match ready!(dial.as_mut().poll(cx)) {
                Ok(dialled) => self.open(id, dialled),
                Err(cause) => Input::Lost(id, LossReason::Dial(cause)),
            },
        };
        Poll::Ready(news)
    }

    fn open(&mut self, id: LinkId, dialled: Dialled) -> Input {
        match Socket::new(dialled) {
            Ok(socket) => {
                *self = Kind::Open(socket);
                Input::Opened(id)
            }
            Err(error) => Input::Lost(id, LossReason::Dial(error.to_string())),
        }
    }
}
