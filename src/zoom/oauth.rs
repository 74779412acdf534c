//! Zoom's OAuth: the authorize URL, tokens, revocation, and the user of a token (rtms-protocol.md section 15).

mod answer;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION};
use sha2::{Digest, Sha256};
use thiserror::Error;
use url::{Host, Url, form_urlencoded};

use super::Credentials;
use super::app::App;
use super::client::{ClientError, ZoomClient};
use crate::metrics::Metrics;
use crate::secret::Secret;

/// The domains at which a token's own REST API may be (section 15: `api_url`).
const API_HOSTS: [&str; 3] = ["zoom.us", "zoom.com", "zoomgov.com"];

/// Why an app gets no token, although its credentials may be right: a General App without a bot has no token of its own.
pub const UNSUPPORTED_GRANT: &str = "an app of its type may not ask for such a token";

/// What Zoom says of an app's redirect URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectAnswer {
    /// As far as can be seen before somebody signs in.
    Accepted,
    Mismatch,
    UnknownClient,
    /// The HTTP status of an answer that says neither.
    Unclear(u16),
}

/// The answer of the token endpoint.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub access: Secret<String>,
    /// `None` for server-to-server tokens.
    pub refresh: Option<Secret<String>>,
    pub expires_in_s: Option<i64>,
    pub scope: String,
    /// The base URL of this token's REST API, if it is not the configured one.
    pub api_base_url: Option<String>,
}

/// The user of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: String,
    pub account_id: String,
    pub display_name: Option<String>,
    pub email: Option<String>,
}

/// Why an OAuth call failed. Contains nothing of the request or answer, because Zoom's own texts can quote a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OAuthError {
    /// The code or token is wrong, used, expired or revoked. Only its user can get another.
    #[error("Zoom rejects this code or token")]
    Dead,
    /// Zoom rejects the app's configuration; the text says what to check.
    #[error("Zoom rejects this app: {0}")]
    Misconfigured(&'static str),
    /// The same may work later.
    #[error("cannot reach Zoom: {0}")]
    Unreachable(ClientError),
    /// The same may work later.
    #[error("Zoom is unavailable: it answered {0}")]
    Failing(u16),
    #[error("cannot read Zoom's answer")]
    Unreadable,
}

impl OAuthError {
    /// Whether the same call may work later.
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Failing(_) | Self::Unreadable)
    }
}

/// Zoom's OAuth endpoints, for any app.
#[derive(Debug, Clone)]
pub struct OAuth {
    http: ZoomClient,
}

impl OAuth {
    pub fn new(http: ZoomClient) -> Self {
        Self { http }
    }

    /// What this daemon counts.
    pub fn metrics(&self) -> &Metrics {
        self.http.metrics()
    }

    /// The URL of Zoom's consent page (section 15.1). The user returns with `state` and a code that only `verifier`
    /// redeems.
    pub fn authorize_url(app: &App, state: &str, verifier: &Secret<String>) -> String {
        let query = form_encoded(&[
            ("response_type", "code"),
            ("client_id", &app.client.id),
            ("redirect_uri", &app.redirect_url),
            ("state", state),
            ("code_challenge", &pkce_challenge(verifier.expose())),
            // Zoom's default is `plain` (section 15.1).
            ("code_challenge_method", "S256"),
        ]);
        format!("{}/oauth/authorize?{query}", app.oauth_base_url)
    }

    /// Asks for the consent page, as a browser does that nobody is signed in with, to see whether Zoom accepts the redirect
    /// URL. Follows no redirect, so that nothing is granted.
    pub async fn ask_for_consent(
        &self,
        app: &App,
        state: &str,
        verifier: &Secret<String>,
    ) -> Result<RedirectAnswer, ClientError> {
        let url = Self::authorize_url(app, state, verifier);
        let answer = self.http.send(&app.name, self.http.request(Method::GET, &url)).await?;
        let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let status = answer.status.as_u16();
        Ok(answer::read_redirect(status, location.unwrap_or_default(), &answer.body))
    }

    /// Exchanges a code, which works once, for the first tokens.
    pub async fn exchange(
        &self,
        app: &App,
        code: &Secret<String>,
        verifier: &Secret<String>,
    ) -> Result<Tokens, OAuthError> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            // The same as in the authorize URL (section 15.2).
            ("redirect_uri", &app.redirect_url),
            ("code_verifier", verifier.expose()),
        ];
        self.tokens(app, &app.client, &form).await
    }

    /// Exchanges a refresh token for the next tokens. It is used up even if the answer is lost (section 15.3).
    pub async fn refresh(&self, app: &App, refresh_token: &str) -> Result<Tokens, OAuthError> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        self.tokens(app, &app.client, &form).await
    }

    /// Gets a server-to-server token.
    pub async fn account_credentials(
        &self,
        app: &App,
        account_id: &str,
        client: &Credentials,
    ) -> Result<Tokens, OAuthError> {
        let form = [("grant_type", "account_credentials"), ("account_id", account_id)];
        self.tokens(app, client, &form).await
    }

    /// Gets a token of the app itself, for its event socket (section 23.1).
    pub async fn client_credentials(&self, app: &App) -> Result<Tokens, OAuthError> {
        self.tokens(app, &app.client, &[("grant_type", "client_credentials")]).await
    }

    /// Revokes a grant at Zoom (section 15.5).
    pub async fn revoke(&self, app: &App, access_token: &Secret<String>) -> Result<(), OAuthError> {
        let form = [("token", access_token.expose().as_str())];
        let body = self.post(app, "/oauth/revoke", &app.client, &form).await?;
        // The body adds nothing to a 200.
        drop(body);
        Ok(())
    }

    /// Gets the user of a token (section 15.2).
    pub async fn user(&self, app: &App, tokens: &Tokens) -> Result<User, OAuthError> {
        let base = tokens.api_base_url.as_deref().unwrap_or(&app.api_base_url);
        let request = self
            .http
            .request(Method::GET, &format!("{base}/v2/users/me"))
            .header(ACCEPT, "application/json")
            .bearer_auth(tokens.access.expose());
        let answer = self.http.send(&app.name, request).await.map_err(OAuthError::Unreachable)?;
        answer::read_user(answer.status.as_u16(), &answer.body)
    }

    async fn tokens(
        &self,
        app: &App,
        client: &Credentials,
        form: &[(&str, &str)],
    ) -> Result<Tokens, OAuthError> {
        let body = self.post(app, "/oauth/token", client, form).await?;
        let mut tokens = answer::read_tokens(&body)?;
        tokens.api_base_url = tokens.api_base_url.and_then(|url| usable_api(app, &url));
        Ok(tokens)
    }

    async fn post(
        &self,
        app: &App,
        path: &str,
        client: &Credentials,
        form: &[(&str, &str)],
    ) -> Result<Vec<u8>, OAuthError> {
        let url = format!("{}{path}", app.oauth_base_url);
        let request = self
            .http
            .request(Method::POST, &url)
            .header(AUTHORIZATION, basic_header(client))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(form_encoded(form));
        let answer = self.http.send(&app.name, request).await.map_err(OAuthError::Unreachable)?;
        match answer.status.as_u16() {
            200..300 => Ok(answer.body),
            status => Err(answer::read_refusal(status, &answer.body)),
        }
    }
}

/// The API that a token names, if it is not the app's and at one of Zoom's domains.
fn usable_api(app: &App, api_url: &str) -> Option<String> {
    let url = Url::parse(api_url).ok().filter(|url| url.scheme() == "https")?;
    let Some(Host::Domain(host)) = url.host() else { return None };
    let is_zooms = API_HOSTS
        .iter()
        // With the dot, so that `evilzoom.us` does not match.
        .any(|own| host.strip_suffix(own).is_some_and(|rest| rest.ends_with('.')));
    let base = url.origin().ascii_serialization();
    let is_usable = is_zooms && !app.api_is_fixed;
    (is_usable && base != app.api_base_url).then_some(base)
}

fn form_encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The PKCE challenge of a verifier (section 5.4).
fn pkce_challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// The value of the `Authorization` header for an app (section 5.4).
fn basic_header(client: &Credentials) -> String {
    format!("Basic {}", STANDARD.encode(format!("{}:{}", client.id, client.secret.expose())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoom::app::tests as tests_of_apps;

    fn app(api_is_fixed: bool) -> App {
        App {
            api_is_fixed,
            redirect_url: "https://rtmsd.example/callback?x=1&y".into(),
            ..tests_of_apps::app("default")
        }
    }

    #[test]
    fn the_documented_vectors_come_out() {
        let basic = basic_header(&app(false).client);
        assert_eq!(basic, "Basic ZGVtb0NsaWVudElkMDE6ZGVtb0NsaWVudFNlY3JldDAx");
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(pkce_challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn the_authorize_url_says_everything_and_no_secret() {
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned());
        let url = OAuth::authorize_url(&app(false), "st&te", &verifier);
        let expected = "https://zoom.us/oauth/authorize?response_type=code&client_id=demoClientId01\
            &redirect_uri=https%3A%2F%2Frtmsd.example%2Fcallback%3Fx%3D1%26y&state=st%26te\
            &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
        assert_eq!(url, expected);
    }

    #[test]
    fn a_token_may_name_only_an_api_of_zooms() {
        let usable = |url| usable_api(&app(false), url);
        assert_eq!(usable("https://api.zoomgov.com").as_deref(), Some("https://api.zoomgov.com"));
        assert_eq!(usable("https://api-eu.zoom.us/").as_deref(), Some("https://api-eu.zoom.us"));
        for other in [
            "https://api.zoom.us",
            "http://api-eu.zoom.us",
            "https://evilzoom.us",
            "https://zoom.us.evil.example",
            "https://127.0.0.1",
            "api.zoom.us",
        ] {
            assert_eq!(usable(other), None, "{other}");
        }
        assert_eq!(usable_api(&app(true), "https://api-eu.zoom.us"), None);
    }
}
