//! The position of a reader in a session's log.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The position of a reader in a session: for each stream, by ordinal, the number of the last entry seen.
/// Written `1:57` or `1:57,2:3`; this is the `id` of a server-sent event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor(BTreeMap<u32, u64>);

/// The most streams in a cursor. A text with more is refused.
const MAX_STREAMS: usize = 256;

impl Cursor {
    /// The number of the last entry seen of a stream; 0 before the first one.
    pub fn seen(&self, ordinal: u32) -> u64 {
        self.0.get(&ordinal).copied().unwrap_or(0)
    }

    /// Whether there are no entries between this position and `newest`.
    pub fn has_reached(&self, newest: &Self) -> bool {
        newest.0.iter().all(|(ordinal, seq)| self.seen(*ordinal) >= *seq)
    }

    /// Marks an entry as seen. Returns false if it was already.
    pub fn advance(&mut self, ordinal: u32, seq: u64) -> bool {
        let seen = self.0.entry(ordinal).or_insert(0);
        let is_new = seq > *seen;
        // Never back: a repeated entry must not make later ones new again.
        *seen = seq.max(*seen);
        is_new
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (ordinal, seq)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{ordinal}:{seq}")?;
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a cursor has the form 1:57 or 1:57,2:3";
        let mut seen = BTreeMap::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (ordinal, seq) = part.split_once(':').ok_or(FORM)?;
            // Parsed as signed, because the stores have no unsigned numbers.
            let seq: i64 = seq.parse().map_err(|_| FORM)?;
            let seq = u64::try_from(seq).map_err(|_| FORM)?;
            seen.insert(ordinal.parse().map_err(|_| FORM)?, seq);
            if seen.len() > MAX_STREAMS {
                return Err("a cursor names too many streams");
            }
        }
        Ok(Self(seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_written_and_read_back() {
        let mut cursor = Cursor::default();
        assert!(cursor.advance(1, 57));
        assert!(cursor.advance(2, 3));
        assert_eq!(cursor.to_string(), "1:57,2:3");
        assert_eq!("1:57,2:3".parse::<Cursor>().unwrap(), cursor);
        assert_eq!("".parse::<Cursor>().unwrap(), Cursor::default());
    }

    #[test]
    fn an_entry_seen_before_does_not_advance_a_cursor() {
        let mut cursor = Cursor::default();
        assert!(cursor.advance(1, 5));
        assert!(!cursor.advance(1, 5));
        assert!(!cursor.advance(1, 4));
        assert_eq!(cursor.seen(1), 5);
        assert_eq!(cursor.seen(9), 0);
    }

    #[test]
    fn an_invalid_cursor_is_refused() {
        for bad in
            ["x", "1", "1:", ":1", "1:2;3:4", "1:-2", "99999999999:1", "1:9223372036854775808"]
        {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
        let long = (0..300).map(|n| format!("{n}:1")).collect::<Vec<_>>().join(",");
        assert!(long.parse::<Cursor>().is_err());
    }
}
