//! CORS: pages of the origins in `CORS_ALLOWED_ORIGINS` may use the API from a browser.
//!
//! Credentials are never allowed: these pages need a token or a ticket. The cookie of the dashboard is for its own pages.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use url::Url;

use super::AppState;

/// The most origins; a longer list is a mistake.
const MAX_ORIGINS: usize = 256;
const METHODS: &str = "GET, HEAD, POST, PATCH, DELETE";
/// The headers that a page may send.
const REQUEST_HEADERS: &str = "accept, authorization, content-type, idempotency-key, if-none-match, \
                               if-range, last-event-id, range";
/// The headers that a page may read.
const RESPONSE_HEADERS: &str = "accept-ranges, allow, content-disposition, content-length, \
                                content-range, etag, idempotency-replayed, retry-after, x-request-id";
/// How long a browser may cache the answer to a preflight, in seconds.
const MAX_AGE_S: &str = "600";

/// Exact origins, as browsers write them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedOrigins(Vec<HeaderValue>);

impl AllowedOrigins {
    /// Parses origins such as `https://app.example.com`, separated by commas.
    ///
    /// # Errors
    /// The position of an invalid entry and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let mut origins = Vec::new();
        for (index, part) in parts.enumerate() {
            let origin = parse_origin(part)
                .ok_or_else(|| format!("entry {} is not an origin", index + 1))?;
            origins.push(origin);
        }
        if origins.len() > MAX_ORIGINS {
            return Err(format!("at most {MAX_ORIGINS} are allowed"));
        }
        Ok(Self(origins))
    }

    /// Whether no origin is allowed.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The request's origin, if it is listed.
    fn allowed<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        headers.get(header::ORIGIN).filter(|origin| self.0.contains(origin))
    }
}

/// Parses an origin: scheme, host and port only. `*` and `null` are rejected because they match every page.
fn parse_origin(text: &str) -> Option<HeaderValue> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let origin = url.origin().ascii_serialization();
    let is_exact = text.trim_end_matches('/').eq_ignore_ascii_case(&origin) && !text.contains('*');
    HeaderValue::from_str(&origin).ok().filter(|_| is_exact)
}

/// Answers preflights, and allows the page of a listed origin to read every other answer. Not installed if the list is
/// empty: answers then carry no `vary`, and caches need not split them.
pub async fn apply_cors(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    let origin = state.cors.allowed(request.headers()).cloned();
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match &origin {
        Some(_) if is_preflight => preflight_response(),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    // Also for unlisted origins: a cache must not serve their answer to a listed one (Fetch standard, CORS and
    // caches).
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let readable = HeaderValue::from_static(RESPONSE_HEADERS);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, readable);
    }
    response
}

/// The answer to a preflight: what a listed page may request. A preflight carries no token, so none is checked.
fn preflight_response() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact_and_written_as_browsers_do() {
        let read = |text: &str| AllowedOrigins::parse(text).unwrap().0;
        assert_eq!(read(""), Vec::<HeaderValue>::new());
        let both = read("https://App.Example.com/, http://localhost:5173");
        assert_eq!(both, ["https://app.example.com", "http://localhost:5173"]);
        assert_eq!(read("https://app.example.com"), ["https://app.example.com"]);
    }

    #[test]
    fn anything_but_a_single_origin_is_refused_by_position() {
        for bad in [
            "*",
            "null",
            "https://*.example.com",
            "app.example.com",
            "https://app.example.com/path",
            "https://app.example.com?x",
            "https://user@app.example.com",
            "file:///tmp",
            "ftp://app.example.com",
        ] {
            let refused = AllowedOrigins::parse(&format!("http://localhost,{bad}")).unwrap_err();
            assert_eq!(refused, "entry 2 is not an origin", "{bad}");
        }
        let many = "https://a.example,".repeat(MAX_ORIGINS + 1);
        assert!(AllowedOrigins::parse(&many).is_err());
    }
}
