//! The transcript as a track of timed text (3GPP TS 26.245; pure). Such a track shows one sample at a time, so lines that
//! are said at once become one sample.

/// The most lines that are shown at once, and how long a line without a length is shown.
const MAX_LINES: usize = 4;
const SHORTEST_MS: u64 = 1_000;
/// A sample's text has a length of 16 bits.
const MAX_TEXT_BYTES: usize = 4_096;

/// A line of the transcript. Times are milliseconds since the origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    pub start_ms: u64,
    pub end_ms: u64,
    /// The speaker and the phrase.
    pub text: String,
}

/// A text and how long it is shown; an empty one is a pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub duration_ms: u64,
    pub data: Vec<u8>,
}

/// The samples from 0 to `until_ms`, without a gap. Lines beyond it are left out.
pub(super) fn text_samples(mut cues: Vec<Cue>, until_ms: u64) -> Vec<Shown> {
    cues.retain(|cue| cue.start_ms < until_ms);
    cues.sort_by_key(|cue| cue.start_ms);
    for cue in &mut cues {
        cue.end_ms = cue.end_ms.max(cue.start_ms + SHORTEST_MS).min(until_ms);
    }
    let mut edges: Vec<u64> = cues.iter().flat_map(|cue| [cue.start_ms, cue.end_ms]).collect();
    edges.extend([0, until_ms]);
    edges.sort_unstable();
    edges.dedup();
    let (mut next, mut shown) = (cues.iter().peekable(), Vec::<&Cue>::new());
    let mut samples = Vec::new();
    for span in edges.windows(2) {
        shown.retain(|cue| cue.end_ms > span[0]);
        while let Some(cue) = next.next_if(|cue| cue.start_ms <= span[0]) {
            shown.push(cue);
        }
        // The latest lines.
        let from = shown.len().saturating_sub(MAX_LINES);
        let lines: Vec<&str> = shown[from..].iter().map(|cue| &*cue.text).collect();
        samples.push(Shown { duration_ms: span[1] - span[0], data: sample(&lines.join("\n")) });
    }
    samples
}

/// The length of the text, then the text.
fn sample(text: &str) -> Vec<u8> {
    let text = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
    // The cast fits: see `MAX_TEXT_BYTES`.
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(start_ms: u64, end_ms: u64, text: &str) -> Cue {
        Cue { start_ms, end_ms, text: text.to_owned() }
    }

    fn read(samples: &[Shown]) -> Vec<(u64, String)> {
        let text = |shown: &Shown| String::from_utf8(shown.data[2..].to_vec()).unwrap();
        samples.iter().map(|shown| (shown.duration_ms, text(shown))).collect()
    }

    #[test]
    fn pauses_are_empty_and_lines_at_once_are_shown_together() {
        let cues = vec![cue(2_000, 5_000, "b"), cue(1_000, 3_000, "a"), cue(8_000, 8_000, "c")];
        let expected = [
            (1_000, ""),
            (1_000, "a"),
            (1_000, "a\nb"),
            (2_000, "b"),
            (3_000, ""),
            (1_000, "c"),
            (1_000, ""),
        ];
        let expected: Vec<_> =
            expected.iter().map(|(ms, text)| (*ms, (*text).to_owned())).collect();
        assert_eq!(read(&text_samples(cues, 10_000)), expected);
    }

    #[test]
    fn whatever_is_said_the_samples_cover_the_film() {
        let cues =
            (0..200).map(|n| cue(n * 37 % 900, n * 53 % 1_500, &"ü".repeat(n as usize * 40)));
        let samples = text_samples(cues.collect(), 1_000);
        assert_eq!(samples.iter().map(|shown| shown.duration_ms).sum::<u64>(), 1_000);
        assert!(samples.iter().all(|shown| shown.data.len() <= MAX_TEXT_BYTES + 2));
        read(&samples);
        assert_eq!(text_samples(Vec::new(), 0), []);
    }
}
