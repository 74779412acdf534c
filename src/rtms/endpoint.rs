//! The URLs that a stream may connect to (pure). The signaling URL comes from a webhook and the media URLs from
//! a server's message, so an [`Endpoint`] can be made only from a URL that the policy allows.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::{Host, Url};

/// The hosts of Zoom's own clouds (rtms-protocol.md section 4).
pub const ZOOM_HOSTS: [&str; 2] = [".zoom.us", ".zoom.com"];

/// The longest URL that is parsed. Zoom's URLs are far shorter.
const MAX_URL_BYTES: usize = 2048;

/// Decides which URLs may be dialled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Exact host names, or suffixes that begin with a dot. Lower case.
    allowed_hosts: Vec<String>,
    /// Whether plain `ws://` is allowed. Even then it is allowed only to a loopback host.
    allow_ws: bool,
}

/// Why a URL is refused. Never quotes the URL, because it comes from outside.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EndpointError {
    /// The text cannot be parsed as a URL, is too long, or has no host or port.
    #[error("is not a URL")]
    NotAUrl,
    /// The scheme is not `wss`, and is not an allowed `ws` to a loopback host.
    #[error("is not wss:// (ws:// needs RTMS_ALLOW_WS and a loopback host)")]
    Scheme,
    /// The scheme is `srt`, the transport of Zoom's protocol V2, which is not public (rtms-protocol.md section 23.4).
    #[error(
        "is srt://, the transport of Zoom's protocol V2, which rtmsd does not speak: keep the app on V1"
    )]
    Srt,
    /// The host is not on the list of allowed hosts.
    #[error("names a host that RTMS_ALLOWED_HOSTS does not list")]
    Host,
    /// The URL has a user name or password, which could disguise its host.
    #[error("carries a user name or password")]
    Credentials,
}

/// A URL that may be dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: String,
    host: String,
    port: u16,
    tls: bool,
}

impl Policy {
    /// Makes a policy from host names, or suffixes that begin with a dot, in any case. `allow_ws` allows `ws://` to
    /// loopback hosts.
    pub fn new(allowed_hosts: Vec<String>, allow_ws: bool) -> Self {
        let allowed_hosts = allowed_hosts.into_iter().map(|host| host.to_ascii_lowercase());
        Self { allowed_hosts: allowed_hosts.collect(), allow_ws }
    }

    /// Returns the first allowed URL of a webhook's `server_urls`: one, or several separated by commas
    /// (rtms-protocol.md section 4).
    pub fn first_allowed(&self, server_urls: &str) -> Result<Endpoint, EndpointError> {
        let mut refused = EndpointError::NotAUrl;
        for url in server_urls.split(',').map(str::trim).filter(|url| !url.is_empty()) {
            match self.endpoint(url) {
                Ok(endpoint) => return Ok(endpoint),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Returns the endpoint of one URL, if it is allowed.
    pub fn endpoint(&self, url: &str) -> Result<Endpoint, EndpointError> {
        if url.len() > MAX_URL_BYTES {
            return Err(EndpointError::NotAUrl);
        }
        let url = Url::parse(url).map_err(|_| EndpointError::NotAUrl)?;
        let host = url.host().ok_or(EndpointError::NotAUrl)?;
        let tls = match url.scheme() {
            "wss" => true,
            "ws" if self.allow_ws && is_loopback(&host) => false,
            "srt" => return Err(EndpointError::Srt),
            _ => return Err(EndpointError::Scheme),
        };
        // Zoom sends none, and `a.zoom.us@evil.example` is a way to disguise a host.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials);
        }
        // The policy judges the same text that is resolved later, or the two could disagree.
        let host = plain_host(&host);
        if !self.allows(&host) {
            return Err(EndpointError::Host);
        }
        let port = url.port_or_known_default().ok_or(EndpointError::NotAUrl)?;
        Ok(Endpoint { host, port, tls, url: without_fragment(url) })
    }

    fn allows(&self, host: &str) -> bool {
        self.allowed_hosts.iter().any(|allowed| match allowed.strip_prefix('.') {
            // With the dot, or `evilzoom.us` would match `zoom.us`.
            Some(_) => host.ends_with(allowed.as_str()),
            None => host == allowed,
        })
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Returns the host as a name to resolve: an IPv6 address without brackets, a domain without a final dot.
fn plain_host(host: &Host<&str>) -> String {
    match host {
        Host::Domain(name) => name.trim_end_matches('.').to_ascii_lowercase(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}

fn without_fragment(mut url: Url) -> String {
    url.set_fragment(None);
    url.into()
}

impl Endpoint {
    /// The host as a name to resolve: lower case, an IPv6 address without brackets, a domain without a final dot.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port; the scheme's default if the URL names none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the URL is `wss://`; otherwise it is `ws://`.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The whole URL, for the upgrade request.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Prints host and port only: a URL's path or query may name a meeting.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zoom() -> Policy {
        Policy::new(ZOOM_HOSTS.map(String::from).to_vec(), false)
    }

    fn loopback() -> Policy {
        Policy::new(vec!["localhost".into(), "127.0.0.1".into(), "::1".into()], true)
    }

    #[test]
    fn zooms_hosts_are_allowed_over_wss() {
        let endpoint = zoom().endpoint("wss://RTMS-sjc1.Zoom.us/signaling?x=1").unwrap();
        assert_eq!((endpoint.host(), endpoint.port()), ("rtms-sjc1.zoom.us", 443));
        assert!(endpoint.is_tls());
        assert_eq!(endpoint.url(), "wss://rtms-sjc1.zoom.us/signaling?x=1");
        assert_eq!(zoom().endpoint("wss://a.zoom.us.:8443").unwrap().port(), 8443);
    }

    #[test]
    fn a_host_that_only_looks_like_zooms_is_refused() {
        for url in [
            "wss://zoom.us.evil.example",
            "wss://evilzoom.us",
            "wss://evil.example/.zoom.us",
            "wss://evil.example?.zoom.us",
            "wss://evil.example#.zoom.us",
            "wss://127.0.0.1",
            "wss://[::1]",
        ] {
            assert_eq!(zoom().endpoint(url), Err(EndpointError::Host), "{url}");
        }
        assert_eq!(
            zoom().endpoint("wss://a.zoom.us@evil.example"),
            Err(EndpointError::Credentials)
        );
        assert_eq!(zoom().endpoint("wss://u:p@a.zoom.us"), Err(EndpointError::Credentials));
    }

    #[test]
    fn a_scheme_without_tls_is_refused() {
        for url in ["ws://a.zoom.us", "http://a.zoom.us", "https://a.zoom.us", "file:///etc/passwd"]
        {
            assert!(zoom().endpoint(url).is_err(), "{url}");
        }
        assert_eq!(zoom().endpoint("not a url"), Err(EndpointError::NotAUrl));
        let long = format!("wss://a.zoom.us/{}", "x".repeat(MAX_URL_BYTES));
        assert_eq!(zoom().endpoint(&long), Err(EndpointError::NotAUrl));
    }

    #[test]
    fn an_srt_url_is_refused_with_its_reason_and_does_not_hide_a_good_one() {
        assert_eq!(zoom().first_allowed("srt://a.zoom.us:9000"), Err(EndpointError::Srt));
        let both = zoom().first_allowed("srt://a.zoom.us:9000,wss://b.zoom.us");
        assert_eq!(both.unwrap().host(), "b.zoom.us");
        assert!(EndpointError::Srt.to_string().contains("protocol V2"));
    }

    #[test]
    fn plain_ws_goes_to_loopback_only_even_when_allowed() {
        assert!(!loopback().endpoint("ws://127.0.0.1:9/signaling").unwrap().is_tls());
        assert_eq!(loopback().endpoint("ws://[::1]:9").unwrap().host(), "::1");
        let loose = Policy::new(vec![".example".into()], true);
        assert_eq!(loose.endpoint("ws://a.example"), Err(EndpointError::Scheme));
        let strict = Policy::new(vec!["localhost".into()], false);
        assert_eq!(strict.endpoint("ws://localhost"), Err(EndpointError::Scheme));
    }

    #[test]
    fn of_several_urls_the_first_allowed_one_is_taken() {
        let urls = " ws://a.zoom.us , wss://evil.example, wss://b.zoom.us:443 ,wss://c.zoom.us";
        assert_eq!(zoom().first_allowed(urls).unwrap().host(), "b.zoom.us");
        assert_eq!(zoom().first_allowed(""), Err(EndpointError::NotAUrl));
        assert_eq!(zoom().first_allowed("wss://x.example"), Err(EndpointError::Host));
    }

    /// The parts of URLs that imitate an allowed one.
    const PARTS: [&str; 14] = [
        "a.zoom.us",
        "b.zoom.com",
        ".zoom.us",
        "evil.example",
        "@",
        ":",
        ":443",
        "/",
        "\\",
        "#",
        "?",
        ".",
        "%2e",
        "x",
    ];

    proptest::proptest! {
        /// Judged by another reading of the URL than the policy's own.
        #[test]
        fn whatever_is_allowed_is_tls_to_a_host_of_zooms(
            parts in proptest::collection::vec(proptest::sample::select(&PARTS[..]), 1..6)
        ) {
            let url = format!("wss://{}", parts.concat());
            if let Ok(endpoint) = zoom().endpoint(&url) {
                let authority = endpoint.url().strip_prefix("wss://").unwrap();
                let authority = authority.split(['/', '?', '#']).next().unwrap();
                let host = authority.split(':').next().unwrap().trim_end_matches('.');
                proptest::prop_assert!(!authority.contains(['@', '\\']), "{}", url);
                proptest::prop_assert!(host.ends_with(".zoom.us") || host.ends_with(".zoom.com"));
                proptest::prop_assert_eq!(host, endpoint.host());
            }
        }
    }

    #[test]
    fn what_is_printed_of_an_endpoint_names_no_path() {
        let endpoint = zoom().endpoint("wss://a.zoom.us/secret?token=1").unwrap();
        assert_eq!(endpoint.to_string(), "a.zoom.us:443");
    }
}
