//! `/api/v1/zoom/oauth/…`: the OAuth flow that installs the app (rtms-protocol.md section 15.1).

mod cookie;
mod failure_page;

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::json;
use url::form_urlencoded;

use self::cookie::Browser;
use super::auth::Caller;
use super::client_address::ClientAddress;
use super::envelope::success;
use super::error::{ApiError, InstallRefusal};
use super::query::first_value;
use super::view::InstallationView;
use super::{APP_PARAMETER, AppState};
use crate::model::{AppName, Installation};
use crate::secret::Secret;
use crate::web::{CONTENT_SECURITY_POLICY, Page};

/// For programs that send a browser to Zoom themselves. `authorization_url` and `state` are also at the top level,
/// where MeetMind's clients expect them.
pub(super) async fn authorize_url(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    // Without a name, a token of one app means that.
    let own = caller.apps.only().cloned().unwrap_or_default();
    let app = named_app(query.as_deref(), own).filter(|app| caller.apps.includes(app));
    let begun = app.and_then(|app| state.installer.begin(&app, None));
    let begun = begun.ok_or(ApiError::Install(InstallRefusal::UnknownApp))?;
    let data = json!({ "authorization_url": begun.authorization_url, "state": begun.state });
    let mut envelope = json!({ "status": true, "message": "authorization URL", "data": data });
    envelope["authorization_url"] = begun.authorization_url.into();
    envelope["state"] = begun.state.into();
    Ok(Json(envelope).into_response())
}

/// The link behind an *Install* button: redirects to Zoom and sets a cookie that the callback is checked against.
pub(super) async fn install(
    State(state): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let browser = Browser::of(&headers, state.is_https);
    let app = named_app(query.as_deref(), AppName::default());
    let begun = app.and_then(|app| state.installer.begin(&app, Some(browser.id())));
    let Some(begun) = begun else {
        return refused(InstallRefusal::UnknownApp, &AppName::default(), &headers);
    };
    let mut response = StatusCode::FOUND.into_response();
    let target = HeaderValue::from_str(&begun.authorization_url);
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, target.expect("a URL that we encoded is ASCII"));
    headers.insert(header::SET_COOKIE, browser.set_cookie());
    // Zoom need not learn which page the user came from.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// The app in `?app=`, or `otherwise` without it; `None` if the text is no name.
fn named_app(query: Option<&str>, otherwise: AppName) -> Option<AppName> {
    match first_value(query, APP_PARAMETER) {
        None => Some(otherwise),
        Some(name) => AppName::parse(&name).ok(),
    }
}

/// Zoom's redirect after the consent. Every outcome has a page, or JSON for `accept: application/json`.
pub(super) async fn callback(
    State(state): State<Arc<AppState>>,
    Extension(client): Extension<ClientAddress>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let returned = Returned::parse(query.as_deref().unwrap_or_default());
    let app = returned.state.as_deref().and_then(|text| state.installer.app_of(text));
    match finish_install(&state, client, returned, &headers).await {
        Ok(installation) if wants_json(&headers) => Ok(installed_json(&installation)),
        Ok(installation) => Ok(page_response(StatusCode::OK, &installed_page(&installation))),
        Err(refusal) => refused(refusal, &app.unwrap_or_default(), &headers),
    }
}

/// The page of a failed install, or its error for a client that wants JSON.
fn refused(
    refusal: InstallRefusal,
    app: &AppName,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    if wants_json(headers) {
        return Err(ApiError::Install(refusal));
    }
    tracing::warn!(%app, code = refusal.code(), "an install failed: {refusal}");
    Ok(page_response(refusal.status(), &refusal.failure_page(app)))
}

/// What Zoom sends back with the browser.
#[derive(Default)]
struct Returned {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
}

impl Returned {
    fn parse(query: &str) -> Self {
        let mut returned = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            // RFC 6749, section 3.1, forbids repeated parameters; if one is repeated, the last value counts.
            match &*name {
                "code" => returned.code = Some(value.into_owned()),
                "state" => returned.state = Some(value.into_owned()),
                "error" => returned.error = Some(value.into_owned()),
                _ => {}
            }
        }
        returned
    }
}

async fn finish_install(
    state: &AppState,
    client: ClientAddress,
    returned: Returned,
    headers: &HeaderMap,
) -> Result<Installation, InstallRefusal> {
    let Returned { code, state: returned, error } = returned;
    // The error first: RFC 6749, section 4.1.2.1, sends it without a code.
    match error.as_deref() {
        Some("access_denied") => return Err(InstallRefusal::Denied),
        Some(_) => return Err(InstallRefusal::RefusedByZoom),
        None => {}
    }
    let returned = returned.filter(|text| !text.is_empty()).ok_or(InstallRefusal::NoState)?;
    let code = code.filter(|text| !text.is_empty()).ok_or(InstallRefusal::NoCode)?;
    // `known` makes no new id: a browser without the cookie must not match any install.
    let browser = Browser::known(headers, state.is_https);
    let browser = browser.as_ref().map(Browser::id);
    let finished = state.installer.finish(&returned, Secret::new(code), browser, client.0).await;
    finished.map_err(|error| InstallRefusal::of(&error))
}

/// Whether the client wants JSON. Browsers ask for HTML, whatever else they accept.
fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|text| text.contains("application/json") && !text.contains("text/html"))
}

fn installed_json(installation: &Installation) -> Response {
    let installation = InstallationView::of(installation);
    success("Zoom is connected", json!({ "token_stored": true, "installation": installation }))
}

fn installed_page(installation: &Installation) -> Page {
    let who = installation.display_name.clone().or_else(|| installation.email.clone());
    let heading = "Zoom is connected";
    let text = match who {
        Some(who) => format!("{who}, the app is installed. You can close this page."),
        None => "The app is installed. You can close this page.".to_owned(),
    };
    let mut facts = Vec::new();
    if let Some(email) = &installation.email {
        facts.push(("Zoom user", email.clone()));
    }
    facts.push(("Installation", installation.id.to_string()));
    let remove =
        "To uninstall it, remove the app in the Zoom App Marketplace under Manage, Added Apps.";
    Page::good(heading, vec![text, remove.to_owned()]).with_facts(facts)
}

fn page_response(status: StatusCode, page: &Page) -> Response {
    let policy = HeaderValue::from_str(&CONTENT_SECURITY_POLICY);
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, policy.expect("the policy is ASCII")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (status, headers, page.html()).into_response()
}
