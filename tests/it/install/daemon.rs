//! A daemon in this process beside a fake Zoom, and a browser that installs the app.

use std::net::SocketAddr;

use rtmsd::model::{Installation, InstallationId};
use rtmsd::store::{Audited, Store};
use rtmsd::zoom::token::Tokens;
use serde_json::Value;

use crate::support::audit::trail;
use crate::support::client::{Answer, exchange, head};
use crate::support::kit::{Home, TestDaemon, send_webhook};
use crate::support::wait::eventually;
use crate::support::zoom::FakeZoom;

pub(crate) const API_TOKEN: &str = "api-token-0123456789";
pub(crate) const WEBHOOK_SECRET: &str = "demoSecretToken01";
pub(crate) const INSTALL: &str = "/api/v1/zoom/oauth/install";
pub(crate) const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
pub(crate) const JSON: (&str, &str) = ("accept", "application/json");

/// A daemon whose Zoom is a fake.
pub(crate) struct Daemon {
    pub address: SocketAddr,
    pub store: Store,
    pub tokens: Tokens,
    pub home: Home,
    running: TestDaemon,
}

impl Daemon {
    pub(crate) async fn start(zoom: &FakeZoom) -> Self {
        Self::start_with(zoom, &[]).await
    }

    pub(crate) async fn start_with(zoom: &FakeZoom, settings: &[(&str, &str)]) -> Self {
        Self::start_at(&zoom.url(), settings).await
    }

    /// `zoom_url` is where Zoom's OAuth and API are.
    pub(crate) async fn start_at(zoom_url: &str, settings: &[(&str, &str)]) -> Self {
        let home = Home::sqlite()
            .set("PUBLIC_URL", "http://{address}")
            .set(
                "API_TOKENS",
                &format!(
                    "tester:{API_TOKEN}:admin,controller:controller-token:read+control,\
                     reader:reader-token-0123:read"
                ),
            )
            .set("ZOOM_API_BASE_URL", zoom_url)
            .set("ZOOM_OAUTH_BASE_URL", zoom_url);
        let home = settings.iter().fold(home, |home, (name, value)| home.set(name, value));
        Self::start_in(home).await
    }

    pub(crate) async fn start_in(home: Home) -> Self {
        let running = TestDaemon::start(&home).await;
        let (store, tokens) = (running.store.clone(), running.tokens.clone());
        Self { address: running.address, store, tokens, home, running }
    }

    /// Ends as on SIGTERM. Returns the home, for the next start.
    pub(crate) async fn stop(self) -> Home {
        self.running.stop().await;
        self.home
    }

    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        exchange(self.address, &head(method, path, headers)).await
    }

    /// With the API token.
    pub(crate) async fn api(&self, method: &str, path: &str) -> Answer {
        let authorization = format!("Bearer {API_TOKEN}");
        self.request(method, path, &[("authorization", &authorization)]).await
    }

    /// Sends a webhook as Zoom does, and returns the answer's status.
    pub(crate) async fn webhook(&self, body: &Value) -> u16 {
        send_webhook(self.address, body).await
    }

    /// From the install link to Zoom and back, in one browser that allows it.
    pub(crate) async fn install(&self, zoom: &FakeZoom) -> Installation {
        let trip = Trip::begin(self).await;
        let answer = trip.come_back(self, &trip.decide(zoom, "allow").await, JSON).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.installation(&answer.json()["data"]["installation"]["id"]).await
    }

    /// What was noted under this action, oldest first; waits until there is something.
    pub(crate) async fn audited(&self, action: &str) -> Vec<Audited> {
        eventually(action, async || {
            let mut trail = trail(&self.store, 100).await;
            trail.retain(|row| row.action == action);
            trail.reverse();
            (!trail.is_empty()).then_some(trail)
        })
        .await
    }

    pub(crate) async fn installation(&self, id: &Value) -> Installation {
        let id = InstallationId::parse(id.as_str().unwrap()).unwrap();
        self.store.grant(id).await.unwrap().unwrap().installation
    }
}

/// One browser's install: its cookie, and where it was sent.
pub(crate) struct Trip {
    pub cookie: String,
    pub authorize_url: String,
}

impl Trip {
    pub(crate) async fn begin(daemon: &Daemon) -> Self {
        Self::begin_at(daemon, INSTALL).await
    }

    /// At the install link of an app.
    pub(crate) async fn begin_at(daemon: &Daemon, link: &str) -> Self {
        let answer = daemon.request("GET", link, &[HTML]).await;
        assert_eq!(answer.status, 302);
        let cookie = answer.header("set-cookie").unwrap();
        Self {
            cookie: cookie.split(';').next().unwrap().to_owned(),
            authorize_url: answer.header("location").unwrap().to_owned(),
        }
    }

    /// Decides on Zoom's page, and returns the path and query that Zoom sends the browser back to.
    pub(crate) async fn decide(&self, zoom: &FakeZoom, decision: &str) -> String {
        let (_, query) = self.authorize_url.split_once('?').unwrap();
        let path = format!("/oauth/decide?{query}&decision={decision}");
        let answer = exchange(zoom.address, &head("GET", &path, &[])).await;
        assert_eq!(answer.status, 303);
        let back = url::Url::parse(answer.header("location").unwrap()).unwrap();
        format!("{}?{}", back.path(), back.query().unwrap())
    }

    pub(crate) async fn come_back(
        &self,
        daemon: &Daemon,
        path: &str,
        accept: (&str, &str),
    ) -> Answer {
        daemon.request("GET", path, &[("cookie", &self.cookie), accept]).await
    }
}
