//! Start, stop, pause and resume over the API.

use rtmsd::control::{ControlError, RequestOptions};
use rtmsd::model::{Action, ActionStatus, InstallationId, Planned};
use rtmsd::zoom::token::TokenError;
use serde_json::{Value, json};

use super::kit::{Kit, NUMBER, session_id};
use crate::http::server::READER;
use crate::support::audit::{act, trail};
use crate::support::wait::eventually;
use crate::support::zoom::Say;

#[tokio::test]
async fn a_start_is_answered_as_its_clients_know_it() {
    let kit = Kit::start().await;
    let id = kit.create().await;
    let answer = kit.act(&id, "start").await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let expected = json!({
        "status": true,
        "message": "Zoom RTMS start requested",
        "data": {
            "session": {
                "id": id, "platform": "zoom", "meeting_id": NUMBER, "status": "rtms_start_requested",
            },
            "zoom": {
                "action": "start", "meeting_id": NUMBER, "zoom_status_code": 204,
                "zoom_response": null,
            },
            "chosen": { "installation_id": null, "reason": "configured" },
        },
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(kit.status(&id).await, "rtms_start_requested");
    let asked = &kit.zoom.asked()[0];
    assert_eq!(asked.method, "PATCH");
    assert_eq!(asked.path, format!("/v2/live_meetings/{NUMBER}/rtms_app/status"));
    assert_eq!(asked.authorization, "Bearer zoom-token");
    assert_eq!(asked.body, json!({"action": "start", "settings": {"client_id": "demoClientId01"}}));
}

#[tokio::test]
async fn any_2xx_is_a_yes_whatever_its_body() {
    for (say, body) in [
        (Say::status(200).with_body(r#"{"ok":1}"#), json!({"ok": 1})),
        (Say::status(202), Value::Null),
        (Say::status(200).with_body("<html>"), Value::Null),
        (Say::status(200).with_body(&"x".repeat(1 << 20)), Value::Null),
    ] {
        let kit = Kit::start().await;
        let id = kit.create().await;
        kit.zoom.will_say([say]);
        let answer = kit.act(&id, "start").await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.json()["data"]["zoom"]["zoom_response"], body);
    }
}

#[tokio::test]
async fn every_error_of_zooms_has_its_word_and_comes_with_zooms_own() {
    let cases = [
        (401, 124, 409, "token_rejected", false),
        (400, 4700, 409, "token_rejected", false),
        (400, 4711, 403, "scope_missing", false),
        (400, 300, 422, "invalid_request", false),
        (403, 13_262, 403, "app_not_authorized", false),
        (403, 13_270, 403, "app_not_authorized", false),
        (403, 2308, 403, "not_host", false),
        (403, 2310, 403, "not_eligible", false),
        (400, 3000, 409, "meeting_not_live", true),
        (404, 3001, 409, "meeting_not_live", true),
        (429, 429, 429, "rate_limited", true),
        (500, 1, 502, "zoom_unavailable", true),
        (409, 7, 502, "zoom_refused", false),
    ];
    let kit = Kit::start().await;
    let id = kit.create().await;
    for (status, code, own_status, word, retryable) in cases {
        kit.zoom.will_say(vec![Say::error(status, code); 3]);
        let answer = kit.act(&id, "start").await;
        assert_eq!((answer.status, answer.code().as_str()), (own_status, word), "{status} {code}");
        let error = &answer.json()["error"];
        assert_eq!(error["retryable"], retryable, "{word}");
        assert_eq!(answer.header("retry-after").is_some(), retryable, "{word}");
        let zoom = json!({"status": status, "code": code, "tracking_id": "track1",
            "message": format!("Zoom's words about {code}")});
        assert_eq!(error["zoom"], zoom);
        assert!(!error["detail"].as_str().unwrap().is_empty());
        assert!(!answer.text().contains("zoom-token"));
        assert_eq!(kit.status(&id).await, "start_refused");
        // What one case has left unsaid is not the next one's.
        while kit.act(&id, "start").await.status != 202 {}
        kit.announce("m==", &format!("s{code}")).await;
        kit.end_stream(&format!("s{code}"), rtmsd::model::Outcome::Closed, Some(20)).await;
    }
}

#[tokio::test]
async fn a_start_that_zoom_refuses_leaves_the_sessions_media() {
    let kit = Kit::start().await;
    let id = kit.create().await;
    let media = || async { kit.get(&format!("/{id}")).await["session"]["media"].clone() };
    let chat = json!({"media": {"types": "chat"}});
    let before = media().await;
    for wanted in [&chat, &json!({"media": {"types": "audio"}})] {
        kit.zoom.will_say([Say::error(403, 13_270)]);
        assert_eq!(kit.post(&format!("/{id}/rtms/start"), wanted).await.status, 403);
        assert_eq!(media().await, before);
    }
    assert_eq!(kit.post(&format!("/{id}/rtms/start"), &chat).await.status, 202);
    assert_eq!(media().await["types"], json!(["chat"]));
}

#[tokio::test]
async fn a_caller_who_may_use_no_token_changes_nothing() {
    let kit = Kit::start().await;
    let id = session_id(&kit.create().await);
    let (store, control) = (&kit.server.state.store, &kit.server.state.control);
    let start = Planned {
        action: Action::Start,
        asked_by: "auto_start",
        cause: "auto_start".into(),
        due_at_ms: i64::MAX,
    };
    store.plan(id, &[start], 1).await.unwrap();
    let before = store.session(id).await.unwrap().unwrap().media;
    let media = serde_json::from_value(json!({"types": ["chat"]})).unwrap();
    let media = control.resolve_media(&control.app_of(id).await.unwrap(), &media).unwrap();
    let stranger = InstallationId::parse("01932b5e-0000-7000-8000-000000000000").unwrap();
    let allowed = Some(&[stranger][..]);
    let options = RequestOptions { media: Some(&media), allowed, ..RequestOptions::default() };
    let refused = control.request(id, Action::Start, options, &act("bound", 1)).await;
    assert!(matches!(refused, Err(ControlError::Token(TokenError::NotAllowed))), "{refused:?}");
    let options = RequestOptions { allowed, ..RequestOptions::default() };
    control.request(id, Action::Stop, options, &act("bound", 1)).await.unwrap_err();
    let snapshot = store.snapshot(id).await.unwrap().unwrap();
    assert_eq!(snapshot.session.media, before);
    let planned = snapshot.actions.iter().find(|action| action.cause.is_some()).unwrap();
    assert_eq!(planned.status, ActionStatus::Due);
    assert!(kit.zoom.asked().is_empty());
    control
        .request(id, Action::Stop, RequestOptions::default(), &act("boss", 1))
        .await
        .unwrap_err();
    let snapshot = store.snapshot(id).await.unwrap().unwrap();
    let planned = snapshot.actions.iter().find(|action| action.cause.is_some()).unwrap();
    assert_eq!(planned.status, ActionStatus::Skipped, "a caller who may drops it");
}

#[tokio::test]
async fn without_a_token_it_is_said_what_is_missing_and_zoom_is_not_asked() {
    let kit = Kit::wired(|wiring| {
        wiring.zoom.1 = rtmsd::zoom::token::Configured::None;
    })
    .await;
    let id = kit.create().await;
    let answer = kit.act(&id, "start").await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "token_missing"));
    assert!(answer.text().contains("install"), "{}", answer.text());
    assert!(kit.zoom.asked().is_empty());
}

#[tokio::test]
async fn zoom_is_asked_again_when_that_may_help() {
    let kit = Kit::start().await;
    let id = kit.create().await;
    kit.zoom.will_say([Say::error(503, 1), Say::status(500), Say::status(204)]);
    assert_eq!(kit.act(&id, "start").await.status, 202);
    assert_eq!(kit.zoom.asked().len(), 3);
}

#[tokio::test]
async fn a_limit_is_waited_for_when_it_is_short_and_told_when_it_is_long() {
    let kit = Kit::start().await;
    let id = kit.create().await;
    let limited = |header: &'static str, value: &str| {
        Say::error(429, 429).with_header(header, value.to_owned())
    };
    kit.zoom.will_say([limited("retry-after", "0"), limited("x-ratelimit-reset", "1700000000")]);
    assert_eq!(kit.act(&id, "start").await.status, 202);
    assert_eq!(kit.zoom.asked().len(), 3);
    kit.announce("m==", "s1").await;
    kit.zoom.will_say([limited("retry-after", "2100-01-01T00:00:00Z")]);
    let answer = kit.act(&id, "stop").await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"));
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() > 1_000_000);
    assert_eq!(kit.zoom.asked().len(), 4);
}

#[tokio::test]
async fn a_meeting_that_just_began_is_given_time_to_be_known() {
    let kit = Kit::start().await;
    kit.meeting("meeting.started", "m==").await;
    let id = kit.only_session().await;
    kit.zoom.will_say([Say::error(400, 3000), Say::error(404, 3001)]);
    assert_eq!(kit.act(&id, "start").await.status, 202);
    assert_eq!(kit.zoom.asked().len(), 3);
}

#[tokio::test]
async fn starting_what_is_live_or_on_its_way_asks_zoom_nothing() {
    let kit = Kit::start().await;
    let id = kit.create().await;
    assert_eq!(kit.act(&id, "start").await.status, 202);
    let again = kit.act(&id, "start").await;
    assert_eq!(again.status, 200);
    assert_eq!(again.json()["data"]["session"]["status"], "rtms_start_requested");
    kit.announce("m==", "s1").await;
    let live = kit.act(&id, "start").await;
    assert_eq!(live.status, 200);
    assert_eq!(live.json()["data"]["session"]["id"], id);
    assert_eq!(live.json()["data"]["session"]["status"], "connecting");
    assert_eq!(kit.zoom.asked().len(), 1);
}

#[tokio::test]
async fn two_starts_at_once_are_one_for_zoom() {
    let kit = Kit::start().await;
    let id = kit.create().await;
    let held = kit.zoom.hold().await;
    let (first, second) = tokio::join!(kit.act(&id, "start"), async {
        kit.zoom.asked_times(1).await;
        let second = kit.act(&id, "start").await;
        drop(held);
        second
    });
    assert_eq!((first.status, second.status), (202, 200));
    assert_eq!(kit.zoom.asked().len(), 1);
}

#[tokio::test]
async fn a_stream_can_be_paused_resumed_and_stopped_and_without_one_nothing_is_asked() {
    let kit = Kit::start().await;
    let id = kit.create().await;
    for action in ["stop", "pause", "resume"] {
        let answer = kit.act(&id, action).await;
        assert_eq!((answer.status, answer.code().as_str()), (409, "no_stream"), "{action}");
    }
    kit.announce("m==", "s1").await;
    for action in ["pause", "resume", "stop"] {
        let answer = kit.act(&id, action).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.json()["message"], format!("Zoom RTMS {action} requested"));
        assert_eq!(answer.json()["data"]["session"]["status"], "connecting");
    }
    assert_eq!(kit.zoom.actions(), ["pause", "resume", "stop"]);
}

#[tokio::test]
async fn a_meeting_that_is_over_is_not_started() {
    let kit = Kit::start().await;
    kit.meeting("meeting.started", "m==").await;
    let id = kit.only_session().await;
    kit.meeting("meeting.ended", "m==").await;
    assert_eq!(kit.status(&id).await, "ended");
    let answer = kit.act(&id, "start").await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "session_ended"));
}

#[tokio::test]
async fn a_meeting_whose_number_nobody_told_cannot_be_asked_for() {
    let kit = Kit::start().await;
    let payload = json!({"object": {"uuid": "m==", "host_id": "host1"}});
    kit.webhook("meeting.started", payload).await;
    let id = kit.only_session().await;
    let answer = kit.act(&id, "start").await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "meeting_number_unknown"));
}

#[tokio::test]
async fn the_other_products_have_their_own_endpoints() {
    let kit = Kit::start().await;
    for (product, meeting_id, method, path) in [
        ("webinar", "5", "PATCH", "/v2/live_meetings/5/rtms_app/status"),
        ("video_sdk", "/a=", "PATCH", "/v2/videosdk/sessions/%252Fa%253D/rtms_app/status"),
        ("contact_center", "e1", "PUT", "/v2/contact_center/e1/rtms_app/status"),
        ("phone", "c/1", "PATCH", "/v2/phone/calls/c%252F1/rtms_app/status"),
    ] {
        let new = json!({"platform": "zoom", "product": product, "meeting_id": meeting_id});
        let made = kit.post("", &new).await.json();
        let id = made["data"]["session"]["id"].as_str().unwrap().to_owned();
        assert_eq!(kit.act(&id, "start").await.status, 202);
        let asked = kit.zoom.asked().pop().unwrap();
        assert_eq!((asked.method.as_str(), asked.path.as_str()), (method, path));
    }
}

#[tokio::test]
async fn a_reader_may_not_control_and_every_act_is_in_the_audit_trail() {
    let kit = Kit::start().await;
    let id = kit.create().await;
    let path = format!("/{id}/rtms/start");
    let refused = kit.post_with(&path, &Value::Null, &[READER]).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"));
    let create = kit.post_with("", &json!({"platform": "zoom", "meeting_id": 1}), &[READER]).await;
    assert_eq!(create.status, 403);
    kit.act(&id, "stop").await;
    kit.act(&id, "start").await;
    let trail = trail(&kit.server.state.store, 10).await;
    let brief: Vec<_> = trail
        .iter()
        .map(|row| (row.actor.as_str(), row.action.as_str(), row.outcome.as_str()))
        .collect();
    let expected = [
        ("boss", "rtms.start", "ok"),
        ("boss", "rtms.stop", "no_stream"),
        ("reader", "api.refused", "forbidden"),
        ("boss", "session.create", "ok"),
    ];
    assert_eq!(brief, expected);
    let acts = trail.iter().filter(|row| row.actor == "boss");
    assert!(acts.into_iter().all(|row| row.subject == id));
    let detail: Value = serde_json::from_str(&trail[0].detail).unwrap();
    assert_eq!(detail["chosen"]["reason"], "configured", "whose token was used: {detail}");
    assert_eq!(detail["zoom_status"], 204);
}

#[tokio::test]
async fn a_token_that_asks_too_often_is_told_to_wait_and_others_are_not() {
    let kit = Kit::wired(|wiring| wiring.requests_per_s = 2).await;
    let list = || kit.server.get("/api/v1/sdk/sessions");
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(list().await.status);
    }
    assert_eq!(statuses[..2], [200, 200]);
    assert!(statuses.contains(&429), "{statuses:?}");
    let answer = loop {
        let answer = list().await;
        if answer.status == 429 {
            break answer;
        }
    };
    assert_eq!(answer.code(), "too_many_requests");
    assert_eq!(answer.header("retry-after"), Some("1"));
    kit.get("").await;
}

#[tokio::test]
async fn a_start_after_a_stop_waits_for_the_streams_end() {
    let kit = Kit::start().await;
    let id = kit.create().await;
    kit.announce("m==", "s1").await;
    assert_eq!(kit.act(&id, "stop").await.status, 202);
    let early = kit.act(&id, "start").await;
    assert_eq!((early.status, early.code().as_str()), (409, "stopping"));
    assert_eq!(early.json()["error"]["retryable"], true);
    kit.end_stream("s1", rtmsd::model::Outcome::Stopped, Some(20)).await;
    assert_eq!(kit.act(&id, "start").await.status, 202);
    assert_eq!(kit.zoom.actions(), ["stop", "start"]);
}

#[tokio::test]
async fn a_stop_takes_back_a_start_that_no_stream_has_followed_yet() {
    let kit = Kit::start().await;
    let id = kit.create().await;
    for action in ["start", "stop", "start"] {
        assert_eq!(kit.act(&id, action).await.status, 202, "{action}");
    }
    assert_eq!(kit.zoom.actions(), ["start", "stop", "start"]);
    assert_eq!(kit.status(&id).await, "rtms_start_requested");
}

#[tokio::test]
async fn a_stop_that_nothing_follows_is_given_up_and_does_not_block_for_ever() {
    let kit = Kit::working(|wiring| {
        wiring.start_timeout = std::time::Duration::from_millis(30);
    })
    .await;
    let id = kit.create().await;
    kit.announce("m==", "s1").await;
    assert_eq!(kit.act(&id, "stop").await.status, 202);
    let answer = eventually("the stop is over", async || {
        Some(kit.act(&id, "start").await).filter(|answer| answer.status != 409)
    })
    .await;
    assert_eq!(answer.status, 200, "still live");
}

#[tokio::test]
async fn the_host_is_the_participant_when_the_token_is_somebody_elses() {
    let kit = Kit::start().await;
    kit.meeting("meeting.started", "m==").await;
    let id = kit.only_session().await;
    assert_eq!(kit.act(&id, "start").await.status, 202);
    assert_eq!(kit.zoom.asked()[0].body["settings"]["participant_user_id"], "host1");
}

#[tokio::test]
async fn a_session_that_cannot_be_made_is_in_the_audit_trail_too() {
    let kit = Kit::start().await;
    let answer = kit.post("", &json!({"platform": "zoom"})).await;
    assert_eq!(answer.status, 422);
    let trail = trail(&kit.server.state.store, 1).await;
    assert_eq!(
        (trail[0].action.as_str(), trail[0].outcome.as_str()),
        ("session.create", "invalid_value")
    );
}
