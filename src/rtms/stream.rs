//! The state machine of one stream, without sockets, clock or randomness (pure). Inputs with their times go in
//! through [`Stream::handle`], outputs come out of [`Stream::poll`] until there are none, and the driver sleeps
//! until [`Stream::deadline`]. A call of [`Stream::handle_timeout`] when nothing is due is harmless.

mod ending;
mod io;
mod link;
mod loss;
mod media;
mod roster;
mod setup;
mod signaling;
mod verdict;
mod video;

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use rand::rngs::SmallRng;

pub use io::{End, HangUp, Input, LinkEvent, Output};
pub use link::{LossKind, LossReason};
pub use setup::{Setup, Timings};

use self::link::Link;
use self::roster::Roster;
use self::video::Cameras;
use super::backoff;
use super::endpoint::Endpoint;
use super::ledger::Change;
use super::message::{KeepAlive, Message, Outgoing, decode};
use super::params::Effective;
use super::{Lane, LinkId};
use crate::model::{EntryBody, StreamStatus, UnknownMessages, UnreadableMessages};
use crate::prefetch::prefetch;

/// How many different numbers of unknown messages are counted. Bounds the map against a peer that sends all of
/// them.
const MAX_UNKNOWN: usize = 64;

/// One stream, from its announcement to its end.
pub struct Stream {
    setup: Setup,
    endpoint: Endpoint,
    signaling: Link,
    media: Vec<MediaLink>,
    phase: Phase,
    /// An end was requested here: no later announcement revives the stream.
    is_unwanted: bool,
    paused: bool,
    /// Zoom announced the end (state 3): a link that closes now is no loss.
    is_terminating: bool,
    was_live: bool,
    /// When to act on Zoom's report of a lost media link that no socket here shows yet.
    media_report_due: Option<Instant>,
    /// When to believe Zoom's server that it no longer knows the stream.
    gone_at: Option<Instant>,
    /// Another daemon may still run the stream: a connection that Zoom reports as duplicate belongs to it.
    is_contested: bool,
    has_joined: bool,
    has_first_packet: bool,
    has_new_effective: bool,
    /// Whether anything but a readable frame was handled since the last look.
    has_changed: bool,
    roster: Roster,
    cameras: Cameras,
    unknown: UnknownMessages,
    unreadable: UnreadableMessages,
    // The driver takes all events after every input, which bounds the list.
    link_events: Vec<LinkEvent>,
    // The driver takes all outputs after every input, which bounds the queue.
    outputs: VecDeque<Output>,
    rng: SmallRng,
}

struct MediaLink {
    lane: Lane,
    endpoint: Endpoint,
    link: Link,
    /// The parameters of the last answer; none before the first.
    effective: Option<Effective>,
}

#[derive(Debug)]
enum Phase {
    Running,
    /// The daemon asked Zoom to close the stream (message 21). No link is redialled.
    Closing {
        until: Instant,
    },
    /// Zoom ended the stream, and messages on their way are still read. Every frame postpones `until`, but
    /// never beyond `latest`.
    Draining {
        until: Instant,
        latest: Instant,
        end: End,
    },
    Finished,
}

impl Stream {
    /// Creates a stream that dials its signaling endpoint at once. `seed` spreads its redials.
    pub fn new(now: Instant, seed: u64, setup: Setup, endpoint: Endpoint) -> Self {
        let signaling = Link::dialing(now, setup.timings.signaling_window, &setup.timings);
        let dial = Output::Dial(LinkId::Signaling, endpoint.clone());
        Self {
            setup,
            endpoint,
            signaling,
            media: Vec::new(),
            phase: Phase::Running,
            is_unwanted: false,
            paused: false,
            is_terminating: false,
            was_live: false,
            media_report_due: None,
            gone_at: None,
            is_contested: false,
            has_joined: false,
            has_first_packet: false,
            has_new_effective: false,
            has_changed: true,
            roster: Roster::default(),
            cameras: Cameras::default(),
            unknown: UnknownMessages::new(),
            unreadable: UnreadableMessages::default(),
            link_events: Vec::new(),
            outputs: VecDeque::from([dial]),
            rng: backoff::stream_rng(seed),
        }
    }

    /// Marks the stream as claimed from a daemon that did not release it. If Zoom still holds a connection (section
    /// 3.4), it belongs to that daemon, and this one leaves the stream to it.
    pub fn contested(&mut self) {
        self.is_contested = true;
    }

    /// Handles one input. Inputs after the end are ignored.
    pub fn handle(&mut self, now: Instant, input: Input) {
        if matches!(self.phase, Phase::Finished) {
            return;
        }
        // A received message decides it itself.
        self.has_changed |= !matches!(input, Input::Received(..));
        match input {
            Input::Opened(id) => self.opened(now, id),
            Input::Received(id, bytes) => self.received(now, id, bytes),
            Input::TooLarge(id, head) => self.too_large(id, &head),
            Input::Lost(id, loss) => self.lost(now, id, loss, Socket::Gone),
            Input::Moved(endpoint) => self.moved(now, endpoint),
            Input::Interrupted => self.signaling_reported_lost(now),
            Input::Stopped { reason } => self.ended_by_zoom(now, reason),
            Input::PinVideo(user_id) => self.pin_video(user_id),
            Input::Close => self.close(now),
        }
    }

    /// Performs what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.has_changed = true;
        // First: an ended stream must redial nothing, although links may be due in the same moment.
        if self.ending_due(now) {
            return;
        }
        if self.media_report_due.is_some_and(|due| now >= due) {
            self.act_on_media_report(now);
        }
        self.cameras_due(now);
        for id in self.link_ids() {
            self.link_due(now, id);
        }
    }

    /// Prefetches the fields that the next message needs.
    pub(crate) fn prefetch(&self) {
        prefetch(&*self.media);
        prefetch(&self.setup.timings);
        prefetch(&self.phase);
        prefetch(&self.outputs);
        prefetch(&self.has_changed);
    }

    /// Returns the next output; none when all are taken.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Stream::handle_timeout`] must be called; `None` only after the end.
    pub fn deadline(&self) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::Finished => return None,
            Phase::Running => None,
            Phase::Closing { until } | Phase::Draining { until, .. } => Some(*until),
        };
        let media = self.media.iter().filter_map(|media| media.link.deadline());
        let own = phase.into_iter().chain(self.media_report_due).chain(self.cameras.deadline());
        media.chain(self.signaling.deadline()).chain(own).min()
    }

    /// The status that the API reports: live only if signaling and all wanted media links are live.
    pub fn status(&self) -> StreamStatus {
        let wanted = || self.media.iter().filter(|media| !media.link.is_down());
        match self.phase {
            Phase::Finished => StreamStatus::Ended,
            _ if self.paused => StreamStatus::Paused,
            _ if self.signaling.is_live()
                && wanted().count() > 0
                && wanted().all(|media| media.link.is_live()) =>
            {
                StreamStatus::Live
            }
            _ if self.was_live => StreamStatus::Interrupted,
            _ => StreamStatus::Announced,
        }
    }

    /// The parameters that Zoom grants on a media link, once it has accepted the handshake.
    pub fn effective(&self, lane: Lane) -> Option<&Effective> {
        self.media.iter().find(|media| media.lane == lane)?.effective.as_ref()
    }

    /// The parameters that Zoom grants on all media links together, if they changed since the last call.
    pub fn take_effective(&mut self) -> Option<Effective> {
        std::mem::take(&mut self.has_new_effective).then(|| {
            let known = self.media.iter().filter_map(|media| media.effective.as_ref());
            known.fold(Effective::default(), Effective::with)
        })
    }

    /// Whether status, counts, parameters or links may have changed, or the deadline come nearer, since the last call.
    /// A frame that can be read changes none of them, and most messages are frames.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// The number of messages of unknown types, by `msg_type`.
    pub fn unknown(&self) -> &UnknownMessages {
        &self.unknown
    }

    /// Takes the unreadable parts of messages since the last call.
    pub fn take_unreadable(&mut self) -> UnreadableMessages {
        std::mem::take(&mut self.unreadable)
    }

    /// Takes the changes of the links since the last call, for counting.
    pub fn take_link_events(&mut self) -> Vec<LinkEvent> {
        std::mem::take(&mut self.link_events)
    }

    fn opened(&mut self, now: Instant, id: LinkId) {
        let link = find_link(&mut self.signaling, &mut self.media, id);
        if link.is_some_and(|link| link.opened(now, &self.setup.timings)) {
            let handshake = self.handshake(id);
            self.send(id, handshake);
        }
    }

    fn received(&mut self, now: Instant, id: LinkId, bytes: Bytes) {
        let link = find_link(&mut self.signaling, &mut self.media, id);
        // A message that was queued before a hang-up must not touch the link's next life.
        let Some(link) = link.filter(|link| link.is_open()) else { return };
        // An unreadable message is skipped and does not count as a sign of life.
        let message = decode(bytes, &mut self.unreadable);
        if message.is_ok() {
            link.heard(now, &self.setup.timings);
        }
        if matches!(message, Ok(Message::Frame(..) | Message::Transcript(..) | Message::Chat(..))) {
            self.drain_on(now);
        }
        let is_frame = matches!(message, Ok(Message::Frame(_))) && id != LinkId::Signaling;
        self.has_changed |= !is_frame || !self.unreadable.is_empty();
        match message {
            Ok(Message::Frame(frame)) => self.frame(id, frame),
            Ok(message) => self.message(now, id, message),
            Err(malformed) => self.message_lost(id, &malformed),
        }
    }

    fn message(&mut self, now: Instant, id: LinkId, message: Message) {
        match (id, message) {
            (_, Message::KeepAlive(request)) => {
                let KeepAlive { timestamp, sequence } = request;
                // On the same socket, or Zoom counts a miss; three end the link (rtms-protocol.md section
                // 6.11).
                self.send(id, Outgoing::KeepAlive { timestamp, sequence });
                self.account(Change::Alive(id));
            }
            (_, Message::Unknown(number)) => self.count_unknown(number),
            (LinkId::Signaling, message) => self.signaling_message(now, message),
            (LinkId::Media(lane), message) => self.media_message(now, lane, message),
        }
    }

    /// Whether the stream is ending: it dials no link, and still reads what arrives.
    pub fn is_ending(&self) -> bool {
        !self.is_running()
    }

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// Handles a new announcement. The stream lives again even if Zoom ended it before, unless an end was
    /// requested here.
    fn moved(&mut self, now: Instant, endpoint: Endpoint) {
        if self.is_unwanted {
            return;
        }
        self.phase = Phase::Running;
        self.is_terminating = false;
        self.note(None, EntryBody::Moved {});
        self.account(Change::Moved);
        // Without a Close frame: Zoom would treat it as leaving the stream that it just moved.
        self.hang_up_media(HangUp::Silently);
        if self.signaling.has_socket() {
            self.outputs.push_back(Output::HangUp(LinkId::Signaling, HangUp::Silently));
        }
        let timings = &self.setup.timings;
        // A new window and backoff: the losses on the old server say nothing about the new one.
        self.signaling = Link::dialing(now, timings.signaling_window, timings);
        self.endpoint = endpoint.clone();
        self.gone_at = None;
        self.outputs.push_back(Output::Dial(LinkId::Signaling, endpoint));
    }

    fn endpoint_of(&self, id: LinkId) -> Option<Endpoint> {
        match id {
            LinkId::Signaling => Some(self.endpoint.clone()),
            LinkId::Media(lane) => {
                let media = self.media.iter().find(|media| media.lane == lane)?;
                Some(media.endpoint.clone())
            }
        }
    }

    fn link_ids(&self) -> Vec<LinkId> {
        // Collected, because handling one link may remove others.
        let media = self.media.iter().map(|media| LinkId::Media(media.lane));
        std::iter::once(LinkId::Signaling).chain(media).collect()
    }

    fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        find_link(&mut self.signaling, &mut self.media, id)
    }

    fn send(&mut self, id: LinkId, message: Outgoing) {
        self.outputs.push_back(Output::Send(id, message));
    }

    fn note(&mut self, at_ms: Option<i64>, body: EntryBody) {
        self.outputs.push_back(Output::Note { at_ms, body });
    }

    fn account(&mut self, change: Change) {
        self.outputs.push_back(Output::Ledger(change));
    }

    fn count_unknown(&mut self, number: u16) {
        if self.unknown.len() < MAX_UNKNOWN || self.unknown.contains_key(&number) {
            *self.unknown.entry(number).or_default() += 1;
        }
    }
}

/// Returns a link by its id. Borrows only the links, so that callers can use other fields meanwhile.
fn find_link<'a>(
    signaling: &'a mut Link,
    media: &'a mut [MediaLink],
    id: LinkId,
) -> Option<&'a mut Link> {
    match id {
        LinkId::Signaling => Some(signaling),
        LinkId::Media(lane) => {
            media.iter_mut().find(|media| media.lane == lane).map(|media| &mut media.link)
        }
    }
}

/// Whether a lost link's socket must still be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Socket {
    Open,
    Gone,
}

#[cfg(test)]
mod tests;
