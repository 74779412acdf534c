//! Parses the answers of Zoom's OAuth (pure).

use serde::Deserialize;

use super::{OAuthError, RedirectAnswer, Tokens, UNSUPPORTED_GRANT, User};
use crate::json::{self, Number};
use crate::secret::Secret;

/// The longest name or id that is accepted.
const MAX_TEXT_BYTES: usize = 256;

#[derive(Deserialize)]
struct TokenBody {
    access_token: String,
    #[serde(default, deserialize_with = "json::or_none")]
    refresh_token: Option<String>,
    #[serde(default, deserialize_with = "json::or_none")]
    expires_in: Option<Number>,
    #[serde(default, deserialize_with = "json::or_none")]
    scope: Option<String>,
    #[serde(default, deserialize_with = "json::or_none")]
    api_url: Option<String>,
}

/// Reads tokens (section 15.2).
pub(super) fn read_tokens(body: &[u8]) -> Result<Tokens, OAuthError> {
    let body: TokenBody = json::from_slice(body).ok_or(OAuthError::Unreadable)?;
    if body.access_token.is_empty() || !body.access_token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(OAuthError::Unreadable);
    }
    Ok(Tokens {
        access: Secret::new(body.access_token),
        refresh: body.refresh_token.filter(|token| !token.is_empty()).map(Secret::new),
        expires_in_s: body.expires_in.map(Number::cut).filter(|seconds| *seconds >= 0),
        scope: body.scope.unwrap_or_default(),
        api_base_url: body.api_url,
    })
}

#[derive(Deserialize)]
struct UserBody {
    id: String,
    account_id: String,
    #[serde(default, deserialize_with = "json::or_none")]
    email: Option<String>,
    #[serde(default, deserialize_with = "json::or_none")]
    display_name: Option<String>,
    #[serde(default, deserialize_with = "json::or_none")]
    first_name: Option<String>,
    #[serde(default, deserialize_with = "json::or_none")]
    last_name: Option<String>,
}

/// Reads the answer of `GET /v2/users/me`.
pub(super) fn read_user(status: u16, body: &[u8]) -> Result<User, OAuthError> {
    match status {
        200 => {}
        401 => return Err(OAuthError::Dead),
        429 | 500.. => return Err(OAuthError::Failing(status)),
        _ => return Err(OAuthError::Misconfigured("it needs the scope user:read:user")),
    }
    let body: UserBody = json::from_slice(body).ok_or(OAuthError::Unreadable)?;
    let is_id = |text: &str| (1..=MAX_TEXT_BYTES).contains(&text.len());
    if !is_id(&body.id) || !is_id(&body.account_id) {
        return Err(OAuthError::Unreadable);
    }
    let full_name = [body.first_name, body.last_name].map(Option::unwrap_or_default).join(" ");
    let display_name = body.display_name.unwrap_or_default();
    let name = if display_name.trim().is_empty() { full_name } else { display_name };
    Ok(User {
        id: body.id,
        account_id: body.account_id,
        display_name: shortened(Some(name)),
        email: shortened(body.email),
    })
}

fn shortened(text: Option<String>) -> Option<String> {
    let text = text?.trim().to_owned();
    (1..=MAX_TEXT_BYTES).contains(&text.len()).then_some(text)
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default, deserialize_with = "json::or_none")]
    error: Option<String>,
    #[serde(default, deserialize_with = "json::or_none")]
    reason: Option<String>,
}

/// Maps an unsuccessful answer to an error (section 15.4). Zoom sends 400 and 401 for the same cause, so the body
/// decides. Only an answer about the grant itself ends the grant.
pub(super) fn read_refusal(status: u16, body: &[u8]) -> OAuthError {
    if status == 429 || status >= 500 {
        return OAuthError::Failing(status);
    }
    let Some(Refusal { error, reason }) = json::from_slice(body) else {
        return OAuthError::Failing(status);
    };
    let reason = reason.unwrap_or_default().to_ascii_lowercase();
    match error.unwrap_or_default().as_str() {
        // The reason first: Zoom sends these under more than one `error` (section 15.4).
        _ if reason.contains("redirect") => OAuthError::Misconfigured(
            "ZOOM_OAUTH_REDIRECT_URL is not among the redirect URLs of the app",
        ),
        _ if reason.contains("account does not exist") => {
            OAuthError::Misconfigured("ZOOM_ACCOUNT_ID is not the account of the client")
        }
        "invalid_client" => OAuthError::Misconfigured("its client id or client secret is wrong"),
        "unsupported_grant_type" | "unauthorized_client" => {
            OAuthError::Misconfigured(UNSUPPORTED_GRANT)
        }
        "invalid_grant" => OAuthError::Dead,
        "invalid_request" if reason.contains("token") || reason.contains("code") => {
            OAuthError::Dead
        }
        "invalid_request" | "invalid_scope" => {
            OAuthError::Misconfigured("it does not understand the request")
        }
        _ => OAuthError::Failing(status),
    }
}

/// What Zoom says of a redirect URL before it asks who the user is, as far as its answer can be understood. A refusal
/// is JSON or a page with Zoom's words for it; anything else leads on to the sign-in.
pub(super) fn read_redirect(status: u16, location: &str, body: &[u8]) -> RedirectAnswer {
    let body = String::from_utf8_lossy(body);
    // Spaces are %20 or + in an address.
    let location = location.replace('+', " ").replace("%20", " ");
    let says = |words: &str| {
        [&*location, &*body].iter().any(|text| text.to_ascii_lowercase().contains(words))
    };
    if says("invalid redirect") || says("redirect uri mismatch") {
        return RedirectAnswer::Mismatch;
    }
    if says("invalid client_id") || says("invalid client id") {
        return RedirectAnswer::UnknownClient;
    }
    match status {
        200..400 => RedirectAnswer::Accepted,
        _ => RedirectAnswer::Unclear(status),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(status: u16, error: &str, reason: &str) -> OAuthError {
        read_refusal(status, json!({"error": error, "reason": reason}).to_string().as_bytes())
    }

    #[test]
    fn the_documented_answer_is_read() {
        let body = br#"{"access_token":"eyJ.a","token_type":"bearer","refresh_token":"eyJ.r","expires_in":3599,
            "scope":"meeting:read:meeting_audio user:read:user","api_url":"https://api.zoom.us"}"#;
        let tokens = read_tokens(body).unwrap();
        assert_eq!(tokens.access.expose(), "eyJ.a");
        assert_eq!(tokens.refresh.unwrap().expose(), "eyJ.r");
        assert_eq!(tokens.expires_in_s, Some(3599));
        assert_eq!(tokens.scope, "meeting:read:meeting_audio user:read:user");
    }

    #[test]
    fn a_refresh_token_and_an_expiry_may_be_missing() {
        for body in [
            r#"{"access_token":"a"}"#,
            r#"{"access_token":"a","refresh_token":null,"expires_in":null}"#,
        ] {
            let tokens = read_tokens(body.as_bytes()).unwrap();
            assert!(tokens.refresh.is_none() && tokens.expires_in_s.is_none());
        }
        for (life, seconds) in [
            (r#""3599""#, Some(3599)),
            ("3599.5", Some(3599)),
            ("-1", None),
            (r#""soon""#, None),
            ("[]", None),
            ("1e999", None),
        ] {
            let odd = r#""refresh_token":7,"scope":["a"],"api_url":{}"#;
            let body = format!(r#"{{"access_token":"a","expires_in":{life},{odd}}}"#);
            let tokens = read_tokens(body.as_bytes()).unwrap();
            assert_eq!(tokens.expires_in_s, seconds, "{life}");
            assert!(tokens.refresh.is_none() && tokens.scope.is_empty());
        }
        for bad in ["", "[]", r#"{"access_token":""}"#, r#"{"access_token":"a\r\nb"}"#, "{}"] {
            assert!(matches!(read_tokens(bad.as_bytes()), Err(OAuthError::Unreadable)), "{bad}");
        }
    }

    #[test]
    fn the_cause_is_told_by_the_body_and_not_by_400_or_401() {
        for status in [400, 401] {
            assert_eq!(refused(status, "invalid_grant", "Invalid Token!"), OAuthError::Dead);
            assert_eq!(refused(status, "invalid_request", "Invalid Token!"), OAuthError::Dead);
            let code = "Invalid authorization code s3cret";
            assert_eq!(refused(status, "invalid_grant", code), OAuthError::Dead);
            for (error, reason) in [
                ("invalid_client", "Invalid client_id or client_secret"),
                ("invalid_request", "Redirect URI mismatch"),
                ("invalid_grant", "Redirect URI mismatch"),
                ("invalid_request", "Account does not exist"),
                ("unsupported_grant_type", ""),
            ] {
                let refused = refused(status, error, reason);
                assert!(matches!(refused, OAuthError::Misconfigured(_)), "{error} {reason}");
            }
        }
    }

    #[test]
    fn a_failure_at_zoom_does_not_end_a_grant() {
        for status in [429, 500, 502, 503] {
            let refused = refused(status, "invalid_grant", "Invalid Token!");
            assert_eq!(refused, OAuthError::Failing(status));
            assert!(refused.is_temporary());
        }
        assert_eq!(read_refusal(403, b"<html>a proxy</html>"), OAuthError::Failing(403));
        let odd = br#"{"error":"invalid_grant","reason":["cut \ud83d"]}"#;
        assert_eq!(read_refusal(400, odd), OAuthError::Dead);
    }

    #[test]
    fn an_error_contains_nothing_of_the_answer() {
        for reason in ["Invalid authorization code s3cret", "s3cret token", "redirect s3cret"] {
            assert!(!refused(400, "invalid_request", reason).to_string().contains("s3cret"));
        }
    }

    #[test]
    fn a_refused_redirect_url_is_recognized_by_zooms_words() {
        let of = |status, location, body: &str| read_redirect(status, location, body.as_bytes());
        let api = r#"{"status":false,"errorCode":4700, "errorMessage":"Invalid redirect url","result":null}"#;
        for body in
            [api, "<p>Invalid redirect: https://x.example/ (4,700)</p>", "Redirect URI mismatch."]
        {
            assert_eq!(of(200, "", body), RedirectAnswer::Mismatch, "{body}");
        }
        let elsewhere = "https://zoom.us/error?message=Invalid+redirect+url";
        assert_eq!(of(302, elsewhere, ""), RedirectAnswer::Mismatch);
        assert_eq!(of(400, "", "<h1>Invalid client_id</h1>"), RedirectAnswer::UnknownClient);
        assert_eq!(
            of(302, "https://zoom.us/oauth/signin?client_id=a", ""),
            RedirectAnswer::Accepted
        );
        assert_eq!(of(200, "", "<h1>Sign in</h1>"), RedirectAnswer::Accepted);
        assert_eq!(of(503, "", "<html>"), RedirectAnswer::Unclear(503));
    }

    #[test]
    fn a_user_is_read_with_and_without_a_name() {
        let body = json!({"id": "u1", "account_id": "a1", "email": "ana@example.com",
            "first_name": "Ana", "last_name": "Ruiz"});
        let ana = read_user(200, body.to_string().as_bytes()).unwrap();
        assert_eq!(ana.display_name.as_deref(), Some("Ana Ruiz"));
        assert_eq!(ana.email.as_deref(), Some("ana@example.com"));
        let plain = read_user(200, br#"{"id":"u1","account_id":"a1"}"#).unwrap();
        assert_eq!((plain.display_name, plain.email), (None, None));
        let odd = read_user(
            200,
            b"{\"id\":\"u1\",\"account_id\":\"a1\",\"email\":7,\"display_name\":\"Ana \\ud83d \xf0\x9f\"}",
        );
        let odd = odd.unwrap();
        assert_eq!(odd.display_name.as_deref(), Some("Ana \u{fffd} \u{fffd}"));
        assert_eq!(odd.email, None);
        assert_eq!(read_user(401, b"{}"), Err(OAuthError::Dead));
        assert!(matches!(read_user(400, br#"{"code":4711}"#), Err(OAuthError::Misconfigured(_))));
        assert_eq!(read_user(503, b""), Err(OAuthError::Failing(503)));
    }
}
