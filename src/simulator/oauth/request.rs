//! Parses and checks the query of `GET /oauth/authorize` (section 15.1; pure).

use url::Url;

use super::fields::Fields;
use super::pkce::PkceChallenge;
use crate::simulator::settings::OAuthSettings;

/// A valid authorize request, on which a user may decide.
#[derive(Debug)]
pub(super) struct AuthorizeRequest {
    /// The redirect URI as the client wrote it: the token request must repeat it exactly.
    pub redirect_uri: String,
    target: Url,
    state: Option<String>,
    pub challenge: Option<PkceChallenge>,
}

/// Why an authorize request is refused, and where the error goes.
#[derive(Debug)]
pub(super) enum AuthorizeError {
    /// To the user, on a page: the browser must not be redirected to an address that is not the app's.
    Page { code: u32, message: &'static str },
    /// To the app, in the query of its redirect URI.
    Redirect(Url),
}

impl AuthorizeRequest {
    /// Checks a request. `is_known_app` says whether its `client_id` is that of an app.
    pub(super) fn read(
        fields: &Fields,
        is_known_app: bool,
        settings: &OAuthSettings,
    ) -> Result<Self, AuthorizeError> {
        if !is_known_app {
            return Err(AuthorizeError::Page { code: 4702, message: "Invalid client_id" });
        }
        let redirect_uri = fields.get("redirect_uri").unwrap_or_default();
        let target = allowed_redirect(redirect_uri, &settings.redirect_uris)
            .ok_or(AuthorizeError::Page { code: 4709, message: "Invalid redirect URI" })?;
        let mut request = Self {
            redirect_uri: redirect_uri.to_owned(),
            target,
            state: fields.get("state").map(str::to_owned),
            challenge: None,
        };
        // From here on the redirect URI is known to be the app's.
        let refuse = |request: &Self, error| Err(AuthorizeError::Redirect(request.refused(error)));
        if fields.get("response_type") != Some("code") {
            return refuse(&request, "unsupported_response_type");
        }
        let scopes = fields.get("scope").unwrap_or_default();
        let is_ours = |scope| settings.scopes.iter().any(|ours| ours == scope);
        if !scopes.split_whitespace().all(is_ours) {
            return refuse(&request, "invalid_scope");
        }
        request.challenge = match (fields.get("code_challenge"), challenge_method(fields)) {
            (None, _) => None,
            (Some(text), "plain") => Some(PkceChallenge::Plain(text.to_owned())),
            (Some(text), "S256") => Some(PkceChallenge::S256(text.to_owned())),
            (Some(_), _) => return refuse(&request, "invalid_request"),
        };
        Ok(request)
    }

    /// The redirect with an authorization code.
    pub(super) fn granted(&self, code: &str) -> Url {
        self.redirect_with("code", code)
    }

    /// The redirect with an error.
    pub(super) fn refused(&self, error: &str) -> Url {
        self.redirect_with("error", error)
    }

    /// The redirect URI with this field and the unchanged state added to its query.
    fn redirect_with(&self, name: &str, value: &str) -> Url {
        let mut target = self.target.clone();
        let mut query = target.query_pairs_mut();
        query.append_pair(name, value);
        if let Some(state) = &self.state {
            query.append_pair("state", state);
        }
        // Dropping the serializer writes the query back to the URL.
        drop(query);
        target
    }
}

/// The PKCE method. Zoom's default is `plain` (section 15.1).
fn challenge_method(fields: &Fields) -> &str {
    fields.get("code_challenge_method").unwrap_or("plain")
}

fn allowed_redirect(redirect_uri: &str, allow_list: &[String]) -> Option<Url> {
    let target = Url::parse(redirect_uri).ok()?;
    // Never `javascript:` and the like, even without an allow list.
    let is_web = matches!(target.scheme(), "http" | "https");
    let is_listed = allow_list.is_empty() || allow_list.iter().any(|uri| uri == redirect_uri);
    (is_web && is_listed).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "response_type=code&client_id=demoClientId01\
        &redirect_uri=http%3A%2F%2F127.0.0.1%2Fcb%3Fa%3D1&state=s%26t";

    fn read(query: &str) -> Result<AuthorizeRequest, AuthorizeError> {
        let oauth = OAuthSettings {
            redirect_uris: vec!["http://127.0.0.1/cb?a=1".to_owned()],
            ..OAuthSettings::default()
        };
        let fields = Fields::read(query.as_bytes());
        let is_known_app = fields.get("client_id") == Some("demoClientId01");
        AuthorizeRequest::read(&fields, is_known_app, &oauth)
    }

    #[test]
    fn code_and_state_are_added_to_the_query_of_the_redirect_uri() {
        let request = read(GOOD).unwrap();
        let url = request.granted("c");
        assert_eq!(url.as_str(), "http://127.0.0.1/cb?a=1&code=c&state=s%26t");
        let url = request.refused("access_denied");
        assert_eq!(url.as_str(), "http://127.0.0.1/cb?a=1&error=access_denied&state=s%26t");
    }

    #[test]
    fn an_unknown_client_or_redirect_uri_gets_a_page_and_no_redirect() {
        let shown = |query: String| match read(&query) {
            Err(AuthorizeError::Page { code, .. }) => code,
            other => panic!("{other:?}"),
        };
        assert_eq!(shown(GOOD.replace("Id01", "Id02")), 4702);
        assert_eq!(shown(GOOD.replace("%2Fcb", "%2Fother")), 4709);
        assert_eq!(shown("client_id=demoClientId01&response_type=code".to_owned()), 4709);
        let script = "javascript%3Aalert(1)";
        assert_eq!(shown(format!("client_id=demoClientId01&redirect_uri={script}")), 4709);
    }

    #[test]
    fn other_errors_are_returned_to_the_app() {
        let told = |query: String| match read(&query) {
            Err(AuthorizeError::Redirect(url)) => url.query_pairs().nth(1).unwrap().1.into_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(told(GOOD.replace("=code", "=token")), "unsupported_response_type");
        assert_eq!(told(format!("{GOOD}&scope=user:read:user+other")), "invalid_scope");
        let method = "&code_challenge=x&code_challenge_method=S512";
        assert_eq!(told(format!("{GOOD}{method}")), "invalid_request");
    }

    #[test]
    fn a_challenge_without_a_method_is_plain() {
        let challenge = |more: &str| read(&format!("{GOOD}{more}")).unwrap().challenge;
        assert_eq!(challenge(""), None);
        assert_eq!(challenge("&code_challenge=x"), Some(PkceChallenge::Plain("x".to_owned())));
        let s256 = challenge("&code_challenge=x&code_challenge_method=S256");
        assert_eq!(s256, Some(PkceChallenge::S256("x".to_owned())));
    }
}
