//! The client side of the simulation: the state machine on virtual sockets, with everything it received.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::setup;
use super::super::sockets::Sockets;
use super::zoom::{Happens, START_MS, Zoom};
use crate::model::params::{AudioStreams, ConnectionMode};
use crate::model::{EntryBody, FrameCount, Gap, Medium, MediumAccount, StreamStatus};
use crate::rtms::endpoint::Endpoint;
use crate::rtms::ledger::Ledger;
use crate::rtms::stream::{End, Input, Output, Setup, Stream};

pub(super) const MEDIA: [Medium; 3] = [Medium::Audio, Medium::Video, Medium::Transcript];
/// How far apart mixed audio is.
pub(super) const STEP_MS: i64 = 500;
const FRAME_BYTES: u64 = 3;
const STORE_EVERY_MS: i64 = 10_000;

/// The daemon: a stream, its ledger, what of that is stored, and what came. It may be down.
pub(super) struct Client {
    stream: Option<Stream>,
    sockets: Sockets,
    setup: Setup,
    start: Instant,
    now_ms: i64,
    ledger: Ledger,
    stored: Stored,
    /// What came, as the daemon counts it: a kill takes it back to what was stored.
    tally: BTreeMap<Medium, u64>,
    end: Option<End>,
    seed: u64,
    starts_at_ms: i64,
    pub gaps: Vec<(Medium, Gap)>,
    /// How often each frame came, by its time.
    pub received: BTreeMap<Medium, BTreeMap<i64, usize>>,
}

/// What a kill leaves.
#[derive(Default)]
struct Stored {
    at_ms: i64,
    status: Option<StreamStatus>,
    accounts: Vec<MediumAccount>,
    tally: BTreeMap<Medium, u64>,
}

impl Client {
    pub(super) fn new(seed: u64, mode: ConnectionMode, streams: AudioStreams) -> Self {
        let mut setup = setup(&MEDIA, mode);
        setup.params.audio.streams = streams;
        setup.params.audio.send_rate_ms = STEP_MS as u32;
        Self {
            stream: None,
            sockets: Sockets::default(),
            setup,
            start: Instant::now(),
            now_ms: 0,
            ledger: Ledger::new(&[], MEDIA.into(), START_MS),
            stored: Stored::default(),
            tally: BTreeMap::new(),
            end: None,
            seed,
            starts_at_ms: 0,
            gaps: Vec::new(),
            received: BTreeMap::new(),
        }
    }

    /// Killed, and started again in a while.
    pub(super) fn restart(&mut self, after_ms: i64, zoom: &mut Zoom) {
        self.stream = None;
        self.starts_at_ms = self.now_ms + after_ms;
        for (link, _) in std::mem::take(&mut self.sockets).all() {
            zoom.hung_up(self.now_ms, link);
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.stream.is_some()
    }

    /// Lets time pass, with everything that happens meanwhile in its order.
    pub(super) fn pass(&mut self, until_ms: i64, zoom: &mut Zoom) {
        if self.stream.is_none() && self.end.is_none() && until_ms >= self.starts_at_ms {
            self.start(until_ms, zoom);
        }
        while self.stream.is_some() && self.end.is_none() {
            let due = self.due_ms().filter(|due_ms| *due_ms <= until_ms);
            match (zoom.next(due.unwrap_or(until_ms)), due) {
                (Some((at_ms, happens)), _) => self.give(at_ms, happens, zoom),
                (None, Some(due_ms)) => self.tick(due_ms, zoom),
                (None, None) => break,
            }
        }
        self.now_ms = until_ms;
        self.store();
    }

    fn start(&mut self, now_ms: i64, zoom: &mut Zoom) {
        self.now_ms = now_ms;
        let endpoint = self.endpoint(zoom.signaling_url());
        self.ledger = Ledger::new(&self.stored.accounts, MEDIA.into(), START_MS);
        self.tally = self.stored.tally.clone();
        self.seed += 1;
        self.stream = Some(Stream::new(self.instant(), self.seed, self.setup.clone(), endpoint));
        self.drain(zoom);
    }

    fn due_ms(&self) -> Option<i64> {
        let deadline = self.stream.as_ref()?.deadline()?;
        // A deadline in the middle of a millisecond has not come yet.
        let nanos = deadline.saturating_duration_since(self.start).as_nanos();
        Some(nanos.div_ceil(1_000_000) as i64)
    }

    fn tick(&mut self, due_ms: i64, zoom: &mut Zoom) {
        self.now_ms = self.now_ms.max(due_ms);
        let now = self.instant();
        if let Some(stream) = &mut self.stream {
            stream.handle_timeout(now);
        }
        self.drain(zoom);
    }

    fn give(&mut self, at_ms: i64, happens: Happens, zoom: &mut Zoom) {
        self.now_ms = self.now_ms.max(at_ms);
        let input = match happens {
            Happens::Moved => Input::Moved(self.endpoint(zoom.signaling_url())),
            Happens::Input(input) => input,
        };
        self.input(input, zoom);
    }

    pub(super) fn input(&mut self, input: Input, zoom: &mut Zoom) {
        match &input {
            Input::Opened(link) => self.sockets.open(*link),
            Input::Lost(link, _) => self.sockets.lose(*link),
            _ => {}
        }
        let now = self.instant();
        if let Some(stream) = &mut self.stream {
            stream.handle(now, input);
        }
        self.drain(zoom);
    }

    fn drain(&mut self, zoom: &mut Zoom) {
        let unix_ms = START_MS + self.now_ms;
        while let Some(output) = self.stream.as_mut().and_then(Stream::poll) {
            self.sockets.check(&output);
            match output {
                Output::Dial(link, endpoint) => zoom.dialed(self.now_ms, link, endpoint.host()),
                Output::Send(link, message) => zoom.heard(self.now_ms, link, &message.to_json()),
                Output::HangUp(link, _) => zoom.hung_up(self.now_ms, link),
                Output::Frame(frame) => self.received(frame.medium, frame.at_ms),
                Output::Note { at_ms, body: EntryBody::Transcript(_) } => {
                    self.received(Medium::Transcript, at_ms);
                }
                Output::Note { .. } => {}
                Output::Ledger(change) => self.ledger.change(unix_ms, change),
                Output::LeftToOwner => panic!("nobody else has the stream"),
                Output::Finished(end) => {
                    self.ledger.end(unix_ms);
                    self.end = Some(end);
                }
            }
        }
        self.gaps.extend(std::iter::from_fn(|| self.ledger.closed()));
        let deadline = self.stream.as_ref().map(|stream| stream.deadline().is_some());
        assert_ne!(
            deadline,
            Some(self.end.is_some()),
            "alive without a deadline, or dead with one"
        );
    }

    fn received(&mut self, medium: Medium, at_ms: Option<i64>) {
        let at_ms = at_ms.expect("the model says when");
        *self.received.entry(medium).or_default().entry(at_ms).or_default() += 1;
        *self.tally.entry(medium).or_default() += 1;
        self.ledger.frame(START_MS + self.now_ms, medium, Some(at_ms), FRAME_BYTES);
    }

    fn store(&mut self) {
        let status = self.status();
        let stored = &self.stored;
        let is_new = stored.status != Some(status);
        let is_due = is_new || self.now_ms - stored.at_ms >= STORE_EVERY_MS;
        if self.stream.is_some() && is_due {
            self.ledger.settle();
            self.gaps.extend(std::iter::from_fn(|| self.ledger.closed()));
            let accounts = self.ledger.accounts(START_MS + self.now_ms);
            let (at_ms, tally) = (self.now_ms, self.tally.clone());
            self.stored = Stored { at_ms, status: Some(status), accounts, tally };
        }
    }

    pub(super) fn status(&self) -> StreamStatus {
        self.stream.as_ref().map_or(StreamStatus::Announced, Stream::status)
    }

    pub(super) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    pub(super) fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// Ends the account of a stream that lives on. Returns when, in Zoom's time.
    pub(super) fn close(&mut self) -> i64 {
        let now_ms = START_MS + self.now_ms;
        if self.end.is_none() {
            self.ledger.end(now_ms);
            self.gaps.extend(std::iter::from_fn(|| self.ledger.closed()));
        }
        now_ms
    }

    pub(super) fn account(&self, medium: Medium) -> MediumAccount {
        let accounts = self.ledger.accounts(START_MS + self.now_ms);
        let mut accounts = accounts.into_iter();
        accounts.find(|account| account.medium == medium).expect("wanted")
    }

    /// What came with a time outside every gap, as the ledger has it.
    pub(super) fn tally_outside(&self, medium: Medium) -> u64 {
        let FrameCount { frames, bytes } = self.account(medium).in_gaps;
        assert_eq!(bytes, frames * FRAME_BYTES);
        self.tally.get(&medium).copied().unwrap_or(0) - frames
    }

    pub(super) fn is_lost(&self, medium: Medium, at_ms: i64) -> bool {
        self.gaps.iter().any(|(of, gap)| *of == medium && gap.holds(at_ms))
    }

    fn endpoint(&self, url: String) -> Endpoint {
        self.setup.policy.endpoint(&url).expect("a host of Zoom's")
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_millis(self.now_ms as u64)
    }
}
