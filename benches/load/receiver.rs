//! The processes that are measured: the daemon, Zoom's own SDK, and a reader that looks at nothing.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::sleep;

pub(crate) const API_TOKEN: &str = "token-of-the-load-bench";
pub(crate) const CLIENT_ID: &str = "demoClientId01";
pub(crate) const CLIENT_SECRET: &str = "bench-secret";
pub(crate) const SECRET_TOKEN: &str = "secret-of-the-load-bench";

/// Who receives the streams of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Receiver {
    Daemon(PathBuf),
    /// A Python in whose environment `rtms` is installed.
    Sdk(PathBuf),
    BareReader,
}

impl Receiver {
    /// The name of its column: a daemon's is that of its binary.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Daemon(binary) => binary.file_name().unwrap_or_default().to_string_lossy(),
            Self::Sdk(_) => "Zoom's SDK".into(),
            Self::BareReader => "bare reader".into(),
        }
    }

    /// The SDK complains of a missing folder for logs, once for each of its objects.
    fn stderr(&self) -> Stdio {
        if matches!(self, Self::Sdk(_)) { Stdio::null() } else { Stdio::inherit() }
    }

    /// Where it receives webhooks.
    pub(crate) fn webhook_url(&self, port: u16) -> String {
        let path = if matches!(self, Self::Daemon(_)) { "webhook" } else { "" };
        format!("http://127.0.0.1:{port}/{path}")
    }

    /// Starts it in `folder`, which holds the authority of the simulator's certificates as ca.pem, and waits until
    /// it answers at `port`. `settings` are the daemon's, beyond those of every run.
    pub(crate) async fn start(
        &self,
        folder: &Path,
        port: u16,
        settings: &[(String, String)],
    ) -> Child {
        let mut command = match self {
            Self::Daemon(binary) => daemon(binary, folder, port, settings),
            Self::Sdk(python) => sdk(python, folder, port),
            Self::BareReader => bare_reader(folder, port),
        };
        let child = command.stdout(Stdio::null()).stderr(self.stderr()).kill_on_drop(true).spawn();
        wait_until_ready(port).await;
        child.unwrap_or_else(|error| panic!("{} does not start: {error}", self.name()))
    }
}

fn daemon(binary: &Path, folder: &Path, port: u16, settings: &[(String, String)]) -> Command {
    let mut command = Command::new(binary);
    command
        .current_dir(folder)
        .env("ZOOM_CLIENT_ID", CLIENT_ID)
        .env("ZOOM_CLIENT_SECRET", CLIENT_SECRET)
        .env("ZOOM_SECRET_TOKEN", SECRET_TOKEN)
        .env("API_TOKENS", format!("bench:{API_TOKEN}:admin"))
        .env("WEBHOOKS_ALLOWED_HOSTS", "127.0.0.0/8")
        .env("TOKEN_ENCRYPTION_KEYS", "42".repeat(32))
        .env("PORT", port.to_string())
        .env("DATA_DIR", folder.join("data"))
        .env("MEDIA_TYPES", "audio,transcript")
        .env("MEDIA_SOCKET_CONNECTION_MODE", "split")
        .env("RTMS_ALLOWED_HOSTS", "localhost")
        .env("RTMS_CA_FILE", folder.join("ca.pem"))
        .env("API_RATE_LIMIT_PER_SECOND", "10000")
        .env("LOG_LEVEL", "warn")
        .envs(settings.iter().cloned());
    command
}

fn sdk(python: &Path, folder: &Path, port: u16) -> Command {
    let mut command = Command::new(python);
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/load/sdk.py"))
        .arg(port.to_string())
        .arg(folder)
        .env("ZM_RTMS_CLIENT", CLIENT_ID)
        .env("ZM_RTMS_SECRET", CLIENT_SECRET);
    command
}

/// This program again, as the bare reader.
fn bare_reader(folder: &Path, port: u16) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a program has a path"));
    command.arg("--bare-reader").arg(port.to_string()).arg("--folder").arg(folder);
    command
}

pub(crate) async fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

async fn wait_until_ready(port: u16) {
    for _ in 0..200 {
        let answer = reqwest::get(format!("http://127.0.0.1:{port}/health/ready")).await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing answers at port {port}");
}
