//! What a capture holds in each mode, who asks for it, and how it is deleted.

use rtmsd::capture::event::Event;
use rtmsd::model::CaptureMode;
use rtmsd::simulator::MeetingAction;
use serde_json::json;

use super::kit::*;
use crate::daemon::recordings::kit::{files_below, folder, spooled};
use crate::support::kit::{API_TOKEN, Home, Scene, chatter, endless, eventually, script, zoom};

/// What nobody but the app and Zoom knows. The signature of the handshakes is another.
const SECRETS: [&str; 3] = ["demoClientSecret01", "demoSecretToken01", API_TOKEN];

/// A stream in which people spoke and wrote, to its end.
async fn spoken(mode: &str) -> Scene {
    let mut timeline = chatter(1_000, 200);
    timeline.push(json!({"at_ms": 100, "video_on": "ana"}));
    let chats = (0..600)
        .map(|n| json!({"at_ms": 300 * n, "chat": {"who": "bo", "text": "a private word"}}));
    timeline.extend(chats);
    let scene = Scene::open(capturing(mode), zoom(script(timeline, 600_000))).await;
    scene.log.entries("chat", 1).await;
    scene.log.lines(2).await;
    scene.zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    scene.ended().await;
    scene
}

/// Every text of 64 hex digits is a signature or a hash.
fn has_signature(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_hexdigit()).any(|word| word.len() == 64)
}

#[tokio::test]
async fn with_all_everything_is_in_the_file_but_secrets() {
    let scene = spoken("all").await;
    let file = stored(scene.daemon.api(), scene.log.session_id()).await;
    let (header, records) = read(&file);
    assert_eq!(header.mode, CaptureMode::All);
    let text = text(&file);
    for word in ["a private word", "line ", "Ana Silva", "rtms_started", "rtms_stopped"] {
        assert!(text.contains(word), "{word}");
    }
    let webhooks = records.iter().filter(|it| matches!(it.event, Event::Webhook { .. })).count();
    assert_eq!(webhooks, 2);
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret}");
        assert!(!file.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
    }
    assert!(!has_signature(&text));
    let received = scene.stream().await.tally.audio.frames;
    let audio = sent_on(&records, "audio").len() as u64;
    // Beside the frames the link brings an answer.
    assert!(audio > received, "{audio} {received}");
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn with_signaling_nothing_of_people_is_in_the_file_and_every_frame_has_its_size_and_time() {
    let scene = spoken("signaling").await;
    let page = scene.log.over().await;
    let file = stored(scene.daemon.api(), scene.log.session_id()).await;
    let (header, _) = read(&file);
    assert_eq!(header.mode, CaptureMode::Signaling);
    let text = text(&file);
    for word in ["private", "line 1", "line 2", "line 3", "Ana", "Silva", "demoClientSecret01"] {
        assert!(!text.contains(word), "{word}");
    }
    assert!(!has_signature(&text));
    // The same entries with the same numbers and times; of people only their ids.
    let (entries, accounts, checked) = checked(&file);
    assert_eq!(checked.differences, Vec::<String>::new());
    let outline = |entries: &[serde_json::Value]| -> Vec<_> {
        entries.iter().map(|e| (e["seq"].clone(), e["kind"].clone(), e["at_ms"].clone())).collect()
    };
    assert_eq!(outline(&entries), outline(&page.entries));
    let stored = ledger(scene.daemon.api(), &scene.log).await;
    for (again, first) in accounts.iter().zip(&stored).filter(|(a, _)| a["medium"] == "audio") {
        assert_eq!(again, first, "frames, bytes and gaps");
    }
    assert!(file.len() < 200_000, "filler takes no room: {}", file.len());
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_session_chooses_for_itself() {
    for (configured, chosen, expected) in
        [("off", "signaling", Some(CaptureMode::Signaling)), ("all", "off", None)]
    {
        let home = Home::sqlite().set("CAPTURE", configured);
        let scene = Scene::prepared(home, zoom(script(chatter(2, 200), 800)), async |api| {
            let wanted = json!({"platform": "zoom", "meeting_id": "91234567890", "media": {"capture": chosen}});
            let answer = api.post("/api/v1/sdk/sessions", &wanted).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
            let odd = json!({"platform": "zoom", "meeting_id": "91234567891", "media": {"capture": "much"}});
            let answer = api.post("/api/v1/sdk/sessions", &odd).await;
            assert!(answer.text().contains("media.capture must be off, signaling, all"));
        })
        .await;
        scene.ended().await;
        match expected {
            Some(mode) => {
                let file = stored(scene.daemon.api(), scene.log.session_id()).await;
                assert_eq!(read(&file).0.mode, mode);
            }
            None => {
                let path = format!("/api/v1/sdk/sessions/{}/recordings", scene.log.session_id());
                let list = scene.daemon.api().get(&path).await.unwrap().json();
                assert_eq!(list["data"]["recordings"], json!([]));
            }
        }
        scene.zoom.close_clean().await;
    }
}

#[tokio::test]
async fn a_capture_is_deleted_with_what_is_revoked_and_on_request() {
    let scene = Scene::open(capturing("all"), zoom(endless(100))).await;
    scene.log.lines(3).await;
    eventually("it is on disk", async || (!in_spool(&scene.home).is_empty()).then_some(())).await;
    scene.zoom.perform(MeetingAction::Stop { reason: 8 }).await;
    scene.log.entries("ended", 1).await;
    eventually("the spool is empty", async || spooled(&scene.home).is_empty().then_some(())).await;
    assert_eq!(files_below(&folder(&scene.home)), Vec::<std::path::PathBuf>::new());
    scene.zoom.close_clean().await;

    let home = capturing("all").set("API_TOKENS", &format!("tests:{API_TOKEN}:admin"));
    let scene = Scene::open(home, zoom(script(chatter(2, 200), 800))).await;
    scene.ended().await;
    stored(scene.daemon.api(), scene.log.session_id()).await;
    let path = format!("/api/v1/sdk/sessions/{}", scene.log.session_id());
    assert_eq!(scene.daemon.api().delete(&path).await.status, 202);
    let gone = async || files_below(&folder(&scene.home)).is_empty().then_some(());
    eventually("the file is gone", gone).await;
    scene.zoom.close_clean().await;
}
