//! Coverage of a stream's media: what was received, and the gaps with their causes.

use serde::{Deserialize, Serialize};

use super::{Medium, MediumTally, Tally};
use crate::named::named;

named! {
    /// Why a medium was, or may have been, lost for some time.
    #[derive(Hash)]
    pub enum GapCause {
        /// Zoom reported that it lost the link or the medium, or a medium with a rate lacks frames.
        ZoomInterrupted: "zoom_interrupted",
        /// The link to Zoom was cut, closed, or fell silent.
        LinkLost: "link_lost",
        /// No daemon ran the stream.
        DaemonRestarted: "daemon_restarted",
        /// Zoom's server failed and the stream moved to another.
        Failover: "failover",
        /// Data was received, but there was no room to keep it.
        SinkOverflow: "sink_overflow",
        /// Data was received, and a sink (a recording, a broker) dropped it: the sink's queue was full, or the sink cannot
        /// keep data of this form.
        LeftOut: "left_out",
        /// Data was received but could not be read.
        Unreadable: "unreadable",
        /// The stream was paused. Nothing was lost, because Zoom sends nothing while paused.
        Paused: "paused",
        /// The medium's link had not come up yet.
        NeverConnected: "never_connected",
    }
}

/// A span in which a medium was or may have been lost, in Unix milliseconds. At `start_ms` a part of the data was
/// received (several people can speak at once), at `end_ms` all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The start, inclusive.
    pub start_ms: i64,
    /// The end, exclusive.
    pub end_ms: i64,
    /// Why the data was or may have been lost.
    pub cause: GapCause,
}

/// A gap that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenGap {
    /// The start, Unix milliseconds, inclusive.
    pub start_ms: i64,
    /// Why the data is or may be missing.
    pub cause: GapCause,
}

/// The coverage of one medium of a stream: what is missing. What was received is in the stream's tally. Times are in
/// Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediumAccount {
    /// The medium whose coverage this is.
    pub medium: Medium,
    /// The time from which the medium is expected.
    pub since_ms: i64,
    /// The time up to which the coverage is known.
    pub until_ms: i64,
    /// Everything that Zoom sent up to this time was received or is in a gap.
    pub alive_ms: i64,
    /// The total length of all closed gaps except pauses.
    pub lost_ms: i64,
    /// The total length of all closed pauses.
    pub paused_ms: i64,
    /// The newest closed gaps, in order.
    pub gaps: Vec<Gap>,
    /// The number of older gaps, which are only in the stream's log.
    pub earlier_gaps: u64,
    /// The gap that has not ended, if there is one.
    pub open: Option<OpenGap>,
    /// Frames that were received although their time lies in a closed gap. The rest of the received count lies
    /// outside of the gaps.
    #[serde(default)]
    pub in_gaps: FrameCount,
    /// Frames that were received and dropped by a sink. They are part of the received count.
    #[serde(default)]
    pub left_out: FrameCount,
    /// Frames that another daemon received and handed over only after the stream's end. They lie in a gap and are in
    /// no log.
    #[serde(default)]
    pub handed_over_late: FrameCount,
    /// The frames with the newest time, unless it lies in a closed gap.
    #[serde(default)]
    pub newest: Newest,
    /// A span before a pause in which nothing showed that the link was alive. It is lost if the link was dead.
    #[serde(default)]
    pub unsure: Option<(i64, i64)>,
}

/// Frames with the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    /// The time of the frames, Unix milliseconds.
    pub at_ms: i64,
    /// How many frames have that time.
    pub count: FrameCount,
}

/// Frames, lines or messages, and the bytes of their payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameCount {
    /// The number of frames, lines or messages.
    pub frames: u64,
    /// The bytes of their payload.
    pub bytes: u64,
}

impl FrameCount {
    /// Adds the frames and bytes of `other` to these.
    pub fn add(&mut self, other: Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
    }
}

impl Gap {
    /// Whether data of this time may have been lost. The end is exclusive: at `end_ms` nothing was lost.
    pub fn holds(&self, at_ms: i64) -> bool {
        (self.start_ms..self.end_ms).contains(&at_ms)
    }

    /// The length in milliseconds.
    pub fn length_ms(&self) -> i64 {
        self.end_ms.saturating_sub(self.start_ms)
    }
}

impl MediumAccount {
    /// The coverage of a medium that is expected from now on.
    pub fn new(medium: Medium, now_ms: i64) -> Self {
        Self {
            medium,
            since_ms: now_ms,
            until_ms: now_ms,
            alive_ms: now_ms,
            lost_ms: 0,
            paused_ms: 0,
            gaps: Vec::new(),
            earlier_gaps: 0,
            open: None,
            in_gaps: FrameCount::default(),
            left_out: FrameCount::default(),
            handed_over_late: FrameCount::default(),
            newest: Newest::default(),
            unsure: None,
        }
    }

    /// Whether some data of this time may be missing. Data that a sink dropped counts as received.
    pub fn is_missing(&self, at_ms: i64) -> bool {
        let open = self.open.filter(|open| at_ms >= open.start_ms);
        let closed = self.gaps.iter().filter(|gap| gap.holds(at_ms));
        let mut causes = closed.map(|gap| gap.cause).chain(open.map(|open| open.cause));
        causes.any(|cause| !matches!(cause, GapCause::Paused | GapCause::LeftOut))
    }

    /// How long the medium was expected: from its start to its end, without pauses.
    pub fn expected_ms(&self) -> i64 {
        let whole_ms = self.until_ms.saturating_sub(self.since_ms);
        // A clock that was set back can make the parts longer than the whole.
        (whole_ms - self.paused_ms - self.open_ms(|cause| cause == GapCause::Paused)).max(0)
    }

    /// How much of the expected time lies outside of gaps.
    pub fn covered_ms(&self) -> i64 {
        let open_ms = self.open_ms(|cause| cause != GapCause::Paused);
        (self.expected_ms() - self.lost_ms - open_ms).max(0)
    }

    /// Covered time divided by expected time, from 0 to 1; none if nothing was expected.
    pub fn completeness(&self) -> Option<f64> {
        let expected_ms = self.expected_ms();
        // Exact up to 2^53 ms, which is 285,000 years.
        (expected_ms > 0).then(|| self.covered_ms() as f64 / expected_ms as f64)
    }

    fn open_ms(&self, is_counted: impl Fn(GapCause) -> bool) -> i64 {
        let open = self.open.filter(|open| is_counted(open.cause));
        open.map_or(0, |open| self.until_ms.saturating_sub(open.start_ms).max(0))
    }
}

/// The coverage of a medium together with what was received, as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct MediumLedger<'a> {
    medium: Medium,
    #[serde(flatten)]
    came: MediumTally,
    since_ms: i64,
    until_ms: i64,
    expected_ms: i64,
    covered_ms: i64,
    paused_ms: i64,
    completeness: Option<f64>,
    gaps: &'a [Gap],
    earlier_gaps: u64,
    in_gaps: FrameCount,
    left_out: FrameCount,
    handed_over_late: FrameCount,
    open_gap: Option<OpenGap>,
}

impl<'a> MediumLedger<'a> {
    /// The view of an account, with the received counts from the stream's tally.
    pub fn of(account: &'a MediumAccount, tally: &Tally) -> Self {
        Self {
            medium: account.medium,
            came: tally.of(account.medium),
            since_ms: account.since_ms,
            until_ms: account.until_ms,
            expected_ms: account.expected_ms(),
            covered_ms: account.covered_ms(),
            paused_ms: account.paused_ms,
            completeness: account.completeness(),
            gaps: &account.gaps,
            earlier_gaps: account.earlier_gaps,
            in_gaps: account.in_gaps,
            left_out: account.left_out,
            handed_over_late: account.handed_over_late,
            open_gap: account.open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_not_expected_and_a_gap_is_not_covered() {
        let mut account = MediumAccount::new(Medium::Audio, 1_000);
        assert_eq!(account.completeness(), None);
        account.until_ms = 101_000;
        account.paused_ms = 20_000;
        account.lost_ms = 10_000;
        account.open = Some(OpenGap { start_ms: 91_000, cause: GapCause::LinkLost });
        assert_eq!((account.expected_ms(), account.covered_ms()), (80_000, 60_000));
        assert_eq!(account.completeness(), Some(0.75));
        account.open = Some(OpenGap { start_ms: 91_000, cause: GapCause::Paused });
        assert_eq!((account.expected_ms(), account.covered_ms()), (70_000, 60_000));
    }

    #[test]
    fn the_json_of_a_cause_is_its_name() {
        for cause in GapCause::ALL {
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.as_str());
        }
    }
}
