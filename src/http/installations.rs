//! `GET /api/v1/zoom/installations`, `…/{id}` and `DELETE …/{id}`. Never returns a token.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::AppState;
use super::auth::Caller;
use super::envelope::success;
use super::error::ApiError;
use super::extract::{InPath, Params, PathPart, cut_page};
use super::view::InstallationView;
use crate::model::{AppScope, Installation, InstallationId, InstallationStatus};
use crate::zoom::install::{Uninstall, UninstallError, Uninstalled};

/// One page of installations, newest first; `next` is the `before` of the next page.
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let problem = "must be the id of an installation";
    let before = params.parsed("before", problem, InstallationId::parse)?;
    // One row more than requested shows whether there is a next page.
    let mut found = match &caller.installations {
        None => state.store.installations(&caller.apps, before, limit + 1).await?,
        Some(own) => some_of(&state, own, &caller.apps, before, limit + 1).await?,
    };
    let next = cut_page(&mut found, limit).map(|installation| installation.id);
    let installations: Vec<_> = found.iter().map(InstallationView::of).collect();
    Ok(success("installations", json!({ "installations": installations, "next": next })))
}

/// A page of a bound caller's own installations, newest first. There are few, so they are filtered in memory.
async fn some_of(
    state: &AppState,
    own: &[InstallationId],
    apps: &AppScope,
    before: Option<InstallationId>,
    limit: u32,
) -> Result<Vec<Installation>, ApiError> {
    let mut own: Vec<_> = own.to_vec();
    // Version 7 UUIDs rise with time, so this order is newest first.
    own.sort_by_key(|id| Reverse(id.0));
    own.dedup();
    own.retain(|id| before.is_none_or(|before| id.0 < before.0));
    let mut found = Vec::new();
    for id in own {
        if found.len() >= limit as usize {
            break;
        }
        let installation = state.store.grant(id).await?.map(|grant| grant.installation);
        found.extend(installation.filter(|installation| apps.includes(&installation.app)));
    }
    Ok(found)
}

pub(super) async fn show(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<InstallationId>,
) -> Result<Response, ApiError> {
    let grant = state.store.grant(id).await?.filter(|_| caller.may_use(id));
    let installation = grant.ok_or(ApiError::UnknownInstallation)?.installation;
    let installation = InstallationView::of(&installation);
    Ok(success("installation", json!({ "installation": installation })))
}

/// Revokes the grant at Zoom and deletes its tokens; with `delete_data=true` also the data of the user's streams. While
/// Zoom is unreachable nothing changes, unless `force=true`.
pub(super) async fn remove(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<InstallationId>,
    params: Params,
) -> Result<Response, ApiError> {
    let options = Uninstall {
        delete_data: is_set(&params, "delete_data")?,
        force: is_set(&params, "force")?,
    };
    let act = caller.trail.act((state.now_ms)(), "installation.delete", &id.to_string());
    // After `act`: an attempt on an installation of others is in the audit trail, and answered like an unknown id.
    if !caller.may_use(id) {
        return Err(ApiError::UnknownInstallation);
    }
    let done = state.installer.uninstall(id, options, act).await?;
    if options.delete_data {
        state.end_revoked_streams().await;
        state.changes.notify_control();
    }
    let (message, at_zoom) = match done {
        Uninstalled::Unknown => return Err(ApiError::UnknownInstallation),
        Uninstalled::Before => ("the installation was already revoked", None),
        Uninstalled::Done { at_zoom } => ("the installation is revoked", Some(at_zoom)),
    };
    let data =
        json!({ "id": id, "status": InstallationStatus::Revoked, "revoked_at_zoom": at_zoom });
    Ok(success(message, data))
}

fn is_set(params: &Params, name: &'static str) -> Result<bool, ApiError> {
    let set = params.parsed(name, "must be true or false", |text| text.parse().ok())?;
    Ok(set.unwrap_or(false))
}

impl From<UninstallError> for ApiError {
    fn from(error: UninstallError) -> Self {
        match error {
            UninstallError::ZoomAway => Self::NotRevoked,
            UninstallError::Store(error) => error.into(),
        }
    }
}

impl PathPart for InstallationId {
    const NAME: &'static str = "id";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn unknown() -> ApiError {
        ApiError::UnknownInstallation
    }
}
