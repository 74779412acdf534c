//! `GET /api/v1/audit`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};

use super::AppState;
use super::audit_list::read_audit;
use super::auth::Caller;
use super::envelope::{rfc3339, success};
use super::error::ApiError;
use super::extract::Params;
use crate::store::Audited;

/// One page of the audit trail, newest first; `next` is the `before` of the next page.
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let (rows, next) = read_audit(&state, &caller, &params).await?;
    let rows: Vec<_> = rows.iter().map(AuditView::of).collect();
    Ok(success("audit trail", json!({ "audit": rows, "next": next })))
}

/// An audit row in JSON.
#[derive(Serialize)]
struct AuditView<'a> {
    id: &'a str,
    at: Option<String>,
    at_ms: i64,
    actor: &'a str,
    address: Option<&'a str>,
    /// Null for an act that concerns no single app.
    app: Option<&'a str>,
    action: &'a str,
    subject: &'a str,
    outcome: &'a str,
    detail: Value,
}

impl<'a> AuditView<'a> {
    fn of(row: &'a Audited) -> Self {
        Self {
            id: &row.id,
            at: rfc3339(row.at_ms),
            at_ms: row.at_ms,
            actor: &row.actor,
            address: row.address.as_deref(),
            app: row.app.as_deref(),
            action: &row.action,
            subject: &row.subject,
            outcome: &row.outcome,
            detail: serde_json::from_str(&row.detail).unwrap_or_else(|_| json!({})),
        }
    }
}
