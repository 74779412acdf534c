//! Relays every stored entry of every stream to one sink: in order within a stream, at least once, across restarts.
//!
//! The relay reads the store, never a stream, so a slow or dead sink blocks nothing: entries that it lacks wait in the
//! store. The hub only signals that there are new ones. Positions are stored after a delivery; after a crash in
//! between, entries are delivered again, which a consumer recognizes by [`Entry::id`].
//!
//! A sink may want no entries for a while, as outgoing webhooks without an endpoint do. Then the relay reads nothing, and
//! the transaction that makes the sink want them again moves its positions.

use std::fmt::Display;
use std::time::Duration;

use rand::rngs::SmallRng;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::model::{NodeId, StreamId, ms};
use crate::rtms::backoff::{Backoff, stream_rng};
use crate::store::{SinkHold, SinkPage, Store, StoreError};

pub use crate::model::Entry;
pub use crate::store::Relayed;

/// How long after its end a stream is still polled: replicas' clocks differ, and transactions take time.
const LATE_MS: i64 = 5 * 60 * 1_000;
/// How often all streams that ended in the last [`LATE_MS`] are polled.
const LATE_POLL_INTERVAL_MS: i64 = 15 * 1_000;
/// How long after its end a stream is polled in every round.
const RECENT_MS: i64 = 10 * 1_000;
/// How often to store that ended streams need not be polled further.
const NOTE_THROUGH_EVERY_MS: i64 = 60 * 1_000;

#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a node holds a sink without renewing; then another node may take it.
    pub lease: Duration,
    /// How often the store is polled without a signal, because other replicas store entries too.
    pub poll_interval: Duration,
    /// How often the store is polled for deletions. Nothing signals them.
    pub deletions_poll_interval: Duration,
    /// A delivery that takes longer has failed. Less than half of `lease`, or two nodes could deliver the same.
    pub deliver_timeout: Duration,
    /// The most entries in one delivery.
    pub max_entries: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(20),
            poll_interval: Duration::from_secs(1),
            deletions_poll_interval: Duration::from_secs(5),
            deliver_timeout: Duration::from_secs(8),
            max_entries: 1000,
        }
    }
}

/// The pause between two rounds with new entries: each writes positions, and the store has one writer.
const PAUSE: Duration = Duration::from_millis(250);

/// The relay of all entries to one sink. Of several daemons with one store, one at a time runs it.
pub struct Relay {
    store: Store,
    stored: watch::Receiver<()>,
    sink: &'static str,
    node: NodeId,
    settings: Settings,
    now_ms: fn() -> i64,
    held: Option<Held>,
    /// When the last pass over all streams began that polled the late ones, too.
    late_polled_ms: i64,
    backoff: Backoff,
    rng: SmallRng,
}

/// A valid lease on the sink.
#[derive(Clone, Copy)]
struct Held {
    until_ms: i64,
    through_ms: i64,
    epoch: i64,
}

/// One poll of all streams, in pages.
struct Pass {
    began_ms: i64,
    /// Whether streams are polled that ended long ago, as far as their last entries may still come.
    polls_late: bool,
    /// The last polled stream.
    after: Option<StreamId>,
    /// Whether every polled stream was read to its end.
    is_complete: bool,
}

/// The result of a round.
enum Round {
    News,
    Nothing,
}

#[derive(Debug, Error)]
enum RelayError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Refused(String),
    #[error("no answer in time")]
    TimedOut,
}

impl Relay {
    /// Creates the relay of the sink with this name, which must stay the same because it identifies the positions. When
    /// it first runs, it begins with entries stored from then on.
    pub fn new(context: &Context, sink: &'static str) -> Self {
        let Context { store, hub, node, relay, now_ms, .. } = context;
        Self {
            store: store.clone(),
            stored: hub.stored(),
            sink,
            node: *node,
            settings: relay.clone(),
            now_ms: *now_ms,
            held: None,
            late_polled_ms: i64::MIN,
            backoff: Backoff::default(),
            // A node's number is random.
            rng: stream_rng(node.0.as_u64_pair().1),
        }
    }

    /// Passes entries to `deliver` until `stop`, then the rest unless that fails. Entries that `deliver` rejects are
    /// passed again until they are accepted, with those stored meanwhile; entries deleted meanwhile are skipped. While
    /// `wants` says no, nothing is read. Dropping this loses nothing.
    pub async fn run<F, E, W>(
        mut self,
        stop: CancellationToken,
        wants: impl Fn() -> W,
        deliver: impl Fn(Vec<Relayed>) -> F,
    ) where
        F: Future<Output = Result<(), E>>,
        E: Display,
        W: Future<Output = Result<bool, StoreError>>,
    {
        loop {
            // Read before the round: everything stored before the stop is in the last one.
            let is_last = stop.is_cancelled();
            let (wait, is_idle) = match self.round(&wants, &deliver, is_last).await {
                Ok(Round::Nothing) => (self.is_well(), true),
                Ok(Round::News) => (PAUSE.min(self.is_well()), false),
                Err(error) => (self.has_failed(&error), false),
            };
            if is_last {
                break;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(wait) => {}
                // Without the lease, each new entry would only cause another query for it.
                Ok(()) = self.stored.changed(), if is_idle && self.held.is_some() => {}
            }
        }
        self.release().await;
    }

    /// Gives the lease back, so that the next hold reads the sink's state from the store.
    async fn release(&mut self) {
        if self.held.take().is_some()
            && let Err(error) = self.store.release_sink(self.sink, self.node).await
        {
            tracing::warn!(%error, sink = self.sink, "could not release a sink's lease; it expires by itself");
        }
    }

    fn is_well(&mut self) -> Duration {
        if !self.backoff.is_clear() {
            tracing::info!(sink = self.sink, "entries are relayed again");
            self.backoff.clear();
        }
        self.settings.poll_interval
    }

    fn has_failed(&mut self, error: &RelayError) -> Duration {
        if self.backoff.is_clear() {
            tracing::warn!(%error, sink = self.sink, "cannot relay entries; they wait in the store");
        }
        self.backoff.after_loss(&mut self.rng)
    }

    /// Delivers a part of every stream; the last round delivers until nothing is left. Streams take turns, so that a
    /// long one does not block the others.
    async fn round<F, E, W>(
        &mut self,
        wants: &impl Fn() -> W,
        deliver: &impl Fn(Vec<Relayed>) -> F,
        is_last: bool,
    ) -> Result<Round, RelayError>
    where
        F: Future<Output = Result<(), E>>,
        E: Display,
        W: Future<Output = Result<bool, StoreError>>,
    {
        if !wants().await? {
            self.release().await;
            return Ok(Round::Nothing);
        }
        let mut pass = self.begin_pass(is_last);
        while let Some(held) = self.hold().await? {
            let page = self.read_page(held, &pass).await?;
            let Some(last) = page.last else {
                self.note_pass(held, &pass).await?;
                if pass.after.is_none() || !is_last {
                    return Ok(pass.found());
                }
                // The last round begins again with the first stream, until a whole pass finds nothing.
                pass = self.begin_pass(is_last);
                continue;
            };
            pass.after = Some(last);
            pass.is_complete &= !page.is_cut;
            // Delivered before the position is stored: a crash in between repeats entries and never skips one.
            if !page.entries.is_empty() {
                self.deliver(deliver, page.entries).await?;
            }
            // Fenced by the epoch: a node that has lost its lease cannot move the position.
            if !self.store.move_sink(self.sink, held.epoch, &page.reached).await? {
                self.lose_hold();
            }
        }
        Ok(Round::Nothing)
    }

    fn begin_pass(&self, is_last: bool) -> Pass {
        let began_ms = (self.now_ms)();
        let is_due = began_ms.saturating_sub(self.late_polled_ms) >= LATE_POLL_INTERVAL_MS;
        Pass { began_ms, polls_late: is_last || is_due, after: None, is_complete: true }
    }

    async fn read_page(&self, held: Held, pass: &Pass) -> Result<SinkPage, StoreError> {
        let ended_since_ms = match pass.polls_late {
            true => held.through_ms,
            false => held.through_ms.max(pass.began_ms - RECENT_MS),
        };
        let after = pass.after.as_ref().map_or("", StreamId::as_str);
        self.store.sink_page(self.sink, ended_since_ms, after, self.settings.max_entries).await
    }

    async fn deliver<F, E>(
        &mut self,
        deliver: &impl Fn(Vec<Relayed>) -> F,
        entries: Vec<Relayed>,
    ) -> Result<(), RelayError>
    where
        F: Future<Output = Result<(), E>>,
        E: Display,
    {
        match timeout(self.settings.deliver_timeout, deliver(entries)).await {
            Ok(Ok(())) => {
                self.is_well();
                Ok(())
            }
            Ok(Err(error)) => Err(RelayError::Refused(error.to_string())),
            Err(_) => Err(RelayError::TimedOut),
        }
    }

    /// `None` while another node has the sink. A node that cannot deliver lets its lease expire, because another may be
    /// able to.
    async fn hold(&mut self) -> Result<Option<Held>, StoreError> {
        let now_ms = (self.now_ms)();
        let lease_ms = ms(self.settings.lease);
        let early_ms = if self.backoff.is_clear() { lease_ms / 2 } else { 0 };
        if self.held.is_none_or(|held| held.until_ms - early_ms <= now_ms) {
            let hold = self.store.hold_sink(self.sink, self.node, lease_ms).await?;
            // From before the query: this node never trusts its lease for longer than the store does.
            let until_ms = now_ms.saturating_add(lease_ms);
            self.held = hold.map(|hold| {
                let SinkHold { through_ms, epoch } = hold;
                Held { until_ms, through_ms, epoch }
            });
        }
        Ok(self.held)
    }

    /// Another node took the sink while this one believed to hold it: the other delivers again what this one delivered.
    fn lose_hold(&mut self) {
        tracing::warn!(sink = self.sink, "another daemon has taken the sink; it continues there");
        self.held = None;
    }

    /// Notes a pass that polled the late streams, too: the sink has everything that was stored when it began.
    async fn note_pass(&mut self, held: Held, pass: &Pass) -> Result<(), RelayError> {
        if !pass.polls_late || !pass.is_complete {
            return Ok(());
        }
        self.late_polled_ms = pass.began_ms;
        let through_ms = pass.began_ms - LATE_MS;
        if through_ms - held.through_ms >= NOTE_THROUGH_EVERY_MS {
            match self.store.move_sink_through(self.sink, held.epoch, through_ms).await? {
                true => self.held = Some(Held { through_ms, ..held }),
                false => self.lose_hold(),
            }
        }
        Ok(())
    }
}

impl Pass {
    /// Whether it found something in any stream.
    fn found(&self) -> Round {
        if self.after.is_none() { Round::Nothing } else { Round::News }
    }
}
