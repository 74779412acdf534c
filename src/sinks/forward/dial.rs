//! Opens a forward's connection: in bounded time, and never to a private address that only a suffix allows.

use std::convert::identity;
use std::time::Duration;

use tokio::time::timeout;

use super::target::Targets;
use crate::net::{DialError, Network, Target, WebSocket};
use crate::rtms::endpoint::Endpoint;
use crate::sinks::live;

/// The limit for name, TCP, TLS and upgrade together.
const DIAL_LIMIT: Duration = Duration::from_secs(10);

/// Connects, with TLS and upgrade. Checks every address before connecting, because a name may resolve differently the
/// next time. The error is for people and contains neither path nor answer.
pub(super) async fn dial(
    endpoint: &Endpoint,
    targets: &Targets,
    network: &Network,
) -> Result<WebSocket, String> {
    let admits = |address| targets.allows_address(endpoint.host(), address);
    let (host, port, url) = (endpoint.host(), endpoint.port(), endpoint.url());
    let target = Target { host, port, is_tls: endpoint.is_tls(), url };
    let dial = network.websocket(target, live::websocket_config(), admits, identity);
    match timeout(DIAL_LIMIT, dial).await.unwrap_or(Err(DialError::Silent)) {
        Ok(websocket) => Ok(websocket),
        Err(DialError::NotAdmitted) => Err(
            "the host resolves to a private address: list its exact name in FORWARD_ALLOWED_HOSTS"
                .into(),
        ),
        Err(error) => Err(error.to_string()),
    }
}
