//! Looks at the broker once: whether it takes the connection, and has JetStream and the stream. Creates nothing.

use std::time::Duration;

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::{self, ErrorCode};
use rustls::ClientConfig;

use super::{NatsError, Settings, link};

/// How long the connection and each answer may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What was seen of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerSeen {
    /// The version of the server.
    pub version: String,
    /// Whether the JetStream stream exists; the first entry creates it.
    pub stream: bool,
}

/// Connects to the broker once, over a connection of its own.
///
/// # Errors
/// It cannot be reached, refuses the credentials, or has no JetStream.
pub async fn probe(settings: &Settings, tls: &ClientConfig) -> Result<BrokerSeen, NatsError> {
    let options = link::options(settings, tls).await?.connection_timeout(TIMEOUT);
    let client = options.connect(&settings.servers).await?;
    let jetstream = jetstream::ContextBuilder::new().timeout(TIMEOUT).build(client.clone());
    let version = client.server_info().version;
    let stream = match jetstream.get_stream(&settings.stream).await {
        Ok(_) => true,
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                false
            }
            // Nobody answers for JetStream, or it says that this account may not use it.
            _ => return Err(NatsError::NoJetStream),
        },
    };
    Ok(BrokerSeen { version, stream })
}
