//! The first hour of a new user: all mistakes in one list, a daemon that generates its token and key, and a demo in
//! which every printed command works.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use rtmsd::secret::Secret;
use rtmsd::zoom::signature::WebhookKey;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::browser::Browser;
use crate::support::kit::{Api, Home, TIMEOUT, eventually};
use crate::support::process::Process;
use crate::support::websocket::{Heard, WebSocket};

/// An app's three secrets, and an address that no other test uses.
const APP: [(&str, &str); 5] = [
    ("HOST", "127.0.0.1"),
    ("PORT", "0"),
    ("ZOOM_CLIENT_ID", "id"),
    ("ZOOM_CLIENT_SECRET", "hunter2-client"),
    ("ZOOM_SECRET_TOKEN", "hunter2-token"),
];

fn variables(more: &[(&str, &str)]) -> Vec<(String, String)> {
    let all = APP.iter().chain(more);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn serve_and_check_give_the_same_list_of_every_mistake() {
    let more = [
        ("ZOOM_SECRET_TOKEN", ""),
        ("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/x"),
        ("RTMS_CA_FILE", "no-such-file.pem"),
        ("NATS_URL", "nats://127.0.0.1:1"),
        ("NATS_CREDENTIALS", "no-such-file.creds"),
        ("MAX_STREAMS", "hunter2"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut lists = Vec::new();
    for command in ["serve", "check"] {
        let ended = Process::spawn(&[command], &variables(&more), folder.path()).ended().await;
        assert_eq!(ended.code(), 2, "{ended:?}");
        lists.push(ended.err);
    }
    assert_eq!(lists[0], lists[1]);
    let names = [
        "API_TOKENS",
        "TOKEN_ENCRYPTION_KEYS",
        "ZOOM_SECRET_TOKEN",
        "RTMS_CA_FILE",
        "NATS_CREDENTIALS",
    ];
    for name in names.iter().chain(&["MAX_STREAMS"]) {
        assert!(lists[0].contains(&format!("\n  {name}: ")), "{name}: {}", lists[0]);
    }
    assert!(!lists[0].contains("hunter2"), "{}", lists[0]);
}

#[tokio::test]
async fn the_first_start_makes_a_token_and_a_key_and_the_next_one_uses_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut secrets = Vec::new();
    for start in 0..2 {
        let process = Process::spawn(&["serve"], &variables(&[]), folder.path());
        let listens = eventually("it listens", async || process.logged("rtmsd listens")).await;
        let token = fs::read_to_string(data.join("api-token")).unwrap().trim().to_owned();
        let key = fs::read_to_string(data.join("token-encryption-key")).unwrap().trim().to_owned();
        let url =
            format!("http://{}/api/v1/zoom/installations", listens["address"].as_str().unwrap());
        assert_eq!(status_of(&url, &token).await, "200", "the token has every scope");
        let (status, said) =
            shell(&format!("curl -s -H 'Authorization: Bearer another' {url}")).await;
        assert_eq!(status, "401");
        assert!(said.contains("this token is unknown") && said.contains("DATA_DIR"), "{said}");
        assert!(!said.contains("API_TOKENS"), "{said}");
        process.signal("TERM");
        let ended = process.ended().await;
        assert_eq!(ended.code(), 0, "{ended:?}");
        let said = if start == 0 { "generated a token" } else { "API_TOKENS is not set" };
        assert!(ended.err.contains(said) && ended.err.contains("data/api-token"), "{ended:?}");
        for secret in [&token, &key] {
            assert!(!format!("{ended:?}").contains(secret.as_str()), "a secret is in the log");
        }
        secrets.push((token, key));
    }
    assert_eq!(secrets[0], secrets[1]);
    let modes = ["api-token", "token-encryption-key"].map(|name| mode(&data.join(name)));
    assert_eq!((modes, mode(&data)), ([0o600, 0o600], 0o700));
}

/// The status of a GET with a token.
async fn status_of(url: &str, token: &str) -> String {
    shell(&format!("curl -s -H 'Authorization: Bearer {token}' {url}")).await.0
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_made_or_is_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    fs::write(&file, "").unwrap();
    let below = file.join("data").display().to_string();
    let serve =
        |data: &str| Process::spawn(&["serve"], &variables(&[("DATA_DIR", data)]), folder.path());
    let ended = serve(&below).ended().await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.err.contains(&format!("{below} (DATA_DIR)")), "{ended:?}");
    let used = folder.path().join("used").display().to_string();
    let first = serve(&used);
    eventually("it listens", async || first.logged("rtmsd listens")).await;
    let second = serve(&used).ended().await;
    assert_eq!(second.code(), 1, "{second:?}");
    assert!(second.err.contains(&format!("uses the data folder {used}")), "{second:?}");
}

#[tokio::test]
async fn a_nearly_right_name_in_the_env_file_is_pointed_out_by_check() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".env"), "MEDIA_TYPE=audio\n").unwrap();
    let ended = Process::spawn(&["check"], &variables(&[]), folder.path()).ended().await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert!(ended.err.contains("did you mean MEDIA_TYPES?"), "{ended:?}");
}

#[tokio::test]
async fn a_terminal_shows_the_token_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = at_a_terminal(folder.path()).await;
    let token = fs::read_to_string(folder.path().join("data/api-token")).unwrap();
    assert_eq!(first.matches(token.trim()).count(), 1, "{first}");
    let second = at_a_terminal(folder.path()).await;
    assert!(!second.contains(token.trim()), "{second}");
    assert!(second.contains("data/api-token"), "{second}");
}

/// The output of `rtmsd serve` at a terminal until it listens.
async fn at_a_terminal(folder: &Path) -> String {
    // Under nohup the daemon would inherit an ignored SIGHUP and outlive its terminal.
    let spawn = "import pty, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); \
                 pty.spawn(sys.argv[1:])";
    let mut terminal = Command::new("python3")
        .args(["-c", spawn, env!("CARGO_BIN_EXE_rtmsd"), "serve"])
        .envs(variables(&[]))
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(terminal.stdout.take().unwrap()).lines();
    let mut shown = String::new();
    let listens = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            shown.push_str(&line);
            shown.push('\n');
            if line.contains("rtmsd listens") {
                return;
            }
        }
        panic!("it ended: {shown}");
    };
    timeout(TIMEOUT, listens).await.unwrap();
    // The daemon ends with its terminal. The next daemon needs its data folder.
    terminal.kill().await.unwrap();
    let lock = fs::File::open(folder.join("data/rtmsd.lock")).unwrap();
    eventually("the data folder is free", async || lock.try_lock().ok()).await;
    shown
}

#[tokio::test]
async fn a_malformed_key_file_stops_the_start_and_is_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("token-encryption-key"), "hunter2").unwrap();
    let ended = Process::spawn(&["serve"], &variables(&[]), folder.path()).ended().await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.err.contains("data/token-encryption-key"), "{ended:?}");
    assert!(!ended.err.contains("hunter2-"), "{ended:?}");
    assert_eq!(fs::read_to_string(data.join("token-encryption-key")).unwrap(), "hunter2");
}

#[tokio::test]
async fn rotate_keys_finds_the_key_that_the_first_start_generated() {
    let folder = tempfile::tempdir().unwrap();
    let rotate =
        async || Process::spawn(&["rotate-keys"], &variables(&[]), folder.path()).ended().await;
    assert_eq!(rotate().await.code(), 2, "there is no key yet, and rotate-keys generates none");
    assert!(!folder.path().join("data").exists());
    let process = Process::spawn(&["serve"], &variables(&[]), folder.path());
    eventually("it listens", async || process.logged("rtmsd listens")).await;
    let ended = rotate().await;
    assert_eq!(ended.code(), 0, "{ended:?}");
}

#[tokio::test]
async fn a_dollar_in_a_secret_token_is_a_character_and_webhooks_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let env = "ZOOM_CLIENT_ID=id\nZOOM_CLIENT_SECRET=x\nZOOM_SECRET_TOKEN=lab$ecret-token\n";
    fs::write(folder.path().join(".env"), env).unwrap();
    let process = Process::spawn(&["serve"], &variables(&[])[..2], folder.path());
    let listens = eventually("it listens", async || process.logged("rtmsd listens")).await;
    let url = format!("http://{}/webhook", listens["address"].as_str().unwrap());
    let body = r#"{"event":"endpoint.url_validation","payload":{"plainToken":"p"},"event_ts":1}"#;
    let now_s =
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let key = WebhookKey::new(&Secret::new("lab$ecret-token".to_owned()));
    let signature = key.sign(now_s, body.as_bytes());
    let (status, answer) = shell(&format!(
        "curl -s -H 'x-zm-request-timestamp: {now_s}' -H 'x-zm-signature: {signature}' -d '{body}' {url}"
    ))
    .await;
    assert_eq!(status, "200", "{answer}");
    assert!(answer.contains("encryptedToken"), "{answer}");
}

/// Runs a line of shell in which `curl` also prints the status. Returns status and body.
async fn shell(line: &str) -> (String, String) {
    // The printed commands have no deadline of their own, and live events never end.
    let curl = "curl() { command curl --max-time 5 -w '\\n%{http_code}' \"$@\"; }";
    let run =
        Command::new("bash").args(["-c", &format!("{curl}; {line}")]).kill_on_drop(true).output();
    let output = timeout(TIMEOUT, run).await.expect("it ends").unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.trim_end().rsplit_once('\n').unwrap_or(("", text.trim_end()));
    (status.to_owned(), body.to_owned())
}

#[tokio::test]
async fn every_command_that_the_demo_prints_works() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::spawn(&["demo", "--port", "0"], &[], folder.path());
    eventually("the demo has printed its commands", async || {
        process.out().contains("/ledger").then_some(())
    })
    .await;
    let out = process.out();
    let commands: Vec<&str> = out
        .lines()
        .map(str::trim)
        .filter(|line| {
            ["curl ", "websocat ", "http://"].iter().any(|start| line.starts_with(start))
        })
        .collect();
    assert!(commands.len() >= 13, "{out}");
    for command in commands {
        perform(command).await;
    }
    assert!(!process.err().contains("ZOOM_ACCESS_TOKEN"), "{}", process.err());
    assert_eq!(process.err(), "", "the demo logs no warning");
}

#[tokio::test]
async fn the_link_that_the_demo_prints_signs_a_browser_in() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::spawn(&["demo", "--port", "0"], &[], folder.path());
    let link = eventually("the demo has printed its link", async || {
        let out = process.out();
        let link = out.lines().map(str::trim).find(|line| line.contains("/dashboard/enter?code="));
        link.map(str::to_owned)
    })
    .await;
    let browser = Browser::open(false).await;
    browser.visit(&link).await;
    eventually("the browser is signed in", async || {
        let found = browser.run("return !!document.querySelector('.who')").await;
        (found == json!(true)).then_some(())
    })
    .await;
    let address = browser.run("return location.pathname + location.search").await;
    assert_eq!(address, json!("/"));
}

/// Executes a line of the demo's output: in a shell, like a browser, or like websocat.
async fn perform(command: &str) {
    if command.starts_with("websocat ") {
        return listen(command).await;
    }
    let line = match command.strip_prefix("http") {
        Some(_) => format!("curl -sL -o /dev/null -H 'Accept: text/html' {command}"),
        None => command.to_owned(),
    };
    let (status, body) = shell(&line).await;
    assert!(["200", "202"].contains(&status.as_str()), "{command}: {status} {body}");
    assert!(!body.contains("\"status\":false"), "{command}: {body}");
}

/// Opens the WebSocket of `websocat -H='name: value' 'ws://host/path'` and expects the greeting.
async fn listen(command: &str) {
    let quoted: Vec<&str> = command.split('\'').collect();
    let ["websocat -H=", header, " ", url, ..] = quoted.as_slice() else { panic!("{command}") };
    let (name, value) = header.split_once(": ").unwrap();
    let (address, path) = url.strip_prefix("ws://").unwrap().split_once('/').unwrap();
    let path = format!("/{path}");
    let opened = WebSocket::open(address.parse().unwrap(), &path, &[(name, value)]).await;
    let mut socket = opened.unwrap_or_else(|answer| panic!("{command}: {}", answer.status));
    let Heard::Text(hello) = socket.next().await else { panic!("{command}: no text") };
    assert_eq!(hello["type"], "hello", "{command}");
}

#[tokio::test]
async fn a_browser_gets_a_page_at_the_root_and_a_program_gets_json() {
    let home = Home::sqlite();
    let (_process, Api(address)) = Process::serve(&home).await;
    let get = async |accept: &str| {
        shell(&format!("curl -s -i -H 'Accept: {accept}' http://{address}/")).await
    };
    let (status, page) = get("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8").await;
    assert_eq!(status, "200");
    assert!(page.contains("text/html") && page.contains("href=\"/docs\""), "{page}");
    for accept in ["application/json", "*/*"] {
        let (status, answer) = get(accept).await;
        assert_eq!(status, "200", "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            (&body["status"], &body["data"]["ready"]),
            (&true.into(), &true.into()),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_webhook_path_at_the_root_keeps_the_page_there() {
    let home = Home::sqlite().set("WEBHOOK_PATH", "/");
    let (_process, Api(address)) = Process::serve(&home).await;
    let root = format!("http://{address}/");
    let (status, page) = shell(&format!("curl -s -H 'Accept: text/html' {root}")).await;
    assert_eq!(status, "200", "{page}");
    let (status, answer) = shell(&format!("curl -s -d '{{}}' {root}")).await;
    assert_eq!(status, "401", "a webhook without a signature: {answer}");
    let (status, document) = shell(&format!("curl -s {root}openapi.json")).await;
    assert_eq!(status, "200");
    let document: Value = serde_json::from_str(&document).unwrap();
    let root = document["paths"]["/"].as_object().unwrap();
    assert!(root.contains_key("get") && root.contains_key("post"), "{root:?}");
}

#[tokio::test]
async fn an_env_file_in_a_parent_folder_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".env"), "ZOOM_CLIENT_ID=id\n").unwrap();
    let below = folder.path().join("below");
    fs::create_dir(&below).unwrap();
    let ended = Process::spawn(&["check"], &[], &below).ended().await;
    assert_eq!(ended.code(), 2);
    assert!(ended.err.contains("ZOOM_CLIENT_ID: missing"), "{ended:?}");
}
