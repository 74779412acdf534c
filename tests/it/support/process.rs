//! The compiled binary as a process.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::kit::{Api, Home, TIMEOUT, eventually};

/// A running program, `rtmsd` in most tests. Killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    out: Lines,
    err: Lines,
    /// Its files, if it began in a home: a daemon without them refuses what needs a new connection to the store.
    _folder: Option<Arc<TempDir>>,
}

/// What a process has printed so far.
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reading: JoinHandle<()>,
}

/// How a process ended and everything that it printed.
#[derive(Debug)]
pub(crate) struct Ended {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Process {
    /// With nothing in its environment but these variables.
    pub(crate) fn spawn(args: &[&str], variables: &[(String, String)], folder: &Path) -> Self {
        Self::of(rtmsd(args, variables, folder))
    }

    /// The same, with these as its standard output and standard error.
    pub(crate) fn spawn_into(
        (out, err): (Stdio, Stdio),
        args: &[&str],
        variables: &[(String, String)],
        folder: &Path,
    ) -> Self {
        let mut command = rtmsd(args, variables, folder);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        Self::run(command)
    }

    /// Another program.
    pub(crate) fn of(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        Self::start(command)
    }

    /// `rtmsd serve` with one or two inherited sockets of these names, as systemd passes them.
    pub(crate) fn with_sockets(home: &Home, names: &str, sockets: &[OwnedFd]) -> Self {
        let mut command = Command::new("/bin/sh");
        // The sockets come as standard input and output, and become those from 3 on. `exec` keeps the process's id.
        let script =
            "exec 3<&0 4<&1 </dev/null >/dev/null; export LISTEN_PID=$$; exec \"$RTMSD\" serve";
        command.args(["-c", script]).env_clear().current_dir(home.folder());
        command.envs(home.variables().iter().map(|(name, value)| (name, value)));
        command.env("RTMSD", env!("CARGO_BIN_EXE_rtmsd"));
        command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names);
        let mut inherited = sockets.iter().map(|socket| socket.try_clone().unwrap().into());
        command.stdin(inherited.next().unwrap_or_else(Stdio::null));
        command.stdout(inherited.next().unwrap_or_else(Stdio::null));
        Self { _folder: Some(home.held()), ..Self::start(command) }
    }

    fn start(mut command: Command) -> Self {
        command.stderr(Stdio::piped());
        Self::run(command)
    }

    fn run(mut command: Command) -> Self {
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let out = child.stdout.take().map_or_else(Lines::none, Lines::of);
        let err = child.stderr.take().map_or_else(Lines::none, Lines::of);
        Self { child, out, err, _folder: None }
    }

    /// `rtmsd serve` in its home, once it listens, and its API.
    pub(crate) async fn serve(home: &Home) -> (Self, Api) {
        let process = Self::spawn(&["serve"], home.variables(), home.folder());
        let process = Self { _folder: Some(home.held()), ..process };
        let api = process.listening().await;
        (process, api)
    }

    /// The API of `rtmsd serve`, once it listens.
    pub(crate) async fn listening(&self) -> Api {
        eventually("the daemon listens", async || {
            let line = self.logged("rtmsd listens")?;
            line["address"].as_str().map(|address| Api(address.parse().unwrap()))
        })
        .await
    }

    /// The log line with this message, if it was printed.
    pub(crate) fn logged(&self, message: &str) -> Option<Value> {
        let lines = self.err.lines.lock().unwrap();
        let parsed = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.into_iter().find(|line| line["message"] == message)
    }

    /// The first line on standard output that is JSON with this key.
    pub(crate) async fn printed(&self, key: &str) -> Value {
        eventually(key, async || {
            let lines = self.out.lines.lock().unwrap();
            let parsed = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            parsed.into_iter().find_map(|mut line| line.get_mut(key).map(Value::take))
        })
        .await
    }

    /// Everything printed to standard output so far.
    pub(crate) fn out(&self) -> String {
        self.out.lines.lock().unwrap().join("\n")
    }

    /// Everything printed to standard error so far.
    pub(crate) fn err(&self) -> String {
        self.err.lines.lock().unwrap().join("\n")
    }

    /// `TERM`, `KILL` and so on.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs");
        let command = format!("kill -{name} {pid}");
        let sent = std::process::Command::new("sh").args(["-c", &command]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> Ended {
        let status = timeout(TIMEOUT, self.child.wait()).await.expect("it ends").unwrap();
        Ended { status, out: self.out.all().await, err: self.err.all().await }
    }
}

/// An address at which nobody listens at the moment.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn rtmsd(args: &[&str], variables: &[(String, String)], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rtmsd"));
    command.args(args).env_clear().current_dir(folder);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command
}

impl Ended {
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self:?}"))
    }
}

impl Lines {
    fn of(pipe: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = lines.clone();
        let reading = tokio::spawn(async move {
            let mut reader = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                kept.lock().unwrap().push(line);
            }
        });
        Self { lines, reading }
    }

    fn none() -> Self {
        Self { lines: Arc::default(), reading: tokio::spawn(async {}) }
    }

    async fn all(self) -> String {
        timeout(TIMEOUT, self.reading).await.expect("the pipe closes").unwrap();
        self.lines.lock().unwrap().join("\n")
    }
}
