//! Determines the client's address, also behind trusted proxies.

mod forwarded;

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, header};

use crate::net::public_addr::Subnet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The most entries of `TRUSTED_PROXIES`; a longer list is a mistake.
const MAX_LISTED: usize = 64;

/// Replaces a header that is no text. It is no address, and ends the search in `client`.
const UNREADABLE: &str = "=";

/// The peer address of the connection that carried a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub IpAddr);

/// The client's address, as far as trusted proxies report it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The header in which trusted proxies name the client (`FORWARDED_HEADER`). The other header is ignored: a proxy that
/// writes one of them passes the client's own copy of the other through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

impl ForwardedHeader {
    /// The addresses that the header lists, the client's first; `None` for each that cannot be read.
    fn addresses(self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let name = match self {
            Self::XForwardedFor => X_FORWARDED_FOR,
            Self::Forwarded => header::FORWARDED,
        };
        // Each line by itself: what a client wrote in one must not hide what a proxy wrote in the next.
        let lines = headers.get_all(name).into_iter();
        let lines = lines.map(|value| value.to_str().unwrap_or(UNREADABLE));
        match self {
            Self::XForwardedFor => lines.flat_map(|line| line.split(',').map(parse_node)).collect(),
            Self::Forwarded => lines.flat_map(forwarded::addresses).collect(),
        }
    }
}

/// The addresses of `TRUSTED_PROXIES`: what they say about a request's origin is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<Subnet>,
    header: ForwardedHeader,
}

impl TrustedProxies {
    /// Reads addresses and networks (`10.0.0.0/8`), separated by commas. `None` when one of them is neither.
    pub fn parse(text: &str, header: ForwardedHeader) -> Option<Self> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let networks: Vec<Subnet> = parts.map(Subnet::parse).collect::<Option<_>>()?;
        (networks.len() <= MAX_LISTED).then_some(Self { networks, header })
    }

    /// The nearest address on the request's path that is not a trusted proxy. A host name or malformed entry ends the
    /// search, because an untrusted party may have written everything beyond it.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let mut client = peer;
        // From the right: each proxy appends the peer that it saw, so only the last entries are trustworthy.
        for claimed in self.header.addresses(headers).into_iter().rev() {
            if !self.trusts(client) {
                break;
            }
            let Some(address) = claimed else { break };
            client = address;
        }
        // An IPv4 client of a dual-stack socket appears as `::ffff:a.b.c.d`; limits must count it as IPv4.
        ClientAddress(client.to_canonical())
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }
}

/// Parses an address with or without port and brackets.
fn parse_node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    // RFC 7239, section 6: an IPv6 address stands in brackets, with or without a port.
    match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0.parse().ok(),
        None => text.rsplit_once(':')?.0.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(trusted: &str, peer: &str, headers: &[(HeaderName, &'static str)]) -> String {
        client_by(ForwardedHeader::default(), trusted, peer, headers)
    }

    fn client_by(
        header: ForwardedHeader,
        trusted: &str,
        peer: &str,
        headers: &[(HeaderName, &'static str)],
    ) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_static(value));
        }
        let proxies = TrustedProxies::parse(trusted, header).unwrap();
        proxies.client(peer.parse().unwrap(), &map).0.to_string()
    }

    #[test]
    fn without_trusted_proxies_the_peer_is_the_client_whatever_its_headers() {
        let says = [(X_FORWARDED_FOR, "198.51.100.9")];
        assert_eq!(client("", "192.0.2.1", &says), "192.0.2.1");
        assert_eq!(client("10.0.0.0/8", "192.0.2.1", &says), "192.0.2.1");
    }

    #[test]
    fn a_trusted_proxy_is_believed_up_to_the_first_that_is_not() {
        let trusted = "10.0.0.0/8, ::1";
        let says = |list| [(X_FORWARDED_FOR, list)];
        assert_eq!(client(trusted, "10.0.0.1", &says("198.51.100.9")), "198.51.100.9");
        assert_eq!(client(trusted, "::1", &says("198.51.100.9, 10.0.0.7")), "198.51.100.9");
        let forged = "203.0.113.5, 198.51.100.9, 10.0.0.7";
        assert_eq!(client(trusted, "10.0.0.1", &says(forged)), "198.51.100.9");
        assert_eq!(client(trusted, "10.0.0.1", &says("unknown, 10.0.0.7")), "10.0.0.7");
        assert_eq!(client(trusted, "10.0.0.1", &[]), "10.0.0.1");
        let two = [(X_FORWARDED_FOR, "203.0.113.5"), (X_FORWARDED_FOR, "198.51.100.9")];
        assert_eq!(client(trusted, "10.0.0.1", &two), "198.51.100.9");
    }

    #[test]
    fn the_standard_header_may_have_ports_and_quotes() {
        let trusted = "10.0.0.0/8";
        for (value, address) in [
            ("for=198.51.100.9", "198.51.100.9"),
            ("proto=https; For=\"198.51.100.9:443\"", "198.51.100.9"),
            ("for=\"[2001:db8::7]:47011\";by=10.0.0.1", "2001:db8::7"),
            ("for=203.0.113.5, for=198.51.100.9", "198.51.100.9"),
            ("for=_hidden", "10.0.0.1"),
            ("by=10.0.0.2", "10.0.0.1"),
        ] {
            let headers = [(header::FORWARDED, value), (X_FORWARDED_FOR, "203.0.113.7")];
            let client = client_by(ForwardedHeader::Forwarded, trusted, "10.0.0.1", &headers);
            assert_eq!(client, address, "{value}");
        }
    }

    #[test]
    fn the_header_that_the_proxies_do_not_write_is_ignored() {
        let trusted = "127.0.0.1";
        let both = [(header::FORWARDED, "for=203.0.113.5"), (X_FORWARDED_FOR, "198.51.100.9")];
        assert_eq!(client(trusted, "127.0.0.1", &both), "198.51.100.9");
        assert_eq!(client(trusted, "127.0.0.1", &both[..1]), "127.0.0.1");
        let forwarded = ForwardedHeader::Forwarded;
        assert_eq!(client_by(forwarded, trusted, "127.0.0.1", &both), "203.0.113.5");
        assert_eq!(client_by(forwarded, trusted, "127.0.0.1", &both[1..]), "127.0.0.1");
    }

    #[test]
    fn a_list_of_proxies_holds_only_addresses_and_networks() {
        let parse = |text| TrustedProxies::parse(text, ForwardedHeader::default());
        assert!(parse("10.0.0.0/8, 192.0.2.1, 2001:db8::/32").is_some());
        for bad in ["proxy.example.com", "10.0.0.0/33", "*"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
