//! What several modules need of a network: names looked up, addresses raced, proxies, WebSockets and HTTP clients, and
//! which addresses are public.

mod dial;
mod http_client;
pub mod proxy;
pub mod public_addr;
mod race;
mod resolver;
mod tunnel;

use std::sync::Arc;

use rustls::ClientConfig;

pub use self::dial::{DialError, Target, Transport, WebSocket, describe};
use self::proxy::ProxyRules;
pub use self::resolver::{Limits, ResolveError, Resolver};

/// What the daemon calls itself to servers.
const USER_AGENT: &str = concat!("rtmsd/", env!("CARGO_PKG_VERSION"));

/// How this daemon reaches others: which certificates it trusts, how it looks names up, and through which proxy it goes.
/// Cheap to clone.
#[derive(Clone)]
pub struct Network {
    tls: Arc<ClientConfig>,
    /// What WebSockets trust at their end. A proxy on the way is trusted as everything else is.
    websocket_tls: Arc<ClientConfig>,
    resolver: Resolver,
    proxy: Arc<ProxyRules>,
}

impl Network {
    pub fn new(tls: Arc<ClientConfig>, resolver: Resolver, proxy: ProxyRules) -> Self {
        Self { websocket_tls: Arc::clone(&tls), tls, resolver, proxy: Arc::new(proxy) }
    }

    /// The same, but for what WebSockets trust at their end.
    pub fn with_websocket_tls(&self, websocket_tls: Arc<ClientConfig>) -> Self {
        Self { websocket_tls, ..self.clone() }
    }

    /// With the system's resolver and without a proxy.
    pub fn direct(tls: Arc<ClientConfig>) -> Self {
        Self::new(tls, Resolver::system(), ProxyRules::default())
    }

    /// For hosts that a user of the API names: no proxy, because a proxy would hide the address that is checked, and
    /// look-ups of their own, so that names that hang do not delay the look-ups of Zoom's hosts.
    pub fn for_named_hosts(&self) -> Self {
        Self { resolver: self.resolver.separate(), proxy: Arc::default(), ..self.clone() }
    }

    pub fn resolver(&self) -> &Resolver {
        &self.resolver
    }
}
