//! The daemon as a process, what is asked of it over HTTP, and the meeting that the simulator plays.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::zoom::{Problem, free_port, http};

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
        // The simulator's defaults.
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
pub(super) fn meeting() -> Value {
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
