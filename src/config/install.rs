//! The settings of OAuth installs: Zoom's base URLs, the redirect URL, encryption keys, configured tokens.

use url::{Host, Url};

use super::read::Reader;
use super::variables;
use crate::seal::KeyRing;
use crate::secret::Secret;
use crate::zoom::Credentials;
use crate::zoom::oauth;
use crate::zoom::token::Configured;

const CALLBACK_PATH: &str = "/api/v1/zoom/oauth/callback";

/// The settings of installations and their tokens.
#[derive(Debug, Clone)]
pub struct InstallSettings {
    /// The URL at which browsers reach the daemon, without a trailing slash.
    pub public_url: String,
    /// `None` if no key is set. With the embedded store the first start generates one.
    pub token_keys: Option<KeyRing>,
    pub oauth: oauth::Settings,
    pub configured: Configured,
}

impl InstallSettings {
    /// Whether browsers use https, so that cookies are restricted to it.
    pub fn is_https(&self) -> bool {
        let is_https = |url: &str| url.starts_with("https://");
        is_https(&self.public_url) || is_https(&self.oauth.redirect_url)
    }
}

pub(super) fn read_settings(
    read: &mut Reader<'_>,
    port: Option<u16>,
    client: Option<&Credentials>,
) -> Option<InstallSettings> {
    let public_url = match read.optional("PUBLIC_URL") {
        Some(text) => public_url(read, &text),
        None => port.map(|port| format!("http://localhost:{port}")),
    };
    let redirect_url = redirect_url(read, public_url.as_deref());
    let token_keys = token_keys(read);
    let api = read.text("ZOOM_API_BASE_URL");
    let api_base_url = base_url(read, "ZOOM_API_BASE_URL", &api, true);
    let oauth = read.text("ZOOM_OAUTH_BASE_URL");
    let oauth_base_url = base_url(read, "ZOOM_OAUTH_BASE_URL", &oauth, true);
    let configured = read_configured(read, client);
    let api_base_url = api_base_url?;
    Some(InstallSettings {
        public_url: public_url?,
        token_keys: token_keys?,
        oauth: oauth::Settings {
            oauth_base_url: oauth_base_url?,
            // With another base URL, such as a simulator's, tokens must not lead to Zoom.
            api_is_fixed: api_base_url != variables::find_variable("ZOOM_API_BASE_URL").default,
            api_base_url,
            client: client?.clone(),
            redirect_url: redirect_url?,
        },
        configured,
    })
}

/// Reads a URL without a query and drops trailing slashes. Zoom's base URLs receive secrets, so they may use plain
/// `http://` only on loopback.
fn base_url(
    read: &mut Reader<'_>,
    name: &'static str,
    text: &str,
    carries_secrets: bool,
) -> Option<String> {
    let is_good = |url: &Url| {
        let has_extra = url.query().is_some() || url.fragment().is_some();
        let has_user = !url.username().is_empty() || url.password().is_some();
        let is_safe = url.scheme() == "https"
            || (url.scheme() == "http" && (!carries_secrets || is_loopback(url)));
        is_safe && url.host().is_some() && !has_extra && !has_user
    };
    match Url::parse(text).ok().filter(is_good) {
        Some(url) => Some(url.as_str().trim_end_matches('/').to_owned()),
        None if carries_secrets => {
            read.wrong(name, "an https:// URL (http:// only to loopback) without a query")
        }
        None => read.wrong(name, "an https:// or http:// URL without a query"),
    }
}

/// Reads `PUBLIC_URL`. It must have no path, because the daemon's routes and links begin at the root of the host.
fn public_url(read: &mut Reader<'_>, text: &str) -> Option<String> {
    match Url::parse(text) {
        Ok(url) if !url.cannot_be_a_base() && url.path() != "/" => {
            read.wrong("PUBLIC_URL", "a URL without a path, such as https://rtms.example.com")
        }
        _ => base_url(read, "PUBLIC_URL", text, false),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Keeps the URL exactly as written, because Zoom compares it with the registered one.
fn redirect_url(read: &mut Reader<'_>, public_url: Option<&str>) -> Option<String> {
    let Some(text) = read.optional("ZOOM_OAUTH_REDIRECT_URL") else {
        return Some(format!("{}{CALLBACK_PATH}", public_url?));
    };
    let is_web = |url: &Url| ["http", "https"].contains(&url.scheme()) && url.fragment().is_none();
    match Url::parse(&text).ok().filter(is_web) {
        Some(_) => Some(text),
        None => read.wrong("ZOOM_OAUTH_REDIRECT_URL", "an https:// or http:// URL"),
    }
}

/// `None` after a mistake, `Some(None)` without a key.
fn token_keys(read: &mut Reader<'_>) -> Option<Option<KeyRing>> {
    let Some(text) = read.optional("TOKEN_ENCRYPTION_KEYS") else { return Some(None) };
    match KeyRing::parse(&text) {
        Ok(ring) => Some(Some(ring)),
        Err(mistakes) => {
            for mistake in mistakes {
                let form = "32 bytes in hex or base64, separated by commas (openssl rand -hex 32)";
                read.wrong::<()>("TOKEN_ENCRYPTION_KEYS", format!("{form}; {mistake}"));
            }
            None
        }
    }
}

fn read_configured(read: &mut Reader<'_>, client: Option<&Credentials>) -> Configured {
    let id = read.optional("ZOOM_S2S_CLIENT_ID");
    let secret = read.optional("ZOOM_S2S_CLIENT_SECRET").map(Secret::new);
    let token = read.optional("ZOOM_ACCESS_TOKEN");
    let own = match (id, secret) {
        (Some(id), Some(secret)) => Some(Credentials { id, secret }),
        (None, None) => client.cloned(),
        (Some(_), None) => read.wrong("ZOOM_S2S_CLIENT_SECRET", "set with ZOOM_S2S_CLIENT_ID"),
        (None, Some(_)) => read.wrong("ZOOM_S2S_CLIENT_ID", "set with ZOOM_S2S_CLIENT_SECRET"),
    };
    match (read.optional("ZOOM_ACCOUNT_ID"), own, token) {
        // Before the ready token, which expires after an hour.
        (Some(account_id), Some(client), _) => Configured::Account { account_id, client },
        (_, _, Some(token)) => Configured::Static(Secret::new(token)),
        _ => Configured::None,
    }
}
