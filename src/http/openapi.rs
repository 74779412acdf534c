//! Builds the OpenAPI 3.1 document from the table of routes.

mod samples;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::AppState;
use super::routes::{self, Access, Route};

/// The schemas of bodies, by name. A test compares them with the daemon's answers.
const SCHEMAS: &str = include_str!("openapi/schemas.json");

const ABOUT: &str = "A daemon for Zoom Realtime Media Streams. Successful answers are \
    `{\"status\": true, \"message\", \"data\"}`, errors `{\"status\": false, \"message\", \"error\"}`. A POST with the \
    header `idempotency-key` is executed once for each key, and gets the same answer for 24 hours.";

/// The groups of operations, in the order of the reference.
const TAGS: [(&str, &str); 8] = [
    ("Sessions", "Meetings, webinars and other conversations, and what was said in them"),
    ("RTMS", "Start, stop, pause and resume streams"),
    ("Installations", "Who has installed the app, and the install itself"),
    ("Zoom's webhooks", "What Zoom sent, and what it changed"),
    ("Outgoing webhooks", "Endpoints of yours, and what was delivered to them"),
    ("Relays", "Programs that streams are served on to in Zoom's own protocol"),
    ("Apps", "The Zoom apps of this daemon"),
    ("Daemon", "Health, API tokens, the audit trail and this document"),
];

/// The description of one method of a path.
#[derive(Debug, Clone)]
pub struct Operation {
    pub method: &'static str,
    pub tag: &'static str,
    id: &'static str,
    pub summary: &'static str,
    pub query: Vec<(&'static str, &'static str)>,
    pub body: Option<&'static str>,
    is_body_optional: bool,
    /// Statuses of errors beyond those of every operation of its kind.
    errors: Vec<u16>,
    /// Whether browsers get a page.
    is_page: bool,
    /// Status, meaning, and the schema of the envelope's `data`.
    pub answers: Vec<(u16, &'static str, Option<&'static str>)>,
}

impl Operation {
    pub fn new(tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            method: "",
            tag,
            id,
            summary,
            query: vec![],
            body: None,
            is_body_optional: false,
            errors: vec![],
            is_page: false,
            answers: vec![],
        }
    }

    pub fn query(mut self, name: &'static str, about: &'static str) -> Self {
        self.query.push((name, about));
        self
    }

    pub fn body(self, schema: &'static str) -> Self {
        Self { body: Some(schema), ..self }
    }

    pub fn optional_body(self, schema: &'static str) -> Self {
        Self { is_body_optional: true, ..self.body(schema) }
    }

    /// Adds errors beyond those of every operation of its kind.
    pub fn errors(mut self, statuses: &[u16]) -> Self {
        self.errors.extend(statuses);
        self
    }

    /// Answers browsers with pages.
    pub fn page(self) -> Self {
        Self { is_page: true, ..self }
    }

    pub fn answer(mut self, status: u16, about: &'static str, data: Option<&'static str>) -> Self {
        self.answers.push((status, about, data));
        self
    }
}

pub async fn serve(State(state): State<Arc<AppState>>) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, state.documents.openapi(&state.webhook_path)).into_response()
}

/// The document of a daemon with webhooks at this path.
pub fn build_document(webhook_path: &str) -> Value {
    let schemas: Value =
        serde_json::from_str(SCHEMAS).expect("an embedded file that a test parses");
    let mut paths = Map::new();
    for route in routes::all_routes(webhook_path) {
        for about in &route.operations {
            // Several routes may share a path: each adds its method to the same object.
            paths.entry(&route.path).or_insert_with(|| json!({}))[about.method] =
                describe_operation(&route, about, &schemas);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "rtmsd", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "tags": TAGS.map(|(name, about)| json!({ "name": name, "description": about })),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "One of API_TOKENS, with the scopes read, control, admin or metrics",
                },
                "ticket": {
                    "type": "apiKey", "in": "query", "name": "ticket",
                    "description": "Made with POST /api/v1/tickets for this path",
                },
            },
        },
    })
}

fn describe_operation(route: &Route, about: &Operation, schemas: &Value) -> Value {
    let mut answers: Map<String, Value> = about
        .answers
        .iter()
        .map(|(status, what, data)| (status.to_string(), success_response(what, *data)))
        .collect();
    for status in error_statuses(route, about) {
        // `or_insert`: a status that the operation describes itself keeps its own text.
        answers.entry(status.to_string()).or_insert_with(|| error_response(status, about.is_page));
    }
    let mut described = json!({
        "tags": [about.tag], "operationId": about.id, "summary": about.summary,
        "parameters": operation_parameters(route, about), "responses": answers,
    });
    if let Some(schema) = about.body {
        described["requestBody"] = json!({ "required": !about.is_body_optional, "content": json_content(schema_reference(schema)) });
    }
    if let Some(scope) = required_scope(route.access, about.method) {
        described["security"] = json!([{ "token": [scope] }]);
    }
    if route.access == Access::Ticket {
        // Two objects mean either of them; two names in one object would mean both.
        described["security"] = json!([{ "token": ["read"] }, { "ticket": [] }]);
    }
    described["x-codeSamples"] = code_samples(route, about, schemas);
    described
}

fn code_samples(route: &Route, about: &Operation, schemas: &Value) -> Value {
    let schemas = schemas.as_object().expect("the schemas have names");
    let body = about.body.map(|name| samples::example(&schemas[name], schemas));
    let needs_token = route.access != Access::Open;
    samples::samples(&route.path, about.method, needs_token, body.as_ref())
}

/// The error statuses that an operation may answer.
fn error_statuses(route: &Route, about: &Operation) -> BTreeSet<u16> {
    let (mut errors, has_token) = (BTreeSet::from([500, 503]), route.access != Access::Open);
    errors.extend(&about.errors);
    if has_token {
        errors.extend([401, 403, 429]);
    }
    if route.path.contains('{') {
        errors.insert(404);
    }
    if !about.query.is_empty() {
        // Every parameter is validated, and a wrong value is a 422.
        errors.insert(422);
    }
    if has_token && ["post", "patch", "put"].contains(&about.method) {
        // From the idempotency layer: body too long, too slow or unreadable, and a key that is in use.
        errors.extend([400, 408, 409, 413, 422]);
    }
    if has_token && about.method == "post" {
        // The stored answer of a key may be deleted with its session.
        errors.insert(410);
    }
    errors
}

/// The scope that a token needs.
pub fn required_scope(access: Access, method: &str) -> Option<&'static str> {
    match (access, method) {
        (Access::Open, _) => None,
        (Access::Token, "get") | (Access::Read | Access::Ticket | Access::Page, _) => Some("read"),
        (Access::Token | Access::Control, _) => Some("control"),
        (Access::Admin | Access::AdminPage, _) => Some("admin"),
        (Access::Metrics, _) => Some("metrics"),
    }
}

fn operation_parameters(route: &Route, about: &Operation) -> Vec<Value> {
    let text = json!({ "type": "string" });
    let mut parameters = Vec::new();
    if route.path.contains("{id}") {
        let id = json!({ "type": "string", "format": "uuid" });
        parameters.push(json!({ "name": "id", "in": "path", "required": true, "schema": id }));
    }
    if route.path.contains("{app}") {
        let name = json!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,31}$" });
        parameters.push(json!({ "name": "app", "in": "path", "required": true, "schema": name }));
    }
    if route.path.contains("{file}") {
        let about = "The `file` of a list of recordings";
        parameters.push(json!({
            "name": "file", "in": "path", "required": true, "description": about, "schema": text,
        }));
    }
    if route.path.contains("{delivery}") {
        let what = "The `event_id` of the delivery";
        parameters.push(json!({
            "name": "delivery", "in": "path", "required": true, "description": what, "schema": text,
        }));
    }
    if route.path.contains("{webhook}") {
        let id = json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" });
        parameters.push(json!({ "name": "webhook", "in": "path", "required": true, "schema": id }));
    }
    if route.path.contains("{forward}") {
        let id = json!({ "type": "string", "format": "uuid" });
        parameters.push(json!({ "name": "forward", "in": "path", "required": true, "schema": id }));
    }
    for (name, what) in &about.query {
        let schema = query_schema(name);
        parameters
            .push(json!({ "name": name, "in": "query", "description": what, "schema": schema }));
    }
    if route.access != Access::Open && about.method == "post" {
        let what = "Executed once for each key; gets the same answer for 24 hours";
        parameters.push(json!({
            "name": "idempotency-key", "in": "header", "description": what,
            "schema": { "type": "string", "pattern": "^[!-~]{1,255}$" },
        }));
    }
    parameters
}

/// The schema of a query parameter, the same wherever it has this name.
fn query_schema(name: &str) -> Value {
    match name {
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 200, "default": 50 }),
        "delete_data" | "force" => json!({ "type": "boolean", "default": false }),
        "session" => json!({ "type": "string", "format": "uuid" }),
        _ => json!({ "type": "string" }),
    }
}

fn success_response(what: &str, data: Option<&str>) -> Value {
    let Some(data) = data else { return json!({ "description": what }) };
    let envelope = json!({
        "type": "object", "required": ["status", "message", "data"],
        "properties": {
            "status": { "const": true }, "message": { "type": "string" }, "data": schema_reference(data),
        },
    });
    json!({ "description": what, "content": json_content(envelope) })
}

fn error_response(status: u16, is_page: bool) -> Value {
    let what = match status {
        400 => "The request is malformed",
        401 => "No valid token",
        403 => "Not allowed",
        404 => "Not found",
        406 => "Not available in the requested format",
        408 => "The body did not arrive in time",
        409 => {
            "Not possible in the current state, or a request with this `idempotency-key` is still running"
        }
        410 => "Gone, or the answer that `idempotency-key` would repeat was deleted",
        413 => "The body is too long",
        422 => "A value is wrong",
        429 => "Rate limit reached: wait as long as `retry-after` says",
        502 => "The request to Zoom failed",
        503 => "Unavailable: try again later",
        _ => "An internal error of the daemon",
    };
    let mut content = json_content(schema_reference("Error"));
    if is_page {
        content["text/html"] = json!({ "schema": { "type": "string" } });
    }
    json!({ "description": format!("{what}: see `error.code`"), "content": content })
}

fn json_content(schema: Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn schema_reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}
