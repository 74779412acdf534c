use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Error};
use tokio_util::either::Either;

use super::target::Targets;
use crate::rtms::endpoint::Endpoint;
use crate::sinks::live;

const USER_AGENT: &str = concat!("rtmsd/", env!("CARGO_PKG_VERSION"));
/// For name, TCP, TLS and upgrade together.
const DIAL_LIMIT: Duration = Duration::from_secs(10);

pub type Socket = WebSocketStream<Either<TcpStream, Box<TlsStream<TcpStream>>>>;

/// Connects, with TLS and upgrade; a redirect is a refusal. The error is for people and names neither path nor answer.
pub async fn dial(
    endpoint: &Endpoint,
    targets: &Targets,
    tls: &Arc<ClientConfig>,
) -> Result<Socket, String> {
    let dial = async {
        let tcp = connect(endpoint, targets).await?;
        let stream = if endpoint.is_tls() {
            let name = ServerName::try_from(endpoint.host().to_owned())
                .map_err(|_| "its host is no name for TLS".to_owned())?;
            let tls = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await;
            Either::Right(Box::new(tls.map_err(|error| error.to_string())?))
        } else {
            Either::Left(tcp)
        };
        let mut request = endpoint.url().into_client_request().map_err(|error| said(&error))?;
        request.headers_mut().insert("user-agent", HeaderValue::from_static(USER_AGENT));
        let config = Some(live::config());
        let upgraded = tokio_tungstenite::client_async_with_config(request, stream, config).await;
        upgraded.map(|(socket, _)| socket).map_err(|error| said(&error))
    };
    timeout(DIAL_LIMIT, dial).await.unwrap_or_else(|_| Err("it did not answer in time".into()))
}

/// To an address that was looked at: a name may lead elsewhere the next time it is asked for.
async fn connect(endpoint: &Endpoint, targets: &Targets) -> Result<TcpStream, String> {
    let found = lookup_host((endpoint.host(), endpoint.port())).await;
    let found: Vec<SocketAddr> = found.map_err(|error| error.to_string())?.collect();
    let is_allowed = |address: &&SocketAddr| targets.allows_address(endpoint.host(), address.ip());
    let allowed: Vec<SocketAddr> = found.iter().filter(is_allowed).copied().collect();
    if allowed.is_empty() && !found.is_empty() {
        return Err("its host leads to a private address: list the name itself".into());
    }
    let connected = TcpStream::connect(allowed.as_slice()).await;
    let tcp = connected.and_then(without_delay);
    tcp.map_err(|error| error.to_string())
}

fn without_delay(tcp: TcpStream) -> io::Result<TcpStream> {
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// A WebSocket error in words that quote nothing a server sent.
fn said(error: &tungstenite::Error) -> String {
    match error {
        Error::Http(response) => format!("HTTP status {}", response.status().as_u16()),
        Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}
