//! The Standard Webhooks library of another language.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Made by `tests/setup`.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python/bin/python");

/// What it says of each letter: the event's type, or `refused`.
pub(super) fn verify(letters: &[Value]) -> Vec<String> {
    assert!(
        Path::new(PYTHON).exists(),
        "the Python package standardwebhooks is missing: run tests/setup, which makes target/python"
    );
    let mut child = Command::new(PYTHON)
        .args(["-c", include_str!("verify.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for letter in letters {
        writeln!(input, "{letter}").unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(str::to_owned).collect()
}
