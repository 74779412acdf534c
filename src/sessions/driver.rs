//! Drives one stream: moves bytes between its sockets and the state machine. The state machine makes every
//! decision.

mod command;
mod held;
mod join_trace;
mod leaving;
mod links;
mod metrics;
mod outputs;
mod reach;
mod reports;
mod socket;

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::time::Sleep;

pub(super) use self::command::{Command, CommandSender, Commands, command_queue};
use self::held::HeldDials;
use self::join_trace::JoinTrace;
use self::links::Links;
use self::metrics::Counting;
pub(super) use self::reach::Reach;
use super::capturing::{capture_beginning, capture_input};
use super::dial_threads::DialThreads;
use super::stream_task::StreamTask;
use super::stream_threads::count_message;
use crate::capture::Raw;
use crate::capture::event::Event;
use crate::clock;
use crate::rtms::LinkId;
use crate::rtms::stream::{End, Input, Stream};
use crate::wake_flag::{WakeFlag, WakeFlags};

/// The most messages handled before commands, timers and the lease are looked at again.
const MOST_TOGETHER: u32 = 64;
/// A stream without a lease dials anyway after this fraction (one third) of Zoom's rejoin window: if the store is down
/// for every daemon, no other daemon can take the stream.
const WAITS_IN_WINDOW: u32 = 3;

/// How a stream's driver ended.
#[derive(Debug)]
pub(super) enum Exit {
    Finished(End),
    Left,
    GivenUp,
    /// Another daemon is connected to the stream and keeps it.
    LeftToOwner,
}

/// The right to run a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    /// The claim's epoch; every write carries it.
    pub epoch: i64,
    /// No other daemon claims the stream before this instant. Counted from before the request to the store, so it never
    /// outlasts the lease in the store.
    pub until: Instant,
}

/// Runs a stream to its end, or until a command to leave it. Owns all its sockets, which `dials` opens.
pub(super) async fn drive_stream(task: &mut StreamTask, dials: DialThreads) -> Exit {
    // Built in a plain function and run by reference: an `async fn` that takes it by value stores it twice for the life of
    // the stream.
    Driver::new(task, dials).run().await
}

/// What a turn of the driver begins with.
enum Turn {
    /// `None`: the supervisor is gone.
    Command(Option<Command>),
    Alarm,
    Link(Input),
}

struct Driver<'a> {
    task: &'a mut StreamTask,
    stream: Stream,
    links: Links,
    /// What happened on a link and is not handled yet.
    next: Option<Input>,
    alarm: Pin<Box<Sleep>>,
    commands_wake: WakeFlag,
    alarm_wake: WakeFlag,
    wakes: Arc<WakeFlags>,
    /// When to look at what frames do not change.
    look_at: Instant,
    /// The epoch of the lease last seen.
    epoch: i64,
    held: HeldDials,
    /// Whether the sockets are being left: no link is dialled any longer.
    is_leaving: bool,
    /// Whether an unreadable message was logged. Only the first is; all are counted.
    has_warned: bool,
    /// The media parameters of which it was logged that Zoom grants others.
    logged_fields: BTreeSet<String>,
    counting: Counting,
    /// Until the first frame.
    joining: Option<JoinTrace>,
}

impl<'a> Driver<'a> {
    fn new(task: &'a mut StreamTask, dials: DialThreads) -> Self {
        let (setup, endpoint) = (task.setup.clone(), task.endpoint.clone());
        let (now, seed) = (Instant::now(), rand::random());
        capture_beginning(task, now, seed);
        let mut stream = Stream::new(now, seed, setup, endpoint);
        if task.is_taken_over {
            stream.contested();
        }
        let epoch = task.lease.borrow().epoch;
        let wakes = Arc::new(WakeFlags::default());
        Self {
            stream,
            links: Links::new(task.network.clone(), dials, Arc::clone(&wakes)),
            commands_wake: WakeFlag::of(&wakes),
            alarm_wake: WakeFlag::of(&wakes),
            wakes,
            look_at: now,
            next: None,
            // Elapses at once; the first `set_alarm` sets the real deadline.
            alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
            epoch,
            held: HeldDials::new(task.setup.timings.signaling_window / WAITS_IN_WINDOW),
            is_leaving: false,
            has_warned: false,
            logged_fields: BTreeSet::new(),
            counting: Counting::new(task),
            joining: task.feed.context().in_scope(|| JoinTrace::begin(&task.setup.stream_id)),
            task,
        }
    }

    async fn run(&mut self) -> Exit {
        let mut now = Instant::now();
        loop {
            let over = self.handle_ready(now);
            // What follows happens now, and not with the last message.
            self.task.feed.set_clock(None);
            if let Some(over) = over {
                let _entered = self.enter();
                self.pass_counts();
                self.log_unknown();
                return over;
            }
            if self.stream.take_changed() || now >= self.look_at {
                self.look(now);
            }
            let news = match poll_fn(|cx| self.poll_turn(cx)).await {
                Turn::Command(Some(Command::Leave) | None) => return self.leave(Exit::Left).await,
                Turn::Command(Some(Command::GiveUp)) => return self.leave(Exit::GivenUp).await,
                Turn::Command(Some(command)) => {
                    // With every command, because `Command::Leased` is lost when the queue is full.
                    if matches!(self.task.lease.has_changed(), Ok(true)) {
                        self.leased(Instant::now());
                    }
                    self.input(command)
                }
                Turn::Alarm => None,
                Turn::Link(input) => Some(input),
            };
            now = Instant::now();
            count_message(news.as_ref().map_or(0, bytes_of));
            // Media may be queued behind the loss, and the state machine drops the media links with signaling.
            if let Some(Input::Lost(LinkId::Signaling, _)) = &news
                && let Some(over) = self.read_the_rest()
            {
                return over;
            }
            match news {
                Some(input) => self.handle(now, input),
                None => {
                    // Zoom's last messages may have arrived while the process was suspended.
                    if self.stream.is_ending()
                        && let Some(over) = self.read_the_rest()
                    {
                        return over;
                    }
                    let at_ms = self.set_clock();
                    if let Some(capture) = self.task.feed.capture() {
                        capture.push(now, at_ms, Raw::Event(Event::Timer {}));
                    }
                    self.stream.handle_timeout(now);
                }
            }
        }
    }

    /// Waits for the next thing to do. Sockets last: a busy link must not hide a command or another link's timeout.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        self.wakes.register(cx.waker());
        let commands = &mut self.task.commands;
        if let Poll::Ready(command) = self.commands_wake.poll(|cx| commands.poll_next_unpin(cx)) {
            return Poll::Ready(Turn::Command(command));
        }
        // Not `WakeFlag::poll`: a timer that has elapsed would be polled again and again.
        if self.alarm_wake.take()
            && self.alarm.as_mut().poll(&mut self.alarm_wake.context()).is_ready()
        {
            return Poll::Ready(Turn::Alarm);
        }
        match self.next.take() {
            Some(input) => Poll::Ready(Turn::Link(input)),
            None if self.wakes.is_any_set() => {
                self.prefetch();
                self.links.poll().map(Turn::Link)
            }
            None => Poll::Pending,
        }
    }

    /// Performs what there is to do, and handles the messages that have come together with the last one: what follows in
    /// [`Self::run`] is done once for all of them. Whatever is no message waits in `next`.
    fn handle_ready(&mut self, now: Instant) -> Option<Exit> {
        for _ in 0..MOST_TOGETHER {
            if let Some(over) = self.perform(now) {
                return Some(over);
            }
            if self.next.is_some() {
                return None;
            }
            // The flags of what wakes the task now are read again by the next turn, which registers the task first.
            match self.links.poll() {
                Poll::Ready(message @ (Input::Received(..) | Input::TooLarge(..))) => {
                    count_message(bytes_of(&message));
                    self.handle(now, message);
                }
                Poll::Ready(other) => {
                    self.next = Some(other);
                    return None;
                }
                Poll::Pending => return None,
            }
        }
        self.perform(now)
    }

    fn handle(&mut self, now: Instant, input: Input) {
        if let Some(joining) = &mut self.joining {
            joining.note(&input);
        }
        if matches!(input, Input::Opened(LinkId::Signaling)) {
            self.task.reach.answered();
        }
        let at_ms = self.set_clock();
        if let Some(capture) = self.task.feed.capture() {
            capture_input(capture, now, at_ms, &input);
        }
        self.task.feed.prefetch_targets();
        self.stream.handle(now, input);
        self.task.feed.prefetch_nested();
        // Before any frame that arrived with the answer: its format is the one granted here.
        if let Some(effective) = self.stream.take_effective() {
            self.note_granted(&effective);
        }
    }

    /// Gives everything that follows from one input one time, which is returned.
    fn set_clock(&mut self) -> i64 {
        let now_ms = clock::now_ms();
        self.task.feed.set_clock(Some(now_ms));
        now_ms
    }

    /// Prefetches what a message needs, before the sockets are read.
    fn prefetch(&self) {
        self.stream.prefetch();
        self.task.feed.prefetch();
    }

    /// Translates a command into an input of the state machine. Returns none for a command that the driver
    /// handles itself.
    fn input(&mut self, command: Command) -> Option<Input> {
        let _entered = self.enter();
        match command {
            Command::Moved { endpoint, generation } => {
                self.task.generation = generation;
                Some(Input::Moved(endpoint))
            }
            Command::Interrupted => Some(Input::Interrupted),
            Command::Stopped { reason } => Some(Input::Stopped { reason }),
            Command::PinVideo(user_id) => Some(Input::PinVideo(user_id)),
            Command::Close => Some(Input::Close),
            Command::HandedOver(offers) => {
                self.task.feed.handed_over(offers);
                None
            }
            Command::Leased | Command::Leave | Command::GiveUp => None,
        }
    }

    /// Moves the alarm only when it would ring too late. An early ring is harmless, and every frame moves the
    /// deadline.
    fn set_alarm(&mut self) {
        let Some(deadline) = self.stream.deadline() else { return };
        let deadline = tokio::time::Instant::from_std(deadline);
        if self.alarm.is_elapsed() || deadline < self.alarm.deadline() {
            self.alarm.as_mut().reset(deadline);
            // Polled once more, so that it wakes this task at the new deadline.
            self.alarm_wake.set();
        }
    }
}

/// The length of a received message; 0 for other inputs.
fn bytes_of(input: &Input) -> usize {
    match input {
        Input::Received(_, bytes) | Input::TooLarge(_, bytes) => bytes.len(),
        _ => 0,
    }
}
