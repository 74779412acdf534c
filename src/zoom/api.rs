//! Zoom's REST API: start, stop, pause and resume of a stream (rtms-protocol.md section 14).

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::{sleep, timeout};

use super::client::{ZoomClient, failure};
use super::error::ZoomError;
use super::retry::{Next, Pauses, Tries, wait_ms};
use super::token::{Candidates, Granted, TokenError, Tokens};
use super::{Credentials, video_jwt};
use crate::clock;
use crate::json;
use crate::model::{Action, ChoiceReason, Chosen, Product};

/// No answer of Zoom's that we look into is longer.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Zoom's name for a request of ours, for its support.
const TRACKING_HEADER: &str = "x-zm-trackingid";
/// Where Zoom says how long to wait: with 429, and with 429 of a daily limit (section 14.5).
const WAIT_HEADERS: [&str; 2] = ["x-ratelimit-reset", "retry-after"];

/// All tries of one request together take no longer.
pub const LONGEST_CALL: Duration = Duration::from_secs(60);

/// One request about a conversation's stream.
#[derive(Debug, Clone)]
pub struct StatusChange<'a> {
    pub product: Product,
    /// The meeting's or webinar's number, the Video SDK session's id, the engagement's id.
    pub target: &'a str,
    pub action: Action,
    /// Whose meeting content is shared; the host's, when it is not said and the token is another's.
    pub participant_user_id: Option<&'a str>,
    pub host_id: Option<&'a str>,
    /// The meeting began a moment ago: Zoom may not know it yet.
    pub is_new: bool,
}

/// Zoom said yes.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    pub status: u16,
    /// Often there is none (section 14.1).
    pub body: Option<Value>,
}

#[derive(Debug, Error)]
pub enum CallError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Zoom(#[from] ZoomError),
}

/// Makes requests with whichever token fits, as often as it helps.
pub struct Api {
    client: ZoomClient,
    tokens: Tokens,
    /// Whose streams are meant: the RTMS app's client id.
    client_id: String,
    /// Makes the tokens for Video SDK sessions, where it is set.
    video: Option<VideoApi>,
    pauses: Pauses,
}

/// The Video SDK's REST API takes no OAuth token but a JWT (section 14.3).
pub struct VideoApi {
    /// The account's Video SDK API key and secret, not the SDK's own.
    pub pair: Credentials,
    pub base_url: String,
    /// The wall clock, Unix milliseconds.
    pub now_ms: fn() -> i64,
}

impl VideoApi {
    fn granted(&self) -> Granted {
        let access_token = video_jwt::token(&self.pair, (self.now_ms)());
        Granted { installation: None, access_token, api_base_url: self.base_url.clone() }
    }
}

impl Api {
    pub fn new(
        client: ZoomClient,
        tokens: Tokens,
        client_id: String,
        video: Option<VideoApi>,
        pauses: Pauses,
    ) -> Self {
        Self { client, tokens, client_id, video, pauses }
    }

    /// Chooses the token for a request: the Video SDK API key for a Video SDK session if one is set, else as
    /// [`Tokens::choose`] decides.
    pub async fn choose(
        &self,
        product: Product,
        known: &Candidates<'_>,
    ) -> Result<Chosen, TokenError> {
        if product == Product::VideoSdk && self.video.is_some() {
            if known.allowed.is_some() {
                return Err(TokenError::NotAllowed);
            }
            return Ok(Chosen { installation_id: None, reason: ChoiceReason::VideoSdkKey });
        }
        self.tokens.choose(known).await
    }

    /// Asks Zoom, in bounded time. A yes means that Zoom will try: what comes of it is told by webhook.
    pub async fn change_status(
        &self,
        chosen: &Chosen,
        change: &StatusChange<'_>,
    ) -> Result<Accepted, CallError> {
        let tried = timeout(LONGEST_CALL, self.try_until_answered(chosen, change)).await;
        tried.unwrap_or_else(|_| Err(ZoomError::no_answer().into()))
    }

    async fn try_until_answered(
        &self,
        chosen: &Chosen,
        change: &StatusChange<'_>,
    ) -> Result<Accepted, CallError> {
        let mut granted = match &self.video {
            Some(video) if change.product == Product::VideoSdk => video.granted(),
            _ => self.tokens.token(&chosen.wanted()).await?,
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
                    // There is no other: Zoom's refusal says more.
                    Err(TokenError::Missing(_)) => return Err(error.into()),
                    Err(other) => return Err(other.into()),
                },
                Next::TryAfter(wait) => sleep(wait).await,
            }
        }
    }

    async fn try_once(
        &self,
        granted: &Granted,
        change: &StatusChange<'_>,
    ) -> Result<Accepted, ZoomError> {
        let (method, path) = endpoint(change.product, change.target);
        let url = format!("{}{path}", granted.api_base_url);
        let answer = self
            .client
            .request(method, &url)
            .bearer_auth(granted.access_token.expose())
            .json(&body(&self.client_id, change, participant(granted, change)))
            .send()
            .await;
        let answer = answer.map_err(|error| {
            let cause = failure(&error);
            tracing::debug!(%cause, "a request to Zoom got no answer; it is reported as such to the caller");
            ZoomError::no_answer()
        })?;
        read_answer(answer).await
    }
}

async fn read_answer(mut answer: Response) -> Result<Accepted, ZoomError> {
    let status = answer.status();
    let tracking_id = header(answer.headers(), TRACKING_HEADER).map(str::to_owned);
    let now_ms = clock::now_ms();
    let wait =
        WAIT_HEADERS.into_iter().find_map(|name| wait_ms(header(answer.headers(), name)?, now_ms));
    let mut body = Vec::new();
    // A body that breaks off or is too long is no reason to doubt the status.
    while let Ok(Some(chunk)) = answer.chunk().await {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        let body = json::from_slice(&body);
        return Ok(Accepted { status: status.as_u16(), body });
    }
    Err(ZoomError::from_answer(status.as_u16(), &body, tracking_id, wait))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Sections 14.1, 14.3, 14.4.
fn endpoint(product: Product, target: &str) -> (Method, String) {
    let id = encoded(target);
    match product {
        Product::Meeting | Product::Webinar => {
            (Method::PATCH, format!("/v2/live_meetings/{id}/rtms_app/status"))
        }
        Product::VideoSdk => {
            let id = if target.contains('/') { encoded(&id) } else { id };
            (Method::PATCH, format!("/v2/videosdk/sessions/{id}/rtms_app/status"))
        }
        Product::ContactCenter => {
            let id = if target.contains('/') { encoded(&id) } else { id };
            (Method::PUT, format!("/v2/contact_center/{id}/rtms_app/status"))
        }
    }
}

/// Without one, Zoom takes the token's own user (section 14.1).
fn participant<'a>(granted: &Granted, change: &StatusChange<'a>) -> Option<&'a str> {
    let token_user = granted.installation.as_ref().map(|installation| &*installation.user_id);
    let host = change.host_id.filter(|host| token_user != Some(host));
    change.participant_user_id.or(host)
}

fn body(client_id: &str, change: &StatusChange<'_>, participant: Option<&str>) -> Value {
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

/// A path segment: everything but RFC 3986's unreserved characters as `%XX`.
fn encoded(text: &str) -> String {
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
        let path = |product, target| endpoint(product, target);
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
    }

    #[test]
    fn an_id_with_a_slash_is_encoded_twice() {
        let (_, path) = endpoint(Product::VideoSdk, "/abc//d=");
        assert_eq!(path, "/v2/videosdk/sessions/%252Fabc%252F%252Fd%253D/rtms_app/status");
    }

    #[test]
    fn a_target_cannot_leave_its_place_in_the_path() {
        let (_, path) = endpoint(Product::Meeting, "../x?y#z");
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
            body("c1", &change(Product::Meeting), Some("u1")),
            json!({"action": "start", "settings": {"client_id": "c1", "participant_user_id": "u1"}})
        );
        assert_eq!(
            body("c1", &change(Product::ContactCenter), None),
            json!({"action": "start", "settings": {"client_id": "c1"}})
        );
        assert_eq!(body("c1", &change(Product::VideoSdk), None), json!({"action": "start"}));
    }
}
