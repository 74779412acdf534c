//! Parses the header `range` (RFC 9110, section 14) (pure).

use std::ops::Range;

/// The requested part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The whole file: the header is absent or not supported.
    All,
    /// One range inside the file.
    Part(Range<u64>),
    /// A range outside the file.
    Nothing,
}

/// Parses a header `range` for a file of this size. Several ranges get the whole file, as the RFC allows.
pub(super) fn parse_range(header: Option<&str>, bytes: u64) -> Wanted {
    let range = header.and_then(|header| header.trim().strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
        // RFC 9110, section 14.2: a server may ignore a range that it does not support.
        return Wanted::All;
    };
    let number = |text: &str| match text.trim() {
        "" => Some(None),
        // `parse` would also accept a leading `+`.
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            // Longer than any file: means up to its end.
            Some(Some(digits.parse().unwrap_or(u64::MAX)))
        }
        _ => None,
    };
    let range = match (number(first), number(last)) {
        (Some(Some(first)), Some(last)) => {
            let end = last.map_or(bytes, |last| last.saturating_add(1).min(bytes));
            // An invalid range is ignored like an unsupported one (RFC 9110, section 14.1.1).
            if last.is_some_and(|last| last < first) {
                return Wanted::All;
            }
            first..end
        }
        // A suffix: the last `length` bytes, or all of a shorter file.
        (Some(None), Some(Some(length))) => bytes.saturating_sub(length)..bytes,
        _ => return Wanted::All,
    };
    if range.is_empty() { Wanted::Nothing } else { Wanted::Part(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_cut_to_the_file() {
        for (header, range) in [
            ("bytes=0-0", 0..1),
            ("bytes=10-19", 10..20),
            ("bytes=90-", 90..100),
            ("bytes=90-1000", 90..100),
            ("bytes=-10", 90..100),
            ("bytes=-1000", 0..100),
            ("bytes=0-99999999999999999999999", 0..100),
        ] {
            assert_eq!(parse_range(Some(header), 100), Wanted::Part(range), "{header}");
        }
    }

    #[test]
    fn a_range_beyond_the_end_is_nothing() {
        for header in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999999-"]
        {
            assert_eq!(parse_range(Some(header), 100), Wanted::Nothing, "{header}");
        }
        assert_eq!(parse_range(Some("bytes=0-"), 0), Wanted::Nothing);
    }

    #[test]
    fn an_unsupported_range_means_the_whole_file() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "items=0-1",
            "bytes=5-4",
            "bytes=a-b",
            "bytes=0-1,5-6",
            "bytes=+1-2",
        ] {
            assert_eq!(parse_range(Some(header), 100), Wanted::All, "{header}");
        }
        assert_eq!(parse_range(None, 100), Wanted::All);
    }
}
