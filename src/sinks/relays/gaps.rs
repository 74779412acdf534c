//! What a program missed of a stream (pure).

use crate::hub::LeftOut;
use crate::model::{Medium, RelayGap, RelayGapCause};

/// Gaps with one cause that are at most this far apart become one.
const NEAR_MS: i64 = 1_000;
/// The most gaps of a program. Beyond that, further ones extend the last gap of their medium.
const MAX_GAPS: usize = 256;

/// Adds a gap; it joins the last one of its medium if it has the same cause and is near.
pub(super) fn add_gap(gaps: &mut Vec<RelayGap>, gap: RelayGap) {
    let is_full = gaps.len() >= MAX_GAPS;
    let last = gaps.iter_mut().rev().find(|last| last.medium == gap.medium);
    match last {
        Some(last) if is_full || joins(last, &gap) => {
            last.start_ms = last.start_ms.min(gap.start_ms);
            last.end_ms = last.end_ms.max(gap.end_ms);
            last.frames = match (last.frames, gap.frames) {
                (Some(one), Some(other)) => Some(one + other),
                _ => None,
            };
        }
        _ if is_full => {}
        _ => gaps.push(gap),
    }
}

fn joins(last: &RelayGap, gap: &RelayGap) -> bool {
    last.cause == gap.cause
        && gap.start_ms <= last.end_ms.saturating_add(NEAR_MS)
        && gap.end_ms >= last.start_ms.saturating_sub(NEAR_MS)
}

/// The gap of frames that a tap dropped.
pub(super) fn gap_of(span: &LeftOut, cause: RelayGapCause) -> RelayGap {
    RelayGap {
        medium: span.medium,
        start_ms: span.first_ms,
        end_ms: span.last_ms,
        frames: Some(span.count.frames),
        cause,
    }
}

/// The gap of a medium that is not kept while a program is away.
pub(super) fn gap_while_away(medium: Medium, (start_ms, end_ms): (i64, i64)) -> RelayGap {
    RelayGap { medium, start_ms, end_ms, frames: None, cause: RelayGapCause::Away }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(medium: Medium, start_ms: i64, end_ms: i64, cause: RelayGapCause) -> RelayGap {
        RelayGap { medium, start_ms, end_ms, frames: Some(1), cause }
    }

    #[test]
    fn near_gaps_of_one_cause_are_one() {
        let mut gaps = Vec::new();
        add_gap(&mut gaps, gap(Medium::Audio, 0, 100, RelayGapCause::Slow));
        add_gap(&mut gaps, gap(Medium::Video, 50, 60, RelayGapCause::Slow));
        add_gap(&mut gaps, gap(Medium::Audio, 900, 2_000, RelayGapCause::Slow));
        assert_eq!(gaps.len(), 2);
        assert_eq!((gaps[0].start_ms, gaps[0].end_ms, gaps[0].frames), (0, 2_000, Some(2)));
        add_gap(&mut gaps, gap(Medium::Audio, 2_100, 2_200, RelayGapCause::Away));
        add_gap(&mut gaps, gap(Medium::Audio, 9_000, 9_100, RelayGapCause::Away));
        assert_eq!(gaps.len(), 4);
    }

    #[test]
    fn a_long_list_grows_in_its_last_gap_and_says_nothing_wrong() {
        let mut gaps = Vec::new();
        for number in 0..1_000 {
            let at_ms = number * 10_000;
            add_gap(&mut gaps, gap(Medium::Audio, at_ms, at_ms + 1, RelayGapCause::Slow));
        }
        assert_eq!(gaps.len(), MAX_GAPS);
        assert_eq!(gaps.iter().filter_map(|gap| gap.frames).sum::<u64>(), 1_000);
        assert_eq!(gaps[MAX_GAPS - 1].end_ms, 9_990_001);
    }
}
