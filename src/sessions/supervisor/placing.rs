//! Places streams that no daemon runs: each goes to the daemon with the least load, and to any that has room if that
//! one does not take it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::Supervisor;
use crate::model::StreamId;
use crate::sessions::cpu_meter::CpuMeter;
use crate::sessions::placement::{Capacity, Cluster};
use crate::store::{Heartbeat, Orphan, OtherDaemon, StoreError};

/// How many streams are looked at, and claimed in one transaction.
const ORPHANS_AT_ONCE: u32 = 200;
/// A store that does not answer for so long must not keep the leases from being renewed.
const REPORT_LIMIT: Duration = Duration::from_secs(5);
/// How often this daemon looks for streams that no daemon runs, from one report to the next.
const LOOKS_PER_REPORT: u32 = 4;
/// How often it looks while another daemon hands its streams over, and for how long after the last of them.
const BRISK_LOOK: Duration = Duration::from_millis(20);
const BRISK_FOR: Duration = Duration::from_secs(1);

/// What this daemon knows of the others, and of the streams that wait.
pub(super) struct Placing {
    meter: CpuMeter,
    others: Vec<Capacity>,
    /// When each stream that no daemon runs was first seen.
    waiting: HashMap<StreamId, Instant>,
    next_report: Instant,
    next_look: Instant,
    /// Until when another daemon is expected to release further streams.
    brisk_until: Instant,
}

impl Placing {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            meter: CpuMeter::new(),
            others: Vec::new(),
            waiting: HashMap::new(),
            next_report: now,
            next_look: now,
            brisk_until: now,
        }
    }

    /// When [`Supervisor::place_streams`] is due.
    pub(super) fn next_look(&self) -> Instant {
        self.next_look
    }

    /// Whether another daemon has room for a stream.
    pub(super) fn has_room_elsewhere(&self) -> bool {
        self.others.iter().any(Capacity::has_room)
    }

    /// Whether the stream has waited for longer than this.
    fn has_waited(&self, stream_id: &StreamId, patience: Duration) -> bool {
        self.waiting.get(stream_id).is_some_and(|since| since.elapsed() >= patience)
    }

    /// Keeps the times of the streams that still wait. A newly released one means that more will follow.
    fn remember(&mut self, orphans: &[Orphan]) {
        let now = Instant::now();
        let is_released = |orphan: &Orphan| orphan.has_run && !orphan.is_stopped;
        let mut new = orphans.iter().filter(|it| !self.waiting.contains_key(&it.stream_id));
        if new.any(is_released) {
            self.brisk_until = now + BRISK_FOR;
        }
        let waiting = orphans.iter().map(|orphan| {
            let since = self.waiting.get(&orphan.stream_id).copied().unwrap_or(now);
            (orphan.stream_id.clone(), since)
        });
        self.waiting = waiting.collect();
    }
}

impl Supervisor {
    /// Reports this daemon's load, reads that of the others, and claims the streams that this one is to run.
    pub(super) async fn place_streams(&mut self) {
        // The poll finds out when the store is back, and must not wait for this.
        if !self.store_is_away {
            let placed = self.try_place_streams().await;
            self.note_answer(placed);
        }
        let now = Instant::now();
        let interval = match now < self.placing.brisk_until {
            true => BRISK_LOOK,
            // SQLite has one daemon.
            false if !self.store.is_shared() => self.settings.leases.place_interval,
            false => self.settings.leases.place_interval / LOOKS_PER_REPORT,
        };
        self.placing.next_look = now + interval;
    }

    async fn try_place_streams(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        let is_report_due = now >= self.placing.next_report;
        if is_report_due {
            self.placing.next_report = now + self.settings.leases.place_interval;
            if self.settings.leases.counts_cpu_time {
                self.settings.occupancy.set_busy(self.placing.meter.measure());
            }
            if self.store.is_shared() {
                self.give_up_unreachable();
                let reported = self.store.report_daemon(self.heartbeat(), self.lease_ms());
                self.placing.others = capacities(reported).await?;
            }
        }
        if self.is_patient() { Ok(()) } else { self.claim_orphans(is_report_due).await }
    }

    fn heartbeat(&self) -> Heartbeat {
        let Capacity { max_streams, .. } = self.own_capacity();
        Heartbeat {
            node: self.settings.node,
            version: env!("CARGO_PKG_VERSION"),
            max_streams,
            busy_permille: self.settings.occupancy.busy_permille(),
        }
    }

    /// `knows_others`: whether the load of the others was read just now.
    async fn claim_orphans(&mut self, mut knows_others: bool) -> Result<(), StoreError> {
        loop {
            let (node, lease_ms) = (self.settings.node, self.lease_ms());
            self.steps.take();
            let orphans = self.store.orphans(node, ORPHANS_AT_ONCE, &self.rooms()).await?;
            self.steps.take();
            if !orphans.is_empty() && !knows_others && self.store.is_shared() {
                self.placing.others = capacities(self.store.other_daemons(node)).await?;
                knows_others = true;
            }
            let chosen = self.choose(orphans);
            if chosen.is_empty() {
                return Ok(());
            }
            let until = self.lease_until();
            let claims = self.store.claim_streams(node, &chosen, lease_ms).await?;
            if claims.is_empty() {
                // Another daemon was faster; the next poll sees what it has left.
                return Ok(());
            }
            self.start_all(claims, until).await?;
        }
    }

    /// The streams that this daemon is to run: those for which it has the least load, and those that no other daemon
    /// has taken.
    fn choose(&mut self, orphans: Vec<Orphan>) -> Vec<StreamId> {
        self.placing.remember(&orphans);
        let (mut cluster, mut room) = (self.cluster(), self.settings.occupancy.room());
        let mut chosen = Vec::new();
        for orphan in orphans {
            let is_own = orphan.is_stopped
                // Zoom waits for the return of a stream that has run: too much load is better than none.
                || cluster.place().unwrap_or(orphan.has_run)
                || self.placing.has_waited(&orphan.stream_id, self.patience(&orphan));
            if is_own && room > 0 && self.can_run(&orphan) {
                room -= 1;
                chosen.push(orphan.stream_id);
            }
        }
        chosen
    }

    /// After this time a stream is claimed although another daemon has less load: that one has not taken it.
    fn patience(&self, orphan: &Orphan) -> Duration {
        let interval = self.settings.leases.place_interval;
        if orphan.has_run { interval / 2 } else { interval * 2 }
    }

    /// Those of `streams`, which have changed, that this daemon claims at once. It leaves the others to a daemon with less
    /// load, which finds them at its next poll.
    pub(super) fn kept(&mut self, streams: Vec<StreamId>) -> Vec<StreamId> {
        if self.placing.others.is_empty() {
            return streams;
        }
        let (mut cluster, given_up) = (self.cluster(), &self.given_up);
        let keeps = |stream_id: &StreamId| !given_up.is_left(stream_id) && cluster.keeps();
        let (kept, left): (Vec<_>, Vec<_>) = streams.into_iter().partition(keeps);
        self.placing.others = cluster.others;
        let now = Instant::now();
        for stream_id in left {
            self.placing.waiting.entry(stream_id).or_insert(now);
        }
        kept
    }

    /// Whether the stream may be run here: its app is configured, and Zoom was reached when it last ran here.
    fn can_run(&mut self, orphan: &Orphan) -> bool {
        if orphan.is_stopped {
            return true;
        }
        if !self.placing.others.is_empty() && self.given_up.is_left(&orphan.stream_id) {
            return false;
        }
        if self.settings.apps.get(&orphan.app).is_some() {
            return true;
        }
        self.warn_missing(&orphan.app);
        false
    }

    pub(super) fn cluster(&self) -> Cluster {
        Cluster { own: self.own_capacity(), others: self.placing.others.clone() }
    }

    fn own_capacity(&self) -> Capacity {
        let occupancy = &self.settings.occupancy;
        let streams = occupancy.streams();
        let takes_none = occupancy.is_overloaded() || self.given_up.is_cut_off();
        Capacity {
            node: self.settings.node.to_string(),
            streams,
            max_streams: if takes_none { 0 } else { occupancy.max_streams() },
            busy: f64::from(occupancy.busy_permille()) / 1000.0,
            measured_streams: streams,
        }
    }
}

/// What the store answers about the other daemons, in bounded time.
async fn capacities(
    answer: impl Future<Output = Result<Vec<OtherDaemon>, StoreError>>,
) -> Result<Vec<Capacity>, StoreError> {
    let others = timeout(REPORT_LIMIT, answer).await;
    let others = others.unwrap_or_else(|_| Err(StoreError::timed_out()))?;
    Ok(others.into_iter().map(capacity_of).collect())
}

fn capacity_of(other: OtherDaemon) -> Capacity {
    let number = |value: i64| usize::try_from(value).unwrap_or(0);
    Capacity {
        node: other.node,
        streams: number(other.streams),
        max_streams: number(other.max_streams),
        busy: other.busy_permille as f64 / 1000.0,
        measured_streams: number(other.streams),
    }
}
