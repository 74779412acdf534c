//! A daemon, a simulated Zoom, and visits of the doctor.

use std::net::SocketAddr;

use reqwest::header::LOCATION;
use rtmsd::simulator::{Consent, OAuthSettings, Settings, Simulator, Start, start};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::simulator::kit::http;
use crate::support::kit::{API_TOKEN, Home, TOKEN_KEY, TestDaemon, script};
use crate::support::process::Process;

/// What no output may have.
const SECRETS: [&str; 6] =
    ["demoClientSecret01", "demoSecretToken01", API_TOKEN, TOKEN_KEY, "hunter2", "eyJ"];

/// A Zoom without a meeting, whose users consent to everything.
pub(super) fn zoom_settings() -> Settings {
    Settings {
        meetings: 0,
        start: Start::Rest,
        skip_url_validation: true,
        script: script(Vec::new(), 1_000),
        oauth: OAuthSettings { consent: Consent::Allow, ..OAuthSettings::default() },
        ..Settings::default()
    }
}

pub(super) async fn zoom(settings: Settings) -> Simulator {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    start(settings, listener).await.unwrap()
}

/// A home of a daemon that takes the simulator for Zoom.
pub(super) fn at_zoom(home: Home, zoom: &Simulator) -> Home {
    let url = zoom.base_url();
    home.set("ZOOM_API_BASE_URL", &url).set("ZOOM_OAUTH_BASE_URL", &url)
}

/// A daemon that runs, and its Zoom.
pub(super) struct Patient {
    pub home: Home,
    pub zoom: Simulator,
    pub daemon: TestDaemon,
}

impl Patient {
    pub(super) async fn open(settings: Settings) -> Self {
        let zoom = zoom(settings).await;
        let home = at_zoom(Home::sqlite(), &zoom).set("PUBLIC_URL", "http://{address}");
        let daemon = TestDaemon::start(&home).await;
        Self { home, zoom, daemon }
    }

    /// Installs the app as the host.
    pub(super) async fn install(&self) {
        let url = self.daemon.api().get("/api/v1/zoom/oauth/authorize-url").await.unwrap().json();
        let url = url["data"]["authorization_url"].as_str().unwrap().to_owned();
        let back = http().get(url).send().await.unwrap().headers()[LOCATION].clone();
        let request = http().get(back.to_str().unwrap()).header("accept", "application/json");
        let installed: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(installed["status"], true, "{installed}");
    }

    /// Runs the doctor with the settings of the daemon and these changes.
    pub(super) async fn visit(&self, changes: &[(&str, &str)]) -> Visit {
        run(&self.home, changes, Some(self.daemon.address)).await
    }
}

/// Runs the doctor with the settings of a home. `{address}` in them stands for `daemon`.
pub(super) async fn visit(home: &Home, daemon: Option<SocketAddr>) -> Visit {
    run(home, &[], daemon).await
}

async fn run(home: &Home, changes: &[(&str, &str)], daemon: Option<SocketAddr>) -> Visit {
    let address = daemon.map(|address| address.to_string()).unwrap_or_default();
    let kept =
        home.variables().iter().filter(|(name, _)| !changes.iter().any(|(new, _)| new == name));
    let kept = kept.map(|(name, value)| (name.clone(), value.replace("{address}", &address)));
    let changed = changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let variables: Vec<_> = kept.chain(changed).collect();
    let ended = Process::spawn(&["doctor", "--json"], &variables, home.folder()).ended().await;
    for secret in SECRETS {
        assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "{secret}: {ended:?}");
    }
    let report = serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{ended:?}"));
    Visit { code: ended.code(), report, out: ended.out }
}

/// What the doctor said.
pub(super) struct Visit {
    pub code: i32,
    pub report: Value,
    /// The report as it was printed.
    pub out: String,
}

impl Visit {
    fn checks(&self, id: &str) -> Vec<&Value> {
        let checks = self.report["checks"].as_array().expect("a list");
        checks.iter().filter(|check| check["id"] == id).collect()
    }

    /// The only check with this id.
    pub(super) fn check(&self, id: &str) -> &Value {
        let checks = self.checks(id);
        let [check] = checks.as_slice() else { panic!("{id}: {}", self.out) };
        check
    }

    /// The check with this id and subject.
    pub(super) fn check_of(&self, id: &str, subject: &str) -> &Value {
        let mut checks = self.checks(id).into_iter();
        let check = checks.find(|check| check["subject"] == subject);
        check.unwrap_or_else(|| panic!("{id} of {subject}: {}", self.out))
    }

    pub(super) fn status(&self, id: &str) -> &str {
        self.check(id)["status"].as_str().expect("a status")
    }

    /// Asserts that a check failed, that it says this, and that it says what to do. The exit code says so as well.
    pub(super) fn assert_fails(&self, id: &str, says: &str) {
        self.assert_finds(id, "fail", says);
        assert_eq!((self.code, &self.report["ok"]), (1, &Value::Bool(false)), "{}", self.out);
    }

    /// The same with a warning.
    pub(super) fn assert_warns(&self, id: &str, says: &str) {
        self.assert_finds(id, "warn", says);
    }

    fn assert_finds(&self, id: &str, status: &str, says: &str) {
        let check = self.check(id);
        assert_eq!(check["status"], status, "{check}");
        assert!(check["seen"].as_str().unwrap().contains(says), "{says} in {check}");
        assert!(check["todo"].as_str().is_some_and(|todo| !todo.is_empty()), "{check}");
    }
}
