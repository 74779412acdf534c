//! The open sockets of one stream, polled together: dials, reads, writes, hang-ups.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

use futures_util::task::AtomicWaker;

use super::socket::{Received, Socket, dial};
use crate::net::Network;
use crate::rtms::LinkId;
use crate::rtms::endpoint::Endpoint;
use crate::rtms::stream::{HangUp, Input, LossReason};

type Dial = Pin<Box<dyn Future<Output = Result<Socket, String>> + Send>>;

/// All the sockets of one stream, and the dials under way.
pub(super) struct Links {
    slots: Vec<Slot>,
    /// Where the next poll begins, so that a busy link cannot hide another's messages.
    turn: usize,
    /// The stream's task, for the sockets to wake.
    task: Arc<AtomicWaker>,
    network: Network,
}

struct Slot {
    id: LinkId,
    kind: Kind,
    /// A poll of a socket that has nothing costs almost as much as one that has: only those are polled
    /// that were woken.
    woken: Arc<Woken>,
    waker: Waker,
}

enum Kind {
    Dialing(Dial),
    Open(Box<Socket>),
}

/// Notes which socket it was, and wakes the task.
struct Woken {
    is_set: AtomicBool,
    task: Arc<AtomicWaker>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_set.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Links {
    pub(super) fn new(network: Network) -> Self {
        Self { slots: Vec::with_capacity(2), turn: 0, task: Arc::default(), network }
    }

    pub(super) fn dial(&mut self, id: LinkId, endpoint: Endpoint) {
        self.remove(id);
        let dial = dial(id, endpoint, self.network.clone());
        // Set: what was never polled cannot wake anybody.
        let woken = Woken { is_set: AtomicBool::new(true), task: Arc::clone(&self.task) };
        let woken = Arc::new(woken);
        let waker = Waker::from(Arc::clone(&woken));
        self.slots.push(Slot { id, kind: Kind::Dialing(Box::pin(dial)), woken, waker });
    }

    /// Queues a message; it leaves at the next poll. A peer that has stopped reading is lost.
    pub(super) fn send(&mut self, id: LinkId, text: String) -> Result<(), LossReason> {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == id) else { return Ok(()) };
        let Kind::Open(socket) = &mut slot.kind else { return Ok(()) };
        slot.woken.is_set.store(true, Ordering::Relaxed);
        if !socket.send(text) {
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

    /// What happens next on any link. Cancel-safe.
    pub(super) async fn next(&mut self) -> Input {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        // Before the first look at a flag: who wakes after that look finds this task.
        self.task.register(cx.waker());
        let count = self.slots.len();
        // Signaling first: it brings little, and its word that the stream ends explains what the others do then.
        let signaling = self.slots.iter().position(|slot| slot.id == LinkId::Signaling);
        let in_turn = (0..count).map(|step| (self.turn + step) % count);
        for index in signaling.into_iter().chain(in_turn) {
            let Poll::Ready(news) = self.slots[index].poll() else { continue };
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
    /// Whoever had news may have more: the flag stays set until there is none.
    fn poll(&mut self) -> Poll<Input> {
        if !self.woken.is_set.swap(false, Ordering::Acquire) {
            return Poll::Pending;
        }
        let news = ready!(self.poll_kind());
        self.woken.is_set.store(true, Ordering::Relaxed);
        Poll::Ready(news)
    }

    fn poll_kind(&mut self) -> Poll<Input> {
        let cx = &mut Context::from_waker(&self.waker);
        let news = match &mut self.kind {
            Kind::Open(socket) => match ready!(socket.poll(cx)) {
                Ok(Received::Whole(bytes)) => Input::Received(self.id, bytes),
                Ok(Received::TooLarge(head)) => Input::TooLarge(self.id, head),
                Err(loss) => Input::Lost(self.id, loss),
            },
            Kind::Dialing(dial) => match ready!(dial.as_mut().poll(cx)) {
                Ok(socket) => {
                    self.kind = Kind::Open(Box::new(socket));
                    Input::Opened(self.id)
                }
                Err(cause) => Input::Lost(self.id, LossReason::Dial(cause)),
            },
        };
        Poll::Ready(news)
    }
}
