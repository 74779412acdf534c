//! `GET /api/v1/zoom/notices`: Zoom's webhooks about starts and limits that name no known session.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};

use super::AppState;
use super::auth::Caller;
use super::envelope::{rfc3339, success};
use super::error::ApiError;
use super::extract::Params;
use crate::store::AccountNotice;

/// Lists the newest first. They are kept as long as other webhooks.
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let notices = state.store.account_notices(&caller.apps, params.limit()?).await?;
    let notices: Vec<_> = notices.iter().map(NoticeView::of).collect();
    Ok(success("notices", json!({ "notices": notices })))
}

#[derive(Serialize)]
struct NoticeView<'a> {
    app: &'a str,
    event: &'a str,
    at: Option<String>,
    at_ms: i64,
    received_at_ms: i64,
    /// As Zoom sent it; null if it is too long to show.
    payload: Value,
}

impl<'a> NoticeView<'a> {
    fn of(notice: &'a AccountNotice) -> Self {
        // A webhook has no body if bodies were not kept when it was recorded.
        let body: Option<Value> =
            notice.body.as_deref().and_then(|body| serde_json::from_str(body).ok());
        Self {
            app: &notice.app,
            event: &notice.event,
            at: rfc3339(notice.event_ts_ms),
            at_ms: notice.event_ts_ms,
            received_at_ms: notice.received_at_ms,
            payload: body.map_or(Value::Null, |mut body| body["payload"].take()),
        }
    }
}
