//! The log of a running daemon: every line says what it is about, and its level changes while it runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rtmsd::simulator::{CutKind, LinkName, MeetingAction};
use serde_json::{Value, json};

use super::recordings::kit::{recorded, recording_of};
use crate::support::client::{exchange, head};
use crate::support::kit::{API_TOKEN, Home, Log, Zoom, endless, eventually, send_webhook, zoom};
use crate::support::process::Process;

const LOG_LEVEL: &str = "/api/v1/admin/log-level";

fn home() -> Home {
    recording_of(Home::sqlite(), "audio,transcript")
        .set("API_TOKENS", &format!("tests:{API_TOKEN}:admin"))
        .set("FORWARD_ALLOWED_HOSTS", "127.0.0.1")
        .set("FORWARD_ALLOW_WS", "true")
}

/// The daemon's lines so far. Each must be a JSON object.
fn lines(process: &Process) -> Vec<Value> {
    let parse = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(line.is_object());
        line
    };
    process.err().lines().map(parse).collect()
}

fn text<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap_or_default()
}

/// Plays a meeting with everything that is logged about a stream: links that are cut, a recording, a forward that finds
/// no server, requests that are answered and refused.
async fn whole_run() -> (Vec<Value>, [String; 2]) {
    let (process, api) = Process::serve(&home().set("LOG_LEVEL", "trace")).await;
    let zoom = Zoom::open(zoom(endless(100))).await;
    zoom.post.deliver_to(api.0);
    let session = eventually("a session", async || {
        let sessions = api.sessions().await;
        sessions.first().and_then(|session| session["id"].as_str().map(str::to_owned))
    })
    .await;
    let log = Log::of_session(api, session.clone());
    log.lines(3).await;
    let stream = zoom.stream().stream_id;
    let path = format!("/api/v1/sdk/sessions/{session}");
    assert_eq!(api.get(&path).await.unwrap().status, 200);
    let forward = json!({"url": "ws://127.0.0.1:9/"});
    assert_eq!(api.post(&format!("{path}/forward"), &forward).await.status, 201);
    assert_eq!(api.delete(&path).await.status, 409, "it runs");
    assert!(api.post(&format!("{path}/rtms/pause"), &json!({})).await.status >= 400, "no token");
    let (link, how) = (LinkName::Signaling, CutKind::Drop);
    zoom.perform(MeetingAction::Cut { link, how }).await;
    log.until("the link is back", |page| page.of("link_up").len() > 2).await;
    eventually("the forward fails", async || {
        process.err().contains("a forward is disconnected").then_some(())
    })
    .await;
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    log.entries("ended", 1).await;
    recorded(api, &session, "stored").await;
    eventually("it is logged", async || process.logged("recording stored")).await;
    process.signal("TERM");
    let lines = {
        let ended = process.ended().await;
        assert_eq!(ended.code(), 0);
        ended.err.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    (lines, [session, stream])
}

#[tokio::test]
async fn every_line_of_a_stream_says_whose_it_is_and_every_line_of_a_request_has_its_id() {
    let (lines, [session, stream]) = whole_run().await;
    for line in &lines {
        let whole = line.to_string();
        let is_of_stream = whole.contains(&stream) || line.get("stream_id").is_some();
        if is_of_stream {
            assert_eq!(line["stream_id"], *stream, "{line}");
        }
        if is_of_stream || whole.contains(&session) || line.get("session_id").is_some() {
            assert_eq!(line["session_id"], *session, "{line}");
            assert_eq!(
                (&line["product"], &line["app"]),
                (&json!("meeting"), &json!("default")),
                "{line}"
            );
        }
        if text(line, "target").starts_with("rtmsd::http")
            && !text(line, "target").ends_with("server")
        {
            assert_eq!(text(line, "request_id").len(), 36, "{line}");
        }
        // The words of the meeting.
        assert!(!whole.contains("Ana Silva"), "{line}");
    }
    let of_stream: Vec<&str> = lines
        .iter()
        .filter(|line| line["stream_id"] == *stream)
        .map(|line| text(line, "message"))
        .collect();
    for message in ["webhook", "stream started", "stream ended", "recording stored"] {
        assert!(of_stream.contains(&message), "{message}: {of_stream:?}");
    }
    let requests = lines.iter().filter(|line| line["message"] == "request");
    assert!(requests.count() > 10);
    // A webhook's line has both.
    let webhook =
        lines.iter().find(|line| line["message"] == "webhook" && line["stream_id"] == *stream);
    assert_eq!(text(webhook.unwrap(), "request_id").len(), 36);
    let forward = lines.iter().find(|line| text(line, "message").starts_with("a forward is disc"));
    assert_eq!(forward.unwrap()["session_id"], *session);
}

#[tokio::test]
async fn a_webhook_without_an_effect_has_one_line_which_names_it() {
    let (process, api) = Process::serve(&home()).await;
    let event = "meeting.participant_joined";
    let body = json!({"event": event, "event_ts": 7, "payload": {"object": {"uuid": "m1=="}}});
    for _ in 0..2 {
        assert_eq!(send_webhook(api.0, &body).await, 200);
    }
    let own = || -> Vec<Value> {
        lines(&process).into_iter().filter(|line| line["event"] == event).collect()
    };
    eventually("both are logged", async || (own().len() >= 2).then_some(())).await;
    let outcomes: Vec<_> = own().iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["no_change", "repeated"], "one line for each");
    for line in own() {
        assert_eq!((text(&line, "message"), text(&line, "app")), ("request", "default"));
        assert_eq!((text(&line, "route"), &line["status"]), ("/webhook", &json!(200)));
    }
}

#[tokio::test]
async fn the_log_level_is_changed_for_a_time_and_never_shows_the_content_of_connections() {
    let (process, api) = Process::serve(&home()).await;
    let shown = async || api.get(LOG_LEVEL).await.unwrap().json()["data"]["log"].take();
    assert_eq!(shown().await, json!({"level": "info", "configured": "info", "ends_in_s": null}));
    let requests = async || {
        let is_own =
            |line: &&Value| line["message"] == "request" && line["route"] == "/api/v1/apps";
        let count = || lines(&process).iter().filter(is_own).count();
        let before = count();
        api.get("/api/v1/apps").await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        count() - before
    };
    assert_eq!(requests().await, 1);
    let quiet = api.put(LOG_LEVEL, json!({"level": "warn", "for_s": 3})).await;
    assert_eq!(quiet.status, 200, "{}", quiet.text());
    assert_eq!(quiet.json()["data"]["log"]["level"], "warn");
    assert_eq!(requests().await, 0);
    eventually("its time is over", async || (shown().await["level"] == "info").then_some(())).await;
    assert_eq!(requests().await, 1);
    let filter = "trace,hyper=trace,rtmsd::http=trace";
    assert_eq!(api.put(LOG_LEVEL, json!({"level": filter})).await.status, 200);
    assert_eq!(shown().await["level"], filter);
    assert_eq!(requests().await, 1);
    assert!(!process.err().contains(API_TOKEN), "hyper logs headers at trace");
    assert_eq!(
        api.put(LOG_LEVEL, json!({"level": null})).await.json()["data"]["log"]["level"],
        "info"
    );
    for (body, field) in [
        (json!({"level": "debg"}), "level"),
        (json!({"level": 3}), "level"),
        (json!({}), "level"),
        (json!({"level": "info", "for_s": 0}), "for_s"),
        (json!({"level": "info", "for_s": 86401}), "for_s"),
        (json!({"level": "info", "until": 1}), "until"),
    ] {
        let refused = api.put(LOG_LEVEL, body.clone()).await;
        assert!([400, 422].contains(&refused.status) && refused.text().contains(field), "{body}");
    }
    let trail = api.get("/api/v1/audit?action=log_level.change").await.unwrap().json();
    let changes = trail["data"]["audit"].as_array().unwrap();
    assert_eq!(changes.iter().filter(|row| row["outcome"] == "ok").count(), 3, "{changes:#?}");
    assert_eq!(changes.last().unwrap()["detail"], json!({"level": "warn", "for_s": 3}));
}

fn write_env(folder: &Path, text: &str) {
    let path = folder.join(".env");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Sends SIGHUP and waits until the settings were read.
async fn reread(process: &Process, message: &str) {
    let count = || process.err().matches(message).count();
    let before = count();
    process.signal("HUP");
    eventually(message, async || (count() > before).then_some(())).await;
}

const TAKEN_OVER: &str = "read the apps of the settings again";

#[tokio::test]
async fn sighup_takes_over_tokens_and_the_log_level_and_names_what_needs_a_restart() {
    let home = Home::sqlite().without("API_TOKENS");
    let env = |tokens: &str, more: &str| {
        write_env(home.folder(), &format!("API_TOKENS={tokens}\n{more}"));
    };
    env("old:0123456789abcdef-old:admin", "MAX_STREAMS=7\n");
    let (process, api) = Process::serve(&home).await;
    let status = async |token: &str| {
        let authorization = format!("Bearer {token}");
        let request = head("GET", "/api/v1/apps", &[("authorization", &authorization)]);
        exchange(api.0, &request).await.status
    };
    assert_eq!(status("0123456789abcdef-old").await, 200);
    env("new:0123456789abcdef-new:admin", "MAX_STREAMS=7\nLOG_LEVEL=debug\n");
    reread(&process, TAKEN_OVER).await;
    assert_eq!(
        (status("0123456789abcdef-old").await, status("0123456789abcdef-new").await),
        (401, 200)
    );
    assert!(process.logged("changed settings are ignored until a restart").is_none());
    let level = process.logged("the log level of the settings was changed").expect("it was");
    assert_eq!(level["level"], "debug");
    env(
        "new:0123456789abcdef-new:admin",
        "MAX_STREAMS=8\nRECORDINGS_URL=/elsewhere\nRTMS_AUTO_START=all\n",
    );
    reread(&process, TAKEN_OVER).await;
    let ignored = process.logged("changed settings are ignored until a restart").expect("they are");
    assert_eq!(ignored["settings"], "MAX_STREAMS, RECORDINGS_URL");
    // After a mistake nothing changes.
    env("third:0123456789abcdef-third:admin", "MAX_STREAMS=many\n");
    reread(&process, "all settings stay as they are").await;
    assert_eq!(
        (status("0123456789abcdef-third").await, status("0123456789abcdef-new").await),
        (401, 200)
    );
    assert!(!process.err().contains("0123456789abcdef"));
}

#[tokio::test]
async fn the_generated_token_counts_after_sighup() {
    let home = Home::sqlite().without("API_TOKENS");
    let (process, api) = Process::serve(&home).await;
    let token = fs::read_to_string(home.data().join("api-token")).unwrap();
    let authorization = format!("Bearer {}", token.trim());
    let status = async || {
        let request = head("GET", "/api/v1/apps", &[("authorization", &authorization)]);
        exchange(api.0, &request).await.status
    };
    assert_eq!(status().await, 200);
    reread(&process, TAKEN_OVER).await;
    assert_eq!(status().await, 200);
    assert!(process.logged("changed settings are ignored until a restart").is_none());
}
