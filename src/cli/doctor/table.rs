//! A report as a table for people (pure).

use std::fmt::Write as _;

use crate::doctor::{Check, Report, Status};

/// Ends a color.
const PLAIN: &str = "\x1b[0m";

/// One line for each check, and a second one with what to do.
pub(super) fn text(report: &Report, uses_colors: bool) -> String {
    let width = report.checks.iter().map(|check| name(check).chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for check in &report.checks {
        let (word, color) = mark(check.status);
        let (start, end) = if uses_colors { (color, PLAIN) } else { ("", "") };
        let (name, seen) = (name(check), &check.seen);
        let _ = writeln!(text, "{start}{word:<7}{end}  {name:<width$}  {seen}");
        if let Some(todo) = &check.todo {
            let _ = writeln!(text, "{:7}  {:width$}  → {todo}", "", "");
        }
    }
    let seconds = report.took_ms as f64 / 1000.0;
    let _ = writeln!(text, "\n{} in {seconds:.1} s", report.summary());
    text
}

fn name(check: &Check) -> String {
    match &check.subject {
        None => check.id.to_owned(),
        Some(subject) => format!("{} ({subject})", check.id),
    }
}

/// The word of a status, and its color: green, yellow, red, grey.
fn mark(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::Ok => ("ok", "\x1b[32m"),
        Status::Warn => ("WARN", "\x1b[33m"),
        Status::Fail => ("FAIL", "\x1b[31m"),
        Status::Skipped => ("skipped", "\x1b[90m"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn report() -> Report {
        let checks = vec![
            Check::ok("clock", "within a second"),
            Check::fail("nats", "No answer.", "Start it.").of("a"),
        ];
        Report::new(None, Duration::from_millis(1250), checks)
    }

    #[test]
    fn every_check_has_a_line_and_a_finding_says_what_to_do() {
        let expected = "ok       clock     within a second\n\
                        FAIL     nats (a)  No answer.\n                   → Start it.\n\n\
                        1 ok, 0 warnings, 1 failure, 0 skipped in 1.2 s\n";
        assert_eq!(text(&report(), false), expected);
    }

    #[test]
    fn colors_are_only_used_where_they_are_wanted() {
        assert!(!text(&report(), false).contains('\x1b'));
        assert!(text(&report(), true).starts_with("\x1b[32mok     \x1b[0m  clock"));
    }
}
