//! Network parts that several modules share: name resolution, address racing, proxies, WebSocket and HTTP clients,
//! retries, and the check for public addresses.

mod certificate;
mod dial;
mod http_client;
mod listen;
pub mod proxy;
pub mod public_addr;
mod race;
mod resolver;
pub mod retry;
pub mod retry_after;
mod tls_stream;
mod tunnel;
pub mod websocket;

use std::sync::Arc;

use rustls::ClientConfig;

pub use self::certificate::{Presented, Trust, Verifiers};
pub use self::dial::{DialError, Target, Transport, WebSocket, delay_acks, describe, take_over};
pub use self::listen::listen;
use self::proxy::ProxyRules;
pub use self::resolver::{Limits, ResolveError, Resolver};

/// The `User-Agent` of every request.
const USER_AGENT: &str = concat!("rtmsd/", env!("CARGO_PKG_VERSION"));

/// Connects this daemon to other hosts: trusted certificates, name resolution, proxy. Cheap to clone.
#[derive(Clone)]
pub struct Network {
    tls: Arc<ClientConfig>,
    /// The TLS configuration for the servers of WebSockets. A proxy in between uses `tls`.
    websocket_tls: Arc<ClientConfig>,
    resolver: Resolver,
    proxy: Arc<ProxyRules>,
}

impl Network {
    pub fn new(tls: Arc<ClientConfig>, resolver: Resolver, proxy: ProxyRules) -> Self {
        Self { websocket_tls: Arc::clone(&tls), tls, resolver, proxy: Arc::new(proxy) }
    }

    /// The same network with another TLS configuration for the servers of WebSockets.
    pub fn with_websocket_tls(&self, websocket_tls: Arc<ClientConfig>) -> Self {
        Self { websocket_tls, ..self.clone() }
    }

    /// A network with the system's resolver and without a proxy.
    pub fn direct(tls: Arc<ClientConfig>) -> Self {
        Self::new(tls, Resolver::system(), ProxyRules::default())
    }

    /// The network for hosts that API users name: no proxy, because a proxy would hide the address that is checked, and
    /// a separate resolver, so that hanging lookups do not delay those of Zoom's hosts.
    pub fn for_named_hosts(&self) -> Self {
        Self { resolver: self.resolver.separate(), proxy: Arc::default(), ..self.clone() }
    }

    pub fn tls(&self) -> &ClientConfig {
        &self.tls
    }

    pub fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// Whether connections to this host go through the proxy.
    pub fn is_proxied(&self, host: &str, port: u16) -> bool {
        self.proxy.proxy_for(host, port).is_some()
    }

    /// The host and port of the proxy, if there is one.
    pub fn proxy_address(&self) -> Option<(&str, u16)> {
        self.proxy.proxy().map(|proxy| (&*proxy.host, proxy.port))
    }
}
