//! One fault of one of two daemons that share a Postgres: both run streams, and afterwards every line that Zoom sent is
//! stored once or lies in a gap.

mod network;
mod node;
mod pair;

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use self::network::Peer;
pub(crate) use self::network::Wires;
use self::pair::{Pair, Reported};
use super::entries::Lines;
use super::zoom::Problem;

/// For how long a daemon is suspended or cut off: longer than its leases.
const FAULT_LASTS: Duration = Duration::from_secs(20);
/// Longer than a daemon waits before it takes a stream after its owner no longer renews the lease.
const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(12);
/// How long the streams run before the fault and after it.
const CALM: Duration = Duration::from_secs(3);

/// What happens to the first daemon, unless it is said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGTERM.
    Stop,
    /// SIGTERM of one daemon and a new start, then the same with the other, while meetings begin.
    RollingUpdate,
    /// SIGKILL.
    Kill,
    /// SIGSTOP, and SIGCONT after its streams have moved.
    Freeze,
    /// No connection to Postgres, and Zoom lets the other daemon's connections replace the open ones.
    StoreCut,
    /// The same, and Zoom refuses the other daemon's connections.
    StoreCutRefused,
    /// No connection to Zoom.
    ZoomCut,
    /// Postgres crashes and starts again, for both.
    StoreRestart,
    /// The second daemon's clock is 30 s ahead; then SIGKILL of the first.
    Clocks,
}

impl Fault {
    pub(crate) const ALL: [Self; 9] = [
        Self::Stop,
        Self::RollingUpdate,
        Self::Kill,
        Self::Freeze,
        Self::StoreCut,
        Self::StoreCutRefused,
        Self::ZoomCut,
        Self::StoreRestart,
        Self::Clocks,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::RollingUpdate => "rolling-update",
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::StoreCut => "store-cut",
            Self::StoreCutRefused => "store-cut-refused",
            Self::ZoomCut => "zoom-cut",
            Self::StoreRestart => "store-restart",
            Self::Clocks => "clocks",
        }
    }

    /// # Errors
    /// There is no such fault.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|fault| fault.as_str() == name);
        found.ok_or_else(|| Self::ALL.map(Self::as_str).join(", "))
    }

    /// How Zoom answers a second connection to a stream. It must replace the first where that stays open, or no stream
    /// would move.
    fn duplicates(self) -> &'static str {
        if matches!(self, Self::Freeze | Self::StoreCut) { "kick" } else { "refuse" }
    }

    fn second_clock_s(self) -> i32 {
        if self == Self::Clocks { 30 } else { 0 }
    }
}

/// What a fault came to.
pub(crate) struct Figures {
    fault: Fault,
    /// How many streams each daemon ran before the fault.
    pub spread: [usize; 2],
    /// How long after the fault each stream that it concerned was joined again, the shortest first.
    pub rejoined: Vec<Duration>,
    pub lines: Lines,
    /// Of the lines in gaps, those that Zoom had sent to a connection; the others were spoken while there was none.
    pub sent_and_lost: usize,
    /// The longest time without a line, the shortest first.
    silences: Vec<Duration>,
    /// For how long Zoom had no client at most, of each stream that was interrupted, the shortest first.
    pub absences: Vec<Duration>,
    pub handed_over: u64,
}

/// Plays one fault with so many streams, half of them on each daemon.
///
/// # Errors
/// When a stream is not joined again, a line is stored twice or is missing outside the gaps, or a daemon broke the
/// protocol.
pub(crate) async fn run(fault: Fault, wires: Wires, streams: u32) -> Result<Figures, Problem> {
    let (duplicates, clock_s) = (fault.duplicates(), fault.second_clock_s());
    let mut pair = Pair::start(wires, duplicates, clock_s, streams).await?;
    let spread = pair.spread().await?;
    sleep(CALM).await;
    let mut rejoined = suffer(&mut pair, fault).await?;
    rejoined.sort();
    sleep(CALM).await;
    let settled = pair.settle().await?;
    let pair::Settled { lines, sent_and_lost, mut silences, mut absences, handed_over } = settled;
    silences.sort();
    absences.sort();
    Ok(Figures { fault, spread, rejoined, lines, sent_and_lost, silences, absences, handed_over })
}

/// Lets the fault happen and pass. Returns how long each stream that it concerned was away.
async fn suffer(pair: &mut Pair, fault: Fault) -> Result<Vec<Duration>, Problem> {
    match fault {
        Fault::Stop => moved(pair, 0, async |pair| pair.nodes[0].signal("TERM")).await,
        Fault::RollingUpdate => rolling_update(pair).await,
        Fault::Kill => moved(pair, 0, async |pair| pair.nodes[0].signal("KILL")).await,
        Fault::Freeze => {
            let moved = moved(pair, 0, async |pair| pair.nodes[0].signal("STOP")).await?;
            sleep(FAULT_LASTS).await;
            pair.nodes[0].signal("CONT")?;
            pair.until_nothing_is_offered().await?;
            Ok(moved)
        }
        Fault::StoreCut => {
            let moved =
                moved(pair, 0, async |pair| pair.nodes[0].network.cut(Peer::Store).await).await?;
            sleep(FAULT_LASTS).await;
            pair.nodes[0].network.heal(Peer::Store).await?;
            pair.until_nothing_is_offered().await?;
            Ok(moved)
        }
        Fault::StoreCutRefused => store_is_cut(pair).await,
        Fault::ZoomCut => {
            let moved =
                moved(pair, 0, async |pair| pair.nodes[0].network.cut(Peer::Zoom).await).await?;
            pair.nodes[0].network.heal(Peer::Zoom).await?;
            Ok(moved)
        }
        Fault::StoreRestart => store_restarts(pair).await,
        Fault::Clocks => {
            let before = pair.report().await?;
            sleep(LONGER_THAN_A_LEASE).await;
            if count_handshakes(&pair.report().await?) != count_handshakes(&before) {
                return Err("a stream moved although its daemon lives".into());
            }
            moved(pair, 0, async |pair| pair.nodes[0].signal("KILL")).await
        }
    }
}

/// One daemon after the other is replaced while a meeting begins every second.
async fn rolling_update(pair: &mut Pair) -> Result<Vec<Duration>, Problem> {
    let mut all = Vec::new();
    for index in [0, 1] {
        all.extend(moved(pair, index, async |pair| pair.nodes[index].signal("TERM")).await?);
        for _ in 0..3 {
            pair.open_meetings(1).await?;
            sleep(Duration::from_secs(1)).await;
        }
        pair.restart(index).await?;
    }
    Ok(all)
}

/// A daemon is cut off from Postgres, and keeps its connections to Zoom. Returns how long after the cut each of its
/// streams was stored again.
async fn store_is_cut(pair: &mut Pair) -> Result<Vec<Duration>, Problem> {
    let (before, streams) = (pair.report().await?, pair.streams_of(0).await?);
    pair.nodes[0].set_well(false);
    pair.nodes[0].network.cut(Peer::Store).await?;
    sleep(FAULT_LASTS).await;
    let began = Instant::now();
    pair.nodes[0].network.heal(Peer::Store).await?;
    let stored = pair.until_stored(&streams, began).await?;
    pair.until_nothing_is_offered().await?;
    if count_handshakes(&pair.report().await?) != count_handshakes(&before) {
        return Err("a stream was joined again".into());
    }
    Ok(stored)
}

/// Postgres crashes and starts again: no connection to Zoom is lost. Returns how long each stream was not stored.
async fn store_restarts(pair: &mut Pair) -> Result<Vec<Duration>, Problem> {
    let before = pair.report().await?;
    let streams: Vec<String> = before.iter().map(|one| one.stream_id.clone()).collect();
    let began = Instant::now();
    pair.restart_postgres().await?;
    let stored = pair.until_stored(&streams, began).await?;
    if count_handshakes(&pair.report().await?) != count_handshakes(&before) {
        return Err("a stream was joined again".into());
    }
    Ok(stored)
}

/// Lets something happen to a daemon, and waits until each of its streams is joined again. Returns how long that took.
async fn moved(
    pair: &mut Pair,
    index: usize,
    happen: impl AsyncFnOnce(&mut Pair) -> Result<(), Problem>,
) -> Result<Vec<Duration>, Problem> {
    let streams = pair.streams_of(index).await?;
    let before = handshakes(&pair.report().await?);
    pair.nodes[index].set_well(false);
    let began = Instant::now();
    happen(pair).await?;
    pair.until_joined(&streams, &before, began).await
}

/// The media handshakes of each stream: the last step of a join.
fn handshakes(report: &[Reported]) -> BTreeMap<String, u64> {
    report.iter().map(|one| (one.stream_id.clone(), one.media_handshakes)).collect()
}

fn count_handshakes(report: &[Reported]) -> u64 {
    report.iter().map(|one| one.media_handshakes).sum()
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |sorted: &[Duration]| {
            let at = |part: usize| sorted.get((sorted.len() * part / 100).min(sorted.len() - 1));
            let at = |part| at(part).map_or(0.0, Duration::as_secs_f64);
            match sorted {
                [] => "none".to_owned(),
                _ => format!("median {:.2} s, longest {:.2} s", at(50), at(100)),
            }
        };
        let Lines { sent, stored, in_gaps } = self.lines;
        writeln!(f, "{}", self.fault.as_str())?;
        writeln!(f, "  spread before         {} and {} streams", self.spread[0], self.spread[1])?;
        let (count, times) = (self.rejoined.len(), seconds(&self.rejoined));
        writeln!(f, "  back                  {count} streams, {times}")?;
        writeln!(f, "  without a line        {}", seconds(&self.silences))?;
        let (count, times) = (self.absences.len(), seconds(&self.absences));
        writeln!(f, "  without a connection  {count} streams, {times}")?;
        writeln!(f, "  lines                 {sent}, {stored} of them stored, {in_gaps} in gaps")?;
        writeln!(f, "  sent by Zoom and lost {}", self.sent_and_lost)?;
        write!(f, "  handed over later     {}", self.handed_over)
    }
}
