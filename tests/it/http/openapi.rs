//! The OpenAPI document as third-party tools read it: a validator, and Schemathesis against a running daemon.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::support::client::exchange;
use crate::support::client::head;
use crate::support::kit::{Home, TestDaemon};
use crate::support::zoom::FakeZoom;

/// Created by `tests/setup`.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python/bin/python");
const TOKEN: &str = "admin-token-of-the-tests";
/// How long Schemathesis may search for faults, and the timeout of its run on a busy machine.
const SECONDS: &str = "45";
const TIMEOUT: Duration = Duration::from_secs(240);

/// Operations with endless answers.
const ENDLESS: [&str; 3] = ["subscribe", "liveSession", "liveAll"];

async fn daemon(zoom: &FakeZoom) -> (Home, TestDaemon) {
    let zoom = format!("http://{}", zoom.address);
    let home = Home::sqlite()
        .set("API_TOKENS", &format!("boss:{TOKEN}:admin"))
        .set("API_RATE_LIMIT_PER_SECOND", "10000")
        .set("FORWARD_ALLOWED_HOSTS", "bot.example.com")
        .set("ZOOM_API_BASE_URL", &zoom)
        .set("ZOOM_OAUTH_BASE_URL", &zoom);
    let daemon = TestDaemon::start(&home).await;
    (home, daemon)
}

/// Runs Python in a folder of its own. The error is its output.
async fn python(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    assert!(
        Path::new(PYTHON).exists(),
        "the Python packages of the tests are missing: run tests/setup, which makes target/python"
    );
    let child = Command::new(PYTHON)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("python starts");
    let output = timeout(TIMEOUT, child.wait_with_output()).await.expect("it ends").unwrap();
    if output.status.success() {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Err(text(&output.stdout) + &text(&output.stderr))
}

#[tokio::test]
async fn a_validator_takes_the_document() {
    let zoom = FakeZoom::start().await;
    let (home, daemon) = daemon(&zoom).await;
    let document = exchange(daemon.address, &head("GET", "/openapi.json", &[])).await;
    let file = home.folder().join("openapi.json");
    std::fs::write(&file, &document.body).unwrap();
    let file = file.to_str().unwrap();
    let checked = python(home.folder(), &["-m", "openapi_spec_validator", file]).await;
    assert_eq!(checked, Ok(()));
    // It does reject an invalid document.
    let broken =
        document.text().replace("\"forward\",\"required\":true", "\"x\",\"required\":true");
    assert_ne!(broken, document.text());
    std::fs::write(file, broken).unwrap();
    let refused = python(home.folder(), &["-m", "openapi_spec_validator", file]).await;
    assert!(refused.is_err_and(|output| output.contains("forward")));
}

#[tokio::test]
async fn schemathesis_finds_no_answer_that_the_document_does_not_have() {
    let zoom = FakeZoom::start().await;
    let (home, daemon) = daemon(&zoom).await;
    let location = format!("http://{}/openapi.json", daemon.address);
    let authorization = format!("Authorization: Bearer {TOKEN}");
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,\
                  response_headers_conformance,response_schema_conformance";
    let mut arguments = vec![
        "-m",
        "schemathesis.cli",
        "run",
        &location,
        "-H",
        &authorization,
        "--checks",
        checks,
        "--max-time",
        SECONDS,
        "--seed",
        "1",
        "--continue-on-failure",
        "--no-shrink",
        "--request-timeout",
        "20",
        "--generation-database",
        "none",
    ];
    for operation in ENDLESS {
        arguments.extend(["--exclude-operation-id", operation]);
    }
    if let Err(output) = python(home.folder(), &arguments).await {
        panic!("{output}");
    }
}
