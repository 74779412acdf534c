//! Decides which hosts are reached through the proxy of `HTTPS_PROXY` and which directly (pure).

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use thiserror::Error;
use url::{Host, Url};

use super::public_addr::Subnet;
use crate::secret::Secret;

/// The proxy, if there is one, and the hosts that bypass it. Loopback always bypasses it.
#[derive(Debug, Clone, Default)]
pub struct ProxyRules {
    proxy: Option<Proxy>,
    bypass: Vec<Bypass>,
}

/// An HTTP proxy that supports `CONNECT`.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    pub port: u16,
    /// Whether the connection to the proxy itself uses TLS.
    pub is_tls: bool,
    /// The value of `Proxy-Authorization`.
    pub authorization: Option<Secret<String>>,
}

/// One entry of `NO_PROXY`.
#[derive(Debug, Clone)]
struct Bypass {
    hosts: Hosts,
    /// The port to match; none matches every port.
    port: Option<u16>,
}

#[derive(Debug, Clone)]
enum Hosts {
    All,
    Subnet(Subnet),
    /// Matches the host of this name and its subdomains. Lower case, without a leading dot.
    Domain(String),
}

/// The value is not a proxy URL. The error does not quote it, because it may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "http://host:port or https://host:port, with user:password@ before the host where they are needed"
)]
pub struct NotAProxy;

impl ProxyRules {
    /// Reads `HTTPS_PROXY` (a URL; `http://` is assumed without a scheme) and `NO_PROXY` (domains, addresses and
    /// networks separated by commas, each with an optional `:port`; `*` for everything).
    pub fn read(https_proxy: &str, no_proxy: &str) -> Result<Self, NotAProxy> {
        let proxy = Some(Proxy::parse(https_proxy)?);
        let entries = no_proxy.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
        Ok(Self { proxy, bypass: entries.map(Bypass::parse).collect() })
    }

    /// The proxy for a connection to this host; none for a direct connection.
    pub fn proxy_for(&self, host: &str, port: u16) -> Option<&Proxy> {
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let proxy = self.proxy.as_ref()?;
        let goes_past =
            // The proxy runs on another host, for which loopback means itself.
            is_loopback(&host) || self.bypass.iter().any(|bypass| bypass.matches(&host, port));
        (!goes_past).then_some(proxy)
    }

    /// The proxy, without regard to `NO_PROXY`.
    pub(super) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }
}

impl Proxy {
    fn parse(text: &str) -> Result<Self, NotAProxy> {
        let text = if text.contains("://") { text.into() } else { format!("http://{text}") };
        let url = Url::parse(&text).map_err(|_| NotAProxy)?;
        let is_tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(NotAProxy),
        };
        // A path, query or fragment means that an unescaped / or # in the password split the URL.
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(NotAProxy);
        }
        let host = match url.host().ok_or(NotAProxy)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let port = url.port_or_known_default().ok_or(NotAProxy)?;
        Ok(Self { host, port, is_tls, authorization: basic_authorization(&url)? })
    }

    /// The proxy's URL without the credentials.
    pub(super) fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", host_and_port(&self.host, self.port))
    }
}

/// Formats `host:port`, with brackets around an IPv6 address.
pub(super) fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The Basic credentials (RFC 7617) from the percent-encoded user and password of the URL.
fn basic_authorization(url: &Url) -> Result<Option<Secret<String>>, NotAProxy> {
    let decoded = |text| percent_decode_str(text).decode_utf8().map_err(|_| NotAProxy);
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let (name, password) = (decoded(url.username())?, decoded(url.password().unwrap_or(""))?);
    let pair = STANDARD.encode(format!("{name}:{password}"));
    Ok(Some(Secret::new(format!("Basic {pair}"))))
}

fn is_loopback(host: &str) -> bool {
    let is_address =
        host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    is_address || host == "localhost" || host.ends_with(".localhost")
}

impl Bypass {
    /// Reads one entry. Anything that is neither `*` nor a network counts as a domain, and matches nothing if no such
    /// domain exists.
    fn parse(entry: &str) -> Self {
        let whole = |hosts| Self { hosts, port: None };
        // The whole entry first: the colons of an IPv6 address would look like a port.
        if let Some(subnet) = Subnet::parse(entry) {
            return whole(Hosts::Subnet(subnet));
        }
        let (host, port) = match entry.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
            Some((host, Ok(port))) => (host, Some(port)),
            _ => (entry, None),
        };
        let hosts = match (host, Subnet::parse(host)) {
            ("*", _) => Hosts::All,
            (_, Some(subnet)) => Hosts::Subnet(subnet),
            (host, None) => {
                let domain = host.trim_start_matches('*').trim_matches('.');
                Hosts::Domain(domain.to_ascii_lowercase())
            }
        };
        Self { hosts, port }
    }

    fn matches(&self, host: &str, port: u16) -> bool {
        let is_port = self.port.is_none_or(|own| own == port);
        is_port
            && match &self.hosts {
                Hosts::All => true,
                Hosts::Subnet(subnet) => host.parse().is_ok_and(|host| subnet.contains(host)),
                Hosts::Domain(domain) => {
                    let above = host.strip_suffix(domain.as_str());
                    // At a dot only: `example.com` must not match `notexample.com`.
                    above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(no_proxy: &str) -> ProxyRules {
        ProxyRules::read("http://proxy.corp:3128", no_proxy).unwrap()
    }

    #[test]
    fn a_proxy_has_a_host_a_port_and_decoded_credentials() {
        let proxy = Proxy::parse("http://ana:p%40ss%3A%2F@proxy.corp:3128/").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port, proxy.is_tls), ("proxy.corp", 3128, false));
        let expected = format!("Basic {}", STANDARD.encode("ana:p@ss:/"));
        assert_eq!(proxy.authorization.as_ref().unwrap().expose(), &expected);
        assert_eq!(proxy.url(), "http://proxy.corp:3128");
        let proxy = Proxy::parse("https://[::1]").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port, proxy.is_tls), ("::1", 443, true));
        assert_eq!(proxy.url(), "https://[::1]:443");
        assert_eq!(Proxy::parse("proxy.corp:8080").unwrap().port, 8080);
        let token = Proxy::parse("http://token@proxy.corp:3128").unwrap().authorization.unwrap();
        assert_eq!(token.expose(), &format!("Basic {}", STANDARD.encode("token:")));
    }

    #[test]
    fn an_invalid_proxy_url_is_refused_and_no_error_prints_its_password() {
        for wrong in [
            "",
            "socks5://s3cret@a:1080",
            "http://",
            "http://u:s3cret@",
            "http://u:s3/cret@a:3128",
            "http://u:1#cret@a:3128",
            "http://a/path",
        ] {
            let refused = ProxyRules::read(wrong, "").unwrap_err();
            assert!(!refused.to_string().contains("cret"), "{wrong}");
        }
        let rules = ProxyRules::read("http://u:s3cret@a:3128", "").unwrap();
        assert!(!format!("{rules:?}").contains("s3cret"));
        assert!(!format!("{rules:?}").contains(&STANDARD.encode("u:s3cret")));
    }

    #[test]
    fn without_a_proxy_and_on_loopback_a_connection_is_direct() {
        assert!(ProxyRules::default().proxy_for("zoom.us", 443).is_none());
        for host in
            ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"]
        {
            assert!(rules("").proxy_for(host, 443).is_none(), "{host}");
        }
        for host in ["zoom.us", "10.0.0.1", "localhost.example", "::2"] {
            assert!(rules("").proxy_for(host, 443).is_some(), "{host}");
        }
    }

    #[test]
    fn no_proxy_accepts_domains_addresses_networks_and_ports() {
        let rules =
            rules(" Zoom.us, .corp,*.example ,10.0.0.0/8 192.0.2.1,[::2],a.net:8443, b.net:x");
        for (host, port) in [
            ("zoom.us", 443),
            ("rtms.ZOOM.us", 443),
            ("corp", 1),
            ("a.b.corp", 1),
            ("x.example", 1),
            ("10.1.2.3", 1),
            ("192.0.2.1", 1),
            ("::2", 1),
            ("a.net", 8443),
        ] {
            assert!(rules.proxy_for(host, port).is_none(), "{host}:{port}");
        }
        for (host, port) in [
            ("notzoom.us", 443),
            ("zoom.us.evil", 443),
            ("192.0.2.2", 1),
            ("a.net", 443),
            ("b.net", 1),
        ] {
            assert!(rules.proxy_for(host, port).is_some(), "{host}:{port}");
        }
        assert!(super::tests::rules("*").proxy_for("zoom.us", 443).is_none());
        assert!(super::tests::rules("*:80").proxy_for("zoom.us", 443).is_some());
    }
}
