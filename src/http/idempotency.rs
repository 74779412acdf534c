//! Requests that change something: carried out to their end, and once for each `Idempotency-Key`.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};

use super::auth::Caller;
use super::error::ApiError;
use super::request::RequestId;
use super::{AppState, body};
use crate::model::SessionId;
use crate::store::{IdempotencyKey, Kept, Taken};

const KEY_HEADER: &str = "idempotency-key";
const SESSIONS_PATH: &str = "/api/v1/sdk/sessions/";
/// Says that an answer was given before.
const REPLAYED_HEADER: &str = "idempotency-replayed";
const MAX_KEY_BYTES: usize = 255;
/// Our requests' bodies, metadata and all.
const MAX_BODY_BYTES: usize = 16 * 1024;
/// Longer than a request can take: after this its daemon has died.
const IN_PROGRESS_MS: i64 = 3 * 60 * 1000;
const KEEP_MS: i64 = 24 * 60 * 60 * 1000;

/// On a response: the session that it is about, where the path does not name it.
#[derive(Debug, Clone, Copy)]
pub struct AboutSession(pub SessionId);

/// Lets a POST run to its end even when its client hangs up; with a key, the same request is answered the same for 24 h.
pub async fn once(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    Extension(request_id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if request.method() != Method::POST {
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let bytes = body::read(body, MAX_BODY_BYTES, state.body_timeout).await?;
    let digest = hex::encode(Sha256::digest(&bytes));
    let key = key_of(&parts.headers)?.map(|key| IdempotencyKey {
        token: caller.name.to_string(),
        path: parts.uri.path().to_owned(),
        key,
    });
    let request = Request::from_parts(parts, Body::from(bytes));
    let requests = state.requests.clone();
    let work = async move {
        match key {
            None => Ok(next.run(request).await),
            Some(key) => run_once(&state, &key, &digest, &request_id, request, next).await,
        }
    };
    match requests.spawn(work).await {
        Ok(answer) => answer,
        // Caught again, and counted, where every panic is.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(ApiError::Panicked),
    }
}

async fn run_once(
    state: &AppState,
    key: &IdempotencyKey,
    digest: &str,
    RequestId(request_id): &RequestId,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let now_ms = (state.now_ms)();
    let until_ms = now_ms.saturating_add(IN_PROGRESS_MS);
    match state.store.take_idempotency_key(key, digest, now_ms, until_ms).await? {
        Taken::Ours => {}
        Taken::Answered(kept) => return Ok(replayed(kept)),
        Taken::InProgress => return Err(ApiError::KeyInProgress),
        Taken::OtherBody => return Err(ApiError::KeyReused),
        Taken::Deleted => return Err(ApiError::AnswerDeleted),
    }
    let mut response = next.run(request).await;
    let error = response.extensions_mut().remove::<ApiError>();
    // What may succeed at the next try is not held against it.
    let may_pass = error.as_ref().map_or(response.status().is_server_error(), |error| {
        error.is_retryable() || error.status().is_server_error()
    });
    if let Some(error) = error {
        error.render(&mut response, request_id);
    }
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.map_err(|_| ApiError::Panicked)?.to_bytes();
    let kept = if may_pass {
        state.store.release_idempotency_key(key).await
    } else {
        let body = String::from_utf8_lossy(&bytes).into_owned();
        let kept = Kept { status: parts.status.as_u16(), body };
        let made = parts.extensions.get().map(|AboutSession(id)| *id);
        let about = made.or_else(|| session_in(&key.path));
        // Where there is no session there is nothing of it in the answer.
        let about = about.filter(|_| parts.status != StatusCode::NOT_FOUND);
        state.store.keep_answer(key, &kept, about, now_ms.saturating_add(KEEP_MS)).await
    };
    if let Err(error) = kept {
        // The answer is true all the same; the key frees itself.
        tracing::warn!(request_id, %error, "an answer could not be kept for its repetition");
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(KEY_HEADER) else { return Ok(None) };
    let key = value.to_str().unwrap_or_default();
    let fits = (1..=MAX_KEY_BYTES).contains(&key.len());
    if fits {
        return Ok(Some(key.to_owned()));
    }
    let problem = "must be 1 to 255 characters of printable ASCII";
    Err(ApiError::InvalidValue { name: KEY_HEADER, problem })
}

/// The session that a path names.
fn session_in(path: &str) -> Option<SessionId> {
    let (id, _) = path.strip_prefix(SESSIONS_PATH)?.split_once('/')?;
    SessionId::parse(id)
}

fn replayed(kept: Kept) -> Response {
    let mut response = Response::new(Body::from(kept.body));
    // Only statuses of ours are kept.
    *response.status_mut() = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
    response
}
