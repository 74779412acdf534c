//! Sends the frames of one period together.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::hub::{Tap, Tapped};

/// The batches of a consumer that asked for them. They stay in the tap until they are due.
pub(super) struct Batches {
    length: Duration,
    state: State,
    /// When the batch is due.
    due: Pin<Box<Sleep>>,
}

enum State {
    /// Nothing is queued, and no timer runs.
    Idle,
    Gathering,
    /// A due batch is being taken.
    Taking,
}

impl Batches {
    /// Returns `None` if `length` is zero: items are not delayed.
    pub(super) fn of(length: Duration) -> Option<Self> {
        let idle = || Self { length, state: State::Idle, due: Box::pin(sleep(length)) };
        (!length.is_zero()).then(idle)
    }

    /// Returns the next item of a due batch. A batch is due one `length` after its first item, and at once if the tap
    /// is urgent.
    pub(super) fn poll_next(&mut self, tap: &mut Tap, cx: &mut Context<'_>) -> Poll<Tapped> {
        loop {
            self.state = match self.state {
                State::Idle => {
                    ready!(tap.poll_ready(cx));
                    self.due.as_mut().reset(Instant::now() + self.length);
                    State::Gathering
                }
                State::Gathering => {
                    if tap.poll_urgent(cx).is_pending() {
                        ready!(self.due.as_mut().poll(cx));
                    }
                    State::Taking
                }
                State::Taking => match tap.try_next() {
                    Some(item) => return Poll::Ready(item),
                    None => State::Idle,
                },
            };
        }
    }

    /// Notes that the tap is empty.
    pub(super) fn end(&mut self) {
        self.state = State::Idle;
    }
}
