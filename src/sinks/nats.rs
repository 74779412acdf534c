//! NATS: stored entries go to a JetStream stream, frames to core subjects, all with one prefix.
//!
//! JetStream acknowledges an entry before the relay moves on, and an entry always has the same `Nats-Msg-Id`: if it is
//! published again after a crash, the broker or the consumer drops the copy. Frames are published once, to current
//! subscribers.

mod deletions;
mod link;
mod media;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_nats::client;
use async_nats::jetstream::context::{
    CreateStreamError, PublishAckFuture, PublishError, PublishErrorKind,
};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, Context, ErrorCode, stream};
use async_nats::{ConnectError, HeaderMap};
use rustls::ClientConfig;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use self::link::Link;
use self::media::Media;
use super::message::{DELETED, ENTRIES, Message};
use super::relay::{self, Relay, Relayed};
use crate::hub::{Frame, Hub, SinkLimits, Wants};
use crate::model::MediaSet;
use crate::secret::Secret;
use crate::store::Store;

/// The name of the relay's positions.
const NAME: &str = "nats";
/// A copy of an entry that is published later than this is stored again; its id still identifies it.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(60 * 60);
/// How long a stream that rtmsd creates keeps entries.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The most bytes of queued frames, for all streams together.
const MAX_MEDIA_BYTES: usize = 512 * 1024 * 1024;
/// How long to wait for one answer of JetStream; less than the relay's timeout of a delivery.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct Settings {
    /// `nats://host:port` or `tls://host:port`, without user and password.
    pub servers: Vec<String>,
    pub login: Option<Login>,
    /// A file with a user's JWT and key, as `nsc` writes it.
    pub credentials: Option<PathBuf>,
    /// The prefix of every subject: one part, or several separated by dots.
    pub subject_prefix: String,
    /// The name of the JetStream stream.
    pub stream: String,
    /// The media with frames to publish.
    pub media: MediaSet,
    /// The most bytes of queued frames of one stream while the broker is away or slow.
    pub media_buffer_bytes: usize,
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
    #[error("the JetStream stream {0} is unavailable: {1}")]
    Stream(String, #[source] CreateStreamError),
    #[error("JetStream rejected an entry: {0}")]
    Publish(#[from] PublishError),
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counts {
    pub entries: AtomicU64,
    pub frames: AtomicU64,
    /// Dropped frames: the broker was away or slow for too long, or they were too large for it.
    pub frames_dropped: AtomicU64,
    /// Entries published without their body, and frames not published, because of the broker's `max_payload`.
    pub too_large: AtomicU64,
}

/// The sink.
pub struct Nats {
    link: Link,
    jetstream: Context,
    settings: Settings,
    counts: Counts,
    /// The JetStream stream existed when last checked, and nothing has failed since.
    has_stream: AtomicBool,
}

/// Publishes the daemon's entries and frames.
pub struct Runner {
    nats: Arc<Nats>,
    store: Store,
    hub: Arc<Hub>,
    settings: relay::Settings,
    media: Media,
}

impl Runner {
    /// Publishes until `stop`, then publishes the rest if the broker is reachable. Can run again after a panic.
    pub async fn run(&mut self, stop: CancellationToken) {
        let Self { nats, store, hub, settings, media } = self;
        let (deletions_to, settings) = (Arc::clone(nats), settings.clone());
        let deletions =
            deletions::publish(deletions_to, store.clone(), settings.clone(), stop.clone());
        let relay = Relay::new(store.clone(), hub, NAME, settings);
        let deliver = |entries| {
            let nats = Arc::clone(nats);
            async move { nats.deliver(entries).await }
        };
        tokio::join!(relay.run(stop.clone(), deliver), media.run(stop), deletions);
    }
}

impl Nats {
    /// Does not wait for the broker: the connection is established in the background, and again whenever it is lost.
    pub async fn connect(settings: Settings, tls: &ClientConfig) -> Result<Arc<Self>, NatsError> {
        let link = Link::connect(&settings, tls).await?;
        let jetstream =
            jetstream::ContextBuilder::new().timeout(ACK_TIMEOUT).build(link.client.clone());
        let (counts, has_stream) = (Counts::default(), AtomicBool::new(false));
        Ok(Arc::new(Self { link, jetstream, settings, counts, has_stream }))
    }

    /// Returns the publisher. Streams that start after this call are published from their first frame on.
    pub fn runner(
        self: Arc<Self>,
        store: Store,
        hub: &Arc<Hub>,
        settings: relay::Settings,
    ) -> Runner {
        let wants = Wants { media: self.settings.media, ..Wants::default() };
        let streams = hub.sink(
            move |_| (!wants.media.is_empty()).then(|| wants.clone()),
            SinkLimits { each_bytes: self.settings.media_buffer_bytes, all_bytes: MAX_MEDIA_BYTES },
        );
        let media = Media::new(Arc::clone(&self), store.clone(), streams);
        Runner { nats: self, store, hub: Arc::clone(hub), settings, media }
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Publishes that the stored data of `subject`, the id of a `scope` such as `session`, was deleted at `at_ms`, to
    /// the JetStream stream of the entries. May be called again after an error: duplicates are dropped.
    pub async fn publish_deleted(
        &self,
        scope: &str,
        subject: &str,
        at_ms: i64,
    ) -> Result<(), NatsError> {
        self.publish_all(vec![Message::of_deletion(scope, subject, at_ms)]).await
    }

    async fn deliver(&self, entries: Vec<Relayed>) -> Result<(), NatsError> {
        let count = entries.len() as u64;
        self.publish_all(entries.iter().map(Message::of_entry).collect()).await?;
        self.counts.entries.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    /// Sends all of them before it waits for the first acknowledgement.
    async fn publish_all(&self, messages: Vec<Message>) -> Result<(), NatsError> {
        // Messages to a disconnected broker would also be queued in the client, and be sent twice.
        if !self.link.is_up() {
            return Err(NatsError::Away);
        }
        let published = self.try_publish_all(messages).await;
        if published.is_err() {
            // The stream may have been deleted; the next call creates it again.
            self.has_stream.store(false, Ordering::Relaxed);
        }
        published
    }

    async fn try_publish_all(&self, messages: Vec<Message>) -> Result<(), NatsError> {
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
        self.note_too_large(
            "an entry is too large for the broker: it is published without its body",
        );
        match self.start(&message.clone().without_body()).await {
            Err(error) if is_too_large(&error) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Publishes a message that the broker accepts and the stream rejects.
    async fn publish_bare(&self, message: Message) -> Result<(), NatsError> {
        self.note_too_large(
            "an entry is too large for the stream: it is published without its body",
        );
        match self.start(&message.without_body()).await?.await {
            Err(error) if is_too_large(&error) => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }

    async fn start(&self, message: &Message) -> Result<PublishAckFuture, PublishError> {
        let publish = PublishMessage::build()
            .headers(headers(message))
            .payload(message.body.clone())
            .message_id(message.id.as_deref().unwrap_or_default())
            // Fails if another stream has the subject, instead of storing the entry there.
            .expected_stream(&self.settings.stream);
        self.jetstream.send_publish(self.subject(&message.path), publish).await
    }

    /// False if the broker rejects it.
    async fn publish_frame(&self, frame: &Frame, account_id: Option<&str>) -> bool {
        let message = Message::of_frame(frame, account_id);
        let (subject, headers) = (self.subject(&message.path), headers(&message));
        match self.link.client.publish_with_headers(subject, headers, message.body).await {
            Ok(()) => {
                self.counts.frames.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(error) => {
                if error.kind() == client::PublishErrorKind::MaxPayloadExceeded {
                    self.note_too_large("a frame is too large for the broker; it is dropped");
                }
                false
            }
        }
    }

    fn note_too_large(&self, what: &'static str) {
        if self.counts.too_large.fetch_add(1, Ordering::Relaxed) == 0 {
            let max_payload = self.link.client.max_payload();
            tracing::warn!(max_payload, "{what}; further ones are counted and not logged");
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
            subjects: vec![self.subject(&["*", "*", ENTRIES, "*"]), self.subject(&[DELETED, "*"])],
            max_age: MAX_AGE,
            duplicate_window: DUPLICATE_WINDOW,
            ..stream::Config::default()
        };
        let made = self.jetstream.get_or_create_stream(wanted).await;
        made.map_err(|error| NatsError::Stream(name.clone(), error))?;
        self.has_stream.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn subject(&self, path: &[impl AsRef<str>]) -> String {
        let mut subject = self.settings.subject_prefix.clone();
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

fn headers(message: &Message) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &message.headers {
        headers.insert(*name, value.as_str());
    }
    headers
}
