//! The sockets of one stream: bytes in, bytes out. Decides nothing; the state machine does.

mod held;
mod links;
mod socket;
mod text_frames;

use std::pin::Pin;
use std::time::Instant;

use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio::task::unconstrained;
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use self::held::HeldDials;
use self::links::Links;
use super::endpoint::Endpoint;
use super::stream::{End, Input, LinkId, Output, Setup, Stream};
use crate::clock;
use crate::hub::{Feed, Offer};
use crate::model::{StreamId, UserId};
use crate::net::Network;

/// How many messages are read from links that are about to be dropped: Zoom keeps a link that answers nothing for half
/// a minute.
const MOST_AT_ONCE: usize = 10_000;
/// How much of Zoom's window passes before a stream without a lease is dialled all the same: its store may be away for
/// everybody, and then nobody else can take it.
const WAITS_IN_WINDOW: u32 = 3;

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
    /// The lease is not what it was.
    Leased,
    /// What other daemons heard of the stream.
    HandedOver(Vec<Offer>),
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
    /// Another daemon is connected to the stream.
    LeftToOwner,
}

/// The right to run a stream.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    /// Of the claim; everything is written under it.
    pub epoch: i64,
    /// Until then nobody else takes the stream. Begins before the store is asked, so that it ends before the store
    /// says so.
    pub until: Instant,
}

/// Everything a drive needs.
pub struct Job {
    pub setup: Setup,
    pub endpoint: Endpoint,
    /// The announcement that `endpoint` is from; follows the moves.
    pub generation: i64,
    pub lease: watch::Receiver<Lease>,
    /// Taken from another daemon that did not let go of it.
    pub is_taken_over: bool,
    pub seed: u64,
    pub network: Network,
    pub feed: Feed,
}

/// Runs a stream to its end, or until it is told to leave it. All its sockets live and die in here.
pub async fn drive(job: &mut Job, commands: &mut mpsc::Receiver<Command>) -> Drive {
    let mut stream = Stream::new(Instant::now(), job.seed, job.setup.clone(), job.endpoint.clone());
    if job.is_taken_over {
        stream.contested();
    }
    let links = Links::new(job.network.clone());
    let alarm = Box::pin(tokio::time::sleep(std::time::Duration::ZERO));
    let (generation, feed, lease) = (&mut job.generation, &mut job.feed, &mut job.lease);
    let stream_id = &job.setup.stream_id;
    let held = HeldDials::new(job.setup.timings.signaling_window / WAITS_IN_WINDOW);
    let epoch = lease.borrow().epoch;
    let has_warned = false;
    Driver { stream, links, alarm, stream_id, generation, feed, lease, epoch, held, has_warned }
        .run(commands)
        .await
}

struct Driver<'a> {
    stream: Stream<Utf8Bytes>,
    links: Links,
    alarm: Pin<Box<Sleep>>,
    stream_id: &'a StreamId,
    generation: &'a mut i64,
    feed: &'a mut Feed,
    lease: &'a mut watch::Receiver<Lease>,
    /// The one that was last seen.
    epoch: i64,
    held: HeldDials,
    /// Unreadable messages are logged once, and counted always.
    has_warned: bool,
}

impl Driver<'_> {
    async fn run(mut self, commands: &mut mpsc::Receiver<Command>) -> Drive {
        let mut now = Instant::now();
        loop {
            let over = self.perform();
            self.feed.count_unknown(self.stream.unknown());
            self.count_unreadable();
            if let Some(effective) = self.stream.take_effective() {
                self.feed.effective(&effective);
            }
            if let Some(over) = over {
                self.log_unknown();
                return over;
            }
            self.feed.report(self.stream.status(), now);
            self.set_alarm();
            // Sockets last: a busy link must not hide a command or another link's silence.
            let news = tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Leave) | None => return self.read_the_rest().unwrap_or(Drive::Left),
                    Some(command) => self.input(command),
                },
                () = &mut self.alarm => None,
                input = self.links.next() => Some(input),
            };
            now = Instant::now();
            if matches!(self.lease.has_changed(), Ok(true)) {
                self.leased(now);
            }
            if let Some(Input::Lost(LinkId::Signaling, _)) = &news
                && let Some(over) = self.read_the_rest()
            {
                return over;
            }
            match news {
                Some(input) => self.stream.handle(now, input),
                None => {
                    // Its last words may have come while the process was stopped.
                    if self.stream.is_ending()
                        && let Some(over) = self.read_the_rest()
                    {
                        return over;
                    }
                    self.stream.handle_timeout(now);
                }
            }
        }
    }

    /// The media links are about to be dropped: what they have brought by now is taken before. After a pause of the
    /// process that is all of it.
    fn read_the_rest(&mut self) -> Option<Drive> {
        for _ in 0..MOST_AT_ONCE {
            // Tokio makes a task that has read much wait for its turn, and there is none after this.
            match unconstrained(self.links.next()).now_or_never()? {
                // It is dropped with the others.
                Input::Lost(..) if !self.stream.is_ending() => continue,
                input => self.stream.handle(Instant::now(), input),
            }
            if let Some(over) = self.perform() {
                return Some(over);
            }
        }
        None
    }

    fn count_unreadable(&mut self) {
        let unreadable = self.stream.take_unreadable();
        if unreadable.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.has_warned, true) {
            let stream_id = &self.stream_id;
            tracing::warn!(%stream_id, ?unreadable, "a message cannot be read; it is skipped and counted, as are those that follow");
        }
        self.feed.add_unreadable(unreadable);
    }

    /// Messages that nobody reads are counted by `msg_type`, and told once.
    fn log_unknown(&self) {
        let unknown = self.stream.unknown();
        if !unknown.is_empty() {
            tracing::info!(stream_id = %self.stream_id, ?unknown, "messages of unknown types came");
        }
    }

    /// Does what the state machine asks for, until it asks for nothing.
    fn perform(&mut self) -> Option<Drive> {
        while let Some(output) = self.stream.poll() {
            match output {
                Output::Dial(id, endpoint) => self.dial(id, endpoint),
                Output::HangUp(id, how) => {
                    self.held.remove(id);
                    self.links.hang_up(id, how);
                }
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
                    return Some(Drive::Finished(end));
                }
                Output::LeftToOwner => return Some(Drive::LeftToOwner),
            }
        }
        None
    }

    /// A link that was lost after the lease ran out may have been taken by whoever has the lease now: to dial at once
    /// would take it back from there, and so on without end.
    fn dial(&mut self, id: LinkId, endpoint: Endpoint) {
        let (now, until) = (Instant::now(), self.lease.borrow().until);
        if let Some(endpoint) = self.held.hold(now, until, id, endpoint) {
            self.links.dial(id, endpoint);
        }
    }

    /// The lease was prolonged, or the stream was claimed again.
    fn leased(&mut self, now: Instant) {
        let Lease { epoch, until } = *self.lease.borrow_and_update();
        if epoch != self.epoch {
            self.epoch = epoch;
            self.stream.contested();
            self.feed.claimed_again(now);
        }
        for (id, endpoint) in self.held.release(now, until) {
            self.links.dial(id, endpoint);
        }
    }

    /// None for what the state machine need not know.
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
            Command::HandedOver(offers) => {
                self.feed.handed_over(offers);
                None
            }
            Command::Leased | Command::Leave => None,
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
