//! The dashboard: pages for people, under `/` and `/dashboard`.
//!
//! Pages are read-only. What a person changes, a script of the page asks of the REST API, with the cookie and the value
//! against forged requests.

mod addresses;
mod viewer;

pub(super) mod admin;
pub(super) mod endpoints;
pub(super) mod gate;
pub(super) mod health;
pub(super) mod installations;
pub(super) mod received;
pub(super) mod session;
pub(super) mod sessions;
pub(super) mod sign_in;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

pub(super) use self::gate::{require_admin_page, require_page};
use self::viewer::Viewer;
use super::AppState;
use super::auth::{Scope, admit};
use super::error::ApiError;
use super::extract::Params;
use super::readiness::Checks;
use crate::web::dashboard::CONTENT_SECURITY_POLICY;

/// The page at `/`: the sessions for a browser that is signed in, otherwise the sign-in.
pub(super) async fn front_page(state: Arc<AppState>, request: Request) -> Response {
    let asked = gate::Asked::of(&request);
    let admitted = match admit(&state, Scope::Read, request).await {
        Ok(request) => request,
        Err(ApiError::Unauthenticated | ApiError::SignedOut) => {
            return match asked.is_from_elsewhere {
                true => gate::same_address(&asked.path),
                false => sign_in::page(&state, StatusCode::OK, None, &asked.target()).await,
            };
        }
        Err(error) => return gate::error_page(error),
    };
    let shown = async {
        let (mut parts, _) = admitted.into_parts();
        let viewer = Viewer::from_request_parts(&mut parts, &()).await?;
        let params = Params::from_request_parts(&mut parts, &()).await?;
        sessions::page(State(state), viewer, params).await
    };
    shown.await.unwrap_or_else(gate::error_page)
}

/// Answers with a page.
fn html(text: String) -> Response {
    let mut response = Html(text).into_response();
    protect(response.headers_mut());
    response
}

/// Sets the headers of a page.
fn protect(headers: &mut HeaderMap) {
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    // Other sites see nothing of an address; requests to the daemon itself carry their origin.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
}

/// Why the daemon is not ready.
async fn problem(state: &AppState) -> Option<&'static str> {
    Checks::of(state).await.problem()
}
