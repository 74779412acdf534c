//! The two processes, and what is asked of them over HTTP.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::Problem;

const API_TOKEN: &str = "chaos-token-of-the-bench";
const START_LIMIT: Duration = Duration::from_secs(30);
/// The longest script: a run ends before it.
const SCRIPT_SECONDS: u32 = 900;

/// `rtmsd serve`, which can be killed and started again.
pub(super) struct Daemon {
    variables: Vec<(&'static str, String)>,
    folder: std::path::PathBuf,
    port: u16,
    child: Child,
    http: reqwest::Client,
}

/// `rtmsd simulate`.
pub(super) struct Zoom {
    _child: Child,
    control_url: String,
    http: reqwest::Client,
}

impl Daemon {
    pub(super) async fn start(folder: &Path) -> Result<Self, Problem> {
        let port = free_port().await?;
        let variables = variables(folder, port);
        let child = serve(&variables, folder)?;
        let daemon = Self { variables, folder: folder.to_owned(), port, child, http: http()? };
        daemon.ready().await?;
        Ok(daemon)
    }

    pub(super) fn webhook_url(&self) -> String {
        format!("http://127.0.0.1:{}/webhook", self.port)
    }

    /// SIGKILL, and a new start at once.
    pub(super) async fn restart(&mut self) -> Result<(), Problem> {
        self.child.kill().await?;
        self.child = serve(&self.variables, &self.folder)?;
        self.ready().await
    }

    async fn ready(&self) -> Result<(), Problem> {
        let url = format!("http://127.0.0.1:{}/health/ready", self.port);
        let ready = async {
            while !self.http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success())
            {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(START_LIMIT, ready).await.map_err(|_| "the daemon is not ready".into())
    }

    /// The `data` of an answer of its API.
    async fn get(&self, path: &str) -> Result<Value, Problem> {
        let url = format!("http://127.0.0.1:{}/api/v1/sdk/sessions{path}", self.port);
        let answer = self.http.get(url).bearer_auth(API_TOKEN).send().await?.error_for_status()?;
        Ok(answer.json::<Value>().await?["data"].take())
    }

    /// The ids of all sessions.
    pub(super) async fn sessions(&self) -> Result<Vec<String>, Problem> {
        let (mut ids, mut before) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("?limit=200{before}")).await?;
            let sessions = page["sessions"].as_array().cloned().unwrap_or_default();
            ids.extend(sessions.iter().filter_map(|one| one["id"].as_str().map(ToOwned::to_owned)));
            match page["next"].as_str() {
                Some(next) => before = format!("&before={next}"),
                None => return Ok(ids),
            }
        }
    }

    /// A session's streams with their ledgers.
    pub(super) async fn ledger<T: DeserializeOwned>(&self, session: &str) -> Result<T, Problem> {
        let mut data = self.get(&format!("/{session}/ledger")).await?;
        Ok(serde_json::from_value(data["streams"].take())?)
    }
}

impl Zoom {
    pub(super) async fn start(folder: &Path, webhook: &str, streams: u32) -> Result<Self, Problem> {
        let script = folder.join("script.json");
        std::fs::write(&script, meeting().to_string())?;
        let meetings = streams.to_string();
        let mut child = Command::new(env!("CARGO_BIN_EXE_rtmsd"))
            .args(["simulate", "--skip-url-validation", "--remember-frames"])
            .args(["--webhook-url", webhook, "--meetings", &meetings, "--script"])
            .arg(&script)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()?;
        let out = child.stdout.take().ok_or("a pipe")?;
        let mut lines = BufReader::new(out).lines();
        let line = timeout(START_LIMIT, lines.next_line()).await??;
        let line = line.ok_or("the simulator says nothing")?;
        let ready: Value = serde_json::from_str(&line)?;
        let control_url = ready["ready"]["control_url"].as_str().ok_or("a control URL")?.to_owned();
        Ok(Self { _child: child, control_url, http: http()? })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let answer = self.http.get(format!("{}{path}", self.control_url)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// False when there was nothing to do it to, such as a link that is down already.
    pub(super) async fn perform(
        &self,
        meeting: &str,
        verb: &str,
        body: &Value,
    ) -> Result<bool, Problem> {
        let url = format!("{}/meetings/{meeting}/{verb}", self.control_url);
        let answer = self.http.post(url).body(body.to_string()).send().await?;
        match answer.status() {
            StatusCode::CONFLICT => Ok(false),
            _ => answer.error_for_status().map(|_| true).map_err(Into::into),
        }
    }
}

fn serve(variables: &[(&'static str, String)], folder: &Path) -> Result<Child, Problem> {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("daemon.log"))?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_rtmsd"));
    command.arg("serve").current_dir(folder).stdout(Stdio::null()).stderr(log);
    command.env_clear().envs(variables.iter().map(|(name, value)| (name, value)));
    Ok(command.kill_on_drop(true).spawn()?)
}

fn variables(folder: &Path, port: u16) -> Vec<(&'static str, String)> {
    let own = [("PORT", port.to_string()), ("DATA_DIR", folder.join("data").display().to_string())];
    let fixed = [
        ("HOST", "127.0.0.1"),
        // The simulator's own, if it is told nothing else.
        ("ZOOM_CLIENT_ID", "demoClientId01"),
        ("ZOOM_CLIENT_SECRET", "demoClientSecret01"),
        ("ZOOM_SECRET_TOKEN", "demoSecretToken01"),
        ("API_TOKENS", "chaos:chaos-token-of-the-bench:read"),
        ("API_RATE_LIMIT_PER_SECOND", "10000"),
        (
            "TOKEN_ENCRYPTION_KEYS",
            "4242424242424242424242424242424242424242424242424242424242424242",
        ),
        ("RTMS_ALLOWED_HOSTS", "127.0.0.1"),
        ("RTMS_ALLOW_WS", "true"),
        ("MEDIA_TYPES", "audio,video,transcript,chat"),
        ("AUDIO_STREAMS", "mixed"),
        ("AUDIO_SEND_RATE_MS", "100"),
        ("VIDEO_CODEC", "jpg"),
        ("VIDEO_RESOLUTION", "sd"),
        ("VIDEO_FPS", "2"),
        ("LOG_LEVEL", "warn"),
    ];
    own.into_iter().chain(fixed.map(|(name, value)| (name, value.to_owned()))).collect()
}

/// Ana is on camera, says something every second and types something every three.
fn meeting() -> Value {
    let mut timeline =
        vec![json!({"at_ms": 0, "join": "ana"}), json!({"at_ms": 0, "video_on": "ana"})];
    for second in 0..SCRIPT_SECONDS {
        let say = json!({"who": "ana", "text": format!("line {second}"), "duration_ms": 1_000});
        timeline.push(json!({"at_ms": second * 1_000, "say": say}));
        if second % 3 == 2 {
            let chat = json!({"who": "ana", "text": format!("message {second}")});
            timeline.push(json!({"at_ms": second * 1_000 + 500, "chat": chat}));
        }
    }
    json!({
        "title": "Chaos", "meeting_id": "91000000000", "account_id": "acc-1", "host": "u-ana",
        "people": [{"key": "ana", "user_id": 16_778_240, "name": "Ana"}],
        "timeline": timeline,
        "end": {"at_ms": SCRIPT_SECONDS * 1_000, "stop_reason": 6}
    })
}

async fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

/// Everything is on loopback and without TLS, but a client needs a provider to be built.
fn http() -> Result<reqwest::Client, Problem> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build()?)
}
