//! `GET /`: what this server is and whether it is ready, as a page for people and as JSON for programs.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

use super::envelope::success;
use super::readiness::Checks;
use super::{AppState, INSTALL_PATH, dashboard};
use crate::web::CONTENT_SECURITY_POLICY;
use crate::web::home::Home;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Answers browsers with the dashboard or, without it, with the start page, and programs with JSON; automation should
/// use `/health/ready`.
pub(super) async fn serve(State(state): State<Arc<AppState>>, request: Request) -> Response {
    let mut response = match wants_html(request.headers()) {
        true if state.browsers.is_some() => dashboard::front_page(state, request).await,
        true => start_page(&state).await,
        false => paths(&state).await,
    };
    // One address with two forms.
    response.headers_mut().insert(header::VARY, header::HeaderValue::from_static("accept"));
    response
}

async fn start_page(state: &AppState) -> Response {
    let home = Home {
        not_ready: Checks::of(state).await.problem(),
        version: VERSION,
        webhook_path: state.webhook_path.clone(),
        install_path: INSTALL_PATH,
    };
    let policy = CONTENT_SECURITY_POLICY.as_str();
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(home.html())).into_response()
}

async fn paths(state: &AppState) -> Response {
    let is_ready = Checks::of(state).await.is_ready();
    let paths = json!({
        "name": "rtmsd", "version": VERSION, "ready": is_ready, "docs": "/docs",
        "openapi": "/openapi.json", "health": "/health/ready", "install": INSTALL_PATH,
    });
    success("rtmsd", paths)
}

/// Whether the client accepts HTML explicitly, as browsers do. Everything else gets JSON.
fn wants_html(headers: &HeaderMap) -> bool {
    let accept =
        headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    accept.flat_map(|list| list.split(',')).any(|part| {
        let mut parameters = part.split(';').map(str::trim);
        // `q=0` means "not acceptable" (RFC 9110, section 12.4.2).
        let is_html = parameters.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
        is_html && !parameters.any(|parameter| ["q=0", "q=0.0"].contains(&parameter))
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_clients_that_name_html_get_it() {
        let wants = |accept: &'static str| {
            wants_html(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
        };
        for browser in
            ["text/html", "text/html,application/xhtml+xml,*/*;q=0.8", "a/b, TEXT/HTML;q=0.5"]
        {
            assert!(wants(browser), "{browser}");
        }
        for program in ["", "*/*", "application/json", "text/html;q=0, */*", "text/htmlx"] {
            assert!(!wants(program), "{program}");
        }
        assert!(!wants_html(&HeaderMap::new()));
    }
}
