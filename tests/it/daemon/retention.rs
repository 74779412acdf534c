//! What is kept at rest.

use std::path::Path;
use std::time::{Duration, Instant};

use rtmsd::simulator::{MeetingAction, Settings};
use rtmsd::store::Location;
use serde_json::{Value, json};

use super::recordings::kit::{files_below, folder, recorded, recording};
use crate::support::kit::{
    API_TOKEN, Home, Log, Scene, TIMEOUT, TestDaemon, chatter, eventually, script, zoom,
};
use crate::support::raw::Raw;
use crate::support::words::in_files;

fn is_somewhere(folder: &Path, text: &str) -> bool {
    !in_files(folder, &[text]).is_empty()
}

async fn scene(retention: &str) -> Scene {
    let home =
        Home::sqlite().set("RETENTION_ENTRIES", retention).set("RETENTION_DELIVERIES", retention);
    Scene::open(
        home,
        rtmsd::simulator::Settings { speed: 10.0, ..zoom(script(chatter(10, 2_000), 21_000)) },
    )
    .await
}

#[tokio::test]
async fn with_zero_retention_everything_is_live_and_no_word_is_on_the_disk() {
    let scene = scene("zero").await;
    let live = scene.log.over().await;
    assert!(live.of("transcript").len() > 2, "{:#?}", live.outline());
    let folder = scene.home.folder().to_owned();
    let spoken = live.texts().last().unwrap().to_string();
    let (home, session) = (scene.home, scene.log.session_id().to_owned());
    scene.daemon.stop().await;
    assert!(!is_somewhere(&folder, &spoken) && !is_somewhere(&folder, "Ana Silva"));
    let daemon = TestDaemon::start(&home).await;
    let late = Log::of_session(daemon.api(), session).over().await;
    late.assert_numbered();
    assert_eq!(late.entries.len(), live.entries.len(), "every number is accounted for");
    assert!(late.of("transcript").is_empty());
    assert!(late.of("not_kept").iter().any(|entry| entry["what"] == "transcript"));
}

#[tokio::test]
async fn without_zero_retention_words_are_on_the_disk() {
    let scene = scene("forever").await;
    let live = scene.log.over().await;
    let (folder, spoken) =
        (scene.home.folder().to_owned(), live.texts().last().unwrap().to_string());
    scene.daemon.stop().await;
    assert!(is_somewhere(&folder, &spoken), "or the other test proves nothing");
}

/// The words spoken, typed and known in the meetings below; names also in the form of file names.
const WORDS: [&str; 5] = ["ana-says-so", "bo-types-this", "Ana Silva", "Ana_Silva", "case-4711"];

/// Plays a meeting with everything stored and recorded, and a word in the session's metadata.
async fn spoken(ends_with: u16) -> Scene {
    let home = recording(Home::sqlite()).set("API_TOKENS", &format!("tests:{API_TOKEN}:admin"));
    let mut script = json!({
        "title": "Test", "meeting_id": "91234567890", "account_id": "acc-1", "host": "u-ana",
        "people": [{"key": "ana", "user_id": 16_778_240, "name": "Ana Silva"},
                   {"key": "bo", "user_id": 16_779_264, "name": "Bo"}],
        "timeline": [{"at_ms": 0, "join": "ana"}, {"at_ms": 0, "join": "bo"},
                     {"at_ms": 2_500, "chat": {"who": "bo", "text": "bo-types-this"}}],
        "end": {"at_ms": 4_500, "stop_reason": ends_with}
    });
    let line = |n: u32| {
        let say = json!({"who": "ana", "text": format!("ana-says-so {n}"), "duration_ms": 400});
        json!({"at_ms": n * 500, "say": say})
    };
    script["timeline"].as_array_mut().unwrap().extend((0..8).map(line));
    let settings = zoom(rtmsd::simulator::Script::parse(&script.to_string()).unwrap());
    Scene::prepared(home, settings, async |api| {
        let new = json!({"platform": "zoom", "meeting_id": "91234567890", "metadata": {"case": "case-4711"}});
        assert_eq!(api.post("/api/v1/sdk/sessions", &new).await.status, 201);
    })
    .await
}

async fn assert_words_go(scene: &Scene) {
    assert_words_go_of(scene, &WORDS).await;
}

async fn assert_words_go_of(scene: &Scene, words: &[&str]) {
    let give_up_at = Instant::now() + TIMEOUT;
    // The daemon keeps running: no deletion waits for its end.
    loop {
        let found = in_files(scene.home.folder(), words);
        if found.is_empty() {
            break;
        }
        assert!(Instant::now() < give_up_at, "{found:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(files_below(&folder(&scene.home)), Vec::<std::path::PathBuf>::new());
}

async fn assert_words_are_there(scene: &Scene) {
    scene.log.over().await;
    recorded(scene.daemon.api(), scene.log.session_id(), "stored").await;
    for word in WORDS {
        assert!(is_somewhere(scene.home.folder(), word), "{word} must be stored first");
    }
}

fn deauthorized(user: &str) -> Value {
    json!({"event": "app_deauthorized", "event_ts": rtmsd::clock::now_ms(),
        "payload": {"account_id": "acc-1", "user_id": user, "client_id": "demoClientId01"}})
}

#[tokio::test]
async fn no_file_holds_a_word_of_a_deleted_meeting() {
    let scene = spoken(6).await;
    assert_words_are_there(&scene).await;
    let path = format!("/api/v1/sdk/sessions/{}", scene.log.session_id());
    assert_eq!(scene.daemon.api().delete(&path).await.status, 202);
    assert_words_go(&scene).await;
}

#[tokio::test]
async fn no_file_holds_a_word_of_a_user_who_removed_the_app() {
    let scene = spoken(6).await;
    assert_words_are_there(&scene).await;
    assert_eq!(scene.zoom.post.send(&deauthorized("u-ana")).await, 200);
    assert_words_go(&scene).await;
}

#[tokio::test]
async fn no_file_holds_a_word_of_a_revoked_stream() {
    let scene = spoken(8).await;
    let stream = scene.ended().await;
    assert_eq!(stream.end(), ("stopped", Some(8)));
    assert_words_go(&scene).await;
}

/// Zoom keeps sending for a while: it is asked to stop nothing.
#[tokio::test]
async fn after_the_removal_of_the_app_nothing_more_of_a_live_stream_comes() {
    let settings =
        Settings { script: crate::support::kit::endless(100), ..zoom(script(Vec::new(), 1)) };
    let home = recording(Home::sqlite()).set("API_TOKENS", &format!("tests:{API_TOKEN}:admin"));
    let scene = Scene::open(home, settings).await;
    scene.live().await;
    scene.log.lines(5).await;
    let api = scene.daemon.api();
    assert_eq!(scene.zoom.post.send(&deauthorized("u-ana")).await, 200);
    let before = scene.log.page().texts().len();
    let reread = Log::of_session(api, scene.log.session_id().to_owned());
    eventually("the deletion is complete", async || {
        let trail = api.get("/api/v1/audit?action=data.deleted").await?.json();
        let rows = trail["data"]["audit"].as_array()?.clone();
        rows.iter().any(|row| row["subject"] == "u-ana").then_some(())
    })
    .await;
    let stream = scene.stream().await;
    assert_eq!((&*stream.status, stream.end()), ("ended", ("stopped", Some(8))));
    scene.log.entries("ended", 1).await;
    // What was published before the webhook was stored may still be on its way.
    let late = scene.log.page().texts().len() - before;
    assert!(late <= 20, "{late} lines came after the removal");
    let page = reread.entries("ended", 1).await;
    assert_eq!(page.texts(), [""; 0], "and who reads again gets none");
    assert_words_go_of(&scene, &["Ana Silva", "Ana_Silva"]).await;
}

/// Ana's app streams, then Bo's in the same meeting. Ana removes the app while Bo's stream continues.
#[tokio::test]
async fn removing_the_app_keeps_the_data_of_another_users_stream() {
    let settings =
        Settings { script: crate::support::kit::endless(200), ..zoom(script(Vec::new(), 1)) };
    let scene = Scene::open(recording(Home::sqlite()), settings).await;
    scene.live().await;
    scene.log.lines(3).await;
    scene.zoom.perform(MeetingAction::Stop { reason: 4 }).await;
    scene.log.entries("ended", 1).await;
    let api = scene.daemon.api();
    recorded(api, scene.log.session_id(), "stored").await;
    scene.zoom.perform(MeetingAction::StartAs { user_id: "u-bo".into() }).await;
    let of = |page: &crate::support::kit::Page, stream: u64| {
        page.of("transcript").iter().filter(|line| line["ordinal"] == stream).count()
    };
    scene.log.until("bo's stream says something", |page| of(page, 2) > 3).await;
    assert_eq!(scene.zoom.post.send(&deauthorized("u-ana")).await, 200);
    let late = eventually("ana's lines are gone", async || {
        let log = Log::of_session(api, scene.log.session_id().to_owned());
        let page = log.until("bo's lines", |page| of(page, 2) > 3).await;
        (of(&page, 1) == 0).then_some(page)
    })
    .await;
    assert!(of(&late, 2) > 3);
    let path = format!("/api/v1/sdk/sessions/{}/recordings", scene.log.session_id());
    let left = eventually("ana's recording is gone", async || {
        let answer = api.get(&path).await?.json();
        let left = answer["data"]["recordings"].as_array().unwrap().clone();
        (left.len() == 1).then_some(left)
    })
    .await;
    assert_eq!((&left[0]["ordinal"], &left[0]["status"]), (&json!(2), &json!("recording")));
    let stream = scene.stream().await;
    assert_eq!((&*stream.status, stream.stop_reason.is_none()), ("live", true));
}

#[tokio::test]
async fn expired_sessions_and_audit_rows_are_deleted_at_the_next_start() {
    let home = Home::sqlite().set("RETENTION_SESSIONS", "3h").set("RETENTION_ENTRIES", "3h");
    let home = home.set("RETENTION_AUDIT", "3h");
    let settings = zoom(script(chatter(10, 200), 2_100));
    let scene = Scene::open(home, settings).await;
    scene.log.over().await;
    let path = format!("/api/v1/sdk/sessions/{}", scene.log.session_id());
    let home = scene.home;
    scene.daemon.stop().await;
    let mut raw = Raw::connect(&Location::Sqlite(home.folder().join("data/rtmsd.db"))).await;
    raw.execute(
        "INSERT INTO audit (id, at_ms, actor, action, subject, outcome, detail)
         VALUES ('a', 1, 'boss', 'test', 's', 'ok', '{}')",
    )
    .await;
    let daemon = TestDaemon::start(&home).await;
    assert_eq!(daemon.api().get(&path).await.unwrap().status, 200, "the session has not expired");
    daemon.stop().await;
    const FOUR_HOURS_MS: i64 = 4 * 60 * 60 * 1000;
    for (table, column) in [
        ("sessions", "created_at_ms"),
        ("sessions", "updated_at_ms"),
        ("streams", "created_at_ms"),
        ("streams", "ended_at_ms"),
        ("outgoing_events", "created_at_ms"),
    ] {
        raw.execute(format!("UPDATE {table} SET {column} = {column} - {FOUR_HOURS_MS}")).await;
    }
    let daemon = TestDaemon::start(&home).await;
    eventually("the session is gone", async || {
        (daemon.api().get(&path).await?.status == 404).then_some(())
    })
    .await;
    assert_eq!(raw.count("SELECT COUNT(*) FROM streams").await, 0);
    assert_eq!(raw.count("SELECT COUNT(*) FROM entries").await, 0);
    eventually("the audit trail is short", async || {
        (raw.count("SELECT COUNT(*) FROM audit WHERE at_ms = 1").await == 0).then_some(())
    })
    .await;
}
