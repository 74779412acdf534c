//! `rtmsd serve` as a process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::zoom::Problem;

/// The environment of a daemon.
pub(crate) type Variables = Vec<(String, String)>;

/// What a daemon needs that shares a database and plays with the simulator, with `others` beside that.
pub(crate) fn variables<const N: usize>(
    folder: &Path,
    address: SocketAddr,
    database_url: &str,
    others: [(&str, &str); N],
) -> Variables {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let (data, key) = (folder.join("data").display().to_string(), "42".repeat(32));
    let own = [
        ("HOST", &*host),
        ("PORT", &port),
        ("DATA_DIR", &data),
        ("DATABASE_URL", database_url),
        // The simulator's defaults.
        ("ZOOM_CLIENT_ID", "demoClientId01"),
        ("ZOOM_CLIENT_SECRET", "demoClientSecret01"),
        ("ZOOM_SECRET_TOKEN", "demoSecretToken01"),
        ("TOKEN_ENCRYPTION_KEYS", &key),
    ];
    let all = own.into_iter().chain(others);
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Has the daemon see a clock that is this many seconds ahead.
pub(crate) fn set_clock(variables: &mut Variables, clock_s: i32) -> Result<(), Problem> {
    let clock = [
        ("LD_PRELOAD", faketime()?),
        ("FAKETIME", format!("{clock_s:+}s")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    variables.extend(clock.map(|(name, value)| (name.to_owned(), value)));
    Ok(())
}

/// Starts it with nothing in its environment but these variables. Its log goes to a file in the folder. `command` becomes
/// the daemon, such as one that enters a namespace; it may be empty.
pub(crate) fn serve(
    command: &[String],
    variables: &Variables,
    folder: &Path,
) -> Result<Child, Problem> {
    serve_as(Path::new(env!("CARGO_BIN_EXE_rtmsd")), command, variables, folder)
}

/// The same with another build of it.
pub(crate) fn serve_as(
    binary: &Path,
    command: &[String],
    variables: &Variables,
    folder: &Path,
) -> Result<Child, Problem> {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("daemon.log"))?;
    let program = binary.display().to_string();
    let mut words = command.iter().chain([&program]);
    let mut command = Command::new(words.next().unwrap_or(&program));
    command.args(words).arg("serve").current_dir(folder).stdout(Stdio::null()).stderr(log);
    command.env_clear().envs(variables.iter().map(|(name, value)| (name, value)));
    Ok(command.kill_on_drop(true).spawn()?)
}

/// `TERM`, `STOP` and so on.
pub(crate) fn signal(child: &Child, name: &str) -> Result<(), Problem> {
    let pid = child.id().ok_or("the daemon has ended by itself")?;
    let sent = std::process::Command::new("kill").args(["-s", name, &pid.to_string()]).status()?;
    sent.success().then_some(()).ok_or_else(|| "the daemon cannot be signalled".into())
}

/// The path of Debian's `faketime` library for this architecture.
fn faketime() -> Result<String, Problem> {
    let folders = std::fs::read_dir("/usr/lib")?.flatten();
    let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let found = libraries.find(|library| library.exists());
    Ok(found.ok_or("the bench needs faketime: apt-get install faketime")?.display().to_string())
}
