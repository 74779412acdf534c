//! Tracks what a live consumer has received, by pings and pongs.

use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;

use crate::model::{Cursor, Entry};

/// Tracks which entries a consumer has received: a pong confirms what was sent before its ping.
pub struct DeliveryAcks {
    delivered: watch::Sender<Cursor>,
    sent: Cursor,
    /// The unanswered ping: its number, and the position that was sent before it.
    pending: Option<(u64, Cursor)>,
    last_ping: u64,
}

impl DeliveryAcks {
    /// Publishes confirmed positions to `delivered`.
    pub fn new(delivered: watch::Sender<Cursor>) -> Self {
        let sent = delivered.borrow().clone();
        Self { sent, delivered, pending: None, last_ping: 0 }
    }

    /// Notes that an entry was sent.
    pub(super) fn sent(&mut self, entry: &Entry) {
        self.sent.advance(entry.stream_ordinal, entry.seq);
    }

    /// A ping that asks for confirmation of what was sent since the last one.
    pub(super) fn ping(&mut self) -> Option<Message> {
        if self.pending.is_some() || self.sent == *self.delivered.borrow() {
            return None;
        }
        self.last_ping += 1;
        self.pending = Some((self.last_ping, self.sent.clone()));
        Some(ping_message(self.last_ping))
    }

    /// The unanswered ping: a peer need only answer the newest (RFC 6455 section 5.5.3).
    pub(super) fn repeated_ping(&self) -> Option<Message> {
        self.pending.as_ref().map(|(number, _)| ping_message(*number))
    }

    /// Confirms what was sent before the ping that this pong answers.
    pub(super) fn pong(&mut self, payload: &[u8]) {
        let is_answer = |(number, _): &mut (u64, Cursor)| number.to_be_bytes() == payload;
        if let Some((_, cursor)) = self.pending.take_if(is_answer) {
            self.delivered.send_replace(cursor);
        }
    }
}

fn ping_message(number: u64) -> Message {
    Message::Ping(number.to_be_bytes().to_vec().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinged(acks: &mut DeliveryAcks) -> Option<Vec<u8>> {
        match acks.ping()? {
            Message::Ping(payload) => Some(payload.to_vec()),
            _ => None,
        }
    }

    #[test]
    fn a_peer_that_answers_only_the_newest_ping_confirms_by_it() {
        let delivered = watch::Sender::default();
        let mut acks = DeliveryAcks::new(delivered.clone());
        assert_eq!(acks.repeated_ping(), None);
        acks.sent.advance(1, 5);
        acks.ping().unwrap();
        let Some(Message::Ping(newest)) = acks.repeated_ping() else {
            panic!("no ping is pending")
        };
        acks.pong(&newest);
        assert_eq!(delivered.borrow().seen(1), 5);
        assert_eq!(acks.repeated_ping(), None);
    }

    #[test]
    fn only_what_came_before_an_answered_ping_is_confirmed() {
        let delivered = watch::Sender::default();
        let mut acks = DeliveryAcks::new(delivered.clone());
        assert_eq!(pinged(&mut acks), None);
        acks.sent.advance(1, 5);
        let payload = pinged(&mut acks).unwrap();
        acks.sent.advance(1, 9);
        assert_eq!(pinged(&mut acks), None, "one at a time");
        acks.pong(b"something");
        assert_eq!(delivered.borrow().seen(1), 0);
        acks.pong(&payload);
        assert_eq!(delivered.borrow().seen(1), 5);
        let payload = pinged(&mut acks).unwrap();
        acks.pong(&payload);
        assert_eq!(delivered.borrow().seen(1), 9);
        assert_eq!(pinged(&mut acks), None);
    }
}
