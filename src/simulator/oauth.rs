//! Zoom's OAuth endpoints: the authorize page, tokens, revocation (section 15).
//!
//! The authorize page asks which simulated user signs in. An automated client adds `simulator_decision=allow`
//! (or `deny`) to the authorize URL, and `simulator_user=ID` for a user other than the host, or the settings
//! decide with `OAuthSettings::consent`.

mod error;
mod fields;
mod grants;
mod page;
mod pkce;
mod request;

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::{Json, Router, middleware, routing};
use serde_json::{Value, json};

use super::app::App;
use super::body::Body;
use super::control::Call;
use super::settings::Consent;
use super::state::SimulatorState;
use super::{fault_plan, lock};
use crate::clock;
pub(super) use error::TokenError;
use fields::Fields;
pub(super) use grants::{Access, Grants, Owner};
use grants::{ApprovedRequest, Tokens};
use request::{AuthorizeError, AuthorizeRequest};

/// The page loads nothing and cannot be framed.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

pub(super) fn router(state: &Arc<SimulatorState>) -> Router<Arc<SimulatorState>> {
    let with_faults = |call| {
        middleware::from_fn_with_state((state.fault_plan.clone(), call), fault_plan::apply_faults)
    };
    Router::new()
        .route("/oauth/token", routing::post(token_endpoint).layer(with_faults(Call::Token)))
        .route("/oauth/revoke", routing::post(revoke_endpoint).layer(with_faults(Call::Revoke)))
        .route("/oauth/authorize", routing::get(authorize_page).post(submit_decision))
}

/// The decision on an authorize request.
enum Decision {
    Ask,
    /// Allowed by the user with this id.
    Allow(String),
    Deny,
}

async fn authorize_page(
    State(state): State<Arc<SimulatorState>>,
    RawQuery(query): RawQuery,
) -> Response {
    let fields = Fields::read(query.unwrap_or_default().as_bytes());
    let user = fields.get("simulator_user");
    let decision = match (fields.get("simulator_decision"), state.settings.oauth.consent) {
        // The query wins over the settings, so that one test can deny where the others allow.
        (Some("allow"), _) | (None, Consent::Allow) => allow_as(&state, user),
        (Some("deny"), _) | (None, Consent::Deny) => Decision::Deny,
        _ => Decision::Ask,
    };
    consent_response(&state, &fields, decision)
}

/// Handles the page's form. The query still holds the authorize request.
async fn submit_decision(
    State(state): State<Arc<SimulatorState>>,
    RawQuery(query): RawQuery,
    Body(body): Body,
) -> Response {
    let form = Fields::read(&body);
    let decision = match form.get("decision") {
        Some("allow") => allow_as(&state, form.get("user_id")),
        Some("deny") => Decision::Deny,
        _ => Decision::Ask,
    };
    consent_response(&state, &Fields::read(query.unwrap_or_default().as_bytes()), decision)
}

/// Allows as this user, or by default as the host. An unknown user gets the page again.
fn allow_as(state: &SimulatorState, user_id: Option<&str>) -> Decision {
    match user_id {
        None => Decision::Allow(state.users[0].id.clone()),
        Some(id) if state.user(id).is_some() => Decision::Allow(id.to_owned()),
        Some(_) => Decision::Ask,
    }
}

fn consent_response(state: &SimulatorState, fields: &Fields, decision: Decision) -> Response {
    // Both the page and its form are checked here, since nothing is stored between the two requests.
    let app = fields.get("client_id").and_then(|id| state.apps.of_client_id(id));
    // Users cannot grant a Server-to-Server app anything.
    let app = app.filter(|app| !app.settings.is_server_to_server);
    let request = match AuthorizeRequest::read(fields, app.is_some(), &state.settings.oauth) {
        Ok(request) => request,
        Err(AuthorizeError::Page { code, message }) => {
            return html_response(StatusCode::BAD_REQUEST, page::error_page(code, message));
        }
        Err(AuthorizeError::Redirect(url)) => return Redirect::to(url.as_str()).into_response(),
    };
    // `read` refuses a request for an unknown app.
    let app = app.unwrap_or(state.apps.first());
    let target = match decision {
        Decision::Ask => {
            return html_response(
                StatusCode::OK,
                page::consent_page(
                    &app.settings.client_id,
                    &state.settings.oauth.scopes,
                    &state.users,
                ),
            );
        }
        Decision::Deny => {
            lock(&app.grants).report.denials += 1;
            request.refused("access_denied")
        }
        Decision::Allow(user_id) => {
            let redirect_uri = request.redirect_uri.clone();
            let challenge = request.challenge.clone();
            let approved = ApprovedRequest { user_id, redirect_uri, challenge };
            match lock(&app.grants).issue_code(approved, clock::now_ms()) {
                Ok(code) => request.granted(&code),
                // The only error is `FULL`.
                Err(_) => request.refused("temporarily_unavailable"),
            }
        }
    };
    Redirect::to(target.as_str()).into_response()
}

fn html_response(status: StatusCode, text: String) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (header::CACHE_CONTROL, "no-store"),
        // The query holds the state, which must not reach another site as a referrer.
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, Html(text)).into_response()
}

/// `POST /oauth/token`. Zoom also accepts the fields in the query string (section 15.2).
async fn token_endpoint(
    State(state): State<Arc<SimulatorState>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Body(body): Body,
) -> Response {
    let fields = Fields::read(&body).and(query.unwrap_or_default().as_bytes());
    // Before the grant: a caller without the secret must not use up a code or a refresh token.
    let app = authenticate_app(&state, &headers);
    match app.and_then(|app| grant_tokens(&state, app, &fields)) {
        Ok(tokens) => Json(tokens_json(tokens, &state)).into_response(),
        Err(error) => {
            let app = app.unwrap_or(state.apps.first());
            *lock(&app.grants).report.refusals.entry(error.error).or_default() += 1;
            error.into_response()
        }
    }
}

fn grant_tokens(state: &SimulatorState, app: &App, fields: &Fields) -> Result<Tokens, TokenError> {
    let now_ms = clock::now_ms();
    let needed = |name| fields.get(name).ok_or(TokenError::FIELD);
    let grant_type = needed("grant_type")?;
    let mut grants = lock(&app.grants);
    match grant_type {
        // Only the account owns the tokens of such an app (section 15.4).
        "authorization_code" | "refresh_token" | "client_credentials"
            if app.settings.is_server_to_server =>
        {
            Err(TokenError::GRANT_TYPE)
        }
        "authorization_code" => {
            let (code, redirect_uri) = (needed("code")?, needed("redirect_uri")?);
            grants.exchange(code, redirect_uri, fields.get("code_verifier"), now_ms)
        }
        "refresh_token" => grants.refresh(needed("refresh_token")?, now_ms),
        "account_credentials" if needed("account_id")? != state.settings.script.account_id => {
            Err(TokenError::ACCOUNT)
        }
        "account_credentials" => grants.machine_token(Owner::Account, now_ms),
        "client_credentials" => grants.machine_token(Owner::App, now_ms),
        _ => Err(TokenError::GRANT_TYPE),
    }
}

/// The app whose Basic credentials the caller sends (section 5.4).
fn authenticate_app<'a>(
    state: &'a SimulatorState,
    headers: &HeaderMap,
) -> Result<&'a Arc<App>, TokenError> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    given.and_then(|given| state.apps.of_basic_credentials(given)).ok_or(TokenError::CLIENT)
}

fn tokens_json(tokens: Tokens, state: &SimulatorState) -> Value {
    let mut answer = json!({
        "access_token": tokens.access_token, "token_type": "bearer",
        "expires_in": tokens.expires_in, "scope": tokens.scope, "api_url": state.base_url(),
    });
    if let Some(refresh_token) = tokens.refresh_token {
        answer["refresh_token"] = refresh_token.into();
    }
    answer
}

/// `POST /oauth/revoke` (section 15.5).
async fn revoke_endpoint(
    State(state): State<Arc<SimulatorState>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<Value>, TokenError> {
    let app = authenticate_app(&state, &headers)?;
    let fields = Fields::read(&body).and(query.unwrap_or_default().as_bytes());
    lock(&app.grants).revoke(fields.get("token").ok_or(TokenError::FIELD)?);
    Ok(Json(json!({"status": "success"})))
}
