//! Outgoing connections: address racing, and the proxy.

use std::convert::identity;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rtmsd::metrics::Metrics;
use rtmsd::model::AppName;
use rtmsd::net::proxy::ProxyRules;
use rtmsd::net::{DialError, Network, Target};
use rtmsd::simulator::{self, Settings, Simulator};
use rtmsd::tls::client_config;
use rtmsd::zoom::client::{ClientError, ZoomClient};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::support::connect_proxy::{ConnectProxy, Manner};
use crate::support::network::{BlackHole, names};

/// Two loopback addresses.
const FIRST: &str = "127.0.0.2";
const SECOND: &str = "127.0.0.1";

/// A network in which `two.example` has both addresses.
fn two_addresses() -> Network {
    let resolver = names(&[("two.example", &[FIRST, SECOND])]);
    Network::new(client_config(None).unwrap(), resolver, ProxyRules::default())
}

/// Dials `ws://two.example` on this port, with only the addresses that `admits` accepts.
async fn dial(port: u16, admits: impl Fn(IpAddr) -> bool) -> Result<(), DialError> {
    let url = format!("ws://two.example:{port}/path");
    let target = Target { host: "two.example", port, is_tls: false, url: &url };
    let dialled =
        two_addresses().websocket(target, WebSocketConfig::default(), admits, identity).await;
    dialled.map(drop)
}

/// Starts a WebSocket server on [`SECOND`] and returns its port.
async fn server() -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind((SECOND, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let _ = accept_async(tcp).await;
        }
    });
    (port, serving)
}

fn first(port: u16) -> SocketAddr {
    SocketAddr::new(FIRST.parse().unwrap(), port)
}

#[tokio::test]
async fn a_host_is_reached_soon_although_its_first_address_does_not_answer() {
    let (port, _serving) = server().await;
    let _hole = BlackHole::open(first(port)).await;
    let begin = Instant::now();
    dial(port, |_| true).await.unwrap();
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(250), "the first address was tried: {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn an_address_that_accepts_and_never_answers_is_skipped() {
    let (port, _serving) = server().await;
    let _silent = TcpListener::bind(first(port)).await.unwrap();
    let begin = Instant::now();
    dial(port, |_| true).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn an_address_that_drops_every_connection_is_skipped_at_once() {
    let (port, _serving) = server().await;
    let listener = TcpListener::bind(first(port)).await.unwrap();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let begin = Instant::now();
    dial(port, |_| true).await.unwrap();
    assert!(begin.elapsed() < Duration::from_millis(1500), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn an_address_that_is_not_admitted_is_not_connected_to() {
    let (port, _serving) = server().await;
    let refused = TcpListener::bind(first(port)).await.unwrap();
    dial(port, |address| address.to_string() == SECOND).await.unwrap();
    let error = dial(port, |_| false).await.unwrap_err();
    assert!(matches!(error, DialError::NotAdmitted), "{error}");
    let connected = timeout(Duration::from_millis(200), refused.accept()).await;
    assert!(connected.is_err(), "the address was connected to");
}

/// A simulated Zoom over TLS, under a host name that only a proxy can resolve, with its certificate authority.
struct Zoom {
    simulator: Simulator,
    folder: TempDir,
}

const HOST: &str = "rtms.zoom.test";

impl Zoom {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let settings = Settings {
            meetings: 0,
            tls_dir: Some(folder.path().to_owned()),
            tls_host: HOST.to_owned(),
            ..Settings::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { simulator: simulator::start(settings, listener).await.unwrap(), folder }
    }

    fn network(&self, proxy: &str, no_proxy: &str) -> Network {
        let tls = client_config(Some(&self.folder.path().join("ca.pem"))).unwrap();
        let rules = ProxyRules::read(proxy, no_proxy).unwrap();
        Network::new(Arc::clone(&tls), names(&[]), rules)
    }

    async fn dial(&self, network: &Network) -> Result<(), DialError> {
        let url = self.simulator.signaling_url();
        let port = self.simulator.addr().port();
        let target = Target { host: HOST, port, is_tls: true, url: &url };
        network.websocket(target, WebSocketConfig::default(), |_| true, identity).await.map(drop)
    }

    /// Sends a REST request that Zoom refuses: any answer shows that Zoom was reached.
    async fn ask(&self, network: &Network) -> Result<u16, ClientError> {
        let client = ZoomClient::new(network, Metrics::default());
        let url = format!("{}/v2/users/me", self.simulator.base_url());
        let answer =
            client.send(&AppName::default(), client.request(reqwest::Method::GET, &url)).await?;
        Ok(answer.status.as_u16())
    }
}

#[tokio::test]
async fn zooms_sockets_and_rest_go_through_the_proxy_with_its_credentials() {
    let zoom = Zoom::start().await;
    let proxy = ConnectProxy::start(Manner::Credentials("ana:p@ss:/")).await;
    let network = zoom.network(&format!("http://ana:p%40ss%3A%2F@{}", proxy.address), "");
    zoom.dial(&network).await.unwrap();
    assert_eq!(zoom.ask(&network).await.unwrap(), 401);
    let host = format!("{HOST}:{}", zoom.simulator.addr().port());
    assert_eq!(proxy.opened(), [host.clone(), host]);
}

#[tokio::test]
async fn a_proxys_refusal_names_the_proxy_and_no_secret() {
    let zoom = Zoom::start().await;
    let proxy = ConnectProxy::start(Manner::Credentials("ana:right")).await;
    for (user, says) in [("", "put them in HTTPS_PROXY"), ("ana:s3cret@", "in HTTPS_PROXY")] {
        let network = zoom.network(&format!("http://{user}{}", proxy.address), "");
        let error = zoom.dial(&network).await.unwrap_err().to_string();
        assert!(error.contains("407") && error.contains(says), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
        assert_eq!(zoom.ask(&network).await.unwrap_err(), ClientError::ProxyCredentials);
    }
    let proxy = ConnectProxy::start(Manner::Refuse(403)).await;
    let network = zoom.network(&format!("http://{}", proxy.address), "");
    let error = zoom.dial(&network).await.unwrap_err().to_string();
    assert!(error.contains("proxy") && error.contains("403"), "{error}");
    assert_eq!(zoom.ask(&network).await.unwrap_err(), ClientError::Proxy);
}

#[tokio::test]
async fn hosts_in_no_proxy_bypass_the_proxy() {
    let zoom = Zoom::start().await;
    let proxy = ConnectProxy::start(Manner::Open).await;
    let rules = ProxyRules::read(&format!("http://{}", proxy.address), ".zoom.test").unwrap();
    let tls = client_config(Some(&zoom.folder.path().join("ca.pem"))).unwrap();
    let network = Network::new(tls, names(&[(HOST, &[SECOND])]), rules);
    zoom.dial(&network).await.unwrap();
    assert_eq!(zoom.ask(&network).await.unwrap(), 401);
    assert!(proxy.opened().is_empty(), "{:?}", proxy.opened());
}

#[tokio::test]
async fn a_proxy_that_is_down_or_silent_costs_rest_a_bounded_time() {
    let zoom = Zoom::start().await;
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = away.local_addr().unwrap();
    drop(away);
    let network = zoom.network(&format!("http://{address}"), "");
    let error = zoom.dial(&network).await.unwrap_err().to_string();
    assert!(error.contains("proxy in HTTPS_PROXY"), "{error}");
    let proxy = ConnectProxy::start(Manner::Silent).await;
    let network = zoom.network(&format!("http://{}", proxy.address), "");
    assert_eq!(zoom.ask(&network).await.unwrap_err(), ClientError::TimedOut);
}

#[tokio::test]
async fn websockets_and_other_connections_trust_separate_authorities() {
    let zoom = Zoom::start().await;
    let ca = client_config(Some(&zoom.folder.path().join("ca.pem"))).unwrap();
    let public = client_config(None).unwrap();
    let network = |rest, websockets| {
        let rest = Network::new(rest, names(&[(HOST, &[SECOND])]), ProxyRules::default());
        rest.with_websocket_tls(websockets)
    };
    let for_rtms = network(Arc::clone(&public), Arc::clone(&ca));
    zoom.dial(&for_rtms).await.unwrap();
    assert_eq!(zoom.ask(&for_rtms).await.unwrap_err(), ClientError::NoConnection);
    let for_the_rest = network(ca, public);
    assert!(matches!(zoom.dial(&for_the_rest).await, Err(DialError::Connect(_))));
    assert_eq!(zoom.ask(&for_the_rest).await.unwrap(), 401);
}

/// Hosts that API users name are never reached through the proxy, which would hide the address that is checked.
#[tokio::test]
async fn hosts_that_users_name_bypass_the_proxy() {
    let zoom = Zoom::start().await;
    let proxy = ConnectProxy::start(Manner::Open).await;
    let network = zoom.network(&format!("http://{}", proxy.address), "").for_named_hosts();
    let error = zoom.dial(&network).await.unwrap_err();
    assert!(matches!(error, DialError::Resolve(_)), "{error}");
    assert!(proxy.opened().is_empty());
}
