//! `GET /dashboard/endpoints` and `…/{id}`: outgoing webhooks.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::addresses::Addresses;
use super::html;
use super::viewer::Viewer;
use crate::http::AppState;
use crate::http::delivery_list::read_deliveries;
use crate::http::error::ApiError;
use crate::http::extract::{InPath, Params};
use crate::model::EndpointId;
use crate::web::dashboard::Section;
use crate::web::dashboard::endpoints::{Delivery, Endpoint, Endpoints, Row, kinds};

const TITLE: &str = "Outgoing webhooks";

/// All endpoints.
pub(in crate::http) async fn page(
    State(state): State<Arc<AppState>>,
    viewer: Viewer,
) -> Result<Response, ApiError> {
    let found = state.webhooks.endpoints(&viewer.caller.apps).await?;
    let page = Endpoints {
        layout: viewer.layout(Section::Endpoints, TITLE),
        rows: found.iter().map(Row::of).collect(),
        kinds: kinds().map(|kind| kind.as_str()).collect(),
        shows_apps: state.apps.all().len() > 1,
    };
    Ok(html(page.html()))
}

/// One endpoint with its deliveries.
pub(in crate::http) async fn show(
    State(state): State<Arc<AppState>>,
    viewer: Viewer,
    InPath(id): InPath<EndpointId>,
    params: Params,
) -> Result<Response, ApiError> {
    let endpoint = state.webhooks.endpoint(id).await?;
    let (found, next) = read_deliveries(&state, &viewer.caller, id, &params).await?;
    let page = format!("/dashboard/endpoints/{id}");
    let api = format!("/api/v1/webhooks/endpoints/{id}/deliveries");
    let addresses = Addresses::of(&page, &api, &[], &params, next.as_deref());
    let page = Endpoint {
        layout: viewer.layout(Section::Endpoints, TITLE),
        row: Row::of(&endpoint),
        deliveries: found.iter().map(Delivery::of).collect(),
        older: addresses.older,
        newest: addresses.newest,
        raw: addresses.raw,
    };
    Ok(html(page.html()))
}
