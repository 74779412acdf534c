//! A call of Zoom Phone (experimental): joined under its own id, with audio by channel and a transcript; its events are
//! kept as they are.

use rtmsd::simulator::Script;
use serde_json::json;

use crate::support::kit::{Home, Scene, TestDaemon, Zoom, eventually, zoom};

pub(crate) fn call() -> Script {
    let script = json!({
        "title": "Call", "product": "phone", "meeting_id": "91234567890", "account_id": "acc-1",
        "host": "u-ana",
        "people": [
            {"key": "ana", "user_id": 1, "name": "Ana Silva", "zoom_user_id": "u-ana", "channel_id": "0"},
            {"key": "cat", "user_id": 2, "name": "", "channel_id": "1"},
        ],
        "timeline": [
            {"at_ms": 0, "join": "ana"},
            {"at_ms": 0, "join": "cat"},
            {"at_ms": 2_000, "say": {"who": "cat", "text": "is anybody there", "duration_ms": 1_000}},
            {"at_ms": 4_000, "leave": "cat"}
        ],
        "end": {"at_ms": 6_000, "stop_reason": 6}
    });
    Script::parse(&script.to_string()).unwrap()
}

#[tokio::test]
async fn a_call_has_audio_by_channel_a_transcript_and_its_events_as_they_are() {
    // Every medium is asked for, and a call has two.
    let home = Home::sqlite().set("ZOOM_PHONE", "true");
    let scene = Scene::open(home, rtmsd::simulator::Settings { speed: 4.0, ..zoom(call()) }).await;
    let page = scene.log.over().await;
    assert_eq!(page.texts(), ["is anybody there"]);
    assert_eq!(page.of("transcript")[0]["channel_id"], "1");
    let session = scene.daemon.api().session(scene.log.session_id()).await;
    assert_eq!(session["product"], "phone");
    let stream = scene.stream().await;
    assert_eq!(stream.end(), ("stopped", Some(6)));
    assert!(stream.tally.audio.frames > 0, "{:?}", stream.tally);
    let events = page.of("unknown_event");
    assert!(!events.is_empty(), "{:#?}", page.outline());
    for event in &events {
        assert!(
            event["event_code"].as_u64() > Some(20_000) && event["event_type"].is_null(),
            "{event}"
        );
    }
    assert!(events.iter().any(|event| event["raw"]["participant_info"].is_object()), "{events:?}");
    assert!(page.of("contact_center_event").is_empty());
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn without_the_setting_a_call_is_refused_and_can_be_processed_later() {
    let daemon = TestDaemon::start(&Home::sqlite()).await;
    let zoom = Zoom::open(zoom(call())).await;
    zoom.post.deliver_to(daemon.address);
    let refused = eventually("the call is refused", async || {
        let answer = daemon.api().get("/api/v1/zoom/webhooks?outcome=refused").await?.json();
        answer["data"]["webhooks"].as_array()?.first().cloned()
    })
    .await;
    assert_eq!(
        (&refused["event"], &refused["reason"]),
        (&json!("phone.rtms_started"), &json!("other_app"))
    );
    assert!(daemon.api().sessions().await.is_empty());
}
