//! The connection to the NATS broker, and its state.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event};
use rustls::ClientConfig;

use super::{Login, NatsError, Settings};

/// The most messages queued in the client; beyond it publishing waits.
const CLIENT_QUEUE: usize = 256;
/// The interval of pings: a silent broker is noticed after three of them.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// The connection to the broker, which may be lost and restored.
pub(super) struct Link {
    pub client: Client,
}

impl Link {
    pub(super) async fn connect(
        settings: &Settings,
        tls: &ClientConfig,
    ) -> Result<Self, NatsError> {
        let log = Log::default();
        let options = options(settings, tls)
            .await?
            .retry_on_initial_connect()
            .client_capacity(CLIENT_QUEUE)
            .ping_interval(PING_INTERVAL)
            .event_callback(move |event| {
                log.note(&event);
                std::future::ready(())
            });
        Ok(Self { client: options.connect(&settings.servers).await? })
    }

    pub(super) fn is_up(&self) -> bool {
        is_connected(&self.client)
    }
}

/// Who connects to the broker, and how.
pub(super) async fn options(
    settings: &Settings,
    tls: &ClientConfig,
) -> Result<ConnectOptions, NatsError> {
    let options = ConnectOptions::new().name("rtmsd").tls_client_config(tls.clone());
    let options = match &settings.login {
        None => options,
        Some(Login::User { name, password }) => {
            options.user_and_password(name.clone(), password.expose().clone())
        }
        Some(Login::Token(token)) => options.token(token.expose().clone()),
    };
    match &settings.credentials {
        None => Ok(options),
        Some(file) => options.credentials_file(file).await.map_err(NatsError::Credentials),
    }
}

pub(super) fn is_connected(client: &Client) -> bool {
    client.connection_state() == State::Connected
}

/// Logs when the broker connects or disconnects, but not every attempt in between.
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
            Event::Disconnected => self.note_failure("NATS is disconnected", event),
            Event::ServerError(_) | Event::ClientError(_) => {
                self.note_failure("NATS rejected the connection or is unreachable", event);
            }
            _ => tracing::debug!(%event, "NATS"),
        }
    }

    fn note_failure(&self, what: &'static str, event: &Event) {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            tracing::warn!(%event, "{what}; retrying until connected, further failures are not logged");
        }
    }
}
