//! Assigns times to entries: Zoom's time where it is plausible, a substitute elsewhere (pure).

use crate::model::{EntryBody, TimeOf, TranscriptLine, believed};

/// Returns Zoom's time of an entry if it is plausible, and corrects the times inside the entry. `announced_ms` is when
/// the stream began.
pub(super) fn of_entry(
    at_ms: Option<i64>,
    body: &mut EntryBody,
    announced_ms: i64,
    now_ms: i64,
) -> Option<i64> {
    match body {
        EntryBody::Transcript(line) => {
            let sent_ms = believed(at_ms, TimeOf::Media, now_ms);
            place_line(line, sent_ms, now_ms);
            sent_ms
        }
        // Zoom repeats this event after every rejoin, even hours later. Its time is never before the stream's start.
        EntryBody::FirstPacket {} => believed(at_ms, TimeOf::Since(announced_ms), now_ms),
        _ => believed(at_ms, TimeOf::Event, now_ms),
    }
}

/// Gives a line without a plausible time the time it was sent or, without that, the time of arrival.
fn place_line(line: &mut TranscriptLine, sent_ms: Option<i64>, now_ms: i64) {
    let or_sent = |at_ms: i64| believed(Some(at_ms), TimeOf::Media, now_ms).or(sent_ms);
    line.start_ms = or_sent(line.start_ms).unwrap_or(now_ms);
    line.end_ms = or_sent(line.end_ms).unwrap_or(line.start_ms).max(line.start_ms);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Speaker;

    const NOW: i64 = 1_763_600_000_000;
    const HOUR: i64 = 60 * 60 * 1_000;

    /// Places a line with this sending time and span, and returns the result.
    fn placed(sent_ms: Option<i64>, start_ms: i64, end_ms: i64) -> (Option<i64>, i64, i64) {
        let line = TranscriptLine {
            speaker: Speaker::default(),
            text: "hi".into(),
            start_ms,
            end_ms,
            language: None,
            attribute: None,
        };
        let mut body = EntryBody::Transcript(line);
        let at_ms = of_entry(sent_ms, &mut body, NOW, NOW);
        let EntryBody::Transcript(line) = body else { unreachable!("it was one") };
        (at_ms, line.start_ms, line.end_ms)
    }

    #[test]
    fn a_line_keeps_the_span_that_zoom_gives() {
        let said = (Some(NOW - 100), NOW - 3_000, NOW - 500);
        assert_eq!(placed(said.0, said.1, said.2), said);
    }

    #[test]
    fn a_line_with_an_implausible_start_gets_the_time_it_was_sent() {
        for absurd in [0, -1, 1, i64::MIN, i64::MAX, NOW - 30 * HOUR, NOW + 61_000] {
            let sent_ms = NOW - 100;
            let expected = (Some(sent_ms), sent_ms, sent_ms);
            assert_eq!(placed(Some(sent_ms), absurd, absurd), expected, "{absurd}");
            assert_eq!(placed(Some(absurd), absurd, absurd), (None, NOW, NOW), "{absurd}");
            assert_eq!(placed(None, absurd, absurd), (None, NOW, NOW), "{absurd}");
        }
    }

    #[test]
    fn a_line_without_an_end_ends_when_it_was_sent_and_never_before_its_start() {
        assert_eq!(
            placed(Some(NOW - 100), NOW - 3_000, 0),
            (Some(NOW - 100), NOW - 3_000, NOW - 100)
        );
        assert_eq!(placed(None, NOW - 3_000, 0), (None, NOW - 3_000, NOW - 3_000));
        assert_eq!(placed(None, NOW - 3_000, NOW - 9_000), (None, NOW - 3_000, NOW - 3_000));
    }

    #[test]
    fn an_event_may_be_as_old_as_a_meeting_and_a_first_packet_as_old_as_its_stream() {
        let joined = |at_ms| of_entry(Some(at_ms), &mut EntryBody::SharingStopped {}, NOW, NOW);
        assert_eq!(joined(NOW - 29 * HOUR), Some(NOW - 29 * HOUR));
        assert_eq!((joined(0), joined(NOW - 31 * HOUR), joined(NOW + HOUR)), (None, None, None));
        let announced_ms = NOW - 5 * HOUR;
        let first =
            |at_ms| of_entry(Some(at_ms), &mut EntryBody::FirstPacket {}, announced_ms, NOW);
        assert_eq!(first(announced_ms - 60_000), Some(announced_ms - 60_000));
        assert_eq!((first(0), first(announced_ms - HOUR), first(NOW + HOUR)), (None, None, None));
    }
}
