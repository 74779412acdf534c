//! What was received of each medium over time, as rectangles: the picture of the ledger and the strips in lists (pure).

use crate::model::{GapCause, Medium, MediumAccount};

/// The width of a picture in units of its own; a browser stretches it.
pub const WIDTH: i64 = 1000;
/// What was expected for a shorter time says nothing yet.
const MIN_EXPECTED_MS: i64 = 5_000;
/// The least width of a gap: a short one must be seen, too.
const MIN_GAP: i64 = 3;

/// The time that a picture shows, Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub from_ms: i64,
    pub to_ms: i64,
}

/// One medium over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Band {
    pub medium: Medium,
    pub parts: Vec<Part>,
}

/// A span of a band.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub x: i64,
    pub width: i64,
    /// The class of the style sheet.
    pub class: &'static str,
    /// What it is, for people.
    pub what: &'static str,
    /// Unix milliseconds.
    pub start_ms: i64,
    pub end_ms: i64,
}

impl Part {
    /// Whether something may be missing here.
    pub fn is_gap(&self) -> bool {
        !matches!(self.class, "covered" | "received")
    }

    /// How long it lasts, in words.
    pub fn length(&self) -> String {
        duration(self.end_ms.saturating_sub(self.start_ms))
    }
}

impl Window {
    /// The part of the window in which something lasted; `None` if it lies outside.
    pub fn part(
        self,
        start_ms: i64,
        end_ms: i64,
        class: &'static str,
        what: &'static str,
    ) -> Option<Part> {
        let (from, to) = (start_ms.max(self.from_ms), end_ms.min(self.to_ms));
        let length = self.to_ms.saturating_sub(self.from_ms).max(1);
        let place = |at_ms: i64| at_ms.saturating_sub(self.from_ms).saturating_mul(WIDTH) / length;
        if from > to {
            return None;
        }
        let x = place(from).clamp(0, WIDTH - MIN_GAP);
        let width = (place(to) - x).clamp(MIN_GAP, WIDTH - x);
        Some(Part { x, width, class, what, start_ms, end_ms })
    }
}

/// The band of a medium from its accounts in every stream.
pub fn band(medium: Medium, accounts: &[&MediumAccount], window: Window) -> Band {
    let own = accounts.iter().filter(|account| account.medium == medium);
    let mut parts = Vec::new();
    for account in own.clone() {
        parts.extend(window.part(account.since_ms, account.until_ms, "covered", "received"));
    }
    for account in own {
        let closed = account.gaps.iter().map(|gap| (gap.start_ms, gap.end_ms, gap.cause));
        let open = account.open.map(|open| (open.start_ms, account.until_ms, open.cause));
        for (start_ms, end_ms, cause) in closed.chain(open) {
            parts.extend(window.part(start_ms, end_ms, class_of(cause), words_of(cause)));
        }
    }
    Band { medium, parts }
}

/// The media of these accounts, in their usual order.
pub fn media_of(accounts: &[&MediumAccount]) -> Vec<Medium> {
    let is_known = |medium: &Medium| accounts.iter().any(|account| account.medium == *medium);
    Medium::ALL.iter().copied().filter(is_known).collect()
}

/// The share of the expected time that lies outside of gaps, over all accounts; `None` if that says nothing yet.
pub fn completeness(accounts: &[&MediumAccount]) -> Option<f64> {
    let expected_ms: i64 = accounts.iter().map(|account| account.expected_ms()).sum();
    let covered_ms: i64 = accounts.iter().map(|account| account.covered_ms()).sum();
    // Exact up to 2^53 ms, which is 285,000 years.
    (expected_ms >= MIN_EXPECTED_MS).then(|| covered_ms as f64 / expected_ms as f64)
}

/// A share as a percentage that never says 100 % where something is missing.
pub fn percent(share: f64) -> String {
    if share >= 1.0 {
        return "100 %".to_owned();
    }
    format!("{:.1} %", (share * 1000.0).floor() / 10.0)
}

/// A length of time in words, in two units at most.
pub fn duration(ms: i64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..=172_799 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The class of a gap in the style sheet.
pub fn class_of(cause: GapCause) -> &'static str {
    cause.as_str()
}

/// A cause of a gap in words.
pub fn words_of(cause: GapCause) -> &'static str {
    match cause {
        GapCause::ZoomInterrupted => "interrupted by Zoom",
        GapCause::LinkLost => "link to Zoom lost",
        GapCause::DaemonRestarted => "daemon restarted",
        GapCause::Failover => "Zoom moved the stream",
        GapCause::SinkOverflow => "no room to keep it",
        GapCause::LeftOut => "dropped by a sink",
        GapCause::Unreadable => "unreadable",
        GapCause::Paused => "paused",
        GapCause::NeverConnected => "not connected yet",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Gap, OpenGap};

    const WINDOW: Window = Window { from_ms: 10_000, to_ms: 20_000 };

    fn spans(band: &Band) -> Vec<(i64, i64, &str)> {
        band.parts.iter().map(|part| (part.x, part.width, part.class)).collect()
    }

    #[test]
    fn a_band_shows_what_lies_in_its_window() {
        let mut account = MediumAccount::new(Medium::Audio, 5_000);
        account.until_ms = 18_000;
        let gap = |start_ms, end_ms, cause| Gap { start_ms, end_ms, cause };
        account.gaps = vec![
            gap(6_000, 7_000, GapCause::Failover),
            gap(9_000, 11_000, GapCause::LinkLost),
            gap(15_000, 15_001, GapCause::Unreadable),
        ];
        account.open = Some(OpenGap { start_ms: 17_000, cause: GapCause::Paused });
        let other = MediumAccount::new(Medium::Video, 0);
        let band = band(Medium::Audio, &[&account, &other], WINDOW);
        let expected = [
            (0, 800, "covered"),
            (0, 100, "link_lost"),
            (500, MIN_GAP, "unreadable"),
            (700, 100, "paused"),
        ];
        assert_eq!(spans(&band), expected);
        assert_eq!(band.parts[1].length(), "2 s", "the whole gap, not its part in the window");
    }

    #[test]
    fn a_gap_at_the_edge_stays_in_the_picture() {
        let part = WINDOW.part(20_000, 20_000, "link_lost", "").unwrap();
        assert_eq!(part.x + part.width, WIDTH);
        assert_eq!(WINDOW.part(20_001, 30_000, "link_lost", ""), None);
        let empty = Window { from_ms: 5, to_ms: 5 };
        assert!(empty.part(0, 10, "covered", "").is_some());
    }

    #[test]
    fn a_share_below_one_is_never_a_hundred_percent() {
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.99999), "99.9 %");
        assert_eq!(percent(0.0), "0.0 %");
    }

    #[test]
    fn a_length_has_two_units_at_most() {
        let words = [0, 999, 1_000, 61_000, 3_661_000, 172_800_000].map(duration);
        assert_eq!(words, ["0 ms", "999 ms", "1 s", "1 min 1 s", "1 h 1 min", "2 d"]);
    }
}
