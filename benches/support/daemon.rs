//! `rtmsd serve` as a process.

use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::zoom::Problem;

/// Starts it with nothing in its environment but these variables. Its log goes to a file in the folder.
pub(crate) fn serve(variables: &[(String, String)], folder: &Path) -> Result<Child, Problem> {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("daemon.log"))?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_rtmsd"));
    command.arg("serve").current_dir(folder).stdout(Stdio::null()).stderr(log);
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
pub(crate) fn faketime() -> Result<String, Problem> {
    let folders = std::fs::read_dir("/usr/lib")?.flatten();
    let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let found = libraries.find(|library| library.exists());
    Ok(found.ok_or("the bench needs faketime: apt-get install faketime")?.display().to_string())
}
