//! Reads how long each kind of data is kept.

use std::time::Duration;

use super::read::Reader;
use crate::model::{Keep, Retention};

/// How long Zoom repeats a webhook that was not answered (section 13.5).
const ZOOM_REPEATS: Duration = Duration::from_secs(85 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const MAX_DAYS: u64 = 36_500;

/// Parses `forever`, `zero`, a number of days, with or without `d`, or a number of hours, such as `12h`.
fn parse_keep(text: &str) -> Option<Keep> {
    match text {
        "forever" => return Some(Keep::Forever),
        "zero" => return Some(Keep::Nothing),
        _ => {}
    }
    let (number, unit) = match text.strip_suffix('h') {
        Some(hours) => (hours, HOUR),
        None => (text.strip_suffix('d').unwrap_or(text), DAY),
    };
    let number: u32 = number.parse().ok().filter(|number| *number > 0)?;
    let keep = unit * number;
    (keep <= DAY * u32::try_from(MAX_DAYS).ok()?).then_some(Keep::For(keep))
}

pub(super) fn read_settings(read: &mut Reader<'_>) -> Option<Retention> {
    let entries = read_keep(read, "RETENTION_ENTRIES");
    let media = read_keep(read, "RETENTION_MEDIA");
    let deliveries = keep_until_repeated(read, "RETENTION_DELIVERIES");
    let sessions = keep_some(read, "RETENTION_SESSIONS");
    let audit = keep_some(read, "RETENTION_AUDIT");
    Some(Retention {
        entries: entries?,
        media: media?,
        deliveries: deliveries?,
        sessions: sessions?,
        audit: audit?,
    })
}

fn read_keep(read: &mut Reader<'_>, name: &'static str) -> Option<Keep> {
    read_checked(read, name, "forever, zero, or a time such as 30d or 12h", |_| true)
}

/// Reads the setting of received webhooks, which must be recognized for as long as Zoom repeats them.
fn keep_until_repeated(read: &mut Reader<'_>, name: &'static str) -> Option<Keep> {
    let outlasts = |keep| !matches!(keep, Keep::For(time) if time < ZOOM_REPEATS);
    let must_be =
        "forever, zero, or at least 2h, such as 7d: Zoom repeats a webhook for 85 minutes";
    read_checked(read, name, must_be, outlasts)
}

/// Reads the setting of a kind of data that is always stored, for which `zero` is not allowed.
fn keep_some(read: &mut Reader<'_>, name: &'static str) -> Option<Keep> {
    let is_some = |keep| keep != Keep::Nothing;
    read_checked(read, name, "forever, or a time such as 365d or 12h", is_some)
}

fn read_checked(
    read: &mut Reader<'_>,
    name: &'static str,
    must_be: &'static str,
    admits: impl Fn(Keep) -> bool,
) -> Option<Keep> {
    let text = read.text(name).to_ascii_lowercase();
    match parse_keep(&text).filter(|keep| admits(*keep)) {
        Some(keep) => Some(keep),
        None => read.wrong(name, must_be),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_days_or_hours() {
        assert_eq!(parse_keep("30d"), Some(Keep::For(30 * DAY)));
        assert_eq!(parse_keep("7"), Some(Keep::For(7 * DAY)));
        assert_eq!(parse_keep("12h"), Some(Keep::For(12 * HOUR)));
        assert_eq!(parse_keep("zero"), Some(Keep::Nothing));
        assert_eq!(parse_keep("forever"), Some(Keep::Forever));
        for bad in ["", "0", "0d", "-1d", "1w", "d", "h", "36501d", "4294967296d"] {
            assert_eq!(parse_keep(bad), None, "{bad}");
        }
    }
}
