//! `POST /api/v1/tickets`: short-lived tickets for browser requests that cannot send a token.

mod resource;
mod signed;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

pub use self::resource::Resource;
use self::signed::Claim;
pub use self::signed::TicketKeys;
use super::AppState;
use super::auth::Caller;
use super::envelope::{rfc3339, success_as};
use super::error::ApiError;
use super::extract::known_session;
use super::idempotency::{AboutSession, HoldsSecret};
use super::json::fields;
use super::recordings::known_file;
use crate::model::RecordedFile;
use crate::seal::random_bytes;
use crate::store::{TicketUse, UsedTicket};

/// How long a ticket can be used for the first time.
const LIFE_MS: i64 = 60 * 1000;
/// How long a recording's ticket can be reused: a player requests a file in parts while it plays, and for a while
/// after.
const WINDOW_MS: i64 = 10 * 60 * 1000;
const LONGEST_WINDOW_MS: i64 = 12 * 60 * 60 * 1000;
/// The most that the clocks of several daemons may differ: used tickets are remembered for this much longer.
const CLOCKS_APART_MS: i64 = 5 * 60 * 1000;
/// The most used tickets of one token that are remembered.
const MAX_USED: u32 = 20_000;
/// The query parameter.
const QUERY: &str = "ticket";

/// Creates a ticket for one path of this API, with the caller's token and at most its scope `read`.
pub async fn create(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let path = path(&body)?;
    let problem = "must be the path of a session's events, its live socket, /api/v1/live or one recording, \
                   without a query";
    let invalid = ApiError::InvalidValue { name: "path", problem };
    let resource = Resource::parse(&path).ok_or(invalid)?;
    let window_ms = window_ms(&state, &resource).await?;
    let token_hash = state.api_tokens.hash_of(&caller.name).ok_or(ApiError::Unauthenticated)?;
    let expires_at_ms = (state.now_ms)().saturating_add(LIFE_MS);
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
    match fields(body, &["path"])?.remove("path") {
        Some(Value::String(path)) => Ok(path),
        _ => Err(ApiError::InvalidValue { name: "path", problem: "must be a path in a string" }),
    }
}

/// How long a ticket may be reused after its first use; 404 if the resource does not exist.
async fn window_ms(state: &AppState, resource: &Resource) -> Result<i64, ApiError> {
    match resource {
        Resource::LiveAll => Ok(0),
        Resource::Live(id) | Resource::Events(id) => {
            known_session(&state.store, *id).await.map(|_| 0)
        }
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

/// The ticket in a request's query.
pub fn of_query(uri: &Uri) -> Option<String> {
    let query = uri.query()?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == QUERY).map(|(_, ticket)| ticket.into_owned())
}

/// Verifies a ticket without writing anything: signed here, for this path, by an API token that is still valid.
pub fn claim(state: &AppState, ticket: &str, path: &str) -> Result<Claim, ApiError> {
    let resource = Resource::parse(path).ok_or(ApiError::TicketRefused)?;
    let hash_of = |name: &str| state.api_tokens.hash_of(name);
    state.ticket_keys.read(ticket, &resource.name(), hash_of).ok_or(ApiError::TicketRefused)
}

/// Marks a ticket as used; that of a recording stays valid while its window is open.
pub async fn redeem(state: &AppState, claim: &Claim) -> Result<(), ApiError> {
    let now_ms = (state.now_ms)();
    let id = hex::encode(claim.id);
    let used = if now_ms > claim.expires_at_ms {
        state.store.used_ticket(&id, now_ms).await?.unwrap_or(TicketUse::Spent)
    } else {
        let until_ms = if claim.window_ms > 0 { now_ms.saturating_add(claim.window_ms) } else { 0 };
        let keep_ms = until_ms.max(claim.expires_at_ms).saturating_add(CLOCKS_APART_MS);
        let ticket = UsedTicket { id: &id, token: &claim.token, until_ms, keep_ms };
        state.store.use_ticket(&ticket, MAX_USED, now_ms).await?
    };
    match used {
        TicketUse::First | TicketUse::Again => Ok(()),
        TicketUse::Spent => Err(ApiError::TicketRefused),
        TicketUse::TooMany => Err(ApiError::TooManyTickets),
    }
}
