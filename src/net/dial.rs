//! Dials WebSockets: races a host's addresses, passes through a proxy if one is set, and performs TLS and the upgrade.

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
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Error};
use tokio_util::either::Either;

use super::proxy::Proxy;
use super::race::race_addresses;
use super::resolver::ResolveError;
use super::tls_stream::TlsStream;
use super::tunnel::{ProxyError, open_tunnel};
use super::{Network, USER_AGENT};

/// How long TLS and upgrade may take on one address before the next one is tried. The last address has as long as the
/// caller waits.
const STALLED: Duration = Duration::from_secs(2);

/// A plain or a TLS stream; the TLS stream is boxed because it is large.
type MaybeTls<S> = Either<S, Box<TlsStream<S>>>;
/// The connection to the host or to the proxy.
type FirstHop = MaybeTls<TcpStream>;
/// The connection to the host, directly or through the proxy's tunnel.
pub type Transport = MaybeTls<FirstHop>;
/// Makes the kernel delay its acknowledgements: until the next bytes are sent, or for 40 ms. Without this it sends a
/// packet for most frames of a medium. The kernel resets the option by itself, so call this repeatedly. Does nothing on
/// systems other than Linux.
pub fn delay_acks(transport: &Transport) {
    #[cfg(target_os = "linux")]
    // Ignore the error: it costs packets and nothing else.
    let _ = rustix::net::sockopt::set_tcp_quickack(tcp_of(transport), false);
    #[cfg(not(target_os = "linux"))]
    let _ = transport;
}

#[cfg(target_os = "linux")]
fn tcp_of(transport: &Transport) -> &TcpStream {
    let hop = match transport {
        Either::Left(hop) => hop,
        Either::Right(tls) => tls.stream(),
    };
    match hop {
        Either::Left(tcp) => tcp,
        Either::Right(tls) => tls.stream(),
    }
}

/// Moves a connection to the caller's runtime, which from then on wakes its task.
pub fn take_over(transport: Transport) -> io::Result<Transport> {
    let tcp = |tcp: TcpStream| TcpStream::from_std(tcp.into_std()?);
    through(transport, |hop| through(hop, tcp))
}

/// Maps the connection below TLS, if there is TLS.
fn through<S, T>(
    stream: MaybeTls<S>,
    map: impl FnOnce(S) -> io::Result<T>,
) -> io::Result<MaybeTls<T>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match stream {
        Either::Left(plain) => map(plain).map(Either::Left),
        Either::Right(tls) => Ok(Either::Right(Box::new(tls.try_map(map)?))),
    }
}

/// An open WebSocket.
pub type WebSocket<S = Transport> = WebSocketStream<S>;

/// The target of a dial.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// A name or an address; IPv6 without brackets.
    pub host: &'a str,
    pub port: u16,
    pub is_tls: bool,
    /// The complete URL, for the upgrade request.
    pub url: &'a str,
}

/// Why a dial failed. Contains no URL path, and nothing that a server sent except a status.
#[derive(Debug, Error)]
pub enum DialError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("no address of the host is allowed")]
    NotAdmitted,
    #[error("{0}")]
    Connect(#[from] io::Error),
    #[error("the host is not a valid TLS server name")]
    TlsName,
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error("HTTP status {0}")]
    Status(u16),
    #[error("{}", describe(.0))]
    WebSocket(tungstenite::Error),
    #[error("no answer in time")]
    Silent,
}

impl Network {
    /// Opens a WebSocket. A redirect is an error. Connects only to addresses that `admits` accepts; with a proxy, the
    /// proxy chooses the address. `wrap` wraps the connection below the WebSocket. The caller bounds the total time.
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
            // Checked on the addresses that are dialled: a second lookup could return others (DNS rebinding).
            None => found?.into_iter().filter(|address| admits(address.ip())).collect(),
        };
        if addresses.is_empty() {
            return Err(DialError::NotAdmitted);
        }
        loop {
            let (address, tcp) = match race_addresses(&addresses, TcpStream::connect).await {
                Ok(connected) => connected,
                Err(error) if proxy.is_some() => return Err(through(error.to_string()).into()),
                Err(error) => return Err(error.into()),
            };
            // An address that connects but stalls must not win the next race again.
            addresses.retain(|other| *other != address);
            let handshake = async {
                let transport = self.transport(tcp, proxy, target).await?;
                upgrade_stream(target, config, wrap(transport)).await
            };
            // One await: a second would double the size of this future, and with it that of each running dial.
            let limit = if addresses.is_empty() { Duration::MAX } else { STALLED };
            let done = timeout(limit, handshake).await.unwrap_or(Err(DialError::Silent));
            match done {
                Err(error) if error.is_of_one_address() && !addresses.is_empty() => {}
                done => return done,
            }
        }
    }

    /// Connects to the host, through the proxy and with TLS where they apply.
    pub(super) async fn transport(
        &self,
        tcp: TcpStream,
        proxy: Option<&Proxy>,
        target: Target<'_>,
    ) -> Result<Transport, DialError> {
        // A keep-alive response must not wait in Nagle's buffer.
        tcp.set_nodelay(true)?;
        let first_hop = match proxy {
            None => Either::Left(tcp),
            Some(proxy) => {
                // Boxed, because few dials have a proxy.
                Box::pin(self.tunnel(tcp, proxy, target)).await?
            }
        };
        maybe_tls(&self.websocket_tls, target.host, target.is_tls, first_hop).await
    }

    async fn tunnel(
        &self,
        tcp: TcpStream,
        proxy: &Proxy,
        target: Target<'_>,
    ) -> Result<FirstHop, DialError> {
        let mut hop = maybe_tls(&self.tls, &proxy.host, proxy.is_tls, tcp).await?;
        open_tunnel(&mut hop, proxy, target.host, target.port).await?;
        Ok(hop)
    }
}

async fn upgrade_stream<S: AsyncRead + AsyncWrite + Unpin>(
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
    /// Whether the error concerns only this address, so that another address of the host may work.
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
    let tls = TlsStream::connect(Arc::clone(tls), name, stream).await?;
    Ok(Either::Right(Box::new(tls)))
}

/// Describes a WebSocket error without quoting anything that a server sent.
pub fn describe(error: &tungstenite::Error) -> String {
    match error {
        Error::Http(response) => format!("HTTP status {}", response.status().as_u16()),
        Error::Io(error) => error.to_string(),
        Error::Capacity(_) => "message too large".to_owned(),
        Error::Utf8(_) => "text message is not valid UTF-8".to_owned(),
        error => error.to_string(),
    }
}
