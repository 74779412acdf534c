//! Compares the daemon's ledger with the simulator's record of every frame.

use std::collections::BTreeMap;

use serde::Deserialize;

/// How much of the neighbourhood an error shows around a frame that is not accounted for.
const NEAR_MS: i64 = 5_000;

/// A frame's time, size, whether it was given to a socket, and its checksum.
pub(crate) type MadeFrame = (i64, u64, bool, u32);

/// The simulator's record of a stream: the frames of each medium.
#[derive(Debug, Deserialize)]
pub(crate) struct Made {
    pub media: BTreeMap<String, Vec<MadeFrame>>,
    is_cut: bool,
}

/// The daemon's ledger of a medium.
#[derive(Debug, Deserialize)]
pub(crate) struct Ledger {
    pub medium: String,
    #[serde(flatten)]
    came: Count,
    since_ms: i64,
    expected_ms: i64,
    covered_ms: i64,
    gaps: Vec<Gap>,
    earlier_gaps: u64,
    in_gaps: Count,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Count {
    pub frames: u64,
    pub bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Gap {
    start_ms: i64,
    end_ms: i64,
    cause: String,
}

/// Sums over everything that was compared.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub sent: Count,
    pub received: Count,
    pub received_in_gaps: Count,
    /// Sent, and not received: all of it in gaps.
    pub lost: u64,
    /// Made while no client was connected: all of it in gaps.
    pub unsent: u64,
    pub gaps: usize,
    pub expected_ms: i64,
    pub covered_ms: i64,
}

/// Compares one medium's ledger with the frames that were made. Outside the gaps every frame must have been sent, and
/// exactly those received. Inside them at most what was sent may have been received.
pub(crate) fn compare(ledger: &Ledger, made: &Made) -> Result<Totals, String> {
    let of_medium = made.media.get(&ledger.medium).map(Vec::as_slice).unwrap_or_default();
    if made.is_cut || ledger.earlier_gaps > 0 {
        return Err("more frames or gaps than are remembered: nothing is proved".to_owned());
    }
    let (mut outside, mut inside, mut unsent) = (Count::default(), Count::default(), 0);
    for (at_ms, bytes, is_sent, _) in of_medium.iter().filter(|made| made.0 >= ledger.since_ms) {
        let is_inside = ledger.gaps.iter().any(|gap| gap.holds(*at_ms));
        match (is_inside, is_sent) {
            (true, true) => inside.add(*bytes),
            (false, true) => outside.add(*bytes),
            (true, false) => unsent += 1,
            (false, false) => {
                let around = ledger.around(*at_ms, of_medium);
                return Err(format!("{at_ms} was never sent, and is in no gap; {around}"));
            }
        }
    }
    let received_outside = Count {
        frames: ledger.came.frames - ledger.in_gaps.frames,
        bytes: ledger.came.bytes - ledger.in_gaps.bytes,
    };
    if received_outside != outside {
        return Err(format!(
            "outside the gaps {outside:?} was sent, {received_outside:?} received"
        ));
    }
    if ledger.in_gaps.frames > inside.frames {
        return Err(format!("in the gaps {inside:?} was sent, {:?} received", ledger.in_gaps));
    }
    let mut sent = outside;
    sent.add_all(inside);
    Ok(Totals {
        sent,
        received: ledger.came,
        received_in_gaps: ledger.in_gaps,
        lost: inside.frames - ledger.in_gaps.frames,
        unsent,
        gaps: ledger.gaps.len(),
        expected_ms: ledger.expected_ms,
        covered_ms: ledger.covered_ms,
    })
}

impl Totals {
    pub(crate) fn add(&mut self, other: &Self) {
        self.sent.add_all(other.sent);
        self.received.add_all(other.received);
        self.received_in_gaps.add_all(other.received_in_gaps);
        self.lost += other.lost;
        self.unsent += other.unsent;
        self.gaps += other.gaps;
        self.expected_ms += other.expected_ms;
        self.covered_ms += other.covered_ms;
    }
}

impl Ledger {
    /// The frames and gaps near this time, relative to it.
    fn around(&self, at_ms: i64, made: &[MadeFrame]) -> String {
        let is_near = |other: i64| (other - at_ms).abs() <= NEAR_MS;
        let frames: Vec<_> = made
            .iter()
            .filter(|(made_ms, ..)| is_near(*made_ms))
            .map(|(made_ms, _, is_sent, _)| (made_ms - at_ms, *is_sent))
            .collect();
        let gaps: Vec<_> = self
            .gaps
            .iter()
            .map(|gap| (gap.start_ms - at_ms, gap.end_ms - at_ms, &gap.cause))
            .collect();
        format!("since {}, frames {frames:?}, gaps {gaps:?}", self.since_ms - at_ms)
    }
}

impl Gap {
    fn holds(&self, at_ms: i64) -> bool {
        (self.start_ms..self.end_ms).contains(&at_ms)
    }
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.add_all(Self { frames: 1, bytes });
    }

    fn add_all(&mut self, other: Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
    }
}
