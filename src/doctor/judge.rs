//! Turns what the probes saw into checks (pure).

pub(super) mod fault;
pub(super) mod network;
pub(super) mod oauth;
pub(super) mod places;
pub(super) mod store;
pub(super) mod webhook;

use std::sync::Arc;

use jiff::fmt::rfc2822::DateTimeParser;

use super::report::Check;
use crate::zoom::app::App;
use crate::zoom::client::ClientError;

pub(super) const CLOCK: &str = "clock";

/// `settings`. They are valid, or there would be no run.
pub(super) fn settings(apps: &[Arc<App>], notes: &[String]) -> Check {
    let names: Vec<&str> = apps.iter().map(|app| app.name.as_str()).collect();
    match notes {
        [] => Check::ok("settings", format!("valid; apps: {}", names.join(", "))),
        notes => Check::warn("settings", notes.join("; "), "Correct the name, or remove the line."),
    }
}

/// `clock`: the local clock before and after a request to Zoom, and the `Date` of the answer.
pub(super) fn clock(
    (began_ms, ended_ms): (i64, i64),
    answer: Result<Option<&str>, ClientError>,
    tolerance_s: u32,
) -> Check {
    let date = match answer {
        Ok(date) => date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok()),
        Err(error) => {
            let seen = format!("Zoom’s API was asked for its time: {error}.");
            return Check::fail(CLOCK, seen, "Look at the checks of network first.");
        }
    };
    let Some(date) = date else {
        let todo = "Check whether a proxy answers in Zoom’s place.";
        return Check::warn(CLOCK, "Zoom’s API answered without a time.", todo);
    };
    // Cut to seconds: in the mean half a second has passed since.
    let zoom_ms = date.as_millisecond().saturating_add(500);
    let middle_ms = began_ms.midpoint(ended_ms);
    let difference_s = (middle_ms.saturating_sub(zoom_ms) as f64 / 1000.0).round() as i64;
    let seen = match difference_s {
        -1..=1 => "within a second of Zoom’s".to_owned(),
        other => format!("{} s from Zoom’s", other.unsigned_abs()),
    };
    Check::of_fault(CLOCK, fault::clock(difference_s, tolerance_s), seen)
}

/// A clause of an error as a sentence.
fn sentence(clause: &impl ToString) -> String {
    let clause = clause.to_string();
    let mut letters = clause.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::report::Status;
    use super::*;

    /// 6 November 1994, 08:49:37.
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AT_MS: i64 = 784_111_777_000;

    fn at(local_ms: i64) -> Check {
        clock((local_ms - 100, local_ms + 100), Ok(Some(DATE)), 300)
    }

    #[test]
    fn a_clock_is_judged_by_the_middle_of_the_request() {
        assert_eq!(at(AT_MS + 500).seen, "within a second of Zoom’s");
        assert_eq!(at(AT_MS + 10_500).status, Status::Ok);
        let off = at(AT_MS - 59_500);
        assert_eq!((off.status, &*off.seen), (Status::Warn, "The clock is 60 s behind Zoom’s."));
        let wrong = at(AT_MS + 302_000);
        assert_eq!(
            (wrong.status, &*wrong.seen),
            (Status::Fail, "The clock is 302 s ahead of Zoom’s.")
        );
    }

    #[test]
    fn an_answer_without_a_time_says_nothing_of_the_clock() {
        for date in [None, Some(""), Some("today"), Some("Sun, 06 Nov 1994")] {
            assert_eq!(clock((0, 0), Ok(date), 300).status, Status::Warn, "{date:?}");
        }
        let silent = clock((0, 0), Err(ClientError::TimedOut), 300);
        assert_eq!(silent.status, Status::Fail);
        assert!(silent.seen.contains("no answer in time"), "{silent:?}");
    }
}
