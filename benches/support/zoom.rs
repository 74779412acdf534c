//! `rtmsd simulate` as a process, and what a bench asks of it over HTTP.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Why a run failed, or could not be made.
pub(crate) type Problem = Box<dyn std::error::Error + Send + Sync>;

const START_LIMIT: Duration = Duration::from_secs(30);

/// A simulator that remembers its frames. Killed when it is dropped.
pub(crate) struct Zoom {
    _child: Child,
    control_url: String,
    http: reqwest::Client,
}

impl Zoom {
    /// Plays `script`, which is kept in `folder`, in every meeting.
    pub(crate) async fn start(
        folder: &Path,
        script: &Value,
        webhook_url: &str,
        args: &[&str],
    ) -> Result<Self, Problem> {
        let path = folder.join("script.json");
        std::fs::write(&path, script.to_string())?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_rtmsd"))
            .args(["simulate", "--skip-url-validation", "--remember-frames"])
            .args(["--webhook-url", webhook_url, "--script"])
            .arg(&path)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()?;
        let out = child.stdout.take().ok_or("a pipe")?;
        let mut lines = BufReader::new(out).lines();
        let line = timeout(START_LIMIT, lines.next_line()).await??;
        let line = line.ok_or("the simulator printed no ready line")?;
        let ready = serde_json::from_str::<Value>(&line)?["ready"].take();
        let control_url = ready["control_url"].as_str().ok_or("a control URL")?.to_owned();
        let http = client(&control_url, ready["ca_file"].as_str().map(Path::new))?;
        Ok(Self { _child: child, control_url, http })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let answer = self.http.get(format!("{}{path}", self.control_url)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Has a meeting do something. Returns false when that is impossible now, such as cutting a link that is down.
    pub(crate) async fn perform(
        &self,
        meeting: &str,
        verb: &str,
        body: &Value,
    ) -> Result<bool, Problem> {
        self.post(&format!("/meetings/{meeting}/{verb}"), body.to_string()).await
    }

    /// False when the simulator cannot do that now.
    pub(crate) async fn post(&self, path: &str, body: String) -> Result<bool, Problem> {
        let url = format!("{}{path}", self.control_url);
        let answer = self.http.post(url).body(body).send().await?;
        match answer.status() {
            StatusCode::CONFLICT => Ok(false),
            _ => answer.error_for_status().map(|_| true).map_err(Into::into),
        }
    }
}

/// A client for the simulator's API. With TLS it trusts the simulator's authority, and finds its name on this machine.
fn client(control_url: &str, ca: Option<&Path>) -> Result<reqwest::Client, Problem> {
    let Some(ca) = ca else { return http() };
    let url = reqwest::Url::parse(control_url)?;
    let (host, port) = (url.host_str().ok_or("a host")?, url.port().ok_or("a port")?);
    let tls = rustls::ClientConfig::clone(&*rtmsd::tls::client_config(Some(ca))?);
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy();
    Ok(builder.resolve(host, ([127, 0, 0, 1], port).into()).build()?)
}

/// A port of loopback that is free at the moment.
pub(crate) async fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

/// Everything is on loopback and without TLS, but a client needs a provider to be built.
pub(crate) fn http() -> Result<reqwest::Client, Problem> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build()?)
}
