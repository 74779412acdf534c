//! Admits people to pages, and shows refusals and errors as pages.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use url::form_urlencoded::byte_serialize;

use crate::http::AppState;
use crate::http::auth::{Scope, admit};
use crate::http::error::ApiError;
use crate::http::request::ErrorShown;
use crate::web::{self, Page};

/// The parameter of `/` with the page to show after the sign-in.
pub(super) const TARGET: &str = "to";

/// Admits a token that may read; others to the sign-in.
pub(in crate::http) async fn require_page(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    run_page(&state, Scope::Read, request, next).await
}

/// Admits a token that may administrate; others to the sign-in.
pub(in crate::http) async fn require_admin_page(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    run_page(&state, Scope::Admin, request, next).await
}

async fn run_page(state: &AppState, scope: Scope, request: Request, next: Next) -> Response {
    let asked = Asked::of(&request);
    let mut response = match admit(state, scope, request).await {
        Ok(request) => next.run(request).await,
        Err(ApiError::Unauthenticated | ApiError::SignedOut) => return asked.to_sign_in(),
        Err(error) => return error_page(error),
    };
    match response.extensions_mut().remove::<ApiError>() {
        Some(error) => error_page(error),
        None => response,
    }
}

/// What is known of a request after it was refused.
pub(super) struct Asked {
    /// Path and query.
    pub path: String,
    is_get: bool,
    /// A part of a page that a script asks for.
    is_fragment: bool,
    /// A link on another site led here: browsers leave out the cookie then.
    pub is_from_elsewhere: bool,
}

impl Asked {
    pub(super) fn of(request: &Request) -> Self {
        let headers = request.headers();
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Self {
            path,
            is_get: request.method() == Method::GET,
            is_fragment: is_fragment(headers),
            is_from_elsewhere: is_from_elsewhere(headers),
        }
    }

    /// The page to show after the sign-in.
    pub(super) fn target(&self) -> String {
        let target =
            crate::http::query::first_value(self.path.split_once('?').map(|(_, q)| q), TARGET);
        local_target(target.as_deref().unwrap_or("/")).to_owned()
    }

    fn to_sign_in(&self) -> Response {
        if self.is_fragment {
            // htmx follows this header, whatever the status.
            return (StatusCode::UNAUTHORIZED, [("hx-redirect", "/")]).into_response();
        }
        if self.is_from_elsewhere && self.is_get {
            return same_address(&self.path);
        }
        let target: String = byte_serialize(self.path.as_bytes()).collect();
        Redirect::to(&format!("/?{TARGET}={target}")).into_response()
    }
}

/// Whether a script of a page asks for a part of it.
fn is_fragment(headers: &HeaderMap) -> bool {
    headers.contains_key("hx-request")
}

fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    matches!(site, Some(b"cross-site" | b"same-site"))
}

/// A path of the dashboard to go on to; `/` for anything else.
pub(super) fn local_target(path: &str) -> &str {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_plain && path.starts_with("/dashboard/") { path } else { "/" }
}

/// Lets the browser ask again from here: a request from this page carries the cookie.
pub(super) fn same_address(path: &str) -> Response {
    let page = web::dashboard::again(local_target(path));
    super::html(page)
}

/// An address that people type.
pub(in crate::http) async fn to_front_page() -> Redirect {
    Redirect::to("/")
}

/// An address below the dashboard without a page.
pub(in crate::http) async fn unknown() -> Response {
    error_page(ApiError::UnknownRoute)
}

/// A page about an error.
pub(super) fn error_page(error: ApiError) -> Response {
    let heading = match error.status() {
        StatusCode::NOT_FOUND => "There is nothing here",
        StatusCode::FORBIDDEN => "This is not allowed",
        StatusCode::TOO_MANY_REQUESTS => "Too many requests",
        StatusCode::UNPROCESSABLE_ENTITY => "The address is wrong",
        _ => "This did not work",
    };
    let detail = format!("Reason: {error}.");
    let page = Page::bad(heading, vec![detail]).with_action("Go to the sessions", "/");
    let policy = web::CONTENT_SECURITY_POLICY.as_str();
    let headers =
        [(header::CONTENT_SECURITY_POLICY, policy), (header::REFERRER_POLICY, "same-origin")];
    let mut response = (error.status(), headers, Html(page.html())).into_response();
    let extensions = response.extensions_mut();
    extensions.insert(ErrorShown);
    extensions.insert(error);
    response
}

#[cfg(test)]
mod tests {
    use super::local_target;

    #[test]
    fn only_a_page_of_the_dashboard_is_gone_on_to() {
        for own in ["/dashboard/health", "/dashboard/sessions/x?a=b%20c"] {
            assert_eq!(local_target(own), own);
        }
        let others = [
            "",
            "/",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/dashboard",
            "/dashboard/\r\nx",
            "/dashboard/\\x",
            "dashboard/x",
            "/api/v1/sdk/sessions",
        ];
        for other in others {
            assert_eq!(local_target(other), "/", "{other}");
        }
    }
}
