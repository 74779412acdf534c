//! A URL validation that a daemon sends to its own webhook URL, signed as Zoom signs it (rtms-protocol.md section 13.3).

use std::time::{Duration, Instant};

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::app::App;
use super::client::{Answer, ClientError, ZoomClient};
use super::event::URL_VALIDATION;
use super::signature::{PlainToken, SIGNATURE_HEADER, TIMESTAMP_HEADER, WebhookKey};
use crate::json;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    pub took: Duration,
    /// Whether it is the answer that only a holder of the secret token can give.
    pub is_right: bool,
    /// The code of an error, if a daemon answered with one.
    pub code: Option<String>,
}

/// Sends a validation to `url`, signed with the newest secret token of the app; `None` if the app has none.
///
/// # Errors
/// There was no answer.
pub async fn validate_own_url(
    client: &ZoomClient,
    app: &App,
    url: &str,
    now_ms: i64,
    random: [u8; 16],
) -> Option<Result<Answered, ClientError>> {
    let key = WebhookKey::new(app.secret_tokens.first()?);
    let plain_token = PlainToken::of_daemon(random);
    let payload = json!({ "plainToken": plain_token.as_str() });
    let body = json!({ "payload": payload, "event_ts": now_ms, "event": URL_VALIDATION });
    let (body, now_s) = (body.to_string(), now_ms.div_euclid(1000));
    let request = client
        .request(Method::POST, url)
        .header("content-type", "application/json; charset=utf-8")
        .header(TIMESTAMP_HEADER, now_s.to_string())
        .header(SIGNATURE_HEADER, key.sign(now_s, body.as_bytes()))
        .body(body);
    let began = Instant::now();
    let answer = client.send_uncounted(request).await;
    let took = began.elapsed();
    Some(answer.map(|answer| read_answer(&answer, took, &key, &plain_token)))
}

#[derive(Deserialize)]
struct Body {
    #[serde(default, rename = "encryptedToken", deserialize_with = "json::or_none")]
    encrypted_token: Option<String>,
    #[serde(default, deserialize_with = "json::or_none")]
    error: Option<ErrorBody>,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: String,
}

fn read_answer(
    answer: &Answer,
    took: Duration,
    key: &WebhookKey,
    plain_token: &PlainToken,
) -> Answered {
    let body: Option<Body> = json::from_slice(&answer.body);
    let (token, error) = body.map_or((None, None), |body| (body.encrypted_token, body.error));
    let is_right = answer.status.is_success()
        && token.is_some_and(|token| token == key.encrypted_token(plain_token));
    // Ours have lower-case letters; anything else is not shown.
    let is_code = |code: &String| {
        code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    let code = error.map(|error| error.code).filter(is_code);
    Answered { status: answer.status.as_u16(), took, is_right, code }
}
