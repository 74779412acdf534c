//! The allowed addresses of outgoing webhooks (pure). A user who may register an endpoint must not reach through the
//! daemon what only the daemon can reach: the operator's network, this machine, a cloud's metadata service.

use std::net::IpAddr;

use thiserror::Error;
use url::{Host, Url};

use crate::net::public_addr::{Subnet, is_public};

/// The longest URL; a longer one is a mistake.
const MAX_URL_BYTES: usize = 2048;
/// The most entries of `WEBHOOKS_ALLOWED_HOSTS`; a longer list is a mistake.
const MAX_LISTED: usize = 256;

/// Why a URL cannot be an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UrlError {
    #[error("must be a URL of at most {MAX_URL_BYTES} bytes")]
    NotAUrl,
    #[error("must begin with https:// unless WEBHOOKS_ALLOWED_HOSTS lists its host")]
    NotHttps,
    #[error("must have no user name, password or fragment")]
    Extra,
    #[error("must not name a private or special address unless WEBHOOKS_ALLOWED_HOSTS lists it")]
    PrivateAddress,
}

/// The hosts and networks of `WEBHOOKS_ALLOWED_HOSTS`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// In lower case; a suffix begins with a dot.
    names: Vec<String>,
    nets: Vec<Subnet>,
}

impl AddressPolicy {
    /// Parses names, suffixes that begin with a dot, addresses and networks (`10.0.0.0/8`), separated by commas. `None`
    /// if an entry is none of these.
    pub fn parse(text: &str) -> Option<Self> {
        let mut policy = Self::default();
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        for part in parts {
            match Subnet::parse(part) {
                Some(net) => policy.nets.push(net),
                None if is_name(part) => policy.names.push(part.to_ascii_lowercase()),
                None => return None,
            }
        }
        let listed = policy.names.len() + policy.nets.len();
        Some(policy).filter(|_| listed <= MAX_LISTED)
    }

    /// Parses the URL of an endpoint. The addresses of its host are checked when connecting.
    pub fn read(&self, text: &str) -> Result<Url, UrlError> {
        let url = Url::parse(text).ok().filter(|_| text.len() <= MAX_URL_BYTES);
        let url = url.ok_or(UrlError::NotAUrl)?;
        let host = url.host().ok_or(UrlError::NotAUrl)?;
        let has_extra = !url.username().is_empty() || url.password().is_some();
        if has_extra || url.fragment().is_some() {
            return Err(UrlError::Extra);
        }
        // An address in a URL is never resolved, so it is checked here and not when connecting.
        let (is_listed, is_admitted) = match host {
            Host::Domain(name) => (self.lists(name), true),
            Host::Ipv4(address) => {
                (self.lists_address(address.into()), self.admits(address.into()))
            }
            Host::Ipv6(address) => {
                (self.lists_address(address.into()), self.admits(address.into()))
            }
        };
        match url.scheme() {
            _ if !is_admitted => Err(UrlError::PrivateAddress),
            "https" => Ok(url),
            "http" if is_listed => Ok(url),
            _ => Err(UrlError::NotHttps),
        }
    }

    /// Whether this host is allowed at any address, private ones included.
    pub fn lists(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.names.iter().any(|name| match name.strip_prefix('.') {
            // With its dot: `.example.com` does not match `badexample.com`.
            Some(_) => host.ends_with(name.as_str()),
            None => host == *name,
        })
    }

    /// Whether a connection to this address is allowed for an unlisted host.
    pub fn admits(&self, address: IpAddr) -> bool {
        is_public(address) || self.lists_address(address)
    }

    fn lists_address(&self, address: IpAddr) -> bool {
        self.nets.iter().any(|net| net.contains(address))
    }
}

fn is_name(text: &str) -> bool {
    let name = text.strip_prefix('.').unwrap_or(text);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
}

#[cfg(test)]
mod tests;
