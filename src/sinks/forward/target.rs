//! The allowed targets of forwards (pure): hosts that the operator lists, at public addresses unless the exact name is
//! listed.

use std::net::IpAddr;

use thiserror::Error;

use crate::net::public_addr::is_public;
use crate::rtms::endpoint::{Endpoint, EndpointError, Policy};

/// The servers that may be dialled.
#[derive(Debug, Clone)]
pub struct Targets {
    policy: Policy,
    /// Exact names, not suffixes.
    names: Vec<String>,
    is_empty: bool,
}

/// Why a URL is not dialled. Never quotes the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TargetError {
    #[error("cannot be used until FORWARD_ALLOWED_HOSTS lists its host")]
    NobodyIsAllowed,
    #[error("names a host that FORWARD_ALLOWED_HOSTS does not list")]
    Host,
    #[error("is not wss:// (ws:// needs FORWARD_ALLOW_WS and a loopback host)")]
    Scheme,
    #[error("carries a user name or password")]
    Credentials,
    #[error("is not a URL")]
    NotAUrl,
}

impl Targets {
    /// `hosts` are names, or suffixes that begin with a dot. `allow_ws` permits `ws://` to a listed loopback host.
    pub fn new(hosts: Vec<String>, allow_ws: bool) -> Self {
        let hosts: Vec<String> = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        let names = hosts.iter().filter(|host| !host.starts_with('.')).cloned().collect();
        let is_empty = hosts.is_empty();
        Self { policy: Policy::new(hosts, allow_ws), names, is_empty }
    }

    /// The endpoint of a URL, if it is allowed.
    pub fn endpoint(&self, url: &str) -> Result<Endpoint, TargetError> {
        if self.is_empty {
            return Err(TargetError::NobodyIsAllowed);
        }
        self.policy.endpoint(url).map_err(|error| match error {
            EndpointError::NotAUrl => TargetError::NotAUrl,
            EndpointError::Scheme | EndpointError::Srt => TargetError::Scheme,
            EndpointError::Host => TargetError::Host,
            EndpointError::Credentials => TargetError::Credentials,
        })
    }

    /// Whether this address, to which the host resolved, may be dialled.
    pub fn allows_address(&self, host: &str, address: IpAddr) -> bool {
        // Exact names only: the owner of a name below a suffix could point it at a private address.
        is_public(address) || self.names.iter().any(|name| name == host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Targets {
        Targets::new(vec!["Bot.internal".into(), ".example.com".into()], false)
    }

    #[test]
    fn with_nothing_listed_nothing_is_dialled_and_the_setting_is_named() {
        let error = Targets::new(Vec::new(), true).endpoint("wss://bot.example").unwrap_err();
        assert!(error.to_string().contains("FORWARD_ALLOWED_HOSTS"));
    }

    #[test]
    fn only_listed_hosts_are_dialled_and_only_with_tls() {
        assert_eq!(targets().endpoint("wss://a.example.com/x").unwrap().host(), "a.example.com");
        for (url, error) in [
            ("wss://evil.example", TargetError::Host),
            ("wss://example.com.evil.example", TargetError::Host),
            ("ws://a.example.com", TargetError::Scheme),
            ("https://a.example.com", TargetError::Scheme),
            ("wss://u:p@a.example.com", TargetError::Credentials),
            ("a.example.com", TargetError::NotAUrl),
        ] {
            assert_eq!(targets().endpoint(url), Err(error), "{url}");
        }
        let local = Targets::new(vec!["localhost".into(), ".example".into()], true);
        assert!(!local.endpoint("ws://localhost:9").unwrap().is_tls());
        assert_eq!(local.endpoint("ws://a.example"), Err(TargetError::Scheme));
    }

    #[test]
    fn a_private_address_is_dialled_only_for_a_name_that_is_listed() {
        let private = "10.1.2.3".parse().unwrap();
        assert!(targets().allows_address("bot.internal", private));
        assert!(!targets().allows_address("a.example.com", private));
        assert!(targets().allows_address("a.example.com", "93.184.215.14".parse().unwrap()));
    }
}
