//! NATS: stored entries go to a JetStream stream, frames to core subjects, all with one prefix.
//!
//! JetStream acknowledges an entry before the relay moves on, and an entry always has the same `Nats-Msg-Id`: if it is
//! published again after a crash, the broker or the consumer drops the copy. Frames are published once, to current
//! subscribers.

mod link;
mod probe;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::client;
use async_nats::jetstream::context::{
    CreateStreamError, PublishAckFuture, PublishError, PublishErrorKind,
};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, ErrorCode, stream};
use async_nats::{ConnectError, HeaderMap};
use rustls::ClientConfig;
use thiserror::Error;

use self::link::Link;
pub use self::probe::{BrokerSeen, probe};
use super::broker::{Broker, FrameSettings, runner};
use super::message::{DELETED, ENTRIES, Message};
use super::{Context, Runner};
use crate::secret::Secret;

/// The part of a subject prefix that stands for the name of the Zoom app.
pub const APP: &str = "{app}";
/// A copy of an entry that is published later than this is stored again; its id still identifies it.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(60 * 60);
/// How long a stream that rtmsd creates keeps entries.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long to wait for one answer of JetStream; less than the relay's timeout of a delivery.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct Settings {
    /// `nats://host:port` or `tls://host:port`, without user and password.
    pub servers: Vec<String>,
    pub login: Option<Login>,
    /// A file with a user's JWT and key, as `nsc` writes it.
    pub credentials: Option<PathBuf>,
    /// The prefix of every subject: one part, or several separated by dots. `{app}` as a part stands for the name of
    /// the Zoom app.
    pub subject_prefix: String,
    /// The name of the JetStream stream.
    pub stream: String,
    pub frames: FrameSettings,
}

/// How the daemon authenticates to the broker.
#[derive(Debug, Clone)]
pub enum Login {
    User { name: String, password: Secret<String> },
    Token(Secret<String>),
}

#[derive(Debug, Error)]
pub enum NatsError {
    #[error("NATS_CREDENTIALS: {0}")]
    Credentials(#[source] std::io::Error),
    #[error("NATS cannot be used: {0}")]
    Connect(#[from] ConnectError),
    #[error("NATS is disconnected")]
    Away,
    #[error("NATS has no JetStream")]
    NoJetStream,
    #[error("the JetStream stream {0} is unavailable: {1}")]
    Stream(String, #[source] CreateStreamError),
    #[error("JetStream rejected an entry: {0}")]
    Publish(#[from] PublishError),
}

/// The connection to NATS, for the health check. Cheap to clone.
#[derive(Clone)]
pub struct Handle(async_nats::Client);

impl Handle {
    /// Whether NATS is connected now.
    pub fn is_up(&self) -> bool {
        link::is_connected(&self.0)
    }
}

/// Connects to NATS in the background, and again whenever the connection is lost.
pub async fn build(
    settings: Settings,
    context: &Context,
) -> Result<(Handle, Box<dyn Runner>), NatsError> {
    let frames = settings.frames;
    let nats = Nats::connect(settings, context.network.tls()).await?;
    let handle = Handle(nats.link.client.clone());
    Ok((handle, runner(Arc::new(nats), frames, context)))
}

/// The broker.
pub struct Nats {
    link: Link,
    jetstream: jetstream::Context,
    settings: Settings,
    /// Whether a message that was too large has been logged.
    has_warned: AtomicBool,
    /// The JetStream stream existed when last checked, and nothing has failed since.
    has_stream: AtomicBool,
}

impl Broker for Nats {
    type Error = NatsError;

    const NAME: &'static str = "nats";

    fn is_up(&self) -> bool {
        self.link.is_up()
    }

    /// Sends all of them before it waits for the first acknowledgement.
    async fn publish(&self, messages: Vec<Message>) -> Result<(), NatsError> {
        // Messages to a disconnected broker would also be queued in the client, and be sent twice.
        if !self.is_up() {
            return Err(NatsError::Away);
        }
        let published = self.publish_all(messages).await;
        if published.is_err() {
            // The stream may have been deleted; the next call creates it again.
            self.has_stream.store(false, Ordering::Relaxed);
        }
        published
    }

    async fn publish_frame(&self, message: Message) -> bool {
        let (subject, headers) = (self.subject_of(&message), message_headers(&message));
        let published = self.link.client.publish_with_headers(subject, headers, message.body).await;
        if let Err(error) = &published
            && error.kind() == client::PublishErrorKind::MaxPayloadExceeded
        {
            self.warn_too_large("a frame is too large for the broker; it is dropped");
        }
        published.is_ok()
    }

    async fn flush(&self) {
        if let Err(error) = self.link.client.flush().await {
            tracing::warn!(%error, "could not flush; the last frames may not have reached NATS");
        }
    }
}

impl Nats {
    /// Does not wait for the broker.
    pub async fn connect(settings: Settings, tls: &ClientConfig) -> Result<Self, NatsError> {
        let link = Link::connect(&settings, tls).await?;
        let jetstream =
            jetstream::ContextBuilder::new().timeout(ACK_TIMEOUT).build(link.client.clone());
        let (has_warned, has_stream) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { link, jetstream, settings, has_warned, has_stream })
    }

    async fn publish_all(&self, messages: Vec<Message>) -> Result<(), NatsError> {
        self.ensure_stream().await?;
        let mut sent = Vec::with_capacity(messages.len());
        for message in messages {
            if let Some(ack) = self.send(&message).await? {
                sent.push((message, ack));
            }
        }
        for (message, ack) in sent {
            match ack.await {
                Err(error) if is_too_large(&error) => self.publish_bare(message).await?,
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// One message must not block all others permanently: a message that is too large is sent without its body. `None`
    /// if the broker accepts no message of this account.
    async fn send(&self, message: &Message) -> Result<Option<PublishAckFuture>, PublishError> {
        match self.start(message).await {
            Err(error) if is_too_large(&error) => {}
            other => return other.map(Some),
        }
        self.warn_too_large(
            "an entry is too large for the broker: it is published without its body",
        );
        match self.start(&message.clone().without_body()).await {
            Err(error) if is_too_large(&error) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Publishes a message that the broker accepts and the stream rejects.
    async fn publish_bare(&self, message: Message) -> Result<(), NatsError> {
        self.warn_too_large(
            "an entry is too large for the stream: it is published without its body",
        );
        match self.start(&message.without_body()).await?.await {
            Err(error) if is_too_large(&error) => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }

    async fn start(&self, message: &Message) -> Result<PublishAckFuture, PublishError> {
        let publish = PublishMessage::build()
            .headers(message_headers(message))
            .payload(message.body.clone())
            .message_id(message.id.as_deref().unwrap_or_default())
            // Fails if another stream has the subject, instead of storing the entry there.
            .expected_stream(&self.settings.stream);
        self.jetstream.send_publish(self.subject_of(message), publish).await
    }

    fn warn_too_large(&self, what: &'static str) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            let max_payload = self.link.client.max_payload();
            tracing::warn!(max_payload, "{what}; further ones are not logged");
        }
    }

    /// Creates the stream if none has its name; an existing one is used as it is.
    async fn ensure_stream(&self) -> Result<(), NatsError> {
        if self.has_stream.load(Ordering::Relaxed) {
            return Ok(());
        }
        let name = &self.settings.stream;
        let wanted = stream::Config {
            name: name.clone(),
            description: Some("Entries of Zoom RTMS streams, from rtmsd".to_owned()),
            subjects: vec![
                self.subject("*", &["*", "*", ENTRIES, "*"]),
                self.subject("*", &[DELETED, "*"]),
            ],
            max_age: MAX_AGE,
            duplicate_window: DUPLICATE_WINDOW,
            ..stream::Config::default()
        };
        let made = self.jetstream.get_or_create_stream(wanted).await;
        made.map_err(|error| NatsError::Stream(name.clone(), error))?;
        self.has_stream.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn subject_of(&self, message: &Message) -> String {
        // The name of an app has no character with a meaning in subjects.
        self.subject(message.app.as_str(), &message.path)
    }

    fn subject(&self, app: &str, path: &[impl AsRef<str>]) -> String {
        let mut subject = self.settings.subject_prefix.replace(APP, app);
        for part in path {
            subject.push('.');
            subject.push_str(part.as_ref());
        }
        subject
    }
}

/// Whether a message is too large for the server or for the stream.
fn is_too_large(error: &PublishError) -> bool {
    use std::error::Error as _;
    let refused = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    error.kind() == PublishErrorKind::MaxPayloadExceeded
        || refused.is_some_and(|refused| {
            refused.error_code() == ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM
        })
}

fn message_headers(message: &Message) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &message.headers {
        headers.insert(*name, value.as_str());
    }
    headers
}
