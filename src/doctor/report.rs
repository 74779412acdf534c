//! What the doctor found (pure).

use std::time::Duration;

use serde::Serialize;

use super::Fault;
use crate::model::ms;
use crate::named::named;

named! {
    /// The outcome of a check.
    pub enum Status {
        Ok: "ok",
        /// It works, but a person should look at it.
        Warn: "warn",
        /// It is broken.
        Fail: "fail",
        /// It does not apply here, or something else has to work first.
        Skipped: "skipped",
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Names the check, for programs; it does not change between versions.
    pub id: &'static str,
    /// The app, host or place that was checked, if there may be several.
    pub subject: Option<String>,
    pub status: Status,
    /// What was seen, or why the check was skipped.
    pub seen: String,
    /// What a person should do about it.
    pub todo: Option<String>,
}

impl Check {
    pub fn ok(id: &'static str, seen: impl Into<String>) -> Self {
        Self { id, subject: None, status: Status::Ok, seen: seen.into(), todo: None }
    }

    pub fn skipped(id: &'static str, why: impl Into<String>) -> Self {
        Self { status: Status::Skipped, ..Self::ok(id, why) }
    }

    pub fn warn(id: &'static str, seen: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { status: Status::Warn, todo: Some(todo.into()), ..Self::ok(id, seen) }
    }

    pub fn fail(id: &'static str, seen: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { status: Status::Fail, todo: Some(todo.into()), ..Self::ok(id, seen) }
    }

    /// Ok with `seen`, unless there is a fault.
    pub(super) fn of_fault(id: &'static str, fault: Option<Fault>, seen: String) -> Self {
        match fault {
            None => Self::ok(id, seen),
            Some(fault) if fault.is_error => Self::fail(id, fault.what, fault.todo),
            Some(fault) => Self::warn(id, fault.what, fault.todo),
        }
    }

    /// The same check, of this app, host or place.
    pub fn of(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }
}

/// All checks of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub version: &'static str,
    /// Whether nothing is broken. Warnings do not count.
    pub ok: bool,
    /// When the run began, RFC 3339.
    pub checked_at: Option<String>,
    pub took_ms: i64,
    pub checks: Vec<Check>,
}

impl Report {
    pub fn new(checked_at: Option<String>, took: Duration, checks: Vec<Check>) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let ok = checks.iter().all(|check| check.status != Status::Fail);
        Self { version, ok, checked_at, took_ms: ms(took), checks }
    }

    /// How many checks have this outcome.
    pub fn count(&self, status: Status) -> usize {
        self.checks.iter().filter(|check| check.status == status).count()
    }

    /// The numbers of each outcome, in words: `12 ok, 1 warning, 2 failures, 3 skipped`.
    pub fn summary(&self) -> String {
        let plural = |count: usize, word: &str| {
            format!("{count} {word}{}", if count == 1 { "" } else { "s" })
        };
        let [ok, warn, fail, skipped] = Status::ALL.map(|status| self.count(status));
        format!(
            "{ok} ok, {}, {}, {skipped} skipped",
            plural(warn, "warning"),
            plural(fail, "failure")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_breaks_a_report_and_every_outcome_is_counted() {
        let of = |checks: &[Check]| Report::new(None, Duration::from_millis(7), checks.to_vec());
        let fine = [Check::ok("a", "x"), Check::warn("b", "x", "y"), Check::skipped("c", "z")];
        assert!(of(&fine).ok);
        let failures = vec![Check::fail("d", "x", "y"); 2];
        let broken = of(&[fine.to_vec(), failures].concat());
        assert!(!broken.ok);
        assert_eq!(broken.summary(), "1 ok, 1 warning, 2 failures, 1 skipped");
        let json = serde_json::to_value(&broken).unwrap();
        assert_eq!(json["checks"][1]["status"], "warn");
        assert_eq!(json["took_ms"], 7);
    }
}
