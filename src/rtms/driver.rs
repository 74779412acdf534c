//! The sockets of one stream: bytes in, bytes out. Decides nothing; the state machine does.

mod links;
mod socket;
mod text_frames;

use std::pin::Pin;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use self::links::Links;
use super::endpoint::Endpoint;
use super::stream::{End, Input, Output, Setup, Stream};
use crate::clock;
use crate::hub::Feed;
use crate::model::{StreamId, UserId};
use crate::net::Network;

/// What the owner of a stream tells it.
#[derive(Debug)]
pub enum Command {
    /// Zoom announced the stream again: the new server, and how often it has by now.
    Moved {
        endpoint: Endpoint,
        generation: i64,
    },
    Interrupted,
    Stopped {
        reason: Option<i64>,
    },
    /// Ask for this participant's video.
    PinVideo(UserId),
    /// End the stream at Zoom's, too.
    Close,
    /// Drop the sockets without a word: Zoom waits, and somebody picks the stream up.
    Leave,
}

/// How a drive was over.
#[derive(Debug)]
pub enum Drive {
    Finished(End),
    Left,
}

/// Everything a drive needs.
pub struct Job {
    pub setup: Setup,
    pub endpoint: Endpoint,
    /// The announcement that `endpoint` is from; follows the moves.
    pub generation: i64,
    pub seed: u64,
    pub network: Network,
    pub feed: Feed,
}

/// Runs a stream to its end, or until it is told to leave it. All its sockets live and die in here.
pub async fn drive(job: &mut Job, commands: &mut mpsc::Receiver<Command>) -> Drive {
    let stream = Stream::new(Instant::now(), job.seed, job.setup.clone(), job.endpoint.clone());
    let links = Links::new(job.network.clone());
    let alarm = Box::pin(tokio::time::sleep(std::time::Duration::ZERO));
    let (generation, feed) = (&mut job.generation, &mut job.feed);
    let stream_id = &job.setup.stream_id;
    Driver { stream, links, alarm, stream_id, generation, feed }.run(commands).await
}

struct Driver<'a> {
    stream: Stream<Utf8Bytes>,
    links: Links,
    alarm: Pin<Box<Sleep>>,
    stream_id: &'a StreamId,
    generation: &'a mut i64,
    feed: &'a mut Feed,
}

impl Driver<'_> {
    async fn run(mut self, commands: &mut mpsc::Receiver<Command>) -> Drive {
        let mut now = Instant::now();
        loop {
            let end = self.perform();
            self.feed.count_unknown(self.stream.unknown());
            if let Some(effective) = self.stream.take_effective() {
                self.feed.effective(&effective);
            }
            if let Some(end) = end {
                self.log_unknown();
                return Drive::Finished(end);
            }
            self.feed.report(self.stream.status(), now);
            self.set_alarm();
            // Sockets last: a busy link must not hide a command or another link's silence.
            let news = tokio::select! {
                biased;
                command = commands.recv() => match command.and_then(|command| self.input(command)) {
                    Some(input) => Some(input),
                    None => return Drive::Left,
                },
                () = &mut self.alarm => None,
                input = self.links.next() => Some(input),
            };
            now = Instant::now();
            match news {
                Some(input) => self.stream.handle(now, input),
                None => self.stream.handle_timeout(now),
            }
        }
    }

    /// Messages that nobody reads are counted by `msg_type`, and told once.
    fn log_unknown(&self) {
        let unknown = self.stream.unknown();
        if !unknown.is_empty() {
            tracing::info!(stream_id = %self.stream_id, ?unknown, "messages of unknown types came");
        }
    }

    /// Does what the state machine asks for, until it asks for nothing.
    fn perform(&mut self) -> Option<End> {
        while let Some(output) = self.stream.poll() {
            match output {
                Output::Dial(id, endpoint) => self.links.dial(id, endpoint),
                Output::HangUp(id, how) => self.links.hang_up(id, how),
                Output::Send(id, mut message) => {
                    message.stamp(clock::now_ms());
                    if let Err(loss) = self.links.send(id, message.to_json()) {
                        self.stream.handle(Instant::now(), Input::Lost(id, loss));
                    }
                }
                Output::Frame(medium, info, text) => self.feed.frame(medium, info, &text),
                Output::Note { at_ms, body } => self.feed.note(at_ms, body),
                Output::Ledger(change) => self.feed.change(change),
                Output::Finished(end) => {
                    self.feed.end();
                    return Some(end);
                }
            }
        }
        None
    }

    /// `None` means to leave; so does an owner who is gone.
    fn input(&mut self, command: Command) -> Option<Input<Utf8Bytes>> {
        match command {
            Command::Moved { endpoint, generation } => {
                *self.generation = generation;
                Some(Input::Moved(endpoint))
            }
            Command::Interrupted => Some(Input::Interrupted),
            Command::Stopped { reason } => Some(Input::Stopped { reason }),
            Command::PinVideo(user_id) => Some(Input::PinVideo(user_id)),
            Command::Close => Some(Input::Close),
            Command::Leave => None,
        }
    }

    /// Moves the alarm only when it would ring too late: an early ring is harmless, and every frame moves
    /// the deadline on.
    fn set_alarm(&mut self) {
        let Some(deadline) = self.stream.deadline() else { return };
        let deadline = tokio::time::Instant::from_std(deadline);
        if self.alarm.is_elapsed() || deadline < self.alarm.deadline() {
            self.alarm.as_mut().reset(deadline);
        }
    }
}
