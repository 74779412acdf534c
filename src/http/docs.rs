//! `GET /docs`: the OpenAPI document as a page. No script, no other host.

use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;

use super::AppState;
use super::{openapi, routes};
use crate::web::docs::{Documented, Page, Schema};

/// The descriptions of the API, built on first use.
#[derive(Default)]
pub struct Documents {
    openapi: OnceLock<Bytes>,
    page: OnceLock<Bytes>,
}

impl Documents {
    /// The OpenAPI document, as JSON.
    pub(super) fn openapi(&self, webhook_path: &str) -> Bytes {
        // `Bytes` clones share the text: no request builds or copies the document.
        let make = || openapi::build_document(webhook_path).to_string().into();
        self.openapi.get_or_init(make).clone()
    }

    fn page(&self, webhook_path: &str) -> Bytes {
        self.page.get_or_init(|| docs_page(webhook_path).html().into()).clone()
    }
}

pub(super) async fn serve(State(state): State<Arc<AppState>>) -> Response {
    let policy = crate::web::docs::CONTENT_SECURITY_POLICY.as_str();
    let page = state.documents.page(&state.webhook_path);
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(page)).into_response()
}

fn docs_page(webhook_path: &str) -> Page {
    let document = openapi::build_document(webhook_path);
    let mut operations = Vec::new();
    for route in routes::all_routes(webhook_path) {
        for about in &route.operations {
            operations.push(Documented {
                tag: about.tag,
                method: about.method.to_uppercase(),
                path: route.path.clone(),
                scope: openapi::required_scope(route.access, about.method),
                summary: about.summary,
                query: about.query.clone(),
                body: about.body,
                answers: about.answers.clone(),
            });
        }
    }
    let schemas = document["components"]["schemas"].as_object();
    let schemas = schemas.into_iter().flatten().map(|(name, schema)| schema_view(name, schema));
    let about = document["info"]["description"].as_str().unwrap_or_default().to_owned();
    Page::new(about, operations, schemas.collect())
}

fn schema_view(name: &str, schema: &Value) -> Schema {
    let text = serde_json::to_string_pretty(schema).unwrap_or_default();
    Schema { name: name.to_owned(), text }
}
