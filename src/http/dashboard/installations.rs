//! `GET /dashboard/installations`: who has installed the app.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::addresses::Addresses;
use super::html;
use super::viewer::Viewer;
use crate::http::error::ApiError;
use crate::http::extract::Params;
use crate::http::installation_list::read_installations;
use crate::http::{AppState, install_path};
use crate::model::InstallationStatus;
use crate::web::dashboard::Section;
use crate::web::dashboard::installations::{Install, Installations, Row};

/// The page.
pub(in crate::http) async fn page(
    State(state): State<Arc<AppState>>,
    viewer: Viewer,
    params: Params,
) -> Result<Response, ApiError> {
    let (found, next) = read_installations(&state, &viewer.caller, &params).await?;
    let next = next.map(|id| id.to_string());
    let (page, api) = ("/dashboard/installations", "/api/v1/zoom/installations");
    let addresses = Addresses::of(page, api, &[], &params, next.as_deref());
    let all = state.apps.all();
    let visible = all.values().filter(|app| viewer.caller.apps.includes(&app.name));
    let installs = visible.filter(|app| app.has_users());
    let is_lost = |status| status == InstallationStatus::NeedsReconnect;
    let page = Installations {
        layout: viewer.layout(Section::Installations, "Installations"),
        installs: installs
            .map(|app| Install { app: app.name.to_string(), path: install_path(&app.name) })
            .collect(),
        lost: found.iter().filter(|installation| is_lost(installation.status)).count(),
        rows: found.iter().map(Row::of).collect(),
        shows_app: all.len() > 1,
        older: addresses.older,
        newest: addresses.newest,
        raw: addresses.raw,
    };
    Ok(html(page.html()))
}
