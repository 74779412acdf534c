//! `POST /api/v1/tickets`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use super::AppState;
use super::auth::Caller;
use super::envelope::{rfc3339, success_as};
use super::error::ApiError;
use super::extract::{known_file, visible_session};
use super::idempotency::{AboutSession, HoldsSecret};
use super::json::parse_fields;
use super::tickets::{Claim, QUERY, Resource};
use crate::model::RecordedFile;
use crate::seal::random_bytes;

/// How long a ticket can be used for the first time.
const LIFE_MS: i64 = 60 * 1000;
/// How long a recording's ticket can be reused: a player requests a file in parts while it plays, and for a while
/// after.
const WINDOW_MS: i64 = 10 * 60 * 1000;
const LONGEST_WINDOW_MS: i64 = 12 * 60 * 60 * 1000;

/// Creates a ticket for one path of this API, with the caller's token and at most its scope `read`.
pub(super) async fn create(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let path = path(&body)?;
    let problem = "must be the path of a session's events, its live socket, /api/v1/live or one recording, \
                   without a query";
    let invalid = ApiError::InvalidValue { name: "path", problem };
    let resource = Resource::parse(&path).ok_or(invalid)?;
    if let Some(id) = resource.session() {
        visible_session(&state.store, &caller, id).await?;
    }
    let window_ms = window_ms(&state, &resource).await?;
    // Found unless it was deleted since: the caller was authenticated with this token.
    let now_ms = (state.now_ms)();
    let known = state.api_tokens.known(&state.store, now_ms).await;
    let token_hash = known.hash_of(&caller.name).ok_or(ApiError::Unauthenticated)?;
    let expires_at_ms = now_ms.saturating_add(LIFE_MS);
    let token = caller.name.to_string();
    let claim = Claim { id: random_bytes(), expires_at_ms, window_ms, token };
    let ticket = state.ticket_keys.sign(&claim, &resource.name(), &token_hash);
    let data = json!({
        "ticket": ticket,
        "url": format!("{path}?{QUERY}={ticket}"),
        "expires_at": rfc3339(expires_at_ms),
        "expires_at_ms": expires_at_ms,
        "window_ms": window_ms,
    });
    let mut response = success_as(StatusCode::CREATED, "ticket created", data);
    response.extensions_mut().insert(HoldsSecret);
    if let Some(id) = resource.session() {
        response.extensions_mut().insert(AboutSession(id));
    }
    Ok(response)
}

fn path(body: &[u8]) -> Result<String, ApiError> {
    match parse_fields(body, &["path"])?.remove("path") {
        Some(Value::String(path)) => Ok(path),
        _ => Err(ApiError::InvalidValue { name: "path", problem: "must be a path in a string" }),
    }
}

/// How long a ticket may be reused after its first use; 404 if the recording does not exist.
async fn window_ms(state: &AppState, resource: &Resource) -> Result<i64, ApiError> {
    match resource {
        // A ticket of a live socket or an event stream is used once: the connection stays open after that.
        Resource::LiveAll | Resource::Live(_) | Resource::Events(_) => Ok(0),
        Resource::Recording(id, name) => {
            let (_, file) = known_file(&state.store, *id, name).await?;
            Ok(playing_ms(&file).saturating_add(WINDOW_MS).min(LONGEST_WINDOW_MS))
        }
    }
}

/// The playing time; 0 if unknown.
fn playing_ms(file: &RecordedFile) -> i64 {
    let span = file.first_ms.zip(file.last_ms).map(|(first, last)| last.saturating_sub(first));
    span.unwrap_or(0).max(0)
}
