//! A forward's connection: bounded in time, and never to a private address that only a suffix allows.

use std::convert::identity;
use std::time::Duration;

use tokio::time::timeout;

use super::target::Targets;
use crate::net::{DialError, Network, WebSocket};
use crate::rtms::endpoint::Endpoint;
use crate::sinks::live;

/// For name, TCP, TLS and upgrade together.
const DIAL_LIMIT: Duration = Duration::from_secs(10);

/// Connects, with TLS and upgrade. Each address is checked that is connected to: a name may lead elsewhere the next time
/// it is looked up. The error is for people and names neither path nor answer.
pub async fn dial(
    endpoint: &Endpoint,
    targets: &Targets,
    network: &Network,
) -> Result<WebSocket, String> {
    let admits = |address| targets.allows_address(endpoint.host(), address);
    let dial = network.websocket(endpoint.target(), live::config(), admits, identity);
    match timeout(DIAL_LIMIT, dial).await.unwrap_or(Err(DialError::Silent)) {
        Ok(websocket) => Ok(websocket),
        Err(DialError::NotAdmitted) => {
            Err("its host leads to a private address: list the name itself".into())
        }
        Err(error) => Err(error.to_string()),
    }
}
