//! Statuses in words and colours (pure).

use crate::model::{Product, SessionStatus};

/// A status: a word and a tone of the style sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub word: &'static str,
    /// `good`, `busy`, `warn`, `bad` or empty.
    pub tone: &'static str,
}

/// The mark of a session.
pub fn of_session(status: SessionStatus) -> Mark {
    let (word, tone) = match status {
        SessionStatus::Created => ("created", ""),
        SessionStatus::RtmsStartRequested => ("start requested", "busy"),
        SessionStatus::StartTimedOut => ("start timed out", "bad"),
        SessionStatus::StartRefused => ("start refused", "bad"),
        SessionStatus::Connecting => ("connecting", "busy"),
        SessionStatus::Live => ("live", "good live"),
        SessionStatus::Stopped => ("stopped", "warn"),
        SessionStatus::Ended => ("ended", ""),
    };
    Mark { word, tone }
}

/// A product in words.
pub fn product(product: Product) -> &'static str {
    match product {
        Product::Meeting => "Meeting",
        Product::Webinar => "Webinar",
        Product::VideoSdk => "Video SDK session",
        Product::ContactCenter => "Contact Center engagement",
        Product::Phone => "Phone call",
    }
}

/// A meeting number in groups, as Zoom shows it; other ids stay as they are.
pub fn number(id: &str) -> String {
    let is_number = (9..=11).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return id.to_owned();
    }
    let middle = if id.len() == 11 { 7 } else { 6 };
    format!("{} {} {}", &id[..3], &id[3..middle], &id[middle..])
}

/// Bytes in words.
pub fn bytes(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let Some((unit, name)) = units.into_iter().find(|(unit, _)| bytes >= *unit) else {
        return format!("{bytes} B");
    };
    let (whole, tenth) = (bytes / unit, bytes % unit * 10 / unit);
    if whole >= 100 { format!("{whole} {name}") } else { format!("{whole}.{tenth} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meeting_number_is_grouped_as_zoom_does() {
        assert_eq!(number("91234567890"), "912 3456 7890");
        assert_eq!(number("123456789"), "123 456 789");
        assert_eq!(number("1234567890"), "123 456 7890");
        for other in ["m1==", "12345678", "", "9123456789é", "123456789012"] {
            assert_eq!(number(other), other);
        }
    }

    #[test]
    fn bytes_have_three_digits_at_most() {
        let words = [0, 999, 1_000, 45_678, 99_999_999, 123_456_789, 5_000_000_000].map(bytes);
        let expected = ["0 B", "999 B", "1.0 kB", "45.6 kB", "99.9 MB", "123 MB", "5.0 GB"];
        assert_eq!(words, expected);
    }
}
