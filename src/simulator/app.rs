//! The apps of a simulation: each has credentials, grants and a webhook endpoint of its own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use tokio_util::sync::CancellationToken;

use super::event_socket::EventSocket;
use super::oauth::{Access, Grants, Owner};
use super::report::{AppReport, EventSocketReport};
use super::settings::{Events, Settings, ZoomApp};
use super::webhook::WebhookSender;
use super::{SimulatorError, lock, tls};

/// One app.
pub(super) struct App {
    /// Its place among the apps, from 0.
    pub index: usize,
    pub settings: ZoomApp,
    pub grants: Mutex<Grants>,
    pub webhook_sender: Arc<WebhookSender>,
    /// `None` if events come by webhook only, or if the app has no streams.
    pub event_socket: Option<Arc<EventSocket>>,
}

impl App {
    fn new(
        index: usize,
        app: &ZoomApp,
        settings: &Settings,
        own_ca: Option<&tls::TlsFiles>,
        stop: CancellationToken,
    ) -> Result<Self, SimulatorError> {
        // Tokens of different apps differ. The first app keeps the sequence of a simulation with one app.
        let seed = settings.seed ^ ((index as u64) << 32);
        let socket = || Arc::new(EventSocket::new(&app.client_id, &settings.timings));
        let has_socket =
            settings.events != Events::Webhook && app.has_streams(settings.script.product);
        let event_socket = has_socket.then(socket);
        let sender = WebhookSender::new(app, settings, event_socket.clone(), seed, own_ca, stop)?;
        Ok(Self {
            index,
            settings: app.clone(),
            grants: Mutex::new(Grants::new(settings.oauth.clone(), seed)),
            webhook_sender: Arc::new(sender),
            event_socket,
        })
    }

    fn report(&self) -> AppReport {
        AppReport {
            client_id: self.settings.client_id.clone(),
            webhooks: self.webhook_sender.report(),
            oauth: lock(&self.grants).report.clone(),
            event_socket: self.event_socket_report(),
        }
    }

    /// How long a token of the app or of its account is still valid; `None` for every other token.
    pub(super) fn machine_token_life(&self, token: &str, now_ms: i64) -> Option<Duration> {
        let grants = lock(&self.grants);
        let access = grants.access(token, now_ms)?;
        let is_machine = matches!(access.owner, Owner::Account | Owner::App);
        is_machine.then(|| access.life(now_ms))
    }

    pub(super) fn event_socket_report(&self) -> EventSocketReport {
        self.event_socket.as_ref().map(|socket| socket.report()).unwrap_or_default()
    }
}

/// All apps, never none.
pub(super) struct Apps(Vec<Arc<App>>);

impl Apps {
    /// # Errors
    /// Two apps have the same client id, or the webhook client cannot be built.
    pub(super) fn new(
        settings: &Settings,
        own_ca: Option<&tls::TlsFiles>,
        stop: &CancellationToken,
    ) -> Result<Self, SimulatorError> {
        let all: Vec<&ZoomApp> =
            std::iter::once(&settings.app).chain(&settings.more_apps).collect();
        let has_twin = |(index, app): (usize, &&ZoomApp)| {
            all[..index].iter().any(|other| other.client_id == app.client_id)
        };
        if all.iter().enumerate().any(has_twin) {
            return Err(SimulatorError::Setting("every app needs a client id of its own"));
        }
        let build = |(index, app): (usize, &ZoomApp)| {
            App::new(index, app, settings, own_ca, stop.clone()).map(Arc::new)
        };
        all.into_iter().enumerate().map(build).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<App>> {
        self.0.iter()
    }

    /// The app of a simulation with only one.
    pub(super) fn first(&self) -> &Arc<App> {
        &self.0[0]
    }

    /// The app with this event subscription.
    pub(super) fn of_subscription(&self, id: &str) -> Option<(&Arc<App>, Arc<EventSocket>)> {
        self.0.iter().find_map(|app| {
            let socket = app.event_socket.as_ref().filter(|it| it.subscription_id() == id)?;
            Some((app, Arc::clone(socket)))
        })
    }

    pub(super) fn of_client_id(&self, client_id: &str) -> Option<&Arc<App>> {
        self.0.iter().find(|app| app.settings.client_id == client_id)
    }

    /// The app whose Basic credentials these are (section 5.4).
    pub(super) fn of_basic_credentials(&self, header: &str) -> Option<&Arc<App>> {
        // A plain comparison, not constant-time: the secrets of a simulator need no protection.
        self.0.iter().find(|app| {
            let ZoomApp { client_id, client_secret, .. } = &app.settings;
            let pair = format!("{client_id}:{}", client_secret.expose());
            header == format!("Basic {}", BASE64_STANDARD.encode(pair))
        })
    }

    /// The app that a token was issued for, and what the token allows.
    pub(super) fn of_access_token(&self, token: &str, now_ms: i64) -> Option<(&Arc<App>, Access)> {
        self.0.iter().find_map(|app| {
            let access = lock(&app.grants).access(token, now_ms).cloned()?;
            Some((app, access))
        })
    }

    pub(super) fn expire_access_tokens(&self) {
        for app in &self.0 {
            lock(&app.grants).expire_access_tokens();
        }
    }

    /// Waits until every endpoint is validated or refused.
    pub(super) async fn validated(&self) {
        for app in &self.0 {
            app.webhook_sender.validated().await;
        }
    }

    /// The reports of every app but the first, which the fields of the simulation's report describe.
    pub(super) fn further_reports(&self) -> Vec<AppReport> {
        self.0[1..].iter().map(|app| app.report()).collect()
    }
}
