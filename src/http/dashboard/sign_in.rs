//! `POST /dashboard/sign-in` and `…/sign-out`, `/dashboard/enter`: a token or a one-time code becomes a cookie.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use url::form_urlencoded;

use super::{gate, html, problem};
use crate::http::audit::{Trail, note_refusal};
use crate::http::auth;
use crate::http::body::read_body;
use crate::http::error::ApiError;
use crate::http::query::first_value;
use crate::http::{AppState, INSTALL_PATH};
use crate::web::dashboard::{self as web, SignIn};

/// The longest form: a token has at most 512 bytes, and a path is short.
const MAX_FORM_BYTES: usize = 8 * 1024;
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The form for the token, with the state of the daemon and the next steps. `target` is the page to show afterwards.
pub(in crate::http) async fn page(
    state: &AppState,
    status: StatusCode,
    refused: Option<String>,
    target: &str,
) -> Response {
    let page = SignIn {
        not_ready: problem(state).await,
        refused,
        target: target.to_owned(),
        source: state.api_tokens.source().to_string(),
        version: VERSION,
        webhook_path: state.webhook_path.clone(),
        install_path: INSTALL_PATH,
    };
    (status, html(page.html())).into_response()
}

/// Signs in with the token of the form, and goes on to the page that it names.
pub(in crate::http) async fn sign_in(
    State(state): State<Arc<AppState>>,
    Extension(trail): Extension<Trail>,
    request: Request,
) -> Result<Response, ApiError> {
    let (headers, form) = read_form(&state, request).await?;
    let target = form.value(gate::TARGET);
    let target = gate::local_target(&target).to_owned();
    let token = form.value("token");
    match auth::sign_in(&state, &headers, token.trim(), &trail).await {
        Ok(cookie) => Ok(go_on(cookie, &target)),
        Err(error) => Ok(refuse(&state, &trail, error, &target).await),
    }
}

/// The page of a link with a code, which sends the code by itself. A preview of the link does not use the code up.
pub(in crate::http) async fn enter_page(request: Request) -> Response {
    let code = first_value(request.uri().query(), "code").unwrap_or_default();
    html(web::enter(&code))
}

/// Signs in with the code of a link.
pub(in crate::http) async fn enter(
    State(state): State<Arc<AppState>>,
    Extension(trail): Extension<Trail>,
    request: Request,
) -> Result<Response, ApiError> {
    let (headers, form) = read_form(&state, request).await?;
    match auth::sign_in_with_code(&state, &headers, &form.value("code"), &trail).await {
        Ok(cookie) => Ok(go_on(cookie, "/")),
        Err(error) => Ok(refuse(&state, &trail, error, "/").await),
    }
}

/// Ends the session, and shows the sign-in.
pub(in crate::http) async fn sign_out(
    State(state): State<Arc<AppState>>,
    Extension(trail): Extension<Trail>,
    request: Request,
) -> Result<Response, ApiError> {
    let (headers, form) = read_form(&state, request).await?;
    let csrf = form.value("csrf");
    match auth::sign_out(&state, &headers, &csrf, &trail).await {
        Ok(cookie) => Ok(go_on(cookie, "/")),
        Err(error) => Ok(gate::error_page(error)),
    }
}

fn go_on(cookie: HeaderValue, target: &str) -> Response {
    ([(header::SET_COOKIE, cookie)], Redirect::to(target)).into_response()
}

/// Shows the form again, with the reason.
async fn refuse(state: &Arc<AppState>, trail: &Trail, error: ApiError, target: &str) -> Response {
    trail.act((state.now_ms)(), "dashboard.sign_in", "");
    note_refusal(state, trail, error.code()).await;
    let reason = match &error {
        ApiError::UnknownToken(source) => format!("This token is unknown. Enter {source}."),
        ApiError::SignedOut => "This link was used or has expired. Enter a token.".to_owned(),
        ApiError::TooManyFailures { wait_s } => {
            format!("Too many wrong tokens came from this address. Try again in {wait_s} seconds.")
        }
        ApiError::TooManyRequests { wait_s } => {
            format!("This token made too many requests. Try again in {wait_s} s.")
        }
        ApiError::Forbidden(scope) => format!("This token lacks the scope {scope}."),
        other => format!("This did not work: {other}."),
    };
    let mut response = page(state, error.status(), Some(reason), target).await;
    if let ApiError::TooManyFailures { wait_s } | ApiError::TooManyRequests { wait_s } = error {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait_s));
    }
    response
}

/// The fields of a form.
struct Form(Vec<u8>);

impl Form {
    /// The first value of a field; empty if there is none.
    fn value(&self, name: &str) -> String {
        let mut pairs = form_urlencoded::parse(&self.0);
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    }
}

async fn read_form(state: &AppState, request: Request) -> Result<(HeaderMap, Form), ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = read_body(body, MAX_FORM_BYTES, state.body_timeout).await?;
    Ok((parts.headers, Form(bytes.to_vec())))
}
