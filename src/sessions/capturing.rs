//! What the driver of a stream captures: everything that goes into the state machine and comes out of it.

use std::time::Instant;

use super::stream_task::StreamTask;
use crate::capture::event::{Event, Loss, Run, Stored};
use crate::capture::{Capturer, Raw};
use crate::model::StreamRecord;
use crate::model::params::MediaPlan;
use crate::rtms::stream::{HangUp, Input, Output};

/// With what the capture of a run begins.
pub(super) struct Beginning {
    /// When the stream was prepared, Unix milliseconds.
    pub at_ms: i64,
    pub last_seq: u64,
    pub stored: Stored,
}

/// Captures the beginning of a run at `now`.
pub(super) fn capture_beginning(task: &mut StreamTask, now: Instant, seed: u64) {
    let Some(beginning) = task.beginning.take() else { return };
    let Some(capture) = task.feed.capture() else { return };
    capture.hide([task.setup.signature.clone()]);
    let run = Run {
        seed,
        url: task.endpoint.url().to_owned(),
        is_taken_over: task.is_taken_over,
        last_seq: beginning.last_seq,
        media: MediaPlan { params: task.setup.params.clone(), record: None, capture: None },
        policy: task.setup.policy.clone(),
        timings: task.setup.timings.clone(),
        stored: beginning.stored,
    };
    capture.push(now, beginning.at_ms, Raw::Event(Event::Run(Box::new(run))));
}

/// What the store knows of a stream.
pub(super) fn stored_of(stream: &StreamRecord) -> Stored {
    Stored {
        event_ts_ms: stream.event_ts_ms,
        created_at_ms: stream.created_at_ms,
        status: stream.status,
        first_packet_ms: stream.first_packet_ms,
        tally: stream.tally,
        unknown_messages: stream.unknown_messages.iter().map(|(n, count)| (*n, *count)).collect(),
        unreadable_messages: stream.unreadable_messages.clone(),
        ledger: stream.ledger.clone(),
    }
}

/// Captures what goes into the state machine.
pub(super) fn capture_input(capture: &Capturer, now: Instant, at_ms: i64, input: &Input) {
    let link = |id: &crate::rtms::LinkId| id.as_str().to_owned();
    let raw = match input {
        // Not copied: the message is counted by reference.
        Input::Received(id, bytes) => Raw::In(id.as_str(), bytes.clone()),
        Input::TooLarge(id, head) => Raw::TooLarge(id.as_str(), head.clone()),
        Input::Opened(id) => Raw::Event(Event::Opened { link: link(id) }),
        Input::Lost(id, loss) => Raw::Event(Event::Lost { link: link(id), how: Loss::of(loss) }),
        Input::Moved(endpoint) => Raw::Event(Event::Moved { url: endpoint.url().to_owned() }),
        Input::Interrupted => Raw::Event(Event::Interrupted {}),
        Input::Stopped { reason } => Raw::Event(Event::Stopped { reason: *reason }),
        Input::PinVideo(user_id) => Raw::Event(Event::PinVideo { user_id: *user_id }),
        Input::Close => Raw::Event(Event::Close {}),
    };
    capture.push(now, at_ms, raw);
}

/// Captures what the driver does for the state machine. Sent messages are captured as they are encoded.
pub(super) fn capture_output(capture: &Capturer, at_ms: i64, output: &Output) {
    let event = match output {
        Output::Dial(id, endpoint) => {
            Event::Dial { link: id.as_str().to_owned(), url: endpoint.url().to_owned() }
        }
        Output::HangUp(id, how) => {
            Event::HangUp { link: id.as_str().to_owned(), politely: *how == HangUp::Politely }
        }
        _ => return,
    };
    capture.push(Instant::now(), at_ms, Raw::Event(event));
}
