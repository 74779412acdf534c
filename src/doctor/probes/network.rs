//! Zoom's hosts, by name and over both families of addresses, and the proxy before them.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::bounded;
use crate::doctor::Settings;
use crate::doctor::judge::network::{self as judge, Host, Reached};
use crate::doctor::report::Check;
use crate::model::ms;
use crate::net::ResolveError;
use crate::zoom::app::App;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The most addresses of a family that are tried.
const MAX_ADDRESSES: usize = 3;

/// The REST API, OAuth and the event sockets. The servers of streams have other names, which Zoom announces with each.
pub(super) async fn look(settings: &Settings, apps: &[Arc<App>]) -> Vec<Check> {
    let urls = |app: &Arc<App>| {
        let socket = app.events_url.as_ref().map(|url| url.as_str().to_owned());
        [Some(app.api_base_url.clone()), Some(app.oauth_base_url.clone()), socket]
    };
    let all = apps.iter().flat_map(urls).flatten();
    let hosts: BTreeSet<(String, u16)> = all.filter_map(|url| host_and_port(&url)).collect();
    let of_hosts = join_all(hosts.into_iter().map(|(host, port)| async move {
        let subject = format!("{host}:{port}");
        let probe = async { judge::host(&see(settings, &host, port).await) };
        bounded(&judge::IDS, Some(&subject), probe).await
    }));
    let (mut checks, of_hosts) = tokio::join!(proxy(settings), of_hosts);
    checks.extend(of_hosts.into_iter().flatten());
    checks
}

/// The host of a URL without brackets, and its port.
pub(super) fn host_and_port(url: &str) -> Option<(String, u16)> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    Some((host, url.port_or_known_default()?))
}

async fn see(settings: &Settings, host: &str, port: u16) -> Host {
    if settings.network.is_proxied(host, port) {
        return Host::Proxied;
    }
    match addresses(settings, host, port).await {
        Err(error) => Host::Unresolved(error.to_string()),
        Ok(found) => {
            let (v4, v6): (Vec<_>, Vec<_>) = found.iter().partition(|address| address.is_ipv4());
            let (v4, v6) = tokio::join!(reach(v4), reach(v6));
            Host::Resolved { addresses: found.len(), v4, v6 }
        }
    }
}

pub(super) async fn addresses(
    settings: &Settings,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, ResolveError> {
    settings.network.resolver().addresses(host, port).await
}

/// Connects to the first of these addresses that answers.
async fn reach(addresses: Vec<SocketAddr>) -> Reached {
    let mut seen = Reached::NoAddress;
    for address in addresses.into_iter().take(MAX_ADDRESSES) {
        seen = match connect(address).await {
            Ok(took_ms) => return Reached::Yes(took_ms),
            Err(error) => match error.kind() {
                ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable => Reached::NoRoute,
                _ => Reached::No(error.to_string()),
            },
        };
    }
    seen
}

/// Connects, and returns the milliseconds that it took.
async fn connect(address: SocketAddr) -> std::io::Result<i64> {
    let began = Instant::now();
    timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await??;
    Ok(ms(began.elapsed()))
}

async fn proxy(settings: &Settings) -> Vec<Check> {
    let Some((host, port)) = settings.network.proxy_address() else {
        return vec![judge::proxy(None)];
    };
    let reached = match addresses(settings, host, port).await {
        Err(error) => Err(error.to_string()),
        Ok(found) => match reach(found).await {
            Reached::Yes(took_ms) => Ok(took_ms),
            Reached::No(error) => Err(error),
            Reached::NoRoute | Reached::NoAddress => Err("there is no route to it".to_owned()),
        },
    };
    vec![judge::proxy(Some(reached)).of(format!("{host}:{port}"))]
}
