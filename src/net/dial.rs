//! A WebSocket from a host's name: addresses raced, through a proxy where one is set, with TLS and upgrade.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Error};
use tokio_util::either::Either;

use super::proxy::Proxy;
use super::race::race;
use super::resolver::ResolveError;
use super::tunnel::{ProxyError, tunnel};
use super::{Network, USER_AGENT};

/// How long an address that accepts may take for TLS and upgrade before the host's other addresses are tried. The last
/// one has as long as the caller waits.
const STALLED: Duration = Duration::from_secs(2);

/// A stream that TLS may wrap; boxed, because TLS is large.
type MaybeTls<S> = Either<S, Box<TlsStream<S>>>;
/// To the host or to a proxy.
type FirstHop = MaybeTls<TcpStream>;
/// To the host, through whatever is between.
pub type Transport = MaybeTls<FirstHop>;
/// An open WebSocket.
pub type WebSocket<S = Transport> = WebSocketStream<S>;

/// Where a WebSocket leads.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// A name or an address; IPv6 without brackets.
    pub host: &'a str,
    pub port: u16,
    pub is_tls: bool,
    /// The whole URL, for the upgrade request.
    pub url: &'a str,
}

/// Why a dial failed. Names no path, and quotes nothing that a server sent but a status.
#[derive(Debug, Error)]
pub enum DialError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("none of its host's addresses may be connected to")]
    NotAdmitted,
    #[error("{0}")]
    Connect(#[from] io::Error),
    #[error("its host is no name for TLS")]
    TlsName,
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error("HTTP status {0}")]
    Status(u16),
    #[error("{}", describe(.0))]
    WebSocket(tungstenite::Error),
    #[error("it did not answer in time")]
    Silent,
}

impl Network {
    /// Opens a WebSocket; a redirect is a refusal. Only addresses that `admits` takes are connected to; through a proxy
    /// the proxy chooses the address. `wrap` puts something between the WebSocket and its connection. The caller bounds the
    /// whole time.
    pub async fn websocket<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        target: Target<'_>,
        config: WebSocketConfig,
        admits: impl Fn(IpAddr) -> bool,
        wrap: impl Fn(Transport) -> S,
    ) -> Result<WebSocket<S>, DialError> {
        let proxy = self.proxy.proxy_for(target.host, target.port);
        let (host, port) = proxy.map_or((target.host, target.port), |it| (&*it.host, it.port));
        let through = |error: String| ProxyError::Unreachable(error);
        let found = self.resolver.addresses(host, port).await;
        let mut addresses = match proxy {
            Some(_) => found.map_err(|error| through(error.to_string()))?,
            None => found?.into_iter().filter(|address| admits(address.ip())).collect(),
        };
        if addresses.is_empty() {
            return Err(DialError::NotAdmitted);
        }
        loop {
            let (address, tcp) = match race(&addresses, TcpStream::connect).await {
                Ok(connected) => connected,
                Err(error) if proxy.is_some() => return Err(through(error.to_string()).into()),
                Err(error) => return Err(error.into()),
            };
            addresses.retain(|other| *other != address);
            let handshake = async {
                let transport = self.transport(tcp, proxy, target).await?;
                upgrade(target, config, wrap(transport)).await
            };
            let done = match addresses.is_empty() {
                true => handshake.await,
                false => timeout(STALLED, handshake).await.unwrap_or(Err(DialError::Silent)),
            };
            match done {
                Err(error) if error.is_of_one_address() && !addresses.is_empty() => {}
                done => return done,
            }
        }
    }

    /// A connection to the host, through the proxy and with TLS.
    async fn transport(
        &self,
        tcp: TcpStream,
        proxy: Option<&Proxy>,
        target: Target<'_>,
    ) -> Result<Transport, DialError> {
        // A keep-alive answer must not wait for more data to send.
        tcp.set_nodelay(true)?;
        let first_hop = match proxy {
            None => Either::Left(tcp),
            Some(proxy) => {
                let mut hop = maybe_tls(&self.tls, &proxy.host, proxy.is_tls, tcp).await?;
                tunnel(&mut hop, proxy, target.host, target.port).await?;
                hop
            }
        };
        maybe_tls(&self.websocket_tls, target.host, target.is_tls, first_hop).await
    }
}

async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    target: Target<'_>,
    config: WebSocketConfig,
    stream: S,
) -> Result<WebSocket<S>, DialError> {
    let mut request = target.url.into_client_request().map_err(DialError::WebSocket)?;
    request.headers_mut().insert("user-agent", HeaderValue::from_static(USER_AGENT));
    let upgraded = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
    match upgraded.await {
        Ok((websocket, _)) => Ok(websocket),
        Err(Error::Http(response)) => Err(DialError::Status(response.status().as_u16())),
        Err(error) => Err(DialError::WebSocket(error)),
    }
}

impl DialError {
    /// Whether another address of the same host may do better: this one is dead, or speaks of nothing but itself.
    fn is_of_one_address(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Silent | Self::WebSocket(Error::Io(_)))
            || matches!(self, Self::Proxy(ProxyError::Lost(_)))
    }
}

async fn maybe_tls<S: AsyncRead + AsyncWrite + Unpin>(
    tls: &Arc<ClientConfig>,
    host: &str,
    is_tls: bool,
    stream: S,
) -> Result<MaybeTls<S>, DialError> {
    if !is_tls {
        return Ok(Either::Left(stream));
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|_| DialError::TlsName)?;
    let tls = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
    Ok(Either::Right(Box::new(tls)))
}

/// A WebSocket error in words that quote nothing a server sent.
pub fn describe(error: &tungstenite::Error) -> String {
    match error {
        Error::Http(response) => format!("HTTP status {}", response.status().as_u16()),
        Error::Io(error) => error.to_string(),
        Error::Capacity(_) => "a message is too large".to_owned(),
        Error::Utf8(_) => "a text is not UTF-8".to_owned(),
        error => error.to_string(),
    }
}
