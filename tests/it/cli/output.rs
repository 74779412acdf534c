//! Commands with an output that nobody reads, as behind `head`, and with one that cannot be written.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use super::kit::home;
use crate::support::kit::{API_TOKEN, Api, Home, TestDaemon, eventually};
use crate::support::process::{Ended, Process, free_address};

const CAPTURE: &str = "tests/it/daemon/capture/files/interruptions.jsonl.gz";

/// A pipe with no reader: writing to it fails.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A file on a full disk.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

fn spawn(args: &[&str], home: &Home, stdout: Stdio) -> Process {
    Process::spawn_into((stdout, Stdio::piped()), args, home.variables(), home.folder())
}

async fn run(args: &[&str], home: &Home, stdout: Stdio) -> Ended {
    spawn(args, home, stdout).ended().await
}

fn assert_quiet(args: &[&str], ended: &Ended, code: i32) {
    assert_eq!(ended.code(), code, "{args:?}: {ended:?}");
    for word in ["panicked", "standard output"] {
        assert!(!ended.err.contains(word), "{args:?}: {ended:?}");
    }
}

#[tokio::test]
async fn a_reader_that_has_enough_changes_no_exit_code_and_causes_no_message() {
    let home = Home::sqlite();
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join(CAPTURE);
    for args in [
        &["--help"][..],
        &["--version"],
        &["help", "sessions", "list"],
        &["check"],
        &["manifest"],
        &["manifest", "--json"],
        &["config", "dump"],
        &["openapi"],
        &["completions", "bash"],
        &["man"],
        &["migrate"],
        &["rotate-keys"],
        &["backup", "copy.db"],
        &["restore", "copy.db"],
        &["replay", capture.to_str().unwrap(), "--check"],
        &["demo", "--port", "0", "--data-dir", "demo"],
    ] {
        assert_quiet(args, &run(args, &home, unread()).await, 0);
    }
    // What it found wrong is the exit code, read or not.
    let nothing_set = Home::sqlite().without("ZOOM_CLIENT_SECRET");
    assert_quiet(&["doctor"], &run(&["doctor"], &nothing_set, unread()).await, 2);
}

#[tokio::test]
async fn a_client_of_a_daemon_ends_with_its_reader() {
    let daemon = TestDaemon::start(&home()).await;
    let url = format!("http://{}", daemon.address);
    let home = Home::sqlite().set("RTMSD_URL", &url).set("RTMSD_TOKEN", API_TOKEN);
    let home = home.set("PORT", &daemon.address.port().to_string());
    for args in [&["sessions", "list"][..], &["sessions", "list", "--json"], &["health"]] {
        let ended = run(args, &home, unread()).await;
        assert_quiet(args, &ended, 0);
        assert_eq!(ended.err, "", "{args:?}");
    }
}

#[tokio::test]
async fn a_simulator_without_a_reader_plays_its_meetings_to_the_end() {
    let home = Home::sqlite();
    let (_daemon, api) = Process::serve(&home).await;
    let url = format!("http://{}/webhook", api.0);
    let args = ["simulate", "--webhook-url", &url, "--speed", "60"];
    assert_quiet(&args, &run(&args, &home, unread()).await, 0);
    let session = api.sessions().await[0]["id"].as_str().unwrap().to_owned();
    api.reaches(&session, "ended").await;
}

#[tokio::test]
async fn an_output_that_cannot_be_written_is_an_error() {
    let home = Home::sqlite();
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join(CAPTURE);
    for args in [
        &["check"][..],
        &["manifest"],
        &["config", "dump"],
        &["openapi"],
        &["man"],
        &["replay", capture.to_str().unwrap(), "--check"],
        &["demo", "--port", "0"],
        &["simulate", "--webhook-url", "http://127.0.0.1:9/"],
    ] {
        let ended = run(args, &home, full()).await;
        assert_eq!(ended.code(), 1, "{args:?}: {ended:?}");
        assert!(ended.err.contains("cannot write to standard output"), "{args:?}: {ended:?}");
    }
}

#[tokio::test]
async fn an_error_that_nobody_reads_keeps_its_exit_code() {
    let home = Home::sqlite().without("ZOOM_CLIENT_SECRET");
    let home = home.set("RTMSD_URL", "http://127.0.0.1:9").set("RTMSD_TOKEN", API_TOKEN);
    for (args, code) in [(&["check"][..], 2), (&["sessions", "list"], 3), (&["restore", "no"], 1)] {
        let streams = (Stdio::null(), unread());
        let process = Process::spawn_into(streams, args, home.variables(), home.folder());
        assert_eq!(process.ended().await.code(), code, "{args:?}");
    }
}

#[tokio::test]
async fn a_daemon_serves_on_when_nobody_reads_its_log() {
    let address = free_address();
    let home = Home::sqlite().set("PORT", &address.port().to_string());
    let streams = (unread(), unread());
    let daemon = Process::spawn_into(streams, &["serve"], home.variables(), home.folder());
    let api = Api(address);
    eventually("the daemon is ready", async || {
        api.get("/health/ready").await.filter(|answer| answer.status == 200)
    })
    .await;
    let url = format!("http://{address}/webhook");
    let args = ["simulate", "--webhook-url", &url, "--speed", "60"];
    assert_quiet(&args, &run(&args, &home, Stdio::piped()).await, 0);
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await.code(), 0);
}
