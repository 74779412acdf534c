//! Requests that change something: read in bounded time, executed to their end, and once for each `Idempotency-Key`.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header, request, response};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use tracing::Instrument;
use uuid::Uuid;

use super::audit::{changes_something, note_refusal};
use super::auth::Caller;
use super::error::ApiError;
use super::request::RequestId;
use super::{AppState, body};
use crate::model::{AppScope, SessionId};
use crate::seal::Cell;
use crate::store::{IdempotencyKey, Kept, StoreError, Taken};

const KEY_HEADER: &str = "idempotency-key";
const SESSIONS_PATH: &str = "/api/v1/sdk/sessions/";
/// Marks an answer that is repeated.
const REPLAYED_HEADER: &str = "idempotency-replayed";
const MAX_KEY_BYTES: usize = 255;
/// The size limit of request bodies, metadata included.
const MAX_BODY_BYTES: usize = 16 * 1024;
/// Longer than any request can take: after this, its daemon has died.
const IN_PROGRESS_MS: i64 = 3 * 60 * 1000;
const KEEP_MS: i64 = 24 * 60 * 60 * 1000;

/// A response extension: the session that the answer is about, if the path does not name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct AboutSession(pub SessionId);

/// A response extension: the body holds a secret and is stored only sealed.
#[derive(Debug, Clone, Copy)]
pub(super) struct HoldsSecret;

/// Runs a request that changes something to its end even if its client hangs up. A POST with a key gets the same answer
/// for 24 h. The body must arrive completely first, within `body_timeout` and 16 KiB; that of a DELETE is not read.
pub(super) async fn carry_out(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    Extension(request_id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if !changes_something(request.method()) {
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let bytes = match parts.method {
        // An unread body may make hyper close the connection after the answer, which is fine for a rare DELETE.
        Method::DELETE => Bytes::new(),
        _ => body::read_body(body, MAX_BODY_BYTES, state.body_timeout).await?,
    };
    // A key that is used with another body is a mistake of the client, not a repetition.
    let digest = digest_of(&bytes, &caller.apps);
    let key = key_of(&parts, &caller)?;
    // Handlers get the buffered body and never wait for the client.
    let request = Request::from_parts(parts, Body::from(bytes));
    let requests = state.requests.clone();
    let work = async move {
        let answer = match key {
            None => Ok(run_handler(&state, &caller, request, next).await),
            Some(key) => {
                let execution =
                    Execution { state: &state, caller: &caller, key, digest, request_id };
                execution.run_once(request, next).await
            }
        };
        if let Err(error) = &answer {
            note_refusal(&state, &caller.trail, error.code()).await;
        }
        answer
    };
    // Spawned, because hyper drops the handler's future when the client hangs up.
    match requests.spawn(work.in_current_span()).await {
        Ok(answer) => answer,
        // Caught again and counted where all panics are.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // Only the shutdown of the runtime cancels a task.
        Err(_) => Err(ApiError::Panicked),
    }
}

/// The digest of a request. With the apps that its token may see: an answer is not repeated when they have changed.
fn digest_of(body: &[u8], apps: &AppScope) -> String {
    let mut hash = Sha256::new_with_prefix(body);
    for app in apps.names().unwrap_or_default() {
        // A body is JSON, so it never ends in a zero byte and a name.
        hash = hash.chain_update([0]).chain_update(app.as_str());
    }
    hex::encode(hash.finalize())
}

/// Runs the handler and records a refusal.
async fn run_handler(
    state: &Arc<AppState>,
    caller: &Caller,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    if let Some(error) = response.extensions().get::<ApiError>() {
        note_refusal(state, &caller.trail, error.code()).await;
    }
    response
}

/// A request with a key.
struct Execution<'a> {
    state: &'a Arc<AppState>,
    caller: &'a Caller,
    key: IdempotencyKey,
    digest: String,
    request_id: RequestId,
}

impl Execution<'_> {
    async fn run_once(&self, request: Request, next: Next) -> Result<Response, ApiError> {
        // One clock for the take and the answer: the key expires a fixed time after its first use.
        let (key, now_ms) = (&self.key, (self.state.now_ms)());
        let until_ms = now_ms.saturating_add(IN_PROGRESS_MS);
        let store = &self.state.store;
        match store.take_idempotency_key(key, &self.digest, now_ms, until_ms).await? {
            Taken::Ours => {}
            Taken::Answered(kept) => return self.replayed(kept),
            Taken::InProgress => return Err(ApiError::KeyInProgress),
            Taken::OtherBody => return Err(ApiError::KeyReused),
            Taken::Deleted => return Err(ApiError::AnswerDeleted),
        }
        let mut response = run_handler(self.state, self.caller, request, next).await;
        // Rendered here and not by `observe`, because the stored body must be final.
        let error = response.extensions_mut().remove::<ApiError>();
        // A failure that may be temporary is not stored, so that the client can retry with the same key.
        let may_pass = error.as_ref().map_or(response.status().is_server_error(), |error| {
            error.is_retryable() || error.status().is_server_error()
        });
        if let Some(error) = error {
            error.render(&mut response, &self.request_id.0);
        }
        let (parts, body) = response.into_parts();
        // Bounded: the body was written by a handler, and no route with a key streams.
        let bytes = body.collect().await.map_err(|_| ApiError::Panicked)?.to_bytes();
        let kept = match may_pass {
            true => store.release_idempotency_key(key).await,
            false => self.keep(&parts, &bytes, now_ms).await,
        };
        if let Err(error) = kept {
            // The answer is valid all the same; the key expires.
            tracing::warn!(%error,
                "could not store an idempotent answer; a repetition executes the request again");
        }
        Ok(Response::from_parts(parts, Body::from(bytes)))
    }

    async fn keep(
        &self,
        parts: &response::Parts,
        bytes: &[u8],
        now_ms: i64,
    ) -> Result<(), StoreError> {
        // Lossless: every stored body is JSON that the daemon wrote.
        let mut body = String::from_utf8_lossy(bytes).into_owned();
        if parts.extensions.get::<HoldsSecret>().is_some() {
            body = self.state.answer_keys.seal(cell(&key_row(&self.key)), &body);
        }
        let kept = Kept { status: parts.status.as_u16(), body };
        let made = parts.extensions.get().map(|AboutSession(id)| *id);
        let about = made.or_else(|| session_in(&self.key.path));
        // A 404 holds nothing of a session.
        let about = about.filter(|_| parts.status != StatusCode::NOT_FOUND);
        let until_ms = now_ms.saturating_add(KEEP_MS);
        self.state.store.keep_answer(&self.key, &kept, about, until_ms).await
    }

    fn replayed(&self, kept: Kept) -> Result<Response, ApiError> {
        let mut body = kept.body;
        // Answers are JSON objects unless they are sealed.
        if !body.starts_with('{') {
            let opened = self.state.answer_keys.open(cell(&key_row(&self.key)), &body);
            body = opened.map_err(|_| ApiError::AnswerDeleted)?.to_string();
        }
        let mut response = Response::new(Body::from(body));
        // Only statuses that the daemon wrote are stored.
        *response.status_mut() = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
        Ok(response)
    }
}

/// The place of a sealed answer. Neither a token's name nor a path contains a space.
fn cell(row: &str) -> Cell<'_> {
    Cell { table: "idempotency_keys", row, column: "body" }
}

fn key_row(key: &IdempotencyKey) -> String {
    format!("{} {} {}", key.token, key.path, key.key)
}

fn key_of(parts: &request::Parts, caller: &Caller) -> Result<Option<IdempotencyKey>, ApiError> {
    let Some(value) = parts.headers.get(KEY_HEADER) else { return Ok(None) };
    if parts.method != Method::POST {
        return Ok(None);
    }
    let key = value.to_str().unwrap_or_default();
    if !(1..=MAX_KEY_BYTES).contains(&key.len()) {
        let problem = "must be 1 to 255 characters of printable ASCII";
        return Err(ApiError::InvalidValue { name: KEY_HEADER, problem });
    }
    // The query does not count: no route with a key has one.
    let (token, path) = (caller.name.to_string(), canonical(parts.uri.path()));
    Ok(Some(IdempotencyKey { token, path, key: key.to_owned() }))
}

/// A path with each id in its canonical spelling: percent-encoded, in capitals or without hyphens it names the same
/// thing, and the router decodes it.
fn canonical(path: &str) -> String {
    let segment = |raw: &str| {
        let text = percent_decode_str(raw).decode_utf8().ok();
        text.and_then(|text| Uuid::try_parse(&text).ok()).map_or(raw.into(), |id| id.to_string())
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// The session in a canonical path.
fn session_in(path: &str) -> Option<SessionId> {
    let (id, _) = path.strip_prefix(SESSIONS_PATH)?.split_once('/')?;
    SessionId::parse(id)
}

#[cfg(test)]
mod tests {
    use super::{canonical, session_in};

    const ID: &str = "0193c6f1-0d24-7aa0-8d52-3ab5b6ff1c0e";

    #[test]
    fn every_spelling_of_an_id_is_the_same_path_about_the_same_session() {
        let spelled = [
            ID.to_owned(),
            ID.to_uppercase(),
            ID.replace('-', ""),
            ID.replacen('0', "%30", 1),
            ID.replacen("c6f1", "%63%36f%31", 1),
            ID.to_uppercase().replace('-', "%2D"),
            format!("%7B{ID}%7d"),
            format!("urn%3auuid:{ID}"),
        ];
        for id in spelled {
            let path = canonical(&format!("/api/v1/sdk/sessions/{id}/rtms/start"));
            assert_eq!(path, format!("/api/v1/sdk/sessions/{ID}/rtms/start"), "{id}");
            assert_eq!(session_in(&path).map(|id| id.to_string()).as_deref(), Some(ID));
        }
    }

    #[test]
    fn what_is_no_id_stays_as_it_was_sent() {
        for path in ["/api/v1/sdk/sessions", "/api/v1/a%2Fb/%ff/c%20d", "/", ""] {
            assert_eq!(canonical(path), path);
        }
    }
}
