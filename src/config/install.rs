//! The settings of OAuth installs that all apps share: the public URL and the encryption keys.

use url::{Host, Url};

use super::read::Reader;
use crate::seal::KeyRing;

/// The settings of installations and their tokens.
#[derive(Debug, Clone)]
pub struct InstallSettings {
    /// The URL at which browsers reach the daemon, without a trailing slash.
    pub public_url: String,
    /// `None` if no key is set. With the embedded store the first start generates one.
    pub token_keys: Option<KeyRing>,
}

pub(super) fn read_settings(read: &mut Reader<'_>, port: Option<u16>) -> Option<InstallSettings> {
    let public_url = match read.optional("PUBLIC_URL") {
        Some(text) => public_url(read, &text),
        None => port.map(|port| format!("http://localhost:{port}")),
    };
    let token_keys = token_keys(read);
    Some(InstallSettings { public_url: public_url?, token_keys: token_keys? })
}

/// Reads a URL without a query and drops trailing slashes. Zoom's base URLs receive secrets, so they may use plain
/// `http://` only on loopback.
pub(super) fn base_url(
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
