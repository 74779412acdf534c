//! Apps that change while the daemon runs: over the API, and by SIGHUP.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use rtmsd::secret::Secret;
use rtmsd::simulator::{MeetingAction, Settings};
use rtmsd::zoom::signature::WebhookKey;
use serde_json::json;

use super::{ACME, acme, acme_at_zoom, sessions};
use crate::support::client::{exchange, head};
use crate::support::kit::{API_TOKEN, Home, Log, TestDaemon, Zoom, endless, eventually, zoom};
use crate::support::process::Process;

#[tokio::test]
async fn an_app_is_added_used_and_removed_while_fifty_streams_of_another_run() {
    const STREAMS: usize = 50;
    let home = Home::sqlite().set("API_TOKENS", &format!("tests:{API_TOKEN}:admin"));
    let home = home.set("MEDIA_TYPES", "transcript");
    let daemon = TestDaemon::start(&home).await;
    let of_default = Settings { meetings: STREAMS as u32, ..zoom(endless(1_000)) };
    let of_default = Zoom::open(of_default).await;
    of_default.post.deliver_to(daemon.address);
    let ids = sessions(&daemon, STREAMS).await;
    for id in &ids {
        daemon.api().reaches(id, "live").await;
    }
    let added = daemon.api().post("/api/v1/apps", &acme()).await;
    assert_eq!(added.status, 201, "{}", added.text());
    // Another seed: stream ids of the two must differ.
    let of_acme = Settings { app: acme_at_zoom(), seed: 4_711, ..zoom(endless(500)) };
    let of_acme = Zoom::open(of_acme).await;
    of_acme.post.deliver_to(daemon.address);
    let all = sessions(&daemon, STREAMS + 1).await;
    let own = all.into_iter().find(|id| !ids.contains(id)).unwrap();
    let log = Log::of_session(daemon.api(), own);
    log.lines(2).await;
    let in_use = daemon.api().delete("/api/v1/apps/acme").await;
    assert_eq!((in_use.status, in_use.code().as_str()), (409, "app_in_use"));
    of_acme.perform(MeetingAction::Stop { reason: 6 }).await;
    log.over().await;
    assert!(of_acme.post.letters().iter().all(|letter| letter.status == 200));
    of_acme.close_clean().await;
    assert_eq!(daemon.api().delete("/api/v1/apps/acme").await.status, 200);
    assert_eq!(signed(daemon.address, "/webhook/acme", ACME[2], 1).await, 404);
    let mut streams = Vec::new();
    for id in &ids {
        let stream = daemon.api().stream(id).await.unwrap();
        assert_eq!((stream.status.as_str(), stream.generation), ("live", 1));
        streams.push((id, stream.tally.transcript.frames));
    }
    for (id, lines) in streams {
        eventually("the stream goes on", async || {
            let stream = daemon.api().stream(id).await?;
            (stream.tally.transcript.frames > lines).then_some(())
        })
        .await;
    }
    let report = of_default.simulator.report();
    assert!(report.streams.iter().all(|stream| stream.breaches.is_empty()));
    assert_eq!(report.streams.len(), STREAMS);
}

#[tokio::test]
async fn an_app_that_is_deleted_by_force_has_no_stream_soon_after() {
    let home = Home::sqlite().set("API_TOKENS", &format!("tests:{API_TOKEN}:admin"));
    let daemon = TestDaemon::start(&home).await;
    assert_eq!(daemon.api().post("/api/v1/apps", &acme()).await.status, 201);
    let of_acme = Zoom::open(Settings { app: acme_at_zoom(), ..zoom(endless(500)) }).await;
    of_acme.post.deliver_to(daemon.address);
    let ids = sessions(&daemon, 1).await;
    daemon.api().reaches(&ids[0], "live").await;
    assert_eq!(daemon.api().delete("/api/v1/apps/acme?force=true").await.status, 200);
    let stream = daemon.api().reaches(&ids[0], "ended").await;
    assert_eq!(stream.end(), ("stopped", None));
}

/// A webhook with a body of its own, signed with this secret token. Returns the answer's status.
async fn signed(daemon: SocketAddr, path: &str, secret_token: &str, number: u64) -> u16 {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let body =
        json!({"event": "meeting.anything", "event_ts": now_s * 1000, "payload": {"n": number}});
    let (body, time) = (body.to_string(), now_s.to_string());
    let key = WebhookKey::new(&Secret::new(secret_token.to_owned()));
    let signature = key.sign(i64::try_from(now_s).unwrap(), body.as_bytes());
    let length = body.len().to_string();
    let headers = [
        ("content-length", &*length),
        ("x-zm-request-timestamp", &*time),
        ("x-zm-signature", &*signature),
    ];
    exchange(daemon, &[&head("POST", path, &headers), body.as_bytes()].concat()).await.status
}

/// Writes the list of apps, with these secret tokens of `acme`.
fn write_apps(path: &Path, secret_tokens: &[&str]) {
    let mut app = acme();
    app["secret_tokens"] = json!(secret_tokens);
    write_private(path, &json!([app]).to_string());
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

const RELOADED: &str = "read the apps of the settings again";

/// Sends SIGHUP and waits for the outcome.
async fn reload(process: &Process, message: &str) {
    let count = || process.err().matches(message).count();
    let before = count();
    process.signal("HUP");
    eventually(message, async || (count() > before).then_some(())).await;
}

/// Sends webhooks to `/webhook/acme` without a pause, each signed with the secret token of its time.
struct Traffic {
    secret_token: Arc<Mutex<&'static str>>,
    statuses: Arc<Mutex<Vec<u16>>>,
    sending: tokio::task::JoinHandle<()>,
}

impl Traffic {
    fn start(daemon: SocketAddr, secret_token: &'static str) -> Self {
        let secret_token = Arc::new(Mutex::new(secret_token));
        let statuses = Arc::<Mutex<Vec<u16>>>::default();
        let (of_time, noted) = (secret_token.clone(), statuses.clone());
        let sending = tokio::spawn(async move {
            for number in 0.. {
                let secret_token = *of_time.lock().unwrap();
                let status = signed(daemon, "/webhook/acme", secret_token, number).await;
                noted.lock().unwrap().push(status);
            }
        });
        Self { secret_token, statuses, sending }
    }

    /// Waits until some more webhooks were answered.
    async fn goes_on(&self) {
        let count = || self.statuses.lock().unwrap().len();
        let before = count();
        eventually("more webhooks", async || (count() > before + 20).then_some(())).await;
    }

    fn sign_with(&self, secret_token: &'static str) {
        *self.secret_token.lock().unwrap() = secret_token;
    }
}

#[tokio::test]
async fn a_secret_token_is_replaced_under_traffic_without_a_401() {
    let home = Home::sqlite();
    let path = home.folder().join("apps.json");
    write_apps(&path, &["old"]);
    let home = home.set("ZOOM_APPS_FILE", path.to_str().unwrap());
    let (process, api) = Process::serve(&home).await;
    let traffic = Traffic::start(api.0, "old");
    traffic.goes_on().await;
    write_apps(&path, &["new", "old"]);
    reload(&process, RELOADED).await;
    traffic.goes_on().await;
    traffic.sign_with("new");
    traffic.goes_on().await;
    write_apps(&path, &["new"]);
    reload(&process, RELOADED).await;
    traffic.goes_on().await;
    traffic.sending.abort();
    let statuses = traffic.statuses.lock().unwrap().clone();
    assert!(statuses.len() > 80 && statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(signed(api.0, "/webhook/acme", "old", 0).await, 401, "it is out of use");
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
}

#[tokio::test]
async fn a_mistake_at_a_reload_keeps_the_old_apps_and_is_logged_without_a_value() {
    let home = Home::sqlite();
    let path = home.folder().join("apps.json");
    write_apps(&path, &["good"]);
    let home = home.set("ZOOM_APPS_FILE", path.to_str().unwrap());
    let (process, api) = Process::serve(&home).await;
    write_private(&path, "[{\"name\": \"acme\", \"client_id\": \"s3cret\"}]");
    reload(&process, "app acme: client_secret is missing").await;
    assert_eq!(signed(api.0, "/webhook/acme", "good", 1).await, 200);
    write_private(&path, "[]");
    reload(&process, RELOADED).await;
    assert_eq!(signed(api.0, "/webhook/acme", "good", 2).await, 404);
    // The settings in .env are read again, too.
    write_private(&home.folder().join(".env"), "ZOOM_APPS=7\n");
    reload(&process, "is set beside ZOOM_APPS").await;
    assert!(!process.err().contains("s3cret"));
    assert_eq!(signed(api.0, "/webhook", "demoSecretToken01", 3).await, 200);
}
