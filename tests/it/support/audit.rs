//! Audit rows for tests.

use rtmsd::model::AuditRow;

/// An audit row of `actor`, for tests that do not check the audit trail.
pub(crate) fn act(actor: &str, at_ms: i64) -> AuditRow {
    AuditRow::new(at_ms, actor, "test.act", "")
}
