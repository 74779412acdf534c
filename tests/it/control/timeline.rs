//! The timeline of a session.

use rtmsd::model::{EntryBody, Lost, Unreadable, UnreadableMessages};
use rtmsd::zoom::app::Occupancy;
use serde_json::{Value, json};

use super::kit::Kit;
use crate::support::zoom::Say;

async fn timeline(kit: &Kit, id: &str) -> Value {
    kit.get(&format!("/{id}/timeline")).await
}

fn whats(timeline: &Value) -> Vec<String> {
    let moments = timeline["moments"].as_array().unwrap();
    moments.iter().map(|moment| moment["what"].as_str().unwrap().to_owned()).collect()
}

fn detail(timeline: &Value, what: &str) -> String {
    let moments = timeline["moments"].as_array().unwrap();
    let found = moments.iter().find(|moment| moment["what"] == what);
    found.unwrap_or_else(|| panic!("no {what}"))["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_timeline_tells_the_story_in_order() {
    let kit = Kit::start().await;
    kit.meeting("meeting.started", "m==").await;
    let id = kit.only_session().await;
    kit.act(&id, "start").await;
    kit.announce("m==", "s1").await;
    let stream = kit.server.stream("s1").await;
    let mut feed = kit.server.feed(&stream);
    feed.note(None, EntryBody::LinkUp { link: "signaling".into() });
    feed.note(None, EntryBody::LinkDown { link: "transcript".into(), cause: "closed".into() });
    kit.server.end_stream("m==", &stream).await;
    let timeline = timeline(&kit, &id).await;
    let whats = whats(&timeline);
    let order =
        ["meeting_started", "asked", "zoom_answered", "webhook", "link_up", "link_down", "ended"];
    let places: Vec<_> =
        order.iter().map(|what| whats.iter().position(|own| own == what)).collect();
    assert!(places.iter().all(Option::is_some), "{whats:?}");
    assert!(places.is_sorted(), "{whats:?}");
    assert_eq!(detail(&timeline, "asked"), "start asked for by api:boss");
    assert!(detail(&timeline, "zoom_answered").contains("HTTP 204"));
    assert!(detail(&timeline, "ended").contains("MEETING_ENDED"));
    assert!(timeline["moments"].as_array().unwrap().iter().all(|moment| moment["at"].is_string()));
    let moments = timeline["moments"].as_array().unwrap();
    assert!(moments.iter().all(|moment| moment["stream"] == moment["ordinal"]), "the former name");
    assert!(moments.iter().any(|moment| moment["ordinal"] == 1));
    assert_eq!(timeline["missing"][0]["what"], "stream 1 had no transcript");
}

#[tokio::test]
async fn a_session_that_nobody_asked_for_says_so() {
    let kit = Kit::start().await;
    kit.meeting("meeting.started", "m==").await;
    let id = kit.only_session().await;
    let missing = timeline(&kit, &id).await["missing"].clone();
    assert!(missing[0]["what"].as_str().unwrap().starts_with("no stream was asked for"));
    assert!(missing[0]["likely_causes"][0].as_str().unwrap().contains("RTMS_AUTO_START"));
}

#[tokio::test]
async fn a_refusal_is_told_with_zooms_words_and_what_to_do() {
    let kit = Kit::start().await;
    let id = kit.create().await;
    kit.zoom.will_say([Say::error(403, 13_262)]);
    kit.act(&id, "start").await;
    let said = detail(&timeline(&kit, &id).await, "zoom_answered");
    for part in ["app_not_authorized", "install", "HTTP 403", "13262", "track1"] {
        assert!(said.contains(part), "{said}");
    }
}

#[tokio::test]
async fn a_stream_that_was_never_joined_says_what_may_be_in_the_way() {
    let kit = Kit::start().await;
    kit.announce("m==", "s1").await;
    kit.end_stream("s1", rtmsd::model::Outcome::UrlRefused, None).await;
    let id = kit.only_session().await;
    let missing = timeline(&kit, &id).await["missing"].clone();
    assert_eq!(missing[0]["what"], "stream 1 was announced and never joined");
    assert!(missing[0]["likely_causes"][0].as_str().unwrap().contains("RTMS_ALLOWED_HOSTS"));
}

#[tokio::test]
async fn a_stream_that_waits_for_room_says_so_at_once() {
    let kit = Kit::wired(|wiring| wiring.occupancy = Occupancy::new(0)).await;
    kit.announce("m==", "s1").await;
    let missing = timeline(&kit, &kit.only_session().await).await["missing"].clone();
    assert_eq!(missing.as_array().unwrap().len(), 1, "{missing}");
    assert_eq!(missing[0]["what"], "stream 1 waits: no daemon has joined it yet");
    assert!(missing[0]["likely_causes"][0].as_str().unwrap().contains("MAX_STREAMS"), "{missing}");
    let health = kit.server.get("/health/ready").await;
    assert_eq!(health.status, 200, "webhooks are still recorded");
    let streams = health.json()["data"]["streams"].take();
    assert_eq!(streams, "MAX_STREAMS is reached; further streams wait");
}

#[tokio::test]
async fn a_stream_that_a_policy_left_out_is_not_missed() {
    let kit = Kit::start().await;
    kit.announce("m==", "s1").await;
    kit.end_stream("s1", rtmsd::model::Outcome::LeftOut, None).await;
    let timeline = timeline(&kit, &kit.only_session().await).await;
    assert_eq!(timeline["missing"], json!([]));
    assert!(detail(&timeline, "ended").starts_with("left_out"));
}

#[tokio::test]
async fn a_stream_whose_entries_come_after_a_long_log_counts_as_joined() {
    let kit = Kit::start().await;
    kit.announce("m==", "s1").await;
    let first = kit.server.stream("s1").await;
    let mut feed = kit.server.feed(&first);
    for _ in 0..501 {
        feed.note(None, EntryBody::LinkUp { link: "audio".into() });
        feed.note(None, EntryBody::LinkDown { link: "audio".into(), cause: "closed".into() });
    }
    kit.server.end_stream("m==", &first).await;
    kit.announce("m==", "s2").await;
    let second = kit.server.stream("s2").await;
    kit.server.feed(&second).note(None, EntryBody::LinkUp { link: "signaling".into() });
    kit.server.end_stream("m==", &second).await;
    let timeline = timeline(&kit, &kit.only_session().await).await;
    let entries = whats(&timeline).iter().filter(|what| what.starts_with("link_")).count();
    assert_eq!(entries, 1_000, "the list is cut before the second stream");
    let missing: Vec<_> = timeline["missing"].as_array().unwrap().iter().collect();
    let second: Vec<_> =
        missing.iter().filter(|it| it["what"].as_str().unwrap().starts_with("stream 2")).collect();
    assert_eq!(second.len(), 1, "{second:?}");
    assert_eq!(second[0]["what"], "stream 2 had no transcript");
}

#[tokio::test]
async fn a_notice_about_a_session_is_in_its_timeline_and_one_about_the_account_in_the_notices() {
    let kit = Kit::start().await;
    kit.announce("m==", "s1").await;
    let id = kit.only_session().await;
    let limited =
        json!({"operator_id": "u1", "concurrency_number": 9, "id_field": {"meeting_uuid": "m=="}});
    kit.webhook("rtms.concurrency_limited", limited).await;
    kit.webhook("rtms.concurrency_near_limit", json!({"percentage": 82})).await;
    let timeline = timeline(&kit, &id).await;
    let moments = timeline["moments"].as_array().unwrap();
    let told = moments.iter().filter_map(|moment| moment["detail"].as_str());
    let told: Vec<_> = told.filter(|detail| detail.starts_with("rtms.concurrency")).collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("\"concurrency_number\":9"), "{told:?}");
    let answer = kit.server.get("/api/v1/zoom/notices").await;
    assert_eq!(answer.status, 200);
    let notices = answer.json()["data"]["notices"].clone();
    assert_eq!(notices.as_array().unwrap().len(), 1);
    assert_eq!(notices[0]["event"], "rtms.concurrency_near_limit");
    assert_eq!(notices[0]["payload"], json!({"percentage": 82}));
}

#[tokio::test]
async fn unreadable_messages_are_listed_by_kind_without_their_content() {
    let kit = Kit::start().await;
    kit.announce("m==", "s1").await;
    let id = kit.only_session().await;
    let mut feed = kit.server.feed(&kit.server.stream("s1").await);
    for _ in 0..3 {
        let mut unreadable = UnreadableMessages::default();
        unreadable.add(Unreadable::new(6, Lost::Member, "participants"));
        feed.add_unreadable(unreadable);
    }
    feed.finish().await;
    let shown = kit.get(&format!("/{id}")).await["streams"][0]["unreadable_messages"][0].clone();
    let first_ms = shown["first_ms"].as_i64().unwrap();
    let expected = json!({ "msg_type": 6, "lost": "member", "reason": "participants", "count": 3,
        "first_ms": first_ms });
    assert_eq!(shown, expected);
    let timeline = timeline(&kit, &id).await;
    let expected = "msg_type 6, participants: a list member was skipped, 3 times";
    assert_eq!(detail(&timeline, "unreadable_message"), expected);
    // The next run of the stream continues the count.
    let mut feed = kit.server.feed(&kit.server.stream("s1").await);
    let mut unreadable = UnreadableMessages::default();
    unreadable.add(Unreadable::new(6, Lost::Member, "participants"));
    feed.add_unreadable(unreadable);
    feed.finish().await;
    let shown = kit.get(&format!("/{id}")).await["streams"][0]["unreadable_messages"][0].clone();
    assert_eq!((&shown["count"], &shown["first_ms"]), (&json!(4), &json!(first_ms)));
}
