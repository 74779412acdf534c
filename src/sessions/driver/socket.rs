//! One WebSocket of a stream: dials, reads messages, queues writes, closes. Another transport is another file like this one.

use std::io;
use std::task::{Context, Poll, ready};

use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_util::either::Either;

use crate::net::websocket::decoder::MessageLimits;
use crate::net::websocket::{ClientSocket, End, Message, NotReading, Upgrading};
use crate::net::{Network, Target, Transport, delay_acks, take_over};
use crate::prefetch::prefetch;
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

/// A connection that is open and belongs to the thread that dialled it.
pub(super) type Dialled = Upgrading<Transport>;

/// Connects, with TLS and upgrade. The error is for the log and contains no URL path, because a path may name a
/// meeting.
pub(super) async fn dial_link(endpoint: Endpoint, network: Network) -> Result<Dialled, String> {
    let config = WebSocketConfig::default().read_buffer_size(UPGRADE_BUFFER_BYTES);
    let dialled = network.websocket(target(&endpoint), config, |_| true, Upgrading::new).await;
    Ok(dialled.map_err(|error| error.to_string())?.into_inner())
}

fn target(endpoint: &Endpoint) -> Target<'_> {
    let (host, port, url) = (endpoint.host(), endpoint.port(), endpoint.url());
    Target { host, port, is_tls: endpoint.is_tls(), url }
}

impl Socket {
    /// Moves a connection to the runtime of the caller, which then reads it.
    pub(super) fn new(dialled: Dialled) -> io::Result<Self> {
        let websocket = ClientSocket::new(dialled.try_map(take_over)?, MESSAGE_LIMITS);
        Ok(Self { websocket, received: 0 })
    }

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

    /// Prefetches the fields that the next message needs.
    pub(super) fn prefetch(&self) {
        prefetch(self);
        if let Either::Right(tls) = self.websocket.stream() {
            prefetch(&**tls);
        }
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
    use std::future::poll_fn;

    use futures_util::SinkExt;
    use tokio::net::TcpListener;
    use tokio_tungstenite::accept_async;

    use super::*;
    use crate::rtms::endpoint::Policy;
    use crate::sessions::dial_threads::DialThreads;

    fn network() -> Network {
        Network::direct(crate::tls::client_config(None).unwrap())
    }

    #[tokio::test]
    async fn a_connection_that_another_thread_opened_is_read_here_after_that_thread_has_ended() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("ws://127.0.0.1:{}/", listener.local_addr().unwrap().port());
        let server = tokio::spawn(async move {
            let mut server = accept_async(listener.accept().await.unwrap().0).await.unwrap();
            server.send("right behind the answer".into()).await.unwrap();
            server
        });
        let endpoint = Policy::new(vec!["127.0.0.1".to_owned()], true).endpoint(&url).unwrap();
        let threads = DialThreads::start(1).unwrap();
        let dialled = threads.run(dial_link(endpoint, network())).await.unwrap();
        let mut socket = Socket::new(dialled).unwrap();
        drop(threads);
        let mut server = server.await.unwrap();
        let mut next = async || poll_fn(|cx| socket.poll(cx)).await.unwrap();
        assert_eq!(next().await, Message::Whole("right behind the answer".into()));
        let (message, sent) = tokio::join!(next(), server.send("later".into()));
        sent.unwrap();
        assert_eq!(message, Message::Whole("later".into()));
    }

    #[test]
    fn a_dial_that_runs_takes_few_kilobytes() {
        let policy = Policy::new(vec!["zoom.us".to_owned()], false);
        let endpoint = policy.endpoint("wss://zoom.us/").unwrap();
        let dial = dial_link(endpoint, network());
        let bytes = size_of_val(&dial);
        assert!(bytes < 12 * 1024, "{bytes}");
    }
}
