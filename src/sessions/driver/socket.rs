//! One WebSocket of a stream: dials, reads messages, queues writes, closes. Another transport is another file like this one.

use std::task::{Context, Poll, ready};

use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::net::websocket::decoder::MessageLimits;
use crate::net::websocket::{ClientSocket, End, Message, NotReading, Upgrading};
use crate::net::{Network, Target, Transport, delay_acks};
use crate::rtms::endpoint::Endpoint;
use crate::rtms::stream::LossReason;

/// The largest message that is read, on every link: a QHD picture in base64 has several MB, and sizes are not published
/// (rtms-protocol.md section 4). Of a larger one the first bytes are kept, to find its type and time.
const MESSAGE_LIMITS: MessageLimits =
    MessageLimits { max_bytes: 16 * 1024 * 1024, head_bytes: 1024 };
/// The upgrade's answer is short, and its buffer is cleared before every read.
const UPGRADE_BUFFER_BYTES: usize = 4 * 1024;

/// Acknowledgements are delayed from this message on, because the answers of the handshake must not wait, and again
/// every [`DELAYED_ACK_EVERY`] messages.
const FIRST_DELAYED_ACK: u32 = 3;
const DELAYED_ACK_EVERY: u32 = 128;

/// One open WebSocket.
pub(super) struct Socket {
    websocket: ClientSocket<Transport>,
    /// The number of messages received, modulo 2^32.
    received: u32,
}

/// Connects, with TLS and upgrade. The error is for the log and contains no URL path, because a path may name a
/// meeting.
pub(super) async fn dial_link(endpoint: Endpoint, network: Network) -> Result<Socket, String> {
    let config = WebSocketConfig::default().read_buffer_size(UPGRADE_BUFFER_BYTES);
    let dialled = network.websocket(target(&endpoint), config, |_| true, Upgrading::new).await;
    let upgraded = dialled.map_err(|error| error.to_string())?.into_inner();
    Ok(Socket { websocket: ClientSocket::new(upgraded, MESSAGE_LIMITS), received: 0 })
}

fn target(endpoint: &Endpoint) -> Target<'_> {
    let (host, port, url) = (endpoint.host(), endpoint.port(), endpoint.url());
    Target { host, port, is_tls: endpoint.is_tls(), url }
}

impl Socket {
    /// Queues a message; the next poll sends it. An error when the peer has stopped reading.
    pub(super) fn send(&mut self, text: &str) -> Result<(), NotReading> {
        self.websocket.send(text)
    }

    /// Returns the next message, or why the link is lost. Also sends queued messages.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, LossReason>> {
        let message = ready!(self.websocket.poll_next(cx)).map_err(|end| match end {
            End::Closed(code) => LossReason::Closed(code),
            End::Failed(cause) => LossReason::Dropped(cause),
        });
        self.received = self.received.wrapping_add(1);
        if self.received == FIRST_DELAYED_ACK || self.received.is_multiple_of(DELAYED_ACK_EVERY) {
            delay_acks(self.websocket.stream());
        }
        Poll::Ready(message)
    }

    /// Ends the sending side without a Close frame. What the peer still sends can be read.
    pub(super) fn end_sending(&mut self) {
        self.websocket.end_sending();
    }

    /// Sends a Close frame if the peer takes it at once, and drops the socket.
    pub(super) fn close(self) {
        self.websocket.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtms::endpoint::Policy;

    #[test]
    fn a_dial_that_runs_takes_few_kilobytes() {
        let policy = Policy::new(vec!["zoom.us".to_owned()], false);
        let endpoint = policy.endpoint("wss://zoom.us/").unwrap();
        let dial = dial_link(endpoint, Network::direct(crate::tls::client_config(None).unwrap()));
        let bytes = size_of_val(&dial);
        assert!(bytes < 12 * 1024, "{bytes}");
    }
}
