//! Zoom's REST API: start, stop, pause and resume of a stream (rtms-protocol.md section 14), and which meetings run.

mod meetings;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::{sleep, timeout};
use tracing::{Instrument, field, info_span};

use super::app::App;
use super::client::{ZoomApi, ZoomClient, request_failure};
use super::error::ZoomError;
use super::retry::{Next, Pauses, Tries};
use super::token::{Candidates, Granted, TokenError, Tokens};
use super::{Credentials, video_jwt};
use crate::clock;
use crate::json;
use crate::model::{Action, ChoiceReason, Chosen, Product};
use crate::net::retry_after::wait_ms;
use crate::telemetry::TRACES;

pub use self::meetings::{LiveMeeting, MeetingState};

/// The most bytes of an answer that are parsed.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// The header with Zoom's id for a request, which Zoom's support asks for.
const TRACKING_HEADER: &str = "x-zm-trackingid";
/// The headers with the wait after a 429, and after a 429 of a daily limit (section 14.5).
const WAIT_HEADERS: [&str; 2] = ["x-ratelimit-reset", "retry-after"];

/// The most that all tries of one request take together.
pub const LONGEST_CALL: Duration = Duration::from_secs(60);

/// A request to start, stop, pause or resume a conversation's stream.
#[derive(Debug, Clone)]
pub struct StatusChange<'a> {
    pub product: Product,
    /// The number of a meeting or webinar, or the id of a Video SDK session or engagement.
    pub target: &'a str,
    pub action: Action,
    /// The participant that the app runs for (section 14.1). Without one, the host if the token belongs to another
    /// user.
    pub participant_user_id: Option<&'a str>,
    pub host_id: Option<&'a str>,
    /// Whether the meeting has just begun, so that Zoom may not know it yet.
    pub is_new: bool,
}

/// Zoom accepted the request.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    pub status: u16,
    /// The body, which is often empty (section 14.1).
    pub body: Option<Value>,
}

#[derive(Debug, Error)]
pub enum CallError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Zoom(#[from] ZoomError),
}

/// Sends requests with the chosen token, and retries where that can help.
pub struct Api {
    client: ZoomClient,
    tokens: Tokens,
    pauses: Pauses,
    /// The wall clock, Unix milliseconds.
    now_ms: fn() -> i64,
}

impl Api {
    pub fn new(client: ZoomClient, tokens: Tokens, pauses: Pauses, now_ms: fn() -> i64) -> Self {
        Self { client, tokens, pauses, now_ms }
    }

    /// Chooses the token for a request: the app's Video SDK API key for a Video SDK session if it has one, else as
    /// [`Tokens::choose`] decides.
    pub async fn choose(
        &self,
        app: &App,
        product: Product,
        known: &Candidates<'_>,
    ) -> Result<Chosen, TokenError> {
        if product == Product::VideoSdk && app.video_api.is_some() {
            if known.allowed.is_some() {
                return Err(TokenError::NotAllowed);
            }
            return Ok(Chosen { installation_id: None, reason: ChoiceReason::VideoSdkKey });
        }
        self.tokens.choose(known).await
    }

    /// Sends a request, in bounded time. An accepted request has not taken effect yet: a webhook reports that.
    pub async fn change_status(
        &self,
        app: &Arc<App>,
        chosen: &Chosen,
        change: &StatusChange<'_>,
    ) -> Result<Accepted, CallError> {
        let tried = timeout(LONGEST_CALL, self.try_until_answered(app, chosen, change)).await;
        tried.unwrap_or_else(|_| Err(ZoomError::no_answer().into()))
    }

    async fn try_until_answered(
        &self,
        app: &Arc<App>,
        chosen: &Chosen,
        change: &StatusChange<'_>,
    ) -> Result<Accepted, CallError> {
        let mut granted = match &app.video_api {
            Some(pair) if change.product == Product::VideoSdk => self.video_granted(app, pair),
            _ => self.tokens.token(&chosen.wanted(&app.name)).await?,
        };
        let mut tries = Tries::default();
        loop {
            let error = match self.try_once(&granted, change).await {
                Ok(accepted) => return Ok(accepted),
                Err(error) => error,
            };
            match tries.after(&error, change.is_new, &self.pauses) {
                Next::GiveUp => return Err(error.into()),
                Next::ReplaceToken => match self.tokens.replace(&granted).await {
                    Ok(other) => granted = other,
                    // There is no other token. Zoom's refusal says more than the failed replacement.
                    Err(TokenError::Missing(_)) => return Err(error.into()),
                    Err(other) => return Err(other.into()),
                },
                Next::TryAfter(wait) => sleep(wait).await,
            }
        }
    }

    /// The token for the Video SDK's REST API, which requires a JWT instead of an OAuth token (section 14.3).
    fn video_granted(&self, app: &Arc<App>, pair: &Credentials) -> Granted {
        Granted {
            app: Arc::clone(app),
            installation: None,
            access_token: video_jwt::token(pair, (self.now_ms)()),
            api_base_url: app.api_base_url.clone(),
        }
    }

    async fn try_once(
        &self,
        granted: &Granted,
        change: &StatusChange<'_>,
    ) -> Result<Accepted, ZoomError> {
        let (method, template) = status_endpoint(change.product);
        let span = info_span!(
            target: TRACES, "zoom.api", otel.kind = "client", otel.name = format_args!("{method} {template}"),
            http.request.method = %method, url.template = template, app = %granted.app.name,
            http.response.status_code = field::Empty, "error.type" = field::Empty,
        );
        let sending = send(&self.client, granted, change, method, template);
        let answer = sending.instrument(span.clone()).await;
        let status = match &answer {
            Ok(accepted) => Some(accepted.status),
            Err(error) => {
                span.record("error.type", error.problem.code());
                error.answer.as_ref().map(|answer| answer.status)
            }
        };
        span.record("http.response.status_code", status.map(i64::from));
        answer
    }
}

/// Sends a request once, without retries, with a token that the caller has.
pub async fn change_status_once(
    client: &ZoomClient,
    granted: &Granted,
    change: &StatusChange<'_>,
) -> Result<Accepted, ZoomError> {
    let (method, template) = status_endpoint(change.product);
    send(client, granted, change, method, template).await
}

async fn send(
    client: &ZoomClient,
    granted: &Granted,
    change: &StatusChange<'_>,
    method: Method,
    template: &str,
) -> Result<Accepted, ZoomError> {
    let path = status_path(template, change.product, change.target);
    let url = format!("{}{path}", granted.api_base_url);
    let body = status_body(&granted.app.client.id, change, participant_id(granted, change));
    let request =
        client.request(method, &url).bearer_auth(granted.access_token.expose()).json(&body);
    let answer = client.start(&granted.app.name, ZoomApi::Rest, request).await;
    let answer = answer.map_err(|error| {
        let cause = request_failure(&error);
        tracing::debug!(%cause, "a request to Zoom got no answer; it is reported as such to the caller");
        ZoomError::no_answer()
    })?;
    read_answer(answer).await
}

async fn read_answer(mut answer: Response) -> Result<Accepted, ZoomError> {
    let status = answer.status();
    let tracking_id = header_text(answer.headers(), TRACKING_HEADER).map(str::to_owned);
    let now_ms = clock::now_ms();
    let wait = WAIT_HEADERS
        .into_iter()
        .find_map(|name| wait_ms(header_text(answer.headers(), name)?, now_ms));
    let mut body = Vec::new();
    // The status counts even if the body is cut off or too long.
    while let Ok(Some(chunk)) = answer.chunk().await {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        // `None` for the empty body of most successes.
        let body = json::from_slice(&body);
        return Ok(Accepted { status: status.as_u16(), body });
    }
    Err(ZoomError::from_answer(status.as_u16(), &body, tracking_id, wait))
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The method and path of a request (sections 14.1, 14.3, 14.4), with `{id}` for the conversation.
fn status_endpoint(product: Product) -> (Method, &'static str) {
    match product {
        Product::Meeting | Product::Webinar => {
            (Method::PATCH, "/v2/live_meetings/{id}/rtms_app/status")
        }
        Product::VideoSdk => (Method::PATCH, "/v2/videosdk/sessions/{id}/rtms_app/status"),
        Product::ContactCenter => (Method::PUT, "/v2/contact_center/{id}/rtms_app/status"),
        // Announced, not released (section 23.3).
        Product::Phone => (Method::PATCH, "/v2/phone/calls/{id}/rtms_app/status"),
    }
}

/// The path with the id of the conversation.
fn status_path(template: &str, product: Product, target: &str) -> String {
    let id = encode_segment(target);
    let is_meeting = matches!(product, Product::Meeting | Product::Webinar);
    // Zoom decodes an id with a slash twice (section 14.3). Section 14.4 does not mention slashes: as in section 14.3.
    let id = if !is_meeting && target.contains('/') { encode_segment(&id) } else { id };
    template.replace("{id}", &id)
}

/// The participant to name in the request. Without one, Zoom uses the token's own user (section 14.1).
fn participant_id<'a>(granted: &Granted, change: &StatusChange<'a>) -> Option<&'a str> {
    let token_user = granted.installation.as_ref().map(|installation| &*installation.user_id);
    let host = change.host_id.filter(|host| token_user != Some(host));
    change.participant_user_id.or(host)
}

fn status_body(client_id: &str, change: &StatusChange<'_>, participant: Option<&str>) -> Value {
    let action = change.action;
    if change.product == Product::VideoSdk {
        return json!({ "action": action });
    }
    let mut settings = json!({ "client_id": client_id });
    if let Some(user) = participant {
        settings["participant_user_id"] = user.into();
    }
    json!({ "action": action, "settings": settings })
}

/// Percent-encodes a path segment: every byte except RFC 3986's unreserved characters.
fn encode_segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_product_has_its_endpoint() {
        let path = |product, target| {
            let (method, template) = status_endpoint(product);
            (method, status_path(template, product, target))
        };
        assert_eq!(
            path(Product::Meeting, "91234567890"),
            (Method::PATCH, "/v2/live_meetings/91234567890/rtms_app/status".into())
        );
        assert_eq!(path(Product::Webinar, "9"), path(Product::Meeting, "9"));
        assert_eq!(
            path(Product::VideoSdk, "a+b=="),
            (Method::PATCH, "/v2/videosdk/sessions/a%2Bb%3D%3D/rtms_app/status".into())
        );
        assert_eq!(
            path(Product::ContactCenter, "e1"),
            (Method::PUT, "/v2/contact_center/e1/rtms_app/status".into())
        );
        assert_eq!(
            path(Product::Phone, "c1"),
            (Method::PATCH, "/v2/phone/calls/c1/rtms_app/status".into())
        );
    }

    #[test]
    fn an_id_with_a_slash_is_encoded_twice() {
        let path = status_path(status_endpoint(Product::VideoSdk).1, Product::VideoSdk, "/abc//d=");
        assert_eq!(path, "/v2/videosdk/sessions/%252Fabc%252F%252Fd%253D/rtms_app/status");
    }

    #[test]
    fn a_target_cannot_leave_its_place_in_the_path() {
        let path = status_path(status_endpoint(Product::Meeting).1, Product::Meeting, "../x?y#z");
        assert_eq!(path, "/v2/live_meetings/..%2Fx%3Fy%23z/rtms_app/status");
    }

    #[test]
    fn the_body_names_the_app_and_the_participant() {
        let change = |product| StatusChange {
            product,
            target: "1",
            action: Action::Start,
            participant_user_id: None,
            host_id: None,
            is_new: false,
        };
        assert_eq!(
            status_body("c1", &change(Product::Meeting), Some("u1")),
            json!({"action": "start", "settings": {"client_id": "c1", "participant_user_id": "u1"}})
        );
        assert_eq!(
            status_body("c1", &change(Product::ContactCenter), None),
            json!({"action": "start", "settings": {"client_id": "c1"}})
        );
        assert_eq!(status_body("c1", &change(Product::VideoSdk), None), json!({"action": "start"}));
    }
}
