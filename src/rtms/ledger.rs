//! Records what was lost of every medium of a stream, and why (pure). The state machine reports what happens to
//! the links ([`Change`]), the feed adds the wall clock's time, and [`Ledger::closed`] returns the gaps.
//!
//! A link is a TCP connection: if something arrived, everything sent before it has arrived. A gap therefore
//! begins at the last sign of life (a frame's own time, or a keep-alive) and not when the loss is noticed. A
//! live link that brings nothing is silent, which is no gap. Only mixed audio is continuous, so a missing part
//! of it is one. A gap ends with the time of the first frame after the rejoin: audio that Zoom buffered
//! meanwhile (rtms-protocol.md section 9) shortens or closes it.
//!
//! Frames are placed by Zoom's clock and everything else by this machine's clock. Both are assumed to be right
//! within a second.

mod coverage;

use std::collections::VecDeque;

use self::coverage::MediumCoverage;
use super::{Lane, LinkId};
use crate::model::{FrameCount, Gap, GapCause, MediaSet, Medium, MediumAccount};
use crate::prefetch::prefetch;

/// A change of a stream's links. `at_ms` is Zoom's time, if it gave one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A media link's handshake was accepted. Mixed audio has a frame every `audio_step_ms`.
    Up {
        /// The link.
        link: LinkId,
        /// The time between two frames of mixed audio, milliseconds.
        audio_step_ms: Option<u32>,
    },
    /// A link was lost. The loss of signaling is the loss of all media.
    Down {
        /// The link.
        link: LinkId,
        /// Why the link was lost.
        cause: GapCause,
    },
    /// A keep-alive arrived.
    Alive(LinkId),
    /// Zoom's server failed over, and all links were lost.
    Moved,
    /// Zoom stopped sending because the stream is paused (section 3.5).
    Paused {
        /// Zoom's time, Unix milliseconds, if it gave one.
        at_ms: Option<i64>,
    },
    /// Zoom sends everything again: states 1 and 6 (rtms-protocol.md section 10.5).
    Resumed {
        /// Zoom's time, Unix milliseconds, if it gave one.
        at_ms: Option<i64>,
    },
    /// Zoom cannot send although the links are up: state 2 with a reason other than a link.
    Interrupted {
        /// Zoom's time, Unix milliseconds, if it gave one.
        at_ms: Option<i64>,
    },
    /// An unreadable frame, line or message arrived.
    Unreadable {
        /// The medium of what arrived.
        medium: Medium,
        /// Zoom's time, Unix milliseconds, if it gave one.
        at_ms: Option<i64>,
    },
}

/// The accounts of all media that a stream wants.
#[derive(Debug)]
pub struct Ledger {
    coverages: Vec<MediumCoverage>,
    closed: VecDeque<(Medium, Gap)>,
}

impl Ledger {
    /// Continues the stored accounts. A medium without an account begins at `start_ms`, the stream's
    /// announcement. A medium with an account counts as lost from its last sign of life until it arrives again.
    pub fn new(stored: &[MediumAccount], media: MediaSet, start_ms: i64) -> Self {
        let mut closed = VecDeque::new();
        let mut coverages = Vec::with_capacity(media.len());
        for medium in media.iter() {
            let account = stored.iter().find(|account| account.medium == medium);
            let mut coverage = match account {
                Some(account) => MediumCoverage::picked_up(medium, account.clone()),
                None => MediumCoverage::new(medium, start_ms),
            };
            closed.extend(coverage.take_closed().map(|gap| (medium, gap)));
            coverages.push(coverage);
        }
        Self { coverages, closed }
    }

    /// Applies a change to the accounts of the media that it concerns.
    pub fn change(&mut self, now_ms: i64, change: Change) {
        match change {
            Change::Up { link, audio_step_ms } => self.each(link, |coverage| {
                let step_ms = audio_step_ms.filter(|_| coverage.medium == Medium::Audio);
                coverage.up(now_ms, step_ms.map(i64::from));
            }),
            Change::Down { link, cause } => self.each(link, |coverage| coverage.down(cause)),
            Change::Alive(LinkId::Signaling) => {
                // Shows that Zoom has this client's readiness, not that media arrived.
                self.each(LinkId::Signaling, |coverage| coverage.confirm(now_ms))
            }
            Change::Alive(link) => self.each(link, |coverage| coverage.alive(now_ms)),
            Change::Moved => self.each(LinkId::Signaling, MediumCoverage::moved),
            Change::Paused { at_ms } => self.all(now_ms, at_ms, MediumCoverage::paused),
            Change::Resumed { at_ms } => self.all(now_ms, at_ms, MediumCoverage::resumed),
            Change::Interrupted { at_ms } => self.all(now_ms, at_ms, MediumCoverage::interrupted),
            Change::Unreadable { medium, at_ms } => {
                self.one(medium, |coverage| coverage.unreadable(now_ms, at_ms))
            }
        }
    }

    /// Prefetches the fields that the next frame needs.
    pub(crate) fn prefetch(&self) {
        prefetch(&*self.coverages);
    }

    /// Prefetches what the fields that `prefetch` loads point to. Call it after [`Self::prefetch`] has loaded the
    /// pointers.
    pub(crate) fn prefetch_recent(&self) {
        self.coverages.iter().for_each(MediumCoverage::prefetch_recent);
    }

    /// Counts a frame, line or message that was received and kept.
    pub fn frame(&mut self, now_ms: i64, medium: Medium, at_ms: Option<i64>, bytes: u64) {
        self.one(medium, |coverage| coverage.frame(now_ms, at_ms, bytes));
    }

    /// Counts a frame, line or message that was received and could not be kept.
    pub fn overflow(&mut self, now_ms: i64, medium: Medium, at_ms: Option<i64>, bytes: u64) {
        self.one(medium, |coverage| coverage.overflow(now_ms, at_ms, bytes));
    }

    /// Records that a sink dropped `count` of the frames that were received between these times.
    pub fn left_out(&mut self, medium: Medium, first_ms: i64, last_ms: i64, count: FrameCount) {
        self.one(medium, |coverage| coverage.left_out(first_ms, last_ms, count));
    }

    /// Whether data of that time may have been missed here. Without a medium, asks about all media.
    pub fn is_missing(&self, medium: Option<Medium>, at_ms: i64) -> bool {
        let concerned =
            |coverage: &&MediumCoverage| medium.is_none_or(|medium| coverage.medium == medium);
        self.coverages.iter().filter(concerned).any(|coverage| coverage.account.is_missing(at_ms))
    }

    /// Counts data that was missing here and was received by another daemon.
    pub fn handed_over(&mut self, medium: Medium, bytes: u64) {
        self.one(medium, |coverage| coverage.handed_over(bytes));
    }

    /// Closes the gaps of unreadable frames, which otherwise stay open for a moment to absorb further ones.
    /// Called before an account is stored, so that the account contains them.
    pub fn settle(&mut self) {
        self.each(LinkId::Signaling, MediumCoverage::settle);
    }

    /// Ends the accounts with the stream: open gaps end now.
    pub fn end(&mut self, now_ms: i64) {
        self.each(LinkId::Signaling, |coverage| coverage.end(now_ms));
    }

    /// Returns the next closed gap that was not reported yet.
    pub fn closed(&mut self) -> Option<(Medium, Gap)> {
        self.closed.pop_front()
    }

    /// Returns the current accounts, to be stored.
    pub fn accounts(&self, now_ms: i64) -> Vec<MediumAccount> {
        self.coverages.iter().map(|coverage| coverage.account(now_ms)).collect()
    }

    fn all(&mut self, now_ms: i64, at_ms: Option<i64>, update: fn(&mut MediumCoverage, i64)) {
        let at_ms = coverage::placed_ms(now_ms, at_ms);
        self.each(LinkId::Signaling, |coverage| update(coverage, at_ms));
    }

    fn one(&mut self, medium: Medium, update: impl Fn(&mut MediumCoverage)) {
        self.each(LinkId::Media(Lane::Only(medium)), update);
    }

    /// Applies `update` to the coverage of every medium on this link and collects the gaps that it closes.
    fn each(&mut self, link: LinkId, update: impl Fn(&mut MediumCoverage)) {
        for coverage in &mut self.coverages {
            let hangs_on_it = match link {
                // Without signaling Zoom sends no media at all (rtms-protocol.md section 3.6, case B).
                LinkId::Signaling | LinkId::Media(Lane::All) => true,
                LinkId::Media(Lane::Only(medium)) => medium == coverage.medium,
            };
            if hangs_on_it {
                update(coverage);
                let medium = coverage.medium;
                self.closed.extend(coverage.take_closed().map(|gap| (medium, gap)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
