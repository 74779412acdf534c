//! A real browser, headless: from the install link to Zoom's page and back.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use rtmsd::simulator::{self, OAuthSettings, Settings, Simulator, Start, User};
use rtmsd::tls::client_config;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::daemon::{Daemon, INSTALL};
use crate::simulator::kit::settings;
use crate::support::wait::eventually;

const ALLOW: &str = "button[value=allow]";
const HOW_TO_INSTALL: &str =
    "the tests need a headless Chromium: apt-get install chromium chromium-driver";

/// The driver chooses a port, and then binds it twice.
const DRIVER_TRIES: u32 = 5;

/// How WebDriver marks an element in its answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A Chromium with an empty profile, driven through WebDriver.
pub(crate) struct Browser {
    driver: Child,
    /// Its process, which outlives a driver that is killed.
    process: Option<Pid>,
    http: reqwest::Client,
    session: String,
    _profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        if let Some(process) = self.process {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

impl Browser {
    pub(crate) async fn open(is_dark: bool) -> Self {
        let (driver, port) = (0..DRIVER_TRIES).find_map(|_| start_driver()).expect(HOW_TO_INSTALL);
        let url = format!("http://127.0.0.1:{port}");
        let tls = client_config(None).unwrap();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured((*tls).clone())
            .timeout(Duration::from_secs(90))
            .build()
            .unwrap();
        let profile = tempfile::tempdir().unwrap();
        let profile_argument = format!("--user-data-dir={}", profile.path().display());
        let mut arguments = vec![
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            // The page plays audio without a click.
            "--autoplay-policy=no-user-gesture-required",
            "--window-size=900,700",
            &profile_argument,
        ];
        if is_dark {
            arguments.push("--blink-settings=preferredColorScheme=0");
        }
        let options = json!({ "args": arguments });
        let body = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let mut browser = Self { driver, process: None, http, session: url, _profile: profile };
        let answer = browser.call(Method::POST, "/session", body).await;
        let process = answer["capabilities"]["goog:processID"].as_i64().unwrap();
        browser.process = Pid::from_raw(process.try_into().unwrap());
        let id = answer["sessionId"].as_str().unwrap();
        browser.session = format!("{}/session/{id}", browser.session);
        browser
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let mut request = self.http.request(method, format!("{}{path}", self.session));
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert!(answer["value"]["error"].is_null(), "{HOW_TO_INSTALL}: {answer}");
        answer["value"].clone()
    }

    /// What a script gives to its last argument.
    pub(crate) async fn ask(&self, script: &str, arguments: Value) -> Value {
        let body = json!({ "script": script, "args": arguments });
        self.call(Method::POST, "/execute/async", body).await
    }

    pub(crate) async fn visit(&self, url: &str) {
        self.call(Method::POST, "/url", json!({ "url": url })).await;
    }

    async fn find(&self, selector: &str) -> String {
        let wanted = json!({"using": "css selector", "value": selector});
        let element = self.call(Method::POST, "/element", wanted).await;
        element[ELEMENT].as_str().unwrap().to_owned()
    }

    async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        self.call(Method::POST, &format!("/element/{element}/click"), json!({})).await;
    }

    /// Decides on Zoom's page, and waits until the browser is back.
    async fn decide(&self, selector: &str) {
        self.click(selector).await;
        eventually("Zoom sends the browser back", async || {
            self.url().await.contains("/oauth/callback?").then_some(())
        })
        .await;
    }

    pub(crate) async fn text(&self, selector: &str) -> String {
        let element = self.find(selector).await;
        let text = self.call(Method::GET, &format!("/element/{element}/text"), Value::Null).await;
        text.as_str().unwrap().to_owned()
    }

    async fn url(&self) -> String {
        self.call(Method::GET, "/url", Value::Null).await.as_str().unwrap().to_owned()
    }

    /// What the page looks like, for people: beside the tests' other output.
    async fn screenshot(&self, name: &str) {
        let png = self.call(Method::GET, "/screenshot", Value::Null).await;
        let png = STANDARD.decode(png.as_str().unwrap()).unwrap();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }

    /// Whether the style was allowed and applied.
    async fn is_styled(&self) -> bool {
        let script = "return getComputedStyle(document.querySelector('main')).maxWidth";
        let body = json!({"script": script, "args": []});
        self.call(Method::POST, "/execute/sync", body).await != json!("none")
    }
}

/// A driver and its port. None when another process took the port before the driver did.
fn start_driver() -> Option<(Child, u16)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect(HOW_TO_INSTALL);
    let output = driver.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let port = lines.find_map(|line| {
        let (_, rest) = line.split_once("started successfully on port ")?;
        rest.trim_end_matches('.').parse().ok()
    });
    if port.is_none() {
        driver.wait().expect("it has ended");
    }
    Some((driver, port?))
}

/// The simulated Zoom, whose page a person sees, and a daemon.
async fn both() -> (Simulator, Daemon) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ana = User {
        id: "u-ana".to_owned(),
        name: "Ana Ruiz".to_owned(),
        email: "ana@example.com".to_owned(),
    };
    let oauth = OAuthSettings { users: vec![ana], ..OAuthSettings::default() };
    let settings = Settings { oauth, start: Start::Rest, ..settings() };
    let zoom = simulator::start(settings, listener).await.unwrap();
    let daemon = Daemon::start_at(&zoom.base_url(), &[]).await;
    (zoom, daemon)
}

#[tokio::test]
async fn a_person_installs_the_app_in_a_real_browser() {
    let (zoom, daemon) = both().await;
    let browser = Browser::open(false).await;
    browser.visit(&format!("http://{}{INSTALL}", daemon.address)).await;
    assert!(browser.url().await.starts_with(&format!("{}?", zoom.authorize_url())));
    browser.decide(ALLOW).await;
    assert_eq!(browser.text("h1").await, "Zoom is connected");
    assert!(browser.text("main").await.contains("Ana Ruiz"));
    assert!(browser.is_styled().await, "the policy allows the page's own style");
    browser.screenshot("installed").await;
    // Once more with the same link of Zoom's, as a reload does.
    let back = browser.url().await;
    browser.visit(&back).await;
    assert_eq!(browser.text("h1").await, "Already installed");
    browser.screenshot("installed-before").await;
    let list = daemon.api("GET", "/api/v1/zoom/installations").await.json();
    assert_eq!(list["data"]["installations"][0]["user_id"], "u-ana");
    // Another browser gets nowhere with somebody's way back.
    let other = Browser::open(true).await;
    other.visit(&back).await;
    assert_eq!(other.text("h1").await, "The app is not installed yet");
    other.screenshot("other-browser-dark").await;
}

#[tokio::test]
async fn a_person_declines_and_may_still_install_from_the_page() {
    let (_zoom, daemon) = both().await;
    let browser = Browser::open(true).await;
    browser.visit(&format!("http://{}{INSTALL}", daemon.address)).await;
    browser.decide("button[value=deny]").await;
    assert_eq!(browser.text("h1").await, "The app was not installed");
    assert!(browser.is_styled().await);
    browser.screenshot("declined-dark").await;
    browser.click(".action").await;
    browser.decide(ALLOW).await;
    assert_eq!(browser.text("h1").await, "Zoom is connected");
    browser.screenshot("installed-dark").await;
    // From the Marketplace's "Add" people come with a code and no state.
    browser.visit(&format!("http://{}/api/v1/zoom/oauth/callback?code=x", daemon.address)).await;
    assert_eq!(browser.text("h1").await, "One more step");
    browser.screenshot("one-more-step-dark").await;
    browser.click(".action").await;
    browser.decide(ALLOW).await;
    assert_eq!(browser.text("h1").await, "Zoom is connected");
}
