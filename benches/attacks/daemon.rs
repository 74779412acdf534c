//! The daemon that is attacked, and the callers that it must go on serving.

use std::io;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

pub(crate) const API_TOKEN: &str = "attack-token-of-the-bench";
const CONTROL_TOKEN: &str = "control-token-of-the-bench";
const SECRET_TOKEN: &str = "secret-token-of-the-bench";
const START_LIMIT: Duration = Duration::from_secs(30);
const KIB_A_MB: f64 = 1024.0;

/// `rtmsd serve` with the embedded store, in a folder of its own.
pub(crate) struct Daemon {
    pub address: SocketAddr,
    child: Child,
    http: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Daemon {
    pub(crate) async fn start() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_rtmsd"));
        command.arg("serve").current_dir(folder.path()).env_clear();
        command.env("HOST", "127.0.0.1").env("PORT", address.port().to_string());
        command.env("DATA_DIR", folder.path().join("data")).env("LOG_LEVEL", "error");
        command
            .env("ZOOM_CLIENT_ID", "client")
            .env("ZOOM_CLIENT_SECRET", "client-secret-of-the-bench");
        command.env("ZOOM_SECRET_TOKEN", SECRET_TOKEN);
        let tokens = format!("bench:{API_TOKEN}:read,maker:{CONTROL_TOKEN}:control");
        command.env("API_TOKENS", tokens).env("API_RATE_LIMIT_PER_SECOND", "10000");
        command.stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
        let daemon = Self { address, child: command.spawn()?, http: http(), _folder: folder };
        let healthy = async {
            while !daemon.is_healthy().await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(START_LIMIT, healthy).await.map_err(|_| io::Error::other("it does not start"))?;
        Ok(daemon)
    }

    /// Creates a session that stays idle, and returns its id.
    pub(crate) async fn create_session(&self, meeting: u64) -> Option<String> {
        let url = format!("http://{}/api/v1/sdk/sessions", self.address);
        let body = format!("{{\"platform\":\"zoom\",\"meeting_id\":\"{meeting}\"}}");
        let request = self.http.post(url).bearer_auth(CONTROL_TOKEN).body(body);
        let answer = request.header("content-type", "application/json").send().await.ok()?;
        let answer: serde_json::Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        answer["data"]["session"]["id"].as_str().map(str::to_owned)
    }

    /// Resident memory.
    pub(crate) fn memory_mb(&self) -> io::Result<f64> {
        let pid = self.child.id().ok_or_else(|| io::Error::other("it does not run"))?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).map(str::parse::<f64>);
        match kib {
            Some(Ok(kib)) => Ok(kib / KIB_A_MB),
            _ => Err(io::Error::other("/proc has no VmRSS")),
        }
    }

    pub(crate) async fn is_healthy(&self) -> bool {
        matches!(self.get("/health/live", "").await, Ok(200))
    }

    /// A signed event that changes nothing; whether it was taken.
    pub(crate) async fn webhook(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let body = format!("{{\"event\":\"meeting.bench\",\"event_ts\":{}}}", now.as_millis());
        let seconds = now.as_secs().to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET_TOKEN.as_bytes()).expect("any length");
        mac.update(format!("v0:{seconds}:{body}").as_bytes());
        let signature = format!("v0={}", hex::encode(mac.finalize().into_bytes()));
        matches!(self.post(body, &seconds, &signature).await, Ok(200))
    }

    pub(crate) async fn forged_webhook(&self, body: &str) -> reqwest::Result<u16> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        self.post(body.to_owned(), &now.as_secs().to_string(), &format!("v0={}", "00".repeat(32)))
            .await
    }

    async fn post(&self, body: String, seconds: &str, signature: &str) -> reqwest::Result<u16> {
        let request = self.http.post(format!("http://{}/webhook", self.address)).body(body);
        let request = request.header("x-zm-request-timestamp", seconds);
        Ok(request.header("x-zm-signature", signature).send().await?.status().as_u16())
    }

    /// The status of an answer, which is read.
    pub(crate) async fn get(&self, path: &str, authorization: &str) -> reqwest::Result<u16> {
        let request = self.http.get(format!("http://{}{path}", self.address));
        let answer = request.header("authorization", authorization).send().await?;
        let status = answer.status().as_u16();
        answer.bytes().await?;
        Ok(status)
    }
}

/// A new connection for each request, as strangers make them.
fn http() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy();
    client.pool_max_idle_per_host(0).build().expect("a client without options that can be wrong")
}
