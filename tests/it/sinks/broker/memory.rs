//! A broker in memory: all that another broker needs.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use rtmsd::model::MediaSet;
use rtmsd::sinks::broker::{Broker, FrameSettings, runner};
use rtmsd::sinks::message::Message;
use rtmsd::sinks::{Context, Runner};

/// Builds the sink.
pub(super) fn build(memory: &Arc<Memory>, context: &Context) -> Box<dyn Runner> {
    let frames = FrameSettings { media: MediaSet::default(), buffer_bytes: 1 << 20 };
    runner(Arc::clone(memory), frames, context)
}

#[derive(Default)]
pub(super) struct Memory(Mutex<State>);

#[derive(Default)]
struct State {
    is_up: bool,
    messages: Vec<Message>,
    /// After this many messages each, the next publishes fail.
    failures: VecDeque<usize>,
}

impl Broker for Memory {
    type Error = &'static str;

    const NAME: &'static str = "memory";

    fn is_up(&self) -> bool {
        self.state().is_up
    }

    async fn publish(&self, messages: Vec<Message>) -> Result<(), &'static str> {
        let mut state = self.state();
        if !state.is_up {
            return Err("the broker is away");
        }
        match state.failures.front() {
            Some(kept) if *kept < messages.len() => {
                let kept = state.failures.pop_front().expect("it is there");
                state.messages.extend(messages.into_iter().take(kept));
                Err("the connection broke")
            }
            _ => {
                state.messages.extend(messages);
                Ok(())
            }
        }
    }

    async fn publish_frame(&self, _frame: Message) -> bool {
        self.is_up()
    }
}

impl Memory {
    pub(super) fn set_up(&self, is_up: bool) {
        self.state().is_up = is_up;
    }

    /// The next publish of more messages than this keeps as many, and fails.
    pub(super) fn fail_after(&self, kept: usize) {
        self.state().failures.push_back(kept);
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        self.state().messages.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}
