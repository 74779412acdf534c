//! `GET /docs` and `GET /docs/plain`: the OpenAPI document as pages, with and without scripts.

use std::sync::{Arc, OnceLock};

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;

use super::auth::{Scope, SignedIn, admit};
use super::{AppState, openapi, routes};
use crate::web::docs::{
    CONTENT_SECURITY_POLICY, Documented, Page, REFERENCE_POLICY, Reference, Schema,
};

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

/// The page to try out the API.
pub(super) async fn serve(State(state): State<Arc<AppState>>, request: Request) -> Response {
    let page = Reference { csrf: csrf_of(&state, request).await };
    let headers = [
        (header::CONTENT_SECURITY_POLICY, REFERENCE_POLICY),
        // Signed in or not, the page differs.
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Html(page.html())).into_response()
}

/// What changes with the dashboard's cookie must carry, for a person who is signed in.
async fn csrf_of(state: &AppState, request: Request) -> Option<String> {
    state.browsers.as_ref()?;
    let admitted = admit(state, Scope::Read, request).await.ok()?;
    admitted.extensions().get::<SignedIn>().map(|signed_in| signed_in.csrf.clone())
}

/// The page without scripts.
pub(super) async fn serve_plain(State(state): State<Arc<AppState>>) -> Response {
    let policy = CONTENT_SECURITY_POLICY.as_str();
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
