//! What a command says, and its exit code, when it cannot do what it was asked to.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

use super::kit::{Client, home};
use crate::support::kit::{API_TOKEN, TIMEOUT, TestDaemon, send_webhook};
use crate::support::process::Process;

const SECRET: &str = "s3cret-token-of-somebody";

#[tokio::test]
async fn a_wrong_token_is_refused_with_what_to_do_and_never_printed() {
    let daemon = TestDaemon::start(&home()).await;
    let url = format!("http://{}", daemon.address);
    let client = Client::with(&[("RTMSD_URL", &url), ("RTMSD_TOKEN", SECRET)]);
    for words in
        [&["sessions", "list"][..], &["sessions", "tail", "01932b5e-0000-7000-8000-000000000000"]]
    {
        let ended = client.run(words).await;
        assert_eq!(ended.code(), 1, "{ended:?}");
        assert!(ended.err.contains("this token is unknown"), "{ended:?}");
        assert!(ended.err.contains("\n  request "), "{ended:?}");
    }
    let ended = client.run(&["sessions", "list", "--json"]).await;
    let error: Value = serde_json::from_str(&ended.err).unwrap();
    assert_eq!((error["code"].as_str(), &*ended.out), (Some("unauthenticated"), ""), "{error}");
}

#[tokio::test]
async fn a_token_without_the_scope_is_refused_by_name() {
    let reader = format!("tests:{API_TOKEN}:read");
    let daemon = TestDaemon::start(&home().set("API_TOKENS", &reader)).await;
    let ended = Client::of(daemon.address).run(&["installations", "list"]).await;
    assert_eq!(ended.code(), 1);
    assert!(ended.err.contains("this token lacks the scope admin"), "{ended:?}");
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_named_and_the_exit_code_is_3() {
    // Bound and never listening, so that nobody else gets the port.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let client = Client::with(&[("RTMSD_URL", &url), ("RTMSD_TOKEN", SECRET)]);
    for words in
        [&["sessions", "list"][..], &["sessions", "tail", "latest"], &["sessions", "start", "x"]]
    {
        let ended = client.run(words).await;
        assert_eq!(ended.code(), 3, "{ended:?}");
        assert!(ended.err.contains(&format!("cannot reach {url}: ")), "{ended:?}");
    }
}

#[tokio::test]
async fn a_command_line_that_is_wrong_reaches_no_daemon() {
    let client = Client::with(&[("RTMSD_URL", "https://rtms.example.com")]);
    for (words, said) in [
        (&["sessions"][..], "Usage"),
        (&["sessions", "shwo"], "show"),
        (&["sessions", "list", "--token", SECRET], "unexpected argument"),
        (&["sessions", "list", "--limit", "0"], "--limit"),
        (&["sessions", "list"], "no token: set RTMSD_TOKEN"),
        (&["sessions", "list", "--url", "ftp://x"], "the URL of the daemon"),
    ] {
        let ended = client.run(words).await;
        assert_eq!(ended.code(), 2, "{words:?}: {ended:?}");
        assert!(ended.err.contains(said), "{words:?}: {ended:?}");
    }
}

#[tokio::test]
async fn a_redirect_takes_the_token_nowhere() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("http://{}/api", elsewhere.local_addr().unwrap());
    let heard = Arc::clone(&seen);
    let listen = Router::new().fallback(async move |request: Request| {
        heard.lock().unwrap().push(format!("{:?}", request.headers()));
        StatusCode::OK
    });
    let redirecting = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", redirecting.local_addr().unwrap());
    let location = to.clone();
    let redirect = Router::new()
        .fallback(async move || (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]));
    let serving = [
        tokio::spawn(async { axum::serve(elsewhere, listen).await.unwrap() }),
        tokio::spawn(async { axum::serve(redirecting, redirect).await.unwrap() }),
    ];
    let client = Client::with(&[("RTMSD_URL", &url), ("RTMSD_TOKEN", SECRET)]);
    for words in [&["sessions", "list"][..], &["sessions", "tail", "x"]] {
        let ended = client.run(words).await;
        assert_eq!(ended.code(), 3, "{ended:?}");
        assert!(
            ended.err.contains("it redirects to") && ended.err.contains("RTMSD_URL"),
            "{ended:?}"
        );
    }
    assert_eq!(*seen.lock().unwrap(), [""; 0]);
    serving.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_read_that_is_refused_for_the_moment_is_repeated_and_a_change_is_not() {
    let count: Arc<Mutex<u32>> = Arc::default();
    let counted = Arc::clone(&count);
    let busy = Router::new().fallback(async move |request: Request| {
        let mut count = counted.lock().unwrap();
        *count += 1;
        let error = json!({"code": "store_unavailable", "detail": "try again", "retryable": true});
        let refused = json!({"status": false, "message": "not available now", "error": error});
        let list =
            json!({"status": true, "message": "sessions", "data": {"sessions": [], "next": null}});
        match *count < 3 || request.method() != "GET" {
            true => (StatusCode::SERVICE_UNAVAILABLE, refused.to_string()),
            false => (StatusCode::OK, list.to_string()),
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async { axum::serve(listener, busy).await.unwrap() });
    let client = Client::with(&[("RTMSD_URL", &url), ("RTMSD_TOKEN", SECRET)]);
    client.text(&["sessions", "list"]).await;
    assert_eq!(*count.lock().unwrap(), 3);
    let ended = client.run(&["sessions", "stop", "x"]).await;
    assert_eq!((ended.code(), *count.lock().unwrap()), (1, 4), "{ended:?}");
    serving.abort();
}

#[tokio::test]
async fn on_the_daemons_machine_the_generated_token_and_the_port_of_the_folder_serve() {
    let home = home().without("API_TOKENS");
    let (_process, api) = Process::serve(&home).await;
    let folder = tempfile::tempdir().unwrap();
    let env = folder.path().join(".env");
    let data = home.data().display().to_string();
    std::fs::write(&env, format!("PORT={}\nDATA_DIR={data}\n", api.0.port())).unwrap();
    std::fs::set_permissions(&env, std::fs::Permissions::from_mode(0o600)).unwrap();
    let ended = Process::spawn(&["sessions", "list"], &[], folder.path()).ended().await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert!(ended.out.starts_with("ID"), "{ended:?}");
    let token = std::fs::read_to_string(home.data().join("api-token")).unwrap();
    assert!(!format!("{ended:?}").contains(token.trim()));
}

#[tokio::test]
async fn a_terminal_gets_colours_unless_no_color_is_set_and_a_reader_may_stop_early() {
    let daemon = TestDaemon::start(&home()).await;
    let event = json!({"event": "meeting.started", "event_ts": rtmsd::clock::now_ms(),
        "payload": {"account_id": "a", "object": {"id": 91_234_567_890_u64, "uuid": "m==", "host_id": "h"}}});
    assert_eq!(send_webhook(daemon.address, &event).await, 200);
    let url = format!("http://{}", daemon.address);
    let at_a_terminal = async |no_color: &str| {
        let mut command = Command::new("python3");
        command.args(["-c", "import pty, sys; pty.spawn(sys.argv[1:])"]);
        command.args([env!("CARGO_BIN_EXE_rtmsd"), "sessions", "list"]);
        command.env("RTMSD_URL", &url).env("RTMSD_TOKEN", API_TOKEN).env("TERM", "xterm");
        command.env("NO_COLOR", no_color).stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(TIMEOUT, command.output()).await.unwrap().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(at_a_terminal("").await.contains("\u{1b}[33mcreated\u{1b}[0m"));
    let plain = at_a_terminal("1").await;
    assert!(plain.contains("created") && !plain.contains('\u{1b}'), "{plain:?}");

    let mut command = Command::new(env!("CARGO_BIN_EXE_rtmsd"));
    command
        .args(["webhooks", "list", "--json"])
        .env("RTMSD_URL", &url)
        .env("RTMSD_TOKEN", API_TOKEN);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
    let status = timeout(TIMEOUT, child.wait()).await.unwrap().unwrap();
    assert_eq!((status.code(), &*said), (Some(0), ""));
}
