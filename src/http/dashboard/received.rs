//! `GET /dashboard/webhooks` and `…/{webhook}`: what Zoom sent.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::addresses::{Addresses, filter};
use super::html;
use super::viewer::Viewer;
use crate::http::AppState;
use crate::http::error::ApiError;
use crate::http::extract::{InPath, Params};
use crate::http::received_list::{Digest, read_page, read_webhook};
use crate::http::zoom_urls::{EventSocketView, ZoomEndpoint, read_endpoints};
use crate::web::dashboard::Section;
use crate::web::dashboard::received::{
    Clock, Filters, ReceivedList, ReceivedOne, Refused, Row, Socket, Url,
};

const TITLE: &str = "Zoom’s webhooks";
const FILTERS: [&str; 4] = ["q", "outcome", "app", "session"];

/// The log.
pub(in crate::http) async fn page(
    State(state): State<Arc<AppState>>,
    viewer: Viewer,
    params: Params,
) -> Result<Response, ApiError> {
    let (found, next) = read_page(&state, &viewer.caller, &params).await?;
    let endpoints = read_endpoints(&state, &viewer.caller).await?;
    let (page, api) = ("/dashboard/webhooks", "/api/v1/zoom/webhooks");
    let addresses = Addresses::of(page, api, &FILTERS, &params, next.as_deref());
    let [q, outcome, app, session] = FILTERS.map(|name| filter(&params, name));
    let list = ReceivedList {
        layout: viewer.layout(Section::Received, TITLE),
        urls: endpoints.iter().map(|endpoint| url_of(&state, endpoint)).collect(),
        filters: Filters { q, outcome, app, session },
        rows: found.iter().map(Row::of).collect(),
        older: addresses.older,
        newest: addresses.newest,
        raw: addresses.raw,
    };
    Ok(html(list.html()))
}

fn url_of(state: &AppState, endpoint: &ZoomEndpoint) -> Url {
    let tolerance_s = state.webhook_tolerance_s;
    let clock = endpoint.clock_difference_seconds;
    let refused = endpoint.refused.iter();
    Url {
        app: endpoint.app.to_string(),
        path: endpoint.path.clone(),
        last: endpoint.last_received_at.clone(),
        validated: endpoint.validated_at.clone(),
        validated_with: validated_with(endpoint),
        clock: clock.map(|difference_s| Clock::of(difference_s, tolerance_s)),
        socket: endpoint.event_socket.as_ref().map(socket_of),
        refused: refused.map(|it| Refused::of(it.code, it.count, it.last_at.clone())).collect(),
    }
}

fn socket_of(socket: &EventSocketView) -> Socket {
    let gap = socket.last_gap.as_ref().map(|gap| (gap.until.clone(), gap.length_ms()));
    Socket::of(socket.connected, socket.since.clone(), socket.problem, gap)
}

/// Which secret token a URL was validated with, in words, if that is worth saying.
fn validated_with(endpoint: &ZoomEndpoint) -> Option<String> {
    endpoint.validated_at_ms?;
    match (endpoint.validated_with, endpoint.secret_tokens) {
        (Some(_), 1) => None,
        (Some(1), _) => Some("the newest secret token".to_owned()),
        (Some(position), all) => Some(format!("secret token {position} of {all}")),
        (None, _) => Some("a secret token that is no longer configured".to_owned()),
    }
}

/// One webhook.
pub(in crate::http) async fn show(
    State(state): State<Arc<AppState>>,
    viewer: Viewer,
    InPath(digest): InPath<Digest>,
) -> Result<Response, ApiError> {
    let (webhook, body) = read_webhook(&state, &viewer.caller, &digest).await?;
    let pretty = |body: String| match serde_json::from_str::<serde_json::Value>(&body) {
        Ok(value) => format!("{value:#}"),
        Err(_) => body,
    };
    let page = ReceivedOne {
        layout: viewer.layout(Section::Received, &webhook.event),
        row: Row::of(&webhook),
        body: body.map(pretty),
        raw: format!("/api/v1/zoom/webhooks/{}", webhook.digest),
    };
    Ok(html(page.html()))
}
