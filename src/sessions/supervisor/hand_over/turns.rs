//! The order in which a daemon that stops leaves its streams (pure).

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::model::StreamId;

/// The most streams that are without a daemon at the same time: this many, or one in `AWAY_IN_ALL` if that is more. With
/// a larger turn the daemon stops sooner, but each stream waits longer until it is joined.
const AWAY: usize = 16;
const AWAY_IN_ALL: usize = 8;
/// How many leave at first: other daemons look seldom until they see a released stream.
const FIRST: usize = 2;

/// Which streams have left, and which may leave next.
pub(super) struct Turns {
    waiting: VecDeque<StreamId>,
    leaving: HashSet<StreamId>,
    /// Since when each stream is free. A stream that a daemon has taken is removed.
    free: HashMap<StreamId, Instant>,
    most_away: usize,
    has_one_been_taken: bool,
}

impl Turns {
    pub(super) fn new(streams: impl IntoIterator<Item = StreamId>) -> Self {
        let waiting: VecDeque<_> = streams.into_iter().collect();
        let most_away = AWAY.max(waiting.len() / AWAY_IN_ALL);
        let (leaving, free) = (HashSet::new(), HashMap::new());
        Self { waiting, leaving, free, most_away, has_one_been_taken: false }
    }

    /// Lets the streams that wait leave without a turn.
    pub(super) fn all_at_once(&mut self) {
        (self.most_away, self.has_one_been_taken) = (usize::MAX, true);
    }

    /// Whether no stream waits for its turn.
    pub(super) fn are_over(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The streams that leave now.
    pub(super) fn next(&mut self) -> Vec<StreamId> {
        let most = if self.has_one_been_taken { self.most_away } else { FIRST };
        let away = self.leaving.len() + self.free.len();
        let count = most.saturating_sub(away).min(self.waiting.len());
        let next: Vec<_> = self.waiting.drain(..count).collect();
        self.leaving.extend(next.iter().cloned());
        next
    }

    /// Notes that streams have ended here: those that were leaving are free, and the others have ended by themselves.
    pub(super) fn released(&mut self, streams: Vec<StreamId>, now: Instant) {
        for stream_id in streams {
            if self.leaving.remove(&stream_id) {
                self.free.insert(stream_id, now);
            } else {
                self.waiting.retain(|waiting| *waiting != stream_id);
            }
        }
    }

    /// The streams that no daemon was seen to take.
    pub(super) fn free(&self) -> Vec<StreamId> {
        self.free.keys().cloned().collect()
    }

    /// Notes which of them are still free.
    pub(super) fn still_free(&mut self, free: &[StreamId]) {
        let before = self.free.len();
        self.free.retain(|stream_id, _| free.contains(stream_id));
        self.has_one_been_taken |= self.free.len() < before;
    }

    /// Whether a stream has been free for longer than this.
    pub(super) fn are_stuck(&self, now: Instant, patience: Duration) -> bool {
        self.free.values().any(|since| now.saturating_duration_since(*since) > patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    fn turns(count: usize) -> Turns {
        Turns::new((0..count).map(|n| StreamId::parse(&format!("s{n}")).unwrap()))
    }

    #[test]
    fn a_few_streams_at_a_time_leave_as_others_are_taken() {
        let (mut turns, now) = (turns(200), Instant::now());
        let first = turns.next();
        assert_eq!(first.len(), FIRST);
        assert!(turns.next().is_empty(), "they have not left yet");
        turns.released(first.clone(), now);
        assert!(turns.next().is_empty(), "no daemon has taken one");
        turns.still_free(&first);
        assert!(turns.next().is_empty());
        turns.still_free(&first[1..]);
        let second = turns.next();
        assert_eq!(second.len(), 200 / AWAY_IN_ALL - 1, "one of the first is still free");

        let mut left = first.len() + second.len();
        turns.released(second, now);
        while !turns.are_over() {
            turns.still_free(&[]);
            let next = turns.next();
            assert!(next.len() <= 200 / AWAY_IN_ALL);
            left += next.len();
            turns.released(next, now);
        }
        assert_eq!(left, 200);
    }

    #[test]
    fn few_streams_leave_in_one_turn_after_the_first() {
        let mut turns = turns(10);
        let first = turns.next();
        turns.released(first, Instant::now());
        turns.still_free(&[]);
        assert_eq!(turns.next().len(), 10 - FIRST);
        assert!(turns.are_over());
    }

    #[test]
    fn a_stream_that_ends_by_itself_has_no_turn_and_shows_nothing_of_the_others() {
        let (mut turns, now) = (turns(200), Instant::now());
        let first = turns.next();
        let over: Vec<_> = turns.waiting.iter().take(150).cloned().collect();
        turns.released(over, now);
        turns.released(first.clone(), now);
        turns.still_free(&first);
        assert!(turns.next().is_empty(), "no daemon has taken one");
        turns.still_free(&[]);
        assert_eq!(turns.next().len(), 200 / AWAY_IN_ALL);
        assert_eq!(turns.waiting.len(), 200 - FIRST - 150 - 200 / AWAY_IN_ALL);
    }

    #[test]
    fn a_stream_that_nobody_takes_ends_the_turns() {
        let (mut turns, now) = (turns(200), Instant::now());
        let first = turns.next();
        assert!(!turns.are_stuck(now + PATIENCE * 2, PATIENCE), "none is free");
        turns.released(first, now);
        assert!(!turns.are_stuck(now + PATIENCE, PATIENCE));
        assert!(turns.are_stuck(now + PATIENCE * 2, PATIENCE));
        turns.all_at_once();
        assert_eq!(turns.next().len(), 200 - FIRST);
    }
}
