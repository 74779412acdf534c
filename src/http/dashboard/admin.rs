//! `GET /dashboard/tokens`, `…/audit` and `…/apps`: lists for administrators.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::addresses::{Addresses, filter};
use super::html;
use super::viewer::Viewer;
use crate::http::audit_list::read_audit;
use crate::http::error::ApiError;
use crate::http::extract::Params;
use crate::http::token_list::read_tokens;
use crate::http::{AppState, app_webhook_path, install_path};
use crate::web::dashboard::apps::Apps;
use crate::web::dashboard::audit::Audit;
use crate::web::dashboard::tokens::Tokens;
use crate::web::dashboard::{Section, apps, audit, tokens};

const AUDIT_FILTERS: [&str; 2] = ["actor", "action"];

/// The API tokens that were made while the daemon ran.
pub(in crate::http) async fn tokens(
    State(state): State<Arc<AppState>>,
    viewer: Viewer,
) -> Result<Response, ApiError> {
    let (found, now_ms) = (read_tokens(&state, &viewer.caller).await?, (state.now_ms)());
    let rows = found.iter().map(|token| tokens::Row::of(token, now_ms)).collect();
    let layout = viewer.layout(Section::Tokens, "API tokens");
    Ok(html(Tokens { layout, rows }.html()))
}

/// The audit trail.
pub(in crate::http) async fn audit(
    State(state): State<Arc<AppState>>,
    viewer: Viewer,
    params: Params,
) -> Result<Response, ApiError> {
    let (found, next) = read_audit(&state, &viewer.caller, &params).await?;
    let (page, api) = ("/dashboard/audit", "/api/v1/audit");
    let addresses = Addresses::of(page, api, &AUDIT_FILTERS, &params, next.as_deref());
    let [actor, action] = AUDIT_FILTERS.map(|name| filter(&params, name));
    let page = Audit {
        layout: viewer.layout(Section::Audit, "Audit trail"),
        rows: found.into_iter().map(audit::Row::of).collect(),
        actor,
        action,
        older: addresses.older,
        newest: addresses.newest,
        raw: addresses.raw,
    };
    Ok(html(page.html()))
}

/// The Zoom apps.
pub(in crate::http) async fn apps(
    State(state): State<Arc<AppState>>,
    viewer: Viewer,
) -> Result<Response, ApiError> {
    let mut listed = state.managed_apps.list().await;
    listed.retain(|listed| viewer.caller.apps.includes(&listed.app.name));
    let row = |listed| {
        let listed: &crate::zoom::app::Listed = listed;
        let name = &listed.app.name;
        let path = app_webhook_path(&state.webhook_path, name.as_str());
        apps::Row::of(listed, path, install_path(name))
    };
    let page = Apps {
        layout: viewer.layout(Section::Apps, "Zoom apps"),
        rows: listed.iter().map(row).collect(),
        webhook_path: state.webhook_path.clone(),
    };
    Ok(html(page.html()))
}
