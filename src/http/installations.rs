//! `GET /api/v1/zoom/installations`, `…/{id}` and `DELETE …/{id}`. Never returns a token.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::AppState;
use super::auth::Caller;
use super::envelope::success;
use super::error::ApiError;
use super::extract::{InPath, Params, PathPart};
use super::installation_list::read_installations;
use super::view::InstallationView;
use crate::model::{InstallationId, InstallationStatus};
use crate::zoom::install::{Uninstall, UninstallError, Uninstalled};

/// One page of installations, newest first; `next` is the `before` of the next page.
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Response, ApiError> {
    let (found, next) = read_installations(&state, &caller, &params).await?;
    let installations: Vec<_> = found.iter().map(InstallationView::of).collect();
    Ok(success("installations", json!({ "installations": installations, "next": next })))
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
        state.receiver.end_revoked_streams().await;
        state.receiver.changes.notify_control();
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
