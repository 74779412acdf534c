//! Stops the streams. Other daemons get them a few at a time, so that each is without a connection for a moment only.

mod turns;

use std::time::{Duration, Instant};

use tokio::task::{Id, JoinError};
use tokio::time::{sleep, timeout};

use self::turns::Turns;
use super::Supervisor;
use crate::model::StreamId;
use crate::sessions::AtShutdown;
use crate::sessions::driver::Command;
use crate::sessions::stream_task::After;
use crate::store::StoreError;

/// How long a stop waits for a single answer of the store.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// How often this daemon checks which streams the others have taken.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// The turns last for this part of a lease at most, because nobody renews the streams' leases meanwhile.
const TURNS_IN_LEASE: u32 = 2;
/// If no daemon takes a released stream within this many placing intervals, none is expected to take the others.
const INTERVALS_OF_PATIENCE: u32 = 2;

impl Supervisor {
    /// Ends the streams or leaves them to other daemons, inside the grace.
    pub(super) async fn shut_down(mut self) {
        let forgotten = timeout(ANSWER_LIMIT, self.store.forget_daemon(self.settings.node));
        if !matches!(forgotten.await, Ok(Ok(()))) {
            tracing::debug!(
                "the store did not note the stop in time; other daemons see it when the streams are free"
            );
        }
        let mut turns = Turns::new(self.running.keys().cloned());
        if !self.is_leaving() || !self.placing.has_room_elsewhere() {
            turns.all_at_once();
        }
        let grace = self.settings.grace;
        if timeout(grace, self.end_streams(&mut turns)).await.is_err() {
            tracing::warn!(
                streams = self.tasks.len(),
                "streams did not end within SHUTDOWN_GRACE_SECONDS; aborting them"
            );
            self.tasks.shutdown().await;
        }
    }

    fn is_leaving(&self) -> bool {
        self.settings.at_shutdown == AtShutdown::Leave
    }

    async fn end_streams(&mut self, turns: &mut Turns) {
        let hub = self.hub.clone();
        let until = Instant::now() + self.settings.leases.lease / TURNS_IN_LEASE;
        while !self.tasks.is_empty() {
            if Instant::now() >= until {
                turns.all_at_once();
            }
            turns.next().iter().for_each(|stream_id| self.end_stream(stream_id));
            tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => {
                    self.release_ended(ended, turns).await;
                }
                // The supervisor no longer polls, so it cannot find out which daemon has the stream: the entries are
                // offered to it.
                Some((stream_id, _)) = hub.fenced() => hub.taken(&stream_id),
                () = sleep(LOOK_INTERVAL), if !turns.are_over() => self.look_after(turns).await,
            }
        }
    }

    fn end_stream(&mut self, stream_id: &StreamId) {
        let command = if self.is_leaving() { Command::Leave } else { Command::Close };
        let Some(running) = self.running.get_mut(stream_id) else { return };
        if running.lost_since.is_some() {
            // Otherwise its flush would wait for an answer that no task gives after shutdown.
            self.hub.taken(stream_id);
        }
        // If the queue is full, an earlier command or the end of the grace period ends the stream.
        let _ = running.commands.try_send(command);
    }

    /// Releases the streams of the tasks that have ended: everything that they received is stored.
    async fn release_ended(&mut self, first: Result<(Id, After), JoinError>, turns: &mut Turns) {
        let (mut streams, mut contested) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(ended) = next {
            // A panic was logged where it happened, and its stream goes on elsewhere.
            let task = ended.as_ref().map_or_else(JoinError::id, |(task, _)| *task);
            if let Some(stream_id) = self.task_streams.remove(&task) {
                let running = self.running.remove(&stream_id);
                if let (Ok((_, After::GiveBack)), Some(running)) = (ended, running) {
                    contested.push((stream_id.clone(), running.epoch()));
                }
                streams.push(stream_id);
            }
            next = self.tasks.try_join_next_with_id();
        }
        self.give_back_all(&contested).await;
        if self.is_leaving() && self.store.is_shared() {
            let released = self.store.release_streams(self.settings.node, &streams);
            // The end of the shutdown releases them again, with all other leases of this daemon.
            if !matches!(timeout(ANSWER_LIMIT, released).await, Ok(Ok(()))) {
                turns.all_at_once();
            }
        }
        turns.released(streams, Instant::now());
    }

    /// Gives back the claims of streams to which another daemon is connected. If they were only released, the next daemon
    /// would assume that nobody is connected.
    async fn give_back_all(&self, contested: &[(StreamId, i64)]) {
        let given_back = async {
            for (stream_id, epoch) in contested {
                self.give_back(stream_id, *epoch).await?;
            }
            Ok::<_, StoreError>(())
        };
        if !matches!(timeout(ANSWER_LIMIT, given_back).await, Ok(Ok(()))) {
            tracing::warn!("could not give all claims back; releasing them");
        }
    }

    /// Finds out which of the released streams the other daemons have taken.
    async fn look_after(&mut self, turns: &mut Turns) {
        let released = turns.free();
        match timeout(ANSWER_LIMIT, self.store.free_streams(&released)).await {
            Ok(Ok(free)) => turns.still_free(&free),
            _ => return turns.all_at_once(),
        }
        let patience = self.settings.leases.place_interval * INTERVALS_OF_PATIENCE;
        if turns.are_stuck(Instant::now(), patience) {
            tracing::warn!("no daemon takes the streams; leaving all of them at once");
            turns.all_at_once();
        }
    }
}
