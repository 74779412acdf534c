//! Encryption keys: rotation, and starts without or with the wrong key.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rtmsd::zoom::token::Wanted;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::daemon::{API_TOKEN, Daemon, JSON, Trip, WEBHOOK_SECRET};
use crate::support::client::{exchange, head};
use crate::support::kit::TOKEN_KEY;
use crate::support::postgres;
use crate::support::wait::eventually;
use crate::support::zoom::{CLIENT_ID, CLIENT_SECRET, FakeZoom};

const NEW_KEY: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

/// The program itself, with the least that it needs.
fn rtmsd(data: &Path, keys: &str, command: &str) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_rtmsd"));
    program
        .env_clear()
        .current_dir(data)
        .env("DATA_DIR", data)
        .env("ZOOM_CLIENT_ID", CLIENT_ID)
        .env("ZOOM_CLIENT_SECRET", CLIENT_SECRET)
        .env("ZOOM_SECRET_TOKEN", WEBHOOK_SECRET)
        .env("API_TOKENS", format!("tester:{API_TOKEN}:admin"))
        .env("LOG_LEVEL", "trace")
        .arg(command);
    if !keys.is_empty() {
        program.env("TOKEN_ENCRYPTION_KEYS", keys);
    }
    program
}

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn keys_are_rotated_while_the_daemon_works() {
    let zoom = FakeZoom::start().await;
    let daemon = Daemon::start(&zoom).await;
    let mut ids = Vec::new();
    for n in 0..20 {
        zoom.world().user_id = format!("user{n}");
        ids.push(daemon.install(&zoom).await.id);
    }
    let home = daemon.stop().await;
    let both = format!("{NEW_KEY},{TOKEN_KEY}");
    let daemon = Daemon::start_in(home.set("TOKEN_ENCRYPTION_KEYS", &both)).await;
    let (tokens, ids_of_traffic) = (daemon.tokens.clone(), ids.clone());
    let is_over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_over);
    let traffic = tokio::spawn(async move {
        let mut refreshes = 0;
        while !told.load(Ordering::Relaxed) {
            let wanted = Wanted::Installation(ids_of_traffic[refreshes % ids_of_traffic.len()]);
            let granted = tokens.token(&wanted).await.unwrap();
            tokens.replace(&granted).await.unwrap();
            refreshes += 1;
        }
        refreshes
    });
    let rotated = output(rtmsd(&daemon.home.data(), &both, "rotate-keys")).await;
    is_over.store(true, Ordering::Relaxed);
    assert!(traffic.await.unwrap() > 0);
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    let home = daemon.stop().await;
    let daemon = Daemon::start_in(home.set("TOKEN_ENCRYPTION_KEYS", NEW_KEY)).await;
    for id in ids {
        daemon.tokens.token(&Wanted::Installation(id)).await.unwrap();
    }
}

#[tokio::test]
async fn a_rotation_says_what_no_key_opens() {
    let zoom = FakeZoom::start().await;
    let daemon = Daemon::start(&zoom).await;
    daemon.install(&zoom).await;
    let rotated = output(rtmsd(&daemon.home.data(), NEW_KEY, "rotate-keys")).await;
    assert_eq!(rotated.status.code(), Some(1));
    let said = String::from_utf8_lossy(&rotated.stderr);
    assert!(said.contains("no key opens the tokens of 1 installations"), "{said}");
}

#[tokio::test]
async fn a_sealed_token_that_is_moved_to_another_row_does_not_open() {
    let zoom = FakeZoom::start().await;
    let daemon = Daemon::start(&zoom).await;
    let ana = daemon.install(&zoom).await;
    zoom.world().user_id = "userBo02".into();
    let bo = daemon.install(&zoom).await;
    let stolen = daemon.store.grant(ana.id).await.unwrap().unwrap().tokens.unwrap();
    assert!(daemon.store.reseal_tokens(bo.id, bo.generation, &stolen).await.unwrap());
    let error = daemon.tokens.token(&Wanted::Installation(bo.id)).await.unwrap_err();
    assert!(error.to_string().contains("moved"), "{error}");
    // Nor in another column of its own row.
    let mut turned = stolen.clone();
    (turned.access, turned.refresh) = (stolen.refresh.unwrap(), Some(stolen.access));
    assert!(daemon.store.reseal_tokens(ana.id, ana.generation, &turned).await.unwrap());
    assert!(daemon.tokens.token(&Wanted::Installation(ana.id)).await.is_err());
}

#[tokio::test]
async fn with_postgres_serve_refuses_to_start_without_a_key_and_says_how_to_make_one_as_check_does()
{
    for name in ["serve", "check"] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = rtmsd(folder.path(), "", name);
        command.env("PORT", "0").env("HOST", "127.0.0.1");
        command.env("DATABASE_URL", "postgres://u@127.0.0.1:1/x");
        let refused = output(command).await;
        assert_eq!(refused.status.code(), Some(2));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("TOKEN_ENCRYPTION_KEYS") && said.contains("openssl rand -hex 32"));
    }
}

#[tokio::test]
async fn no_secret_is_in_the_store_or_in_the_log_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = secrets_of_a_run(folder.path(), &[]).await;
    let mut searched = Vec::new();
    for file in fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        check_free_of(&secrets, &fs::read(&path).unwrap(), &path.display().to_string());
        searched.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    assert!(searched.contains(&"rtmsd.db".to_owned()) && searched.contains(&"log".to_owned()));
    assert!(fs::read_to_string(folder.path().join("log")).unwrap().contains("installed"));
}

#[tokio::test]
async fn no_secret_is_in_any_row_of_postgres_after_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let url = postgres::fresh_database().await;
    let secrets = secrets_of_a_run(folder.path(), &[("DATABASE_URL", &url)]).await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let tables = "SELECT table_name::text FROM information_schema.tables \
                  WHERE table_schema = 'public'";
    let tables: Vec<(String,)> = sqlx::query_as(tables).fetch_all(&mut connection).await.unwrap();
    let mut rows = 0;
    for (table,) in &tables {
        let statement = AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
        let dumped: Vec<(String,)> =
            sqlx::query_as(statement).fetch_all(&mut connection).await.unwrap();
        for (row,) in dumped {
            check_free_of(&secrets, row.as_bytes(), table);
            rows += usize::from(["installations", "audit"].contains(&table.as_str()));
        }
    }
    assert!(rows >= 2, "what was installed was dumped");
}

fn check_free_of(secrets: &[String], content: &[u8], place: &str) {
    for secret in secrets {
        let found = content.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!found, "{place} holds a secret: {secret:.8}…");
    }
}

/// Runs the program with a log of everything, installs and uninstalls, and returns every secret that was used.
async fn secrets_of_a_run(folder: &Path, settings: &[(&str, &str)]) -> Vec<String> {
    let zoom = FakeZoom::start().await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = fs::File::create(folder.join("log")).unwrap();
    let mut running = rtmsd(folder, TOKEN_KEY, "serve")
        .env("HOST", "127.0.0.1")
        .env("PORT", port.to_string())
        .env("ZOOM_API_BASE_URL", zoom.url())
        .env("ZOOM_OAUTH_BASE_URL", zoom.url())
        .envs(settings.iter().copied())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let codes = visit(&zoom, port).await;
    let pid = running.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    tokio::task::spawn_blocking(move || running.wait().unwrap()).await.unwrap();
    let mut secrets = zoom.world().given.clone();
    assert!(secrets.len() >= 6, "tokens were given and refreshed");
    secrets.extend(codes);
    secrets.extend([CLIENT_SECRET, WEBHOOK_SECRET, API_TOKEN, TOKEN_KEY].map(str::to_owned));
    secrets
}

/// Installs twice, fails once, uninstalls, and uses tickets. Returns the codes and tickets.
async fn visit(zoom: &FakeZoom, port: u16) -> Vec<String> {
    let address = ([127, 0, 0, 1], port).into();
    eventually("the daemon listens", async || tokio::net::TcpStream::connect(address).await.ok())
        .await;
    let get = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        exchange(address, &head(method, path, headers)).await
    };
    let mut codes = Vec::new();
    // An ended token makes the removal at the end refresh.
    zoom.world().expires_in = Some(0);
    for _ in 0..2 {
        let begun = get("GET", "/api/v1/zoom/oauth/install", &[]).await;
        let cookie = begun.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let authorize_url = begun.header("location").unwrap().to_owned();
        let trip = Trip { cookie, authorize_url };
        let back = trip.decide(zoom, "allow").await;
        let (_, code) = back.split_once("code=").unwrap();
        codes.push(code.split('&').next().unwrap().to_owned());
        for status in [200, 409] {
            let answer = get("GET", &back, &[("cookie", &trip.cookie), JSON]).await;
            assert_eq!(answer.status, status, "{}", answer.text());
        }
    }
    let authorization = format!("Bearer {API_TOKEN}");
    let headers = [("authorization", &*authorization)];
    let list = get("GET", "/api/v1/zoom/installations", &headers).await.json();
    let id = list["data"]["installations"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/zoom/installations/{id}");
    assert_eq!(get("DELETE", &path, &headers).await.status, 200);
    // One ticket is used, one is used twice and refused, one is never used.
    for uses in 0..3 {
        let body = r#"{"path":"/api/v1/live"}"#;
        let length = body.len().to_string();
        let headers = [("authorization", &*authorization), ("content-length", &*length)];
        let request = [head("POST", "/api/v1/tickets", &headers), body.into()].concat();
        let made = exchange(address, &request).await.json();
        for status in [426, 401].into_iter().take(uses) {
            let url = made["data"]["url"].as_str().unwrap();
            assert_eq!(get("GET", url, &[]).await.status, status);
        }
        codes.push(made["data"]["ticket"].as_str().unwrap().to_owned());
    }
    codes
}
