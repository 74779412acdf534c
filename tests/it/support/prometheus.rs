//! A private Prometheus that scrapes one target, and promtool.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use url::form_urlencoded::byte_serialize;

use super::client::{head, try_exchange};
use super::process::Process;
use super::wait::eventually;

const HOW_TO_INSTALL: &str =
    "the tests need Prometheus in target/prometheus or in PATH: tests/setup";

pub(crate) struct Prometheus {
    address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes the target every second and evaluates the rules of this repository.
    pub(crate) async fn start(target: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let rules = repository().join("deploy/prometheus/rules.yml").display().to_string();
        let settings = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{rules}']\n\
             scrape_configs: [{{job_name: rtmsd, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, settings).unwrap();
        let mut command = program("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let prometheus = Self { address, _process: Process::of(command), _folder: folder };
        eventually("Prometheus is ready", async || {
            let request = head("GET", "/-/ready", &[]);
            try_exchange(address, &request).await.filter(|answer| answer.status == 200)
        })
        .await;
        prometheus
    }

    /// The result of a query, or Prometheus' error.
    pub(crate) async fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let query: String = byte_serialize(expression.as_bytes()).collect();
        let answer = self.get(&format!("/api/v1/query?query={query}")).await;
        match answer["error"].as_str() {
            Some(error) => Err(format!("{expression}: {error}")),
            None => Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default()),
        }
    }

    /// What it says of its only target.
    pub(crate) async fn target(&self) -> Value {
        self.get("/api/v1/targets").await["data"]["activeTargets"][0].take()
    }

    /// The health of each rule, by the name of its alert.
    pub(crate) async fn rules(&self) -> Vec<(String, String)> {
        let answer = self.get("/api/v1/rules").await;
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().cloned());
        let text = |rule: &Value, key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        rules.flatten().map(|rule| (text(&rule, "name"), text(&rule, "health"))).collect()
    }

    async fn get(&self, path: &str) -> Value {
        try_exchange(self.address, &head("GET", path, &[])).await.expect("it answers").json()
    }
}

/// Runs promtool with this input in the repository's folder. Returns what it printed, as an error if it found one.
pub(crate) async fn promtool(args: &[&str], input: &str) -> Result<String, String> {
    let mut command = program("promtool");
    command.args(args).current_dir(repository()).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect(HOW_TO_INSTALL);
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    if output.status.success() { Ok(text) } else { Err(text) }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn program(name: &str) -> Command {
    let unpacked: PathBuf = repository().join("target/prometheus/usr/bin").join(name);
    Command::new(if unpacked.exists() { unpacked } else { name.into() })
}
