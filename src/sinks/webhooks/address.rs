//! Where outgoing webhooks may go (pure). Whoever may register an endpoint must not reach through us what only we
//! can reach: the operator's own network, this machine, a cloud's metadata service.

use std::net::IpAddr;

use thiserror::Error;
use url::{Host, Url};

use crate::net::public_addr::{Subnet, is_public};

/// Longer URLs than this are a mistake.
const MAX_URL_BYTES: usize = 2048;
/// More entries of `WEBHOOKS_ALLOWED_HOSTS` than this are a mistake.
const MAX_LISTED: usize = 256;

/// Why a URL is no endpoint.
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
    /// Reads names, suffixes that begin with a dot, addresses and networks (`10.0.0.0/8`), separated by commas. None
    /// when one of them is none of these.
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

    /// Reads a URL that may be an endpoint. Where its name leads is seen when it is connected to.
    pub fn read(&self, text: &str) -> Result<Url, UrlError> {
        let url = Url::parse(text).ok().filter(|_| text.len() <= MAX_URL_BYTES);
        let url = url.ok_or(UrlError::NotAUrl)?;
        let host = url.host().ok_or(UrlError::NotAUrl)?;
        let has_extra = !url.username().is_empty() || url.password().is_some();
        if has_extra || url.fragment().is_some() {
            return Err(UrlError::Extra);
        }
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

    /// Whether this host may be wherever it is, private addresses included.
    pub fn lists(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.names.iter().any(|name| match name.strip_prefix('.') {
            Some(_) => host.ends_with(name.as_str()),
            None => host == *name,
        })
    }

    /// Whether a connection to this address may be made for a host that is not listed.
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
