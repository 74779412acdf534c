//! `/api/v1/tokens`: makes, lists and revokes API tokens. For administrators.

mod request;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use self::request::TokenRequest;
use super::AppState;
use super::auth::Caller;
use super::envelope::{rfc3339, success, success_as};
use super::error::ApiError;
use super::extract::{InPath, PathPart};
use super::idempotency::HoldsSecret;
use super::token_list::{read_tokens, split_ids};
use crate::model::{ApiTokenId, AppName, AuditRow, InstallationId, StoredToken};
use crate::seal::random_bytes;

/// The most tokens of the same apps.
const MAX_TOKENS: u32 = 200;
/// The start of a token, by which a scanner of secrets recognizes it.
const PREFIX: &str = "rtmsd_";
const SECRET_BYTES: usize = 32;

/// Makes a token. Only this answer contains it.
pub(super) async fn create(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let act = caller.trail.act((state.now_ms)(), "api_token.create", "");
    let TokenRequest { name, scopes, installations, apps, expires_in_ms } = request::of_new(&body)?;
    let apps = caller.allowed_apps(&state.apps, apps)?;
    let installations = allowed_installations(&caller, installations)?;
    let token = format!("{PREFIX}{}", hex::encode(random_bytes::<SECRET_BYTES>()));
    let new = StoredToken {
        id: ApiTokenId(Uuid::now_v7()),
        name,
        hash: hex::encode(Sha256::digest(&token)),
        scopes,
        installations: installations.map(|ids| request::join(&ids)),
        apps,
        created_at_ms: act.at_ms,
        expires_at_ms: expires_in_ms.map(|life_ms| act.at_ms.saturating_add(life_ms)),
        last_used_ms: None,
    };
    let act = AuditRow { app: new.apps.only().cloned(), ..act.on(&new.id.to_string()) };
    if !state.store.create_api_token(&new, MAX_TOKENS, &act).await? {
        return Err(ApiError::TooManyTokens);
    }
    state.api_tokens.forget().await;
    let data = json!({ "token": TokenView::of(&new), "secret": token });
    let mut response = success_as(StatusCode::CREATED, "API token created: keep its secret", data);
    response.extensions_mut().insert(HoldsSecret);
    Ok(response)
}

/// Lists the tokens that were made over the API and whose apps and installations the caller may all use.
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let tokens = read_tokens(&state, &caller).await?;
    let tokens: Vec<_> = tokens.iter().map(TokenView::of).collect();
    Ok(success("API tokens", json!({ "tokens": tokens })))
}

/// Revokes a token: at once on this daemon, and within a second on others.
pub(super) async fn remove(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    InPath(id): InPath<ApiTokenId>,
) -> Result<Response, ApiError> {
    let act = caller.trail.act((state.now_ms)(), "api_token.delete", &id.to_string());
    let is_known = read_tokens(&state, &caller).await?.iter().any(|token| token.id == id);
    if !is_known || !state.store.delete_api_token(id, &act).await? {
        return Err(ApiError::UnknownApiToken);
    }
    state.api_tokens.forget().await;
    Ok(success("API token revoked", json!({ "id": id })))
}

/// The installations of a new token: without a list, those of the caller.
fn allowed_installations(
    caller: &Caller,
    asked: Option<Vec<InstallationId>>,
) -> Result<Option<Vec<InstallationId>>, ApiError> {
    match asked {
        None => Ok(caller.installations.as_deref().map(<[_]>::to_vec)),
        Some(ids) if ids.iter().all(|id| caller.may_use(*id)) => Ok(Some(ids)),
        Some(_) => Err(ApiError::InstallationNotAllowed),
    }
}

impl PathPart for ApiTokenId {
    const NAME: &'static str = "id";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn unknown() -> ApiError {
        ApiError::UnknownApiToken
    }
}

/// A token in JSON, without its secret.
#[derive(Serialize)]
struct TokenView<'a> {
    id: ApiTokenId,
    name: &'a str,
    /// Its name in the audit trail.
    actor: String,
    scopes: Vec<&'a str>,
    /// The only installations that it may use; null for all.
    installations: Option<Vec<InstallationId>>,
    /// The only apps that it may see; null for all.
    apps: Option<&'a [AppName]>,
    created_at: Option<String>,
    created_at_ms: i64,
    expires_at: Option<String>,
    expires_at_ms: Option<i64>,
    /// To the minute.
    last_used_at: Option<String>,
    last_used_at_ms: Option<i64>,
}

impl<'a> TokenView<'a> {
    fn of(token: &'a StoredToken) -> Self {
        Self {
            id: token.id,
            name: &token.name,
            actor: token.actor(),
            scopes: token.scopes.split('+').collect(),
            installations: token.installations.as_deref().map(split_ids),
            apps: token.apps.names(),
            created_at: rfc3339(token.created_at_ms),
            created_at_ms: token.created_at_ms,
            expires_at: token.expires_at_ms.and_then(rfc3339),
            expires_at_ms: token.expires_at_ms,
            last_used_at: token.last_used_ms.and_then(rfc3339),
            last_used_at_ms: token.last_used_ms,
        }
    }
}
