//! Acts as tests note them.

use rtmsd::model::AuditRow;

/// An act of `actor`, for where a test does not look at what is noted.
pub fn act(actor: &str, at_ms: i64) -> AuditRow {
    AuditRow::new(at_ms, actor, "test.act", "")
}
