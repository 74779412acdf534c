//! Browsers that are signed in to the dashboard: a cookie, exchanged for an API token, stands for that token.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};

use super::KnownTokens;
use super::one_time_codes::OneTimeCodes;
use super::same_origin::is_same_origin;
use super::session_cookie;
use super::session_keys::{BrowserId, SessionKeys};
use super::tokens::ApiToken;
use crate::http::AppState;
use crate::http::audit::Trail;
use crate::http::error::ApiError;
use crate::seal::{KeyRing, random_bytes};
use crate::store::DashboardSession;

/// The header in which a page of the dashboard proves that it sent a change.
pub const CSRF_HEADER: &str = "rtmsd-csrf";
/// The most browsers that are signed in with one token; the oldest are signed out.
const MAX_SESSIONS: u32 = 100;

/// The sessions of the dashboard.
pub struct Browsers {
    keys: SessionKeys,
    limits: SessionLimits,
    /// Whether browsers use https: then the cookie is restricted to it.
    is_https: bool,
    /// An address of the daemon beside the one in the header `host`; may be empty.
    public_url: String,
    /// The codes of links that sign in.
    pub codes: OneTimeCodes,
}

/// When a session ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// After its last use.
    pub idle: Duration,
    /// After the sign-in.
    pub longest: Duration,
}

/// The session of a request, for the pages that it gets.
#[derive(Debug, Clone)]
pub(in crate::http) struct SignedIn {
    /// What a change must carry in [`CSRF_HEADER`].
    pub csrf: String,
}

impl Browsers {
    /// Sessions under keys that are derived from `ring`.
    pub fn new(
        ring: &KeyRing,
        codes: OneTimeCodes,
        limits: SessionLimits,
        is_https: bool,
        public_url: &str,
    ) -> Self {
        let (keys, public_url) = (SessionKeys::new(ring), public_url.to_owned());
        Self { keys, limits, is_https, public_url, codes }
    }

    /// Whether a browser sent this request for a page of the daemon.
    pub(in crate::http) fn is_same_origin(&self, headers: &HeaderMap) -> bool {
        is_same_origin(headers, &self.public_url)
    }

    /// The id in the request's cookie that was signed here.
    fn id_of(&self, headers: &HeaderMap) -> Option<BrowserId> {
        let mut values = session_cookie::values_in(headers, self.is_https);
        values.find_map(|value| self.keys.read(value))
    }

    /// The browser that sent a request; `None` without a cookie of ours.
    ///
    /// # Errors
    /// The request could have been made by a page of another origin. `needs_proof` demands the proof of a request that
    /// changes nothing, too.
    pub(super) fn browser_of(
        &self,
        request: &Request,
        needs_proof: bool,
    ) -> Result<Option<BrowserId>, ApiError> {
        let headers = request.headers();
        let Some(id) = self.id_of(headers) else { return Ok(None) };
        let is_change = ![Method::GET, Method::HEAD].contains(request.method());
        let needs_proof = needs_proof || is_change || headers.contains_key(header::UPGRADE);
        if needs_proof && !self.is_same_origin(headers) {
            return Err(ApiError::CrossOrigin);
        }
        let csrf = || headers.get(CSRF_HEADER).map_or(&b""[..], HeaderValue::as_bytes);
        if is_change && !self.keys.is_csrf(id, csrf()) {
            return Err(ApiError::CsrfMissing);
        }
        Ok(Some(id))
    }

    /// The token of a signed-in browser.
    ///
    /// # Errors
    /// The session was ended or has reached a limit, or its token is no longer valid.
    pub(super) async fn token_of<'a>(
        &self,
        state: &AppState,
        known: &'a KnownTokens,
        id: BrowserId,
    ) -> Result<(&'a ApiToken, SignedIn), ApiError> {
        let (row_id, now_ms) = (id.row_id(), (state.now_ms)());
        let session = state.store.dashboard_session(&row_id).await?.ok_or(ApiError::SignedOut)?;
        let token = known.named(&session.token).ok_or(ApiError::SignedOut)?;
        let is_bound = self.keys.is_bound(id, &token.hash, &session.binding);
        if !is_bound || self.is_over(&session, now_ms) {
            return Err(ApiError::SignedOut);
        }
        if session.is_note_due(now_ms) {
            state.store.note_dashboard_session_used(&row_id, now_ms).await?;
        }
        Ok((token, SignedIn { csrf: self.keys.csrf(id) }))
    }

    fn is_over(&self, session: &DashboardSession, now_ms: i64) -> bool {
        let idle_until_ms = session.seen_at_ms.saturating_add(millis(self.limits.idle));
        now_ms >= session.until_ms || now_ms >= idle_until_ms
    }

    /// Signs a browser in with a token, under a new id. Returns the cookie.
    pub(super) async fn begin(
        &self,
        state: &AppState,
        token: &ApiToken,
        trail: &Trail,
    ) -> Result<HeaderValue, ApiError> {
        let (id, now_ms) = (BrowserId::new(random_bytes()), (state.now_ms)());
        let session = DashboardSession {
            id: id.row_id(),
            token: token.name.to_string(),
            binding: self.keys.binding(id, &token.hash),
            made_at_ms: now_ms,
            seen_at_ms: now_ms,
            until_ms: now_ms.saturating_add(millis(self.limits.longest)),
        };
        let act = trail.act(now_ms, "dashboard.sign_in", &token.name);
        state.store.begin_dashboard_session(&session, MAX_SESSIONS, &act).await?;
        Ok(session_cookie::set(&self.keys.cookie(id), self.is_https))
    }

    /// Signs the browser of a request out, which a page of ours must have asked for with the value of its session.
    /// Returns the cookie that removes it.
    pub(super) async fn end(
        &self,
        state: &AppState,
        headers: &HeaderMap,
        csrf: &str,
        trail: &Trail,
    ) -> Result<HeaderValue, ApiError> {
        if let Some(id) = self.id_of(headers) {
            if !self.keys.is_csrf(id, csrf.as_bytes()) {
                return Err(ApiError::CsrfMissing);
            }
            self.delete(state, id, trail).await?;
        }
        Ok(session_cookie::remove(self.is_https))
    }

    async fn delete(&self, state: &AppState, id: BrowserId, trail: &Trail) -> Result<(), ApiError> {
        let row_id = id.row_id();
        // Without a row, the session has ended in another way.
        let Some(session) = state.store.dashboard_session(&row_id).await? else { return Ok(()) };
        trail.set_actor(&session.token.as_str().into());
        let act = trail.act((state.now_ms)(), "dashboard.sign_out", &session.token);
        state.store.end_dashboard_session(&row_id, &act).await?;
        Ok(())
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
