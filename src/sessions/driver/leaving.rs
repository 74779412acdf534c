//! Reads what Zoom has sent already before the sockets of a stream are dropped.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::task::unconstrained;
use tokio::time::timeout;

use super::links::Links;
use super::{Driver, Exit};
use crate::rtms::stream::Input;

/// The most messages read from links that are about to be dropped. Zoom keeps filling an unanswered link for half a
/// minute.
const MOST_AT_ONCE: usize = 10_000;
/// How long Zoom may take to end its side of the sockets that are left.
const LEAVE_LIMIT: Duration = Duration::from_secs(1);

impl Driver<'_> {
    /// Leaves the sockets without a Close frame, so that Zoom waits. Ends only the sending side at first and reads until
    /// Zoom has ended its own: what is on its way would be lost.
    pub(super) async fn leave(&mut self, exit: Exit) -> Exit {
        self.is_leaving = true;
        self.links.end_sending();
        let ended = timeout(LEAVE_LIMIT, self.read_to_the_end()).await;
        ended.ok().flatten().unwrap_or(exit)
    }

    async fn read_to_the_end(&mut self) -> Option<Exit> {
        while self.next.is_some() || !self.links.is_empty() {
            let input = next_input(&mut self.next, &mut self.links).await;
            if let Some(over) = self.read_last(input) {
                return Some(over);
            }
        }
        None
    }

    /// Reads the messages that the links have already received before they are dropped. After the process was
    /// suspended, these may be all messages since.
    pub(super) fn read_the_rest(&mut self) -> Option<Exit> {
        for _ in 0..MOST_AT_ONCE {
            // Without `unconstrained`, Tokio's budget would report `Pending` after some reads, and
            // `now_or_never` has no later turn.
            let next = unconstrained(next_input(&mut self.next, &mut self.links));
            let input = next.now_or_never()?;
            if let Some(over) = self.read_last(input) {
                return Some(over);
            }
        }
        None
    }

    fn read_last(&mut self, input: Input) -> Option<Exit> {
        // This link is dropped with the others.
        if matches!(input, Input::Lost(..)) && !self.stream.is_ending() {
            return None;
        }
        let now = Instant::now();
        self.handle(now, input);
        self.perform(now)
    }
}

/// The input that waits, or the next one of the links. Cancel-safe.
async fn next_input(waiting: &mut Option<Input>, links: &mut Links) -> Input {
    match waiting.take() {
        Some(input) => input,
        None => links.next().await,
    }
}
