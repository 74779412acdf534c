//! The Python package and the programs of `examples/`, against the whole daemon and a simulated Zoom.

mod examples;
mod package;

use std::path::Path;

use tokio::process::Command;

use crate::support::kit::{API_TOKEN, Api};
use crate::support::process::Process;

/// Made by `tests/setup`.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python/bin/python");
const NODE_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/node");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The tests' Python with the package in its path, and nothing else of the environment.
fn python() -> Command {
    assert!(
        Path::new(PYTHON).exists(),
        "the Python of the tests is missing: run tests/setup, which makes target/python"
    );
    let mut command = Command::new(PYTHON);
    command
        .env_clear()
        .env("PYTHONPATH", format!("{ROOT}/clients/python/src"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1");
    command
}

/// One of the examples.
fn example(name: &str) -> Command {
    let mut command = python();
    command.arg(format!("{ROOT}/examples/{name}"));
    command
}

/// An example that reads from a daemon.
fn reader(name: &str, api: Api, arguments: &[&str]) -> Process {
    let mut command = example(name);
    command
        .args(arguments)
        .env("RTMSD_URL", format!("http://{}", api.0))
        .env("RTMSD_TOKEN", API_TOKEN);
    Process::of(command)
}
