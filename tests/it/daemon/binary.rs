//! The binary's commands, exit codes and signals, and what its logs must not say.

use std::net::TcpListener as StdTcpListener;

use rtmsd::simulator::MeetingAction;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::kit::{API_TOKEN, Api, Home, Log, Zoom, eventually, script, zoom};
use crate::support::process::{Ended, Process, free_address};

async fn run(args: &[&str], variables: &[(&str, &str)]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let variables: Vec<_> =
        variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Process::spawn(args, &variables, folder.path()).ended().await
}

fn free_port() -> String {
    free_address().port().to_string()
}

#[tokio::test]
async fn without_settings_it_names_all_that_are_missing_and_exits_with_2() {
    for args in [vec![], vec!["serve"], vec!["check"], vec!["migrate"]] {
        let ended = run(&args, &[]).await;
        assert_eq!(ended.code(), 2, "{args:?}");
        for name in ["ZOOM_CLIENT_ID", "ZOOM_CLIENT_SECRET", "ZOOM_SECRET_TOKEN"] {
            assert!(ended.err.contains(name), "{args:?} {name}: {}", ended.err);
        }
        assert_eq!(ended.out, "");
    }
}

#[tokio::test]
async fn wrong_settings_are_named_all_at_once_and_their_values_never_printed() {
    let wrong = ["PORT", "HOST", "DATABASE_URL", "MEDIA_TYPES", "LOG_LEVEL", "SHUTDOWN_STREAMS"];
    let variables = wrong.map(|name| (name, "hunter2://x y"));
    let ended = run(&["serve"], &variables).await;
    assert_eq!(ended.code(), 2);
    for name in wrong.iter().chain(&["ZOOM_CLIENT_ID"]) {
        assert!(ended.err.contains(name), "{name}: {}", ended.err);
    }
    assert!(!ended.err.contains("hunter2"), "{}", ended.err);
}

#[tokio::test]
async fn check_and_migrate_say_that_all_is_well() {
    for (command, message) in [("check", "the settings are valid"), ("migrate", "up to date")] {
        for home in [Home::sqlite(), Home::postgres().await] {
            let process = Process::spawn(&[command], home.variables(), home.folder());
            let ended = process.ended().await;
            assert_eq!(ended.code(), 0, "{ended:?}");
            assert!(ended.out.contains(message), "{ended:?}");
        }
    }
}

#[tokio::test]
async fn migrate_and_serve_fail_when_the_store_cannot_be_reached() {
    let home = Home::sqlite().set("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/x");
    for command in ["migrate", "serve"] {
        let ended = Process::spawn(&[command], home.variables(), home.folder()).ended().await;
        assert_eq!(ended.code(), 1, "{ended:?}");
        assert!(ended.err.contains("the store is unavailable"), "{ended:?}");
        assert!(!ended.err.contains("hunter2"), "{ended:?}");
    }
}

#[tokio::test]
async fn check_looks_at_the_files_that_the_settings_name_and_touches_no_store() {
    let home = Home::sqlite();
    let check = async |home: &Home| {
        Process::spawn(&["check"], home.variables(), home.folder()).ended().await
    };
    assert_eq!(check(&home).await.code(), 0);
    assert!(!home.folder().join("data").exists());
    let home = home.set("RTMS_CA_FILE", "no-such-file.pem");
    let ended = check(&home).await;
    assert_eq!(ended.code(), 2, "{ended:?}");
    assert!(ended.err.contains("no-such-file.pem"), "{ended:?}");
}

#[tokio::test]
async fn health_asks_the_daemon_on_its_port() {
    let home = Home::sqlite();
    let (_process, api) = Process::serve(&home).await;
    let port = api.0.port().to_string();
    assert_eq!(run(&["health"], &[("PORT", &port)]).await.code(), 0);
    assert_eq!(run(&["health"], &[("PORT", &free_port())]).await.code(), 1);
}

#[tokio::test]
async fn admin_addr_answers_health_checks_and_nothing_else() {
    let admin = format!("127.0.0.1:{}", free_port());
    let home = Home::sqlite().set("ADMIN_ADDR", &admin).set("MAX_CONNECTIONS", "1");
    let (process, api) = Process::serve(&home).await;
    let mut crowd = Vec::new();
    for _ in 0..100 {
        let mut socket = TcpStream::connect(api.0).await.unwrap();
        let _ = socket.write_all(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n").await;
        crowd.push(socket);
    }
    let at_admin = Api(admin.parse().unwrap());
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(at_admin.get(path).await.unwrap().status, 200, "{path}");
    }
    assert_eq!(at_admin.get("/api/v1/sdk/sessions").await.unwrap().status, 404);
    assert_eq!(at_admin.post("/webhook", &json!({})).await.status, 404);
    let dead = free_port();
    let health = run(&["health"], &[("PORT", &dead), ("ADMIN_ADDR", &admin)]).await;
    assert_eq!(health.code(), 0, "{health:?}");
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
    assert!(at_admin.get("/health/live").await.is_none(), "it ends with the daemon");
}

#[tokio::test]
async fn an_invalid_or_occupied_admin_addr_is_reported() {
    let wrong = Home::sqlite().set("ADMIN_ADDR", "localhost");
    let ended = Process::spawn(&["check"], wrong.variables(), wrong.folder()).ended().await;
    assert_eq!(ended.code(), 2);
    assert!(ended.err.contains("ADMIN_ADDR"), "{ended:?}");
    let listener = StdTcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let taken = Home::sqlite().set("ADMIN_ADDR", &address);
    let ended = Process::spawn(&["serve"], taken.variables(), taken.folder()).ended().await;
    assert_eq!(ended.code(), 1);
    assert!(ended.err.contains(&address), "{ended:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let listener = StdTcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let home = Home::sqlite().set("PORT", &port);
    let ended = Process::spawn(&["serve"], home.variables(), home.folder()).ended().await;
    assert_eq!(ended.code(), 1);
    assert!(ended.err.contains(&format!(":{port} (HOST and PORT)")), "{ended:?}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let home = Home::sqlite().set("SHUTDOWN_GRACE_SECONDS", "600");
    let (process, api) = Process::serve(&home).await;
    // A request on its way, which a stop in order waits for.
    let mut slow = TcpStream::connect(api.0).await.unwrap();
    slow.write_all(b"POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
        .await
        .unwrap();
    // Answered after the daemon took the slow one: one thread accepts in order.
    api.get("/health/live").await.unwrap();
    process.signal("TERM");
    eventually("the stop begins", async || {
        process.logged("stopping; a second signal ends the process at once")
    })
    .await;
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 130);
}

#[tokio::test]
async fn a_signal_in_a_meeting_leaves_the_stream_and_exits_with_0_and_the_logs_keep_secrets() {
    let home = Home::sqlite().set("RUST_LOG", "trace").set("LOG_FORMAT", "json");
    let (process, api) = Process::serve(&home).await;
    let said = "the quarterly numbers are confidential";
    let timeline = (0..600).map(|index| {
        json!({"at_ms": index * 100, "say": {"who": "bo", "text": said, "duration_ms": 100}})
    });
    let chat = json!({"at_ms": 3_000, "chat": {"who": "bo", "text": said}});
    let zoom = Zoom::open(zoom(script(timeline.chain([chat]).collect(), 60_000))).await;
    zoom.post.deliver_to(api.0);
    let stream = zoom.announced().await;
    let log = Log::follow(api, &stream.instance_id).await;
    log.lines(5).await;
    log.entries("chat", 1).await;
    zoom.perform(MeetingAction::Interrupt).await;
    log.entries("link_down", 1).await;
    process.signal("TERM");
    let ended = process.ended().await;
    assert_eq!(ended.code(), 0, "{}", ended.err);
    let stream = zoom.stream();
    assert_eq!(stream.stop_reason, None);

    assert!(ended.err.contains(&stream.stream_id), "it logs something");
    let secrets = ["demoClientSecret01", "demoSecretToken01", API_TOKEN, said, "confidential"];
    for secret in secrets.iter().chain(&["Ana Silva", r#"\"signature\""#]) {
        assert!(!ended.err.contains(secret), "{secret} is in the log");
    }
    for line in ended.err.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("{line}"));
    }
}

#[tokio::test]
async fn serve_and_simulate_play_a_meeting_over_wss_and_both_exit_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/webhook");
    let args = ["simulate", "--webhook-url", &url, "--tls-dir", ".", "--speed", "60"];
    let simulator = Process::spawn(&args, &[], folder.path());
    let ready = simulator.printed("ready").await;
    let ca = folder.path().join(ready["ca_file"].as_str().unwrap());
    let home = Home::sqlite().set("PORT", &port).set("RTMS_CA_FILE", &ca.display().to_string());
    let (process, api) = Process::serve(&home).await;
    let ended = simulator.ended().await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    let lines: Vec<serde_json::Value> =
        ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [_, last] = lines.as_slice() else { panic!("{} lines", lines.len()) };
    let stream = &last["ended"]["streams"][0];
    assert_eq!(last["ended"]["breaches"], 0);
    let sessions = api.sessions().await;
    let session = sessions[0]["id"].as_str().unwrap();
    let stored = api.reaches(session, "ended").await;
    assert_eq!(stored.stream_id, stream["stream_id"].as_str().unwrap());
    assert_eq!(stored.tally.transcript.frames, stream["media"]["transcript"]["frames"]);
    assert_eq!(stored.tally.audio.bytes, stream["media"]["audio"]["bytes"]);
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
}

#[tokio::test]
async fn the_demo_plays_its_meeting_and_ends() {
    let ended = run(&["demo", "--port", "0", "--speed", "60", "--exit-at-end"], &[]).await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    for part in
        ["curl -s", "/transcript", "/events", "joins", "[chat]", "the stream has ended: stopped"]
    {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    let said = ended.out.lines().filter(|line| line.contains(": ") && !line.contains("curl"));
    assert!(said.count() > 20, "{}", ended.out);
}
