//! Whether any daemon has room for the stream that a program or a policy wants to start.

use std::time::Duration;

use super::{Control, ControlError};
use crate::model::{ActionId, ActionRecord, ActionStatus, Answer, ms};
use crate::store::{OtherDaemon, StoreError};

/// How long a planned start waits for room before it is refused: by then the meeting is over, or nobody adds a daemon.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);
/// How many polls of the worker pass before a start that waits for room is considered again, and after how many streams
/// ahead of it that wait is added once more, up to the longest.
const WAIT_IN_POLLS: u32 = 5;
const AHEAD_PER_WAIT: u32 = 16;
const LONGEST_WAIT_IN_POLLS: u32 = 60;
/// The API's error code. The store's `STARTS_THAT_WAIT` searches for it.
pub const NO_CAPACITY: &str = "no_capacity";

/// The room for a planned start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// How many further streams the daemons take.
    free: usize,
    /// How many streams come before this one: of starts that are under way or were planned earlier, and those that Zoom
    /// has announced and no daemon runs.
    ahead: usize,
}

impl Room {
    pub(super) fn is_enough(self) -> bool {
        self.free > self.ahead
    }
}

impl Control {
    /// Refuses a start if no daemon could take the stream: Zoom would wait for it in vain.
    pub(super) async fn check_capacity(&self) -> Result<(), ControlError> {
        if self.settings.occupancy.takes_more() {
            return Ok(());
        }
        let others = self.store.other_daemons(self.settings.node).await?;
        match others.iter().any(OtherDaemon::has_room) {
            true => Ok(()),
            false => Err(ControlError::NoCapacity),
        }
    }

    /// The room that all daemons have together for a start that a policy planned. The earlier planned come first, so
    /// that no start waits because of later ones, and as many are sent as find room.
    pub(super) async fn room_for(&self, start: ActionId) -> Result<Room, StoreError> {
        let occupancy = &self.settings.occupancy;
        let own = if occupancy.takes_more() { occupancy.room() } else { 0 };
        let others = self.store.other_daemons(self.settings.node).await?;
        let free = own + others.iter().map(OtherDaemon::room).sum::<usize>();
        let ahead = self.store.starts_ahead(start, (self.settings.now_ms)()).await?;
        Ok(Room { free, ahead })
    }

    /// Lets a planned start wait for room, which is no failed attempt, or refuses it if it has waited for too long.
    pub(super) async fn wait_for_room(
        &self,
        start: &ActionRecord,
        room: Room,
    ) -> Result<(ActionStatus, Answer), StoreError> {
        let now_ms = (self.settings.now_ms)();
        let answer = |detail: &str| {
            let (code, detail) = (Some(NO_CAPACITY.to_owned()), Some(detail.to_owned()));
            Answer { code, detail, ..Answer::default() }
        };
        if now_ms.saturating_sub(start.asked_at_ms) > ms(LONGEST_WAIT) {
            let status = ActionStatus::Refused;
            let answer =
                answer("no daemon had room for the stream within an hour: start another daemon");
            self.store.answer_action(start.id, status, None, &answer, now_ms).await?;
            return Ok((status, answer));
        }
        let answer = answer(
            "no daemon has room for the stream (MAX_STREAMS, MAX_CPU_PERCENT); the start waits: start another daemon",
        );
        let ahead = u32::try_from(room.ahead).unwrap_or(u32::MAX) / AHEAD_PER_WAIT;
        let polls =
            WAIT_IN_POLLS.saturating_mul(ahead.saturating_add(1)).min(LONGEST_WAIT_IN_POLLS);
        let due_at_ms = now_ms.saturating_add(ms(self.settings.poll_interval * polls));
        self.store.hand_back_action(start, &answer, due_at_ms, now_ms).await?;
        Ok((ActionStatus::Due, answer))
    }
}
