//! Drives a stream through its inputs and names its outputs in short texts.

use std::time::{Duration, Instant};

use super::sockets::Sockets;
use super::{ALL, JOINED, MEDIA_JOINED, SIGNALING, only, setup};
use crate::model::params::ConnectionMode;
use crate::model::{EntryBody, Medium};
use crate::rtms::endpoint::Endpoint;
use crate::rtms::ledger::Change;
use crate::rtms::stream::{End, HangUp, Input, LinkId, LossReason, Output, Setup, Stream};

/// More calls than this at one instant are a busy loop: every link may be lost and dialled once.
const MAX_CALLS_AT_ONCE: usize = 20;

/// A driver without sockets or clock. What comes out is checked at once and kept as short words.
pub(super) struct Driver {
    pub stream: Stream,
    pub now: Instant,
    pub sockets: Sockets,
    said: Vec<String>,
    sent: Vec<String>,
    entries: Vec<(Option<i64>, EntryBody)>,
    unreadable: Vec<Medium>,
    end: Option<End>,
}

impl Driver {
    pub(super) fn new(setup: Setup, seed: u64) -> Self {
        let endpoint = endpoint(&setup, "wss://signaling.zoom.us");
        let now = Instant::now();
        let mut driver = Self {
            stream: Stream::new(now, seed, setup, endpoint),
            now,
            sockets: Sockets::default(),
            said: Vec::new(),
            sent: Vec::new(),
            entries: Vec::new(),
            unreadable: Vec::new(),
            end: None,
        };
        driver.drain();
        driver
    }

    /// A split stream of these media that has just come up.
    pub(super) fn live(media: &[Medium]) -> Self {
        let mut driver = Self::new(setup(media, ConnectionMode::Split), 7);
        driver.come_up(&media.iter().map(|medium| only(*medium)).collect::<Vec<_>>());
        driver
    }

    /// A unified stream of these media that has just come up.
    pub(super) fn unified(media: &[Medium]) -> Self {
        let mut driver = Self::new(setup(media, ConnectionMode::Unified), 7);
        driver.come_up(&[ALL]);
        driver
    }

    /// A split stream of these media whose links are all stable.
    pub(super) fn stable(media: &[Medium]) -> Self {
        let mut driver = Self::live(media);
        driver.pass(Duration::from_secs(10));
        driver.forget();
        driver
    }

    fn come_up(&mut self, links: &[LinkId]) {
        self.join();
        links.iter().for_each(|link| self.join_media(*link));
        self.forget();
    }

    /// Signaling opens and is accepted.
    pub(super) fn join(&mut self) {
        self.open(SIGNALING);
        self.hear(SIGNALING, JOINED);
    }

    /// A media link opens and is accepted.
    pub(super) fn join_media(&mut self, link: LinkId) {
        self.open(link);
        self.hear(link, MEDIA_JOINED);
    }

    pub(super) fn open(&mut self, link: LinkId) {
        self.give(Input::Opened(link));
    }

    pub(super) fn hear(&mut self, link: LinkId, text: &str) {
        self.give(Input::Received(link, text.to_owned().into()));
    }

    pub(super) fn lose(&mut self, link: LinkId) {
        self.give(Input::Lost(link, LossReason::Dropped("reset".into())));
    }

    pub(super) fn move_to(&mut self, url: &str) {
        let endpoint = endpoint(&self.stream.setup, url);
        self.give(Input::Moved(endpoint));
    }

    pub(super) fn give(&mut self, input: Input) {
        match &input {
            Input::Opened(link) => self.sockets.open(*link),
            Input::Lost(link, _) => self.sockets.lose(*link),
            _ => {}
        }
        self.stream.handle(self.now, input);
        self.drain();
    }

    /// Lets time pass, doing what is due when it is due.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.stream.deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.catch_up();
        }
        self.now = until;
    }

    /// Time passes while nobody looks: the process was stopped.
    pub(super) fn pause(&mut self, time: Duration) {
        self.now += time;
        self.catch_up();
    }

    /// Does what is due now, and sees that it gets done.
    pub(super) fn catch_up(&mut self) {
        for _ in 0..MAX_CALLS_AT_ONCE {
            if self.stream.deadline().is_none_or(|due| due > self.now) {
                return;
            }
            self.tick();
        }
        panic!("busy: what is due is not done");
    }

    /// A call of the timer, whether anything is due or not.
    pub(super) fn tick(&mut self) {
        self.stream.handle_timeout(self.now);
        self.drain();
    }

    /// What was done since the last look, in order.
    pub(super) fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    pub(super) fn forget(&mut self) {
        self.said.clear();
        self.sent.clear();
        self.entries.clear();
    }

    /// The texts of the messages since the last look.
    pub(super) fn sent(&mut self) -> Vec<String> {
        self.said.clear();
        std::mem::take(&mut self.sent)
    }

    /// The entries since the last look.
    pub(super) fn entries(&mut self) -> Vec<(Option<i64>, EntryBody)> {
        self.said.clear();
        std::mem::take(&mut self.entries)
    }

    /// The media that lost something since the last call.
    pub(super) fn unreadable_media(&mut self) -> Vec<Medium> {
        std::mem::take(&mut self.unreadable)
    }

    pub(super) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    fn drain(&mut self) {
        while let Some(output) = self.stream.poll() {
            self.sockets.check(&output);
            if !matches!(output, Output::Ledger(_)) {
                self.said.push(words(&output));
            }
            match output {
                Output::Send(_, message) => self.sent.push(message.to_json()),
                Output::Note { at_ms, body } => self.entries.push((at_ms, body)),
                Output::Finished(end) => self.end = Some(end),
                Output::LeftToOwner => {}
                Output::Ledger(Change::Unreadable { medium, .. }) => self.unreadable.push(medium),
                Output::Ledger(_) => {}
                Output::Dial(..) | Output::HangUp(..) | Output::Frame(..) => {}
            }
        }
        assert_eq!(
            self.stream.deadline().is_none(),
            self.sockets.is_finished(),
            "alive without a deadline"
        );
    }
}

fn endpoint(setup: &Setup, url: &str) -> Endpoint {
    setup.policy.endpoint(url).unwrap()
}

fn words(output: &Output) -> String {
    match output {
        Output::Dial(link, endpoint) => format!("dial {} at {}", link.as_str(), endpoint.host()),
        Output::Send(link, message) => {
            let message = serde_json::to_value(message).unwrap();
            format!("send {} to {}", message["msg_type"], link.as_str())
        }
        Output::HangUp(link, HangUp::Politely) => format!("close {}", link.as_str()),
        Output::HangUp(link, HangUp::Silently) => format!("drop {}", link.as_str()),
        Output::Frame(frame) => format!("{} frame", frame.medium),
        Output::Note { body: EntryBody::LinkUp { link }, .. } => format!("{link} is up"),
        Output::Note { body: EntryBody::LinkDown { link, .. }, .. } => format!("{link} is down"),
        Output::Note { body, .. } => format!("entry {}", body.kind().as_str()),
        Output::Ledger(change) => format!("{change:?}"),
        Output::Finished(end) => format!("finished: {}", end.outcome.as_str()),
        Output::LeftToOwner => "left to its owner".to_owned(),
    }
}
