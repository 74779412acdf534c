//! Mixes all voices on one clock, in chunks of 20 ms without holes (pure).

use std::collections::VecDeque;

/// The length of a chunk.
pub(super) const CHUNK_MS: i64 = 20;
/// How long a chunk waits for other voices of the same moment.
const HOLD_MS: i64 = 60;
/// After this delay, missing audio counts as silence.
const SILENCE_MS: i64 = 200;
/// A longer step means that a clock has jumped: it is neither waited for nor caught up with.
const JUMP_CHUNKS: u64 = 500;
/// A voice with slightly uneven timestamps continues where it was.
const EVEN_MS: i64 = 40;

/// A voice's position on the mixer's clock.
#[derive(Debug, Default)]
pub(super) struct MixPosition {
    next: Option<i64>,
    /// The number of the mixer's clock that the position belongs to.
    clock: u64,
}

/// Adds up all voices.
pub(super) struct Mixer {
    rate_hz: i64,
    /// Zoom's time at which the mixer's clock is zero.
    origin_ms: Option<i64>,
    clock: u64,
    /// The next chunk to give out.
    next: i64,
    /// The chunks from `next` on.
    waiting: VecDeque<Vec<i32>>,
    /// The end of the newest audio.
    newest_ms: i64,
    /// How far the local clock is ahead of the audio's, at least.
    lead_ms: i64,
    hold_ms: i64,
}

/// 20 ms of audio.
#[derive(Debug, PartialEq)]
pub(super) struct Chunk {
    /// Counts from 0.
    pub index: i64,
    pub samples: Vec<i16>,
}

impl Mixer {
    pub(super) fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz: i64::from(rate_hz),
            origin_ms: None,
            clock: 0,
            next: 0,
            waiting: VecDeque::new(),
            newest_ms: i64::MIN,
            lead_ms: i64::MAX,
            hold_ms: HOLD_MS,
        }
    }

    /// Sets whether the audio is already mixed: then there is no other voice to wait for.
    pub(super) fn is_mixed(&mut self, is_mixed: bool) {
        self.hold_ms = if is_mixed { 0 } else { HOLD_MS };
    }

    /// Adds samples of a voice from `at_ms` on, received at `now_ms`.
    pub(super) fn add(
        &mut self,
        now_ms: i64,
        at_ms: i64,
        samples: &[i16],
        position: &mut MixPosition,
    ) {
        let chunk = self.chunk();
        let mut begin = self.position(at_ms);
        if (begin / chunk).abs_diff(self.next) > JUMP_CHUNKS {
            self.start_again(at_ms);
            begin = self.next * chunk;
        }
        let even = position.next.filter(|next| {
            position.clock == self.clock && (next - begin).abs() <= EVEN_MS * self.rate_hz / 1000
        });
        let begin = even.unwrap_or(begin);
        *position = MixPosition { next: Some(begin + samples.len() as i64), clock: self.clock };
        let skipped = (self.next * chunk - begin).max(0);
        // The casts fit: everything before `next` is skipped, and a chunk has at most 320 samples.
        for (index, sample) in samples.iter().enumerate().skip(skipped as usize) {
            let offset = begin + index as i64 - self.next * chunk;
            let slot = (offset / chunk) as usize;
            // Bounded by `JUMP_CHUNKS`.
            while self.waiting.len() <= slot {
                self.waiting.push_back(vec![0; chunk as usize]);
            }
            self.waiting[slot][(offset % chunk) as usize] += i32::from(*sample);
        }
        let end_ms = at_ms.saturating_add(samples.len() as i64 * 1000 / self.rate_hz);
        self.newest_ms = self.newest_ms.max(end_ms);
        // The smallest lead is the true one: the network only adds to it.
        self.lead_ms = self.lead_ms.min(now_ms.saturating_sub(at_ms));
    }

    /// The next due chunk.
    pub(super) fn take(&mut self, now_ms: i64) -> Option<Chunk> {
        let end_ms = self.origin_ms?.saturating_add((self.next + 1) * CHUNK_MS);
        let is_complete = self.newest_ms.saturating_sub(self.hold_ms) >= end_ms;
        let silent_ms = now_ms.saturating_sub(self.lead_ms).saturating_sub(SILENCE_MS);
        let is_silent = silent_ms >= end_ms;
        (is_complete || is_silent).then(|| self.give())
    }

    /// The next chunk with audio, due or not, at the end of the stream.
    pub(super) fn take_rest(&mut self) -> Option<Chunk> {
        (!self.waiting.is_empty()).then(|| self.give())
    }

    fn give(&mut self) -> Chunk {
        let sum = self.waiting.pop_front().unwrap_or_else(|| vec![0; self.chunk() as usize]);
        // Clipped only here: the sum of all voices fits 32 bits.
        let loudest = |sample: i32| sample.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        let chunk = Chunk { index: self.next, samples: sum.into_iter().map(loudest).collect() };
        self.next += 1;
        chunk
    }

    fn chunk(&self) -> i64 {
        self.rate_hz * CHUNK_MS / 1000
    }

    fn position(&mut self, at_ms: i64) -> i64 {
        let origin_ms = *self.origin_ms.get_or_insert(at_ms);
        at_ms.saturating_sub(origin_ms).saturating_mul(self.rate_hz) / 1000
    }

    fn start_again(&mut self, at_ms: i64) {
        // The next chunk keeps its number, so that timestamps never jump.
        self.origin_ms = Some(at_ms.saturating_sub(self.next * CHUNK_MS));
        self.clock += 1;
        self.waiting.clear();
        self.newest_ms = i64::MIN;
        self.lead_ms = i64::MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_732_313_190_000;

    fn add(mixer: &mut Mixer, position: &mut MixPosition, after_ms: i64, level: i16) {
        let at_ms = AT + after_ms;
        mixer.add(at_ms + 5, at_ms, &[level; 160], position);
    }

    fn due(mixer: &mut Mixer, after_ms: i64) -> Vec<Chunk> {
        std::iter::from_fn(|| mixer.take(AT + after_ms)).collect()
    }

    fn level(chunk: &Chunk) -> i16 {
        assert!(chunk.samples.iter().all(|sample| *sample == chunk.samples[0]));
        chunk.samples[0]
    }

    #[test]
    fn two_voices_are_added_up_and_cut_at_the_loudest() {
        let (mut mixer, mut ana, mut bo) =
            (Mixer::new(8_000), MixPosition::default(), MixPosition::default());
        for step in 0..2 {
            add(&mut mixer, &mut ana, step * 20, 100);
            add(&mut mixer, &mut bo, step * 20, if step == 0 { 23 } else { i16::MAX });
        }
        let chunks: Vec<Chunk> = std::iter::from_fn(|| mixer.take_rest()).collect();
        assert_eq!(chunks.iter().map(level).collect::<Vec<_>>(), [123, i16::MAX]);
    }

    #[test]
    fn chunks_are_in_order_without_holes_and_silence_is_filled() {
        let (mut mixer, mut ana) = (Mixer::new(8_000), MixPosition::default());
        add(&mut mixer, &mut ana, 0, 7);
        assert_eq!(due(&mut mixer, 30), []);
        let chunks = due(&mut mixer, 1_225);
        assert_eq!(
            chunks.iter().map(|chunk| chunk.index).collect::<Vec<_>>(),
            (0..51).collect::<Vec<_>>()
        );
        assert_eq!(chunks.iter().map(level).collect::<Vec<_>>()[..3], [7, 0, 0]);
    }

    #[test]
    fn audio_that_arrives_faster_than_real_time_is_given_at_once() {
        let (mut mixer, mut ana) = (Mixer::new(8_000), MixPosition::default());
        for step in 0..100 {
            mixer.add(AT, AT + step * 20, &[step as i16; 160], &mut ana);
        }
        let levels: Vec<i16> = due(&mut mixer, 0).iter().map(level).collect();
        assert_eq!(levels, (0..97).collect::<Vec<_>>());
    }

    #[test]
    fn a_voice_with_uneven_times_continues_where_it_was() {
        let (mut mixer, mut ana) = (Mixer::new(8_000), MixPosition::default());
        for (step, off_ms) in [(0, 0), (1, 3), (2, -2), (3, 7)] {
            add(&mut mixer, &mut ana, step * 20 + off_ms, 9);
        }
        let chunks: Vec<Chunk> = std::iter::from_fn(|| mixer.take_rest()).collect();
        assert_eq!(chunks.iter().map(level).collect::<Vec<_>>(), [9; 4]);
    }

    #[test]
    fn a_clock_that_jumps_is_followed_and_the_numbers_continue() {
        for jump_ms in [3_600_000, -3_600_000] {
            let (mut mixer, mut ana) = (Mixer::new(8_000), MixPosition::default());
            add(&mut mixer, &mut ana, 0, 1);
            assert_eq!(due(&mut mixer, 225).len(), 1);
            add(&mut mixer, &mut ana, jump_ms, 2);
            let chunk = mixer.take_rest().unwrap();
            assert_eq!((chunk.index, level(&chunk)), (1, 2));
        }
    }

    #[test]
    fn late_audio_is_dropped() {
        let (mut mixer, mut ana) = (Mixer::new(8_000), MixPosition::default());
        add(&mut mixer, &mut ana, 0, 1);
        due(&mut mixer, 1_000);
        add(&mut mixer, &mut MixPosition::default(), 40, 2);
        assert_eq!(mixer.take_rest(), None);
    }
}
