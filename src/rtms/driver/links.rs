use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ClientConfig;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::socket::{Socket, dial};
use crate::rtms::endpoint::Endpoint;
use crate::rtms::stream::{HangUp, Input, LinkId, Loss};

type Dial = Pin<Box<dyn Future<Output = Result<Socket, String>> + Send>>;

/// All the sockets of one stream, and the dials under way.
pub(super) struct Links {
    slots: Vec<(LinkId, Slot)>,
    /// Where the next poll begins, so that a busy link cannot hide another's messages.
    turn: usize,
    tls: Arc<ClientConfig>,
}

enum Slot {
    Dialing(Dial),
    Open(Box<Socket>),
}

impl Links {
    pub fn new(tls: Arc<ClientConfig>) -> Self {
        Self { slots: Vec::with_capacity(2), turn: 0, tls }
    }

    pub fn dial(&mut self, id: LinkId, endpoint: Endpoint) {
        self.remove(id);
        let dial = dial(id, endpoint, Arc::clone(&self.tls));
        self.slots.push((id, Slot::Dialing(Box::pin(dial))));
    }

    /// A peer that no longer reads is found lost at the next poll.
    pub fn send(&mut self, id: LinkId, text: String) -> Result<(), Loss> {
        let socket = self.slots.iter_mut().find_map(|(slot_id, slot)| match slot {
            Slot::Open(socket) if *slot_id == id => Some(socket),
            _ => None,
        });
        if socket.is_some_and(|socket| !socket.send(text)) {
            self.remove(id);
            return Err(Loss::Dropped("the peer has stopped reading".into()));
        }
        Ok(())
    }

    pub fn hang_up(&mut self, id: LinkId, how: HangUp) {
        if let (Some(Slot::Open(socket)), HangUp::Politely) = (self.remove(id), how) {
            socket.close();
        }
    }

    /// What happens next on any link. Cancel-safe.
    pub async fn next(&mut self) -> Input<Utf8Bytes> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Input<Utf8Bytes>> {
        let count = self.slots.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            let (id, slot) = &mut self.slots[index];
            let id = *id;
            let Poll::Ready(news) = slot.poll(id, cx) else { continue };
            self.turn = index + 1;
            if matches!(news, Input::Lost(..)) {
                self.remove(id);
            }
            return Poll::Ready(news);
        }
        Poll::Pending
    }

    fn remove(&mut self, id: LinkId) -> Option<Slot> {
        let index = self.slots.iter().position(|(slot_id, _)| *slot_id == id)?;
        Some(self.slots.swap_remove(index).1)
    }
}

impl Slot {
    fn poll(&mut self, id: LinkId, cx: &mut Context<'_>) -> Poll<Input<Utf8Bytes>> {
        let news = match self {
            Slot::Open(socket) => match ready!(socket.poll(cx)) {
                Ok(text) => Input::Text(id, text),
                Err(loss) => Input::Lost(id, loss),
            },
            Slot::Dialing(dial) => match ready!(dial.as_mut().poll(cx)) {
                Ok(socket) => {
                    *self = Slot::Open(Box::new(socket));
                    Input::Opened(id)
                }
                Err(cause) => Input::Lost(id, Loss::Dial(cause)),
            },
        };
        Poll::Ready(news)
    }
}
