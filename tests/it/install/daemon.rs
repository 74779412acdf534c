//! A whole daemon in this process, as `rtmsd serve` builds it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rtmsd::app::App;
use rtmsd::config::Config;
use rtmsd::model::{Installation, InstallationId};
use rtmsd::net::Resolver;
use rtmsd::rtms::stream::Timings;
use rtmsd::secret::Secret;
use rtmsd::sessions::Leases;
use rtmsd::store::{Audited, Store};
use rtmsd::zoom::signature::WebhookKey;
use rtmsd::zoom::token::Tokens;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::client::{Answer, exchange, head};
use crate::support::wait::eventually;
use crate::support::zoom::{CLIENT_ID, CLIENT_SECRET, FakeZoom};

pub(crate) const API_TOKEN: &str = "api-token-0123456789";
pub(crate) const TOKEN_KEY: &str =
    "4242424242424242424242424242424242424242424242424242424242424242";
pub(crate) const WEBHOOK_SECRET: &str = "demoSecretToken01";
pub(crate) const INSTALL: &str = "/api/v1/zoom/oauth/install";
pub(crate) const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
pub(crate) const JSON: (&str, &str) = ("accept", "application/json");

pub(crate) struct Daemon {
    pub address: SocketAddr,
    pub store: Store,
    pub tokens: Tokens,
    pub folder: Option<TempDir>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Daemon {
    pub(crate) async fn start(zoom: &FakeZoom) -> Self {
        Self::start_with(zoom, &[]).await
    }

    pub(crate) async fn start_with(zoom: &FakeZoom, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut daemon = Self::start_in(zoom, &data, settings).await;
        daemon.folder = Some(folder);
        daemon
    }

    pub(crate) async fn start_in(zoom: &FakeZoom, data: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_at(&zoom.url(), data, settings).await
    }

    /// `zoom_url` is where Zoom's OAuth and API are.
    pub(crate) async fn start_at(zoom_url: &str, data: &Path, settings: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = config(zoom_url, address, data, settings);
        let app = App::build(config, Timings::default(), Leases::default(), Resolver::system())
            .await
            .unwrap();
        let (store, tokens) = (app.store.clone(), app.tokens.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let running = tokio::spawn(async move { app.run(listener, stopped).await.unwrap() });
        Self { address, store, tokens, folder: None, stop, running }
    }

    /// Ends as on SIGTERM.
    pub(crate) async fn stop(self) -> Option<TempDir> {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(30), self.running).await.unwrap().unwrap();
        self.folder
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

    /// Sends a webhook as Zoom does.
    pub(crate) async fn webhook(&self, body: &Value) -> Answer {
        let body = body.to_string();
        let now_s = rtmsd::clock::now_ms() / 1000;
        let key = WebhookKey::new(&Secret::new(WEBHOOK_SECRET.to_owned()));
        let (now, signature) = (now_s.to_string(), key.sign(now_s, body.as_bytes()));
        let length = body.len().to_string();
        let headers = [
            ("content-length", &*length),
            ("x-zm-request-timestamp", &*now),
            ("x-zm-signature", &*signature),
        ];
        let mut request = head("POST", "/webhook", &headers);
        request.extend_from_slice(body.as_bytes());
        exchange(self.address, &request).await
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
            let mut trail = self.store.audit_trail(100).await.unwrap();
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

pub(crate) fn config(
    zoom_url: &str,
    address: SocketAddr,
    data: &Path,
    settings: &[(&str, &str)],
) -> Config {
    let mut values = HashMap::from([
        ("HOST", "127.0.0.1".to_owned()),
        ("PORT", address.port().to_string()),
        ("PUBLIC_URL", format!("http://{address}")),
        ("DATA_DIR", data.display().to_string()),
        (
            "API_TOKENS",
            format!(
                "tester:{API_TOKEN}:admin,controller:controller-token:read+control,\
                 reader:reader-token-0123:read"
            ),
        ),
        ("ZOOM_CLIENT_ID", CLIENT_ID.to_owned()),
        ("ZOOM_CLIENT_SECRET", CLIENT_SECRET.to_owned()),
        ("ZOOM_SECRET_TOKEN", WEBHOOK_SECRET.to_owned()),
        ("TOKEN_ENCRYPTION_KEYS", TOKEN_KEY.to_owned()),
        ("ZOOM_API_BASE_URL", zoom_url.to_owned()),
        ("ZOOM_OAUTH_BASE_URL", zoom_url.to_owned()),
    ]);
    for (name, value) in settings {
        values.insert(name, (*value).to_owned());
    }
    Config::from_lookup(|name| values.get(name).cloned()).unwrap()
}

/// One browser's install: its cookie, and where it was sent.
pub(crate) struct Trip {
    pub cookie: String,
    pub authorize_url: String,
}

impl Trip {
    pub(crate) async fn begin(daemon: &Daemon) -> Self {
        let answer = daemon.request("GET", INSTALL, &[HTML]).await;
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
