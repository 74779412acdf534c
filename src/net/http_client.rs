//! The base configuration of every HTTP client.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};

use super::{Network, Resolver, USER_AGENT};

impl Network {
    /// A client builder that follows no redirects, uses this network's TLS and resolver, and uses no proxy except the
    /// one of `HTTPS_PROXY`, for `https://` only.
    pub fn http_client(&self) -> ClientBuilder {
        let builder = Client::builder()
            .tls_backend_preconfigured((*self.tls).clone())
            // A redirect could send a token, or a request from the daemon's network, to another host.
            .redirect(Policy::none())
            .referer(false)
            .user_agent(USER_AGENT)
            .dns_resolver(self.resolver.clone())
            // Otherwise reqwest would read the proxy variables itself, with rules other than those of
            // `ProxyRules`.
            .no_proxy();
        match self.reqwest_proxy() {
            Some(proxy) => builder.proxy(proxy),
            None => builder,
        }
    }

    fn reqwest_proxy(&self) -> Option<reqwest::Proxy> {
        let proxy = self.proxy.proxy()?;
        let authorization = proxy.authorization.as_ref().map(|value| {
            let mut value =
                HeaderValue::from_str(value.expose()).expect("Base64 is a valid header value");
            // Keeps the password out of reqwest's debug output.
            value.set_sensitive(true);
            value
        });
        let rules = Arc::clone(&self.proxy);
        let chosen = reqwest::Proxy::custom(move |url: &Url| {
            let port = url.port_or_known_default().filter(|_| url.scheme() == "https")?;
            rules.proxy_for(url.host_str()?, port).map(|proxy| proxy.url())
        });
        Some(match authorization {
            Some(value) => chosen.custom_http_auth(value),
            None => chosen,
        })
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = resolver.addresses(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
