//! A real browser, headless, driven through WebDriver.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use rtmsd::tls::client_config;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

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
        let logs = json!({ "browser": "ALL" });
        let wanted = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": logs });
        let body = json!({ "capabilities": { "alwaysMatch": wanted } });
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

    /// What a script returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.call(Method::POST, "/execute/sync", body).await
    }

    /// A command of Chromium's own protocol.
    pub(crate) async fn command(&self, name: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": name, "params": parameters });
        self.call(Method::POST, "/goog/cdp/execute", body).await
    }

    /// Looks like a screen of this width, in one of the colour schemes.
    pub(crate) async fn emulate(&self, width: u32, is_dark: bool) {
        let metrics =
            json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
        let scheme = if is_dark { "dark" } else { "light" };
        let scheme = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.command("Emulation.setEmulatedMedia", json!({ "features": [scheme] })).await;
    }

    /// What pages wrote to the console since the last call, refused scripts and styles included.
    pub(crate) async fn console(&self) -> Vec<String> {
        let log = self.call(Method::POST, "/se/log", json!({ "type": "browser" })).await;
        let lines = log.as_array().expect("a list").iter();
        lines.filter_map(|line| line["message"].as_str().map(str::to_owned)).collect()
    }

    /// Types a text into an element.
    pub(crate) async fn type_into(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        let body = json!({ "text": text });
        self.call(Method::POST, &format!("/element/{element}/value"), body).await;
    }

    pub(crate) async fn visit(&self, url: &str) {
        self.call(Method::POST, "/url", json!({ "url": url })).await;
    }

    pub(crate) async fn find(&self, selector: &str) -> String {
        let wanted = json!({"using": "css selector", "value": selector});
        let element = self.call(Method::POST, "/element", wanted).await;
        element[ELEMENT].as_str().unwrap().to_owned()
    }

    pub(crate) async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        self.call(Method::POST, &format!("/element/{element}/click"), json!({})).await;
    }

    pub(crate) async fn text(&self, selector: &str) -> String {
        let element = self.find(selector).await;
        let text = self.call(Method::GET, &format!("/element/{element}/text"), Value::Null).await;
        text.as_str().unwrap().to_owned()
    }

    pub(crate) async fn url(&self) -> String {
        self.call(Method::GET, "/url", Value::Null).await.as_str().unwrap().to_owned()
    }

    /// What the whole page looks like, or the first 16,000 pixels of it, for people: beside the tests' other output.
    pub(crate) async fn screenshot(&self, name: &str) {
        // Chromium draws no taller picture.
        let script = "const page = document.documentElement; \
                      return [page.scrollWidth, Math.min(page.scrollHeight, 16000)]";
        let size = self.run(script).await;
        let clip = json!({ "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1 });
        let whole = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let png = self.command("Page.captureScreenshot", whole).await;
        let png = STANDARD.decode(png["data"].as_str().unwrap()).unwrap();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }

    /// Whether the style was allowed and applied.
    pub(crate) async fn is_styled(&self) -> bool {
        let script = "return getComputedStyle(document.querySelector('main')).maxWidth";
        self.run(script).await != json!("none")
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
