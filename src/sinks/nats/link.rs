use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event};
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Login, NatsError, Settings};

/// Messages on their way into the socket; beyond it publishing waits.
const CLIENT_QUEUE: usize = 256;
/// How soon a broker that has fallen silent is noticed: after three of these.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// How often it is looked whether the broker is there, should its event be lost.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The connection to the broker, which comes and goes.
pub(super) struct Link {
    pub client: Client,
    events: watch::Receiver<()>,
}

impl Link {
    pub async fn connect(settings: &Settings, tls: &ClientConfig) -> Result<Self, NatsError> {
        let (sender, events) = watch::channel(());
        let log = Log::default();
        let options = ConnectOptions::new()
            .name("rtmsd")
            .retry_on_initial_connect()
            .client_capacity(CLIENT_QUEUE)
            .ping_interval(PING_INTERVAL)
            .tls_client_config(tls.clone())
            .event_callback(move |event| {
                log.note(&event);
                sender.send_replace(());
                std::future::ready(())
            });
        let mut options = match &settings.login {
            None => options,
            Some(Login::User { name, password }) => {
                options.user_and_password(name.clone(), password.expose().clone())
            }
            Some(Login::Token(token)) => options.token(token.expose().clone()),
        };
        if let Some(file) = &settings.credentials {
            options = options.credentials_file(file).await.map_err(NatsError::Credentials)?;
        }
        Ok(Self { client: options.connect(&settings.servers).await?, events })
    }

    pub fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Waits until the broker is there.
    pub async fn up(&self) {
        let mut events = self.events.clone();
        while !self.is_up() {
            // Neither a time-out nor the end of the events says anything of the broker.
            if let Ok(Err(_)) = timeout(POLL_INTERVAL, events.changed()).await {
                std::future::pending().await
            }
        }
    }
}

/// Tells of a broker that comes and goes, and not of every try in between.
#[derive(Default)]
struct Log {
    has_failed: AtomicBool,
}

impl Log {
    fn note(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.has_failed.store(false, Ordering::Relaxed);
                tracing::info!("NATS is connected");
            }
            Event::Disconnected => self.note_failure("NATS is away", event),
            Event::ServerError(_) | Event::ClientError(_) => {
                self.note_failure("NATS refuses us or cannot be reached", event);
            }
            _ => tracing::debug!(%event, "NATS"),
        }
    }

    fn note_failure(&self, what: &'static str, event: &Event) {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            tracing::warn!(%event, "{what}; it is tried until it works, and what fails meanwhile is not told");
        }
    }
}
