//! Audit rows for tests.

use rtmsd::model::AuditRow;
use rtmsd::store::{AuditPage, Audited, Store};

/// An audit row of `actor`, for tests that do not check the audit trail.
pub(crate) fn act(actor: &str, at_ms: i64) -> AuditRow {
    AuditRow::new(at_ms, actor, "test.act", "")
}

/// The newest audit rows first.
pub(crate) async fn trail(store: &Store, limit: u32) -> Vec<Audited> {
    store.audit_page(&AuditPage { limit, ..AuditPage::default() }).await.expect("the store works")
}
