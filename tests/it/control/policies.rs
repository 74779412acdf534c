//! Automatic starts, stops and restarts.

use std::time::Duration;

use rtmsd::model::{Action, ActionStatus, Outcome, Planned};
use rtmsd::zoom::app::AutoStart;
use serde_json::json;

use super::kit::{Kit, session_id};
use crate::http::server::Wiring;
use crate::support::zoom::Say;

fn auto_start(auto_start: AutoStart) -> impl FnOnce(&mut Wiring) {
    move |wiring| wiring.policies.auto_start = auto_start
}

const NOTHING: [&str; 0] = [];

#[tokio::test]
async fn a_meeting_that_begins_is_started_and_not_by_the_webhooks_request() {
    let kit = Kit::working(auto_start(AutoStart::All)).await;
    let held = kit.zoom.hold().await;
    // Answered although Zoom does not answer.
    kit.meeting("meeting.started", "m==").await;
    kit.zoom.asked_times(1).await;
    drop(held);
    let id = kit.only_session().await;
    kit.becomes(&id, "rtms_start_requested").await;
    kit.announce("m==", "s1").await;
    assert_eq!(kit.status(&id).await, "connecting");
    assert_eq!(kit.zoom.actions(), ["start"]);
}

#[tokio::test]
async fn a_meeting_that_begins_at_an_absurd_time_is_started_at_once() {
    let kit = Kit::working(auto_start(AutoStart::All)).await;
    let object = json!({"id": 91_234_567_890_u64, "uuid": "m==", "host_id": "host1"});
    // The end of the year 9999.
    let body = json!({"event": "meeting.started", "event_ts": 253_402_300_799_999_i64,
        "payload": {"account_id": "acc1", "object": object}});
    assert_eq!(kit.server.webhook(body.to_string().as_bytes()).await.status, 200);
    kit.zoom.asked_times(1).await;
}

#[tokio::test]
async fn only_the_listed_hosts_meetings_are_started() {
    let kit = Kit::working(auto_start(AutoStart::Hosts(vec!["host1".into()]))).await;
    kit.meeting("meeting.started", "m==").await;
    kit.zoom.asked_times(1).await;
    for other in [AutoStart::Off, AutoStart::Hosts(vec!["somebody".into()])] {
        let kit = Kit::working(auto_start(other)).await;
        kit.meeting("meeting.started", "m==").await;
        assert_eq!(kit.planned().await, NOTHING);
    }
}

#[tokio::test]
async fn a_meeting_that_began_while_the_daemon_was_away_is_started_once() {
    let mut kit = Kit::wired(auto_start(AutoStart::All)).await;
    kit.meeting("meeting.started", "m==").await;
    assert!(kit.zoom.asked().is_empty());
    kit.work();
    kit.zoom.asked_times(1).await;
    let id = kit.only_session().await;
    kit.becomes(&id, "rtms_start_requested").await;
    kit.rest().await;
    kit.work();
    kit.meeting("meeting.started", "m==").await;
    assert_eq!(kit.planned().await, ["auto_start"]);
    assert_eq!(kit.zoom.actions(), ["start"]);
}

#[tokio::test]
async fn a_start_that_no_webhook_follows_times_out_and_a_late_one_is_still_taken() {
    let kit = Kit::working(|wiring| wiring.start_timeout = Duration::from_millis(50)).await;
    let id = kit.create().await;
    assert_eq!(kit.act(&id, "start").await.status, 202);
    kit.becomes(&id, "start_timed_out").await;
    let timeline = kit.get(&format!("/{id}/timeline")).await;
    let moments = timeline["moments"].as_array().unwrap();
    assert!(moments.iter().any(|moment| moment["what"] == "start_timed_out"));
    let missing = timeline["missing"].clone();
    assert!(missing[0]["what"].as_str().unwrap().contains("no stream was announced"));
    assert!(missing[0]["likely_causes"].as_array().unwrap().len() > 2);
    kit.announce("m==", "s1").await;
    assert_eq!(kit.status(&id).await, "connecting");
}

#[tokio::test]
async fn a_start_times_out_after_a_restart_too() {
    let mut kit = Kit::wired(|wiring| wiring.start_timeout = Duration::from_millis(1)).await;
    let id = kit.create().await;
    assert_eq!(kit.act(&id, "start").await.status, 202);
    assert_eq!(kit.status(&id).await, "rtms_start_requested");
    kit.work();
    kit.becomes(&id, "start_timed_out").await;
    // It may be asked for again.
    assert_eq!(kit.act(&id, "start").await.status, 202);
}

#[tokio::test]
async fn a_stream_is_stopped_after_its_time() {
    let kit = Kit::working(|wiring| {
        wiring.policies.auto_stop_after = Some(Duration::from_millis(100));
    })
    .await;
    kit.announce("m==", "s1").await;
    kit.zoom.asked_times(1).await;
    assert_eq!(kit.zoom.actions(), ["stop"]);
}

fn restarting(wiring: &mut Wiring) {
    wiring.policies.restarts = 2;
    wiring.policies.restart_after = Duration::from_millis(10);
}

#[tokio::test]
async fn after_a_technical_end_a_new_stream_of_the_same_session_is_asked_for() {
    let kit = Kit::working(restarting).await;
    kit.announce("m==", "s1").await;
    kit.end_stream("s1", Outcome::Stopped, Some(14)).await;
    kit.zoom.asked_times(1).await;
    let id = kit.only_session().await;
    kit.becomes(&id, "rtms_start_requested").await;
    kit.announce("m==", "s2").await;
    let streams = kit.get(&format!("/{id}")).await["streams"].clone();
    assert_eq!(streams.as_array().unwrap().len(), 2);
    assert_eq!(streams[1]["ordinal"], 2);
}

#[tokio::test]
async fn restarts_are_bounded() {
    let kit = Kit::working(restarting).await;
    for n in 1..=3 {
        let stream = format!("s{n}");
        kit.announce("m==", &stream).await;
        kit.end_stream(&stream, Outcome::WindowExpired, None).await;
        kit.zoom.asked_times(n.min(2)).await;
    }
    assert_eq!(kit.planned().await, ["restart:s1", "restart:s2"]);
}

#[tokio::test]
async fn what_people_ended_is_not_started_again() {
    for reason in [1, 2, 3, 7, 8, 9, 18, 20, 23, 25] {
        let kit = Kit::working(restarting).await;
        kit.announce("m==", "s1").await;
        kit.end_stream("s1", Outcome::Stopped, Some(reason)).await;
        assert_eq!(kit.planned().await, NOTHING, "reason {reason}");
    }
}

#[tokio::test]
async fn a_restart_is_not_made_when_the_meeting_has_ended_meanwhile() {
    let mut kit = Kit::wired(restarting).await;
    kit.announce("m==", "s1").await;
    kit.end_stream("s1", Outcome::Stopped, Some(14)).await;
    kit.meeting("meeting.ended", "m==").await;
    kit.work();
    assert_eq!(kit.planned().await, NOTHING);
}

#[tokio::test]
async fn a_start_that_zoom_refuses_for_good_is_not_repeated() {
    let kit = Kit::working(auto_start(AutoStart::All)).await;
    kit.zoom.will_say([Say::error(403, 13_262)]);
    kit.meeting("meeting.started", "m==").await;
    let id = kit.only_session().await;
    kit.becomes(&id, "start_refused").await;
    assert_eq!(kit.planned().await, ["auto_start"]);
    assert_eq!(kit.zoom.actions(), ["start"]);
}

/// Plans an action whose time has come, as an earlier look would have.
async fn planned(kit: &Kit, action: Action, cause: &str) {
    let id = session_id(&kit.only_session().await);
    let plan = Planned { action, asked_by: "a policy", cause: cause.into(), due_at_ms: 1 };
    kit.server.state.store.plan(id, &[plan], 1).await.expect("the store works");
}

#[tokio::test]
async fn the_stop_of_an_earlier_stream_does_not_stop_a_later_one() {
    let mut kit = Kit::wired(|wiring| {
        wiring.policies.auto_stop_after = Some(Duration::from_secs(3600));
    })
    .await;
    kit.announce("m==", "s1").await;
    planned(&kit, Action::Stop, "auto_stop:s1").await;
    kit.end_stream("s1", Outcome::Stopped, Some(1)).await;
    kit.announce("m==", "s2").await;
    kit.work();
    assert_eq!(kit.settled("auto_stop:s1").await, ActionStatus::Skipped);
    assert_eq!(kit.zoom.actions(), NOTHING);
}

#[tokio::test]
async fn a_restart_does_not_override_a_host_who_stopped_the_stream() {
    let mut kit = Kit::wired(restarting).await;
    kit.announce("m==", "s1").await;
    kit.end_stream("s1", Outcome::WindowExpired, None).await;
    planned(&kit, Action::Start, "restart:s1").await;
    let payload = json!({"meeting_uuid": "m==", "rtms_stream_id": "s1", "stop_reason": 1});
    kit.webhook("meeting.rtms_stopped", payload).await;
    kit.work();
    assert_eq!(kit.settled("restart:s1").await, ActionStatus::Skipped);
    assert_eq!(kit.zoom.actions(), NOTHING);
}

#[tokio::test]
async fn a_policy_that_is_switched_off_does_not_fire_what_it_planned() {
    let mut kit = Kit::wired(auto_start(AutoStart::Off)).await;
    kit.meeting("meeting.started", "m==").await;
    planned(&kit, Action::Start, "auto_start").await;
    kit.work();
    assert_eq!(kit.settled("auto_start").await, ActionStatus::Skipped);
    assert_eq!(kit.zoom.actions(), NOTHING);
}

#[tokio::test]
async fn a_stop_drops_the_starts_that_are_planned() {
    let mut kit = Kit::wired(restarting).await;
    kit.announce("m==", "s1").await;
    // The policies have not looked at it yet.
    kit.end_stream("s1", Outcome::Stopped, Some(14)).await;
    let id = kit.only_session().await;
    let answer = kit.act(&id, "stop").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    kit.work();
    assert_eq!(kit.planned().await, ["restart:s1"]);
    assert_eq!(kit.settled("restart:s1").await, ActionStatus::Skipped);
    assert_eq!(kit.act(&id, "stop").await.code(), "no_stream");
    assert_eq!(kit.zoom.actions(), NOTHING);
}

#[tokio::test]
async fn of_two_starts_that_are_due_at_once_the_one_whose_cause_holds_is_made() {
    let mut kit = Kit::wired(|wiring| {
        restarting(wiring);
        wiring.policies.auto_start = AutoStart::All;
    })
    .await;
    kit.announce("m==", "s1").await;
    kit.end_stream("s1", Outcome::Stopped, Some(14)).await;
    planned(&kit, Action::Start, "restart:s1").await;
    planned(&kit, Action::Start, "auto_start").await;
    kit.work();
    assert_eq!(kit.settled("auto_start").await, ActionStatus::Skipped);
    assert_eq!(kit.settled("restart:s1").await, ActionStatus::Accepted);
    assert_eq!(kit.zoom.actions(), ["start"]);
}

#[tokio::test]
async fn a_meeting_that_is_not_live_after_all_tries_is_not_planned_again() {
    let kit = Kit::working(auto_start(AutoStart::All)).await;
    kit.zoom.will_say(vec![Say::error(400, 3000); 3]);
    kit.meeting("meeting.started", "m==").await;
    assert_eq!(kit.settled("auto_start").await, ActionStatus::Refused);
    assert_eq!(kit.zoom.asked().len(), 3);
}

#[tokio::test]
async fn a_policy_waits_as_long_as_zoom_says() {
    let kit = Kit::working(auto_start(AutoStart::All)).await;
    kit.zoom.will_say([Say::error(429, 429).with_header("retry-after", "3600")]);
    kit.meeting("meeting.started", "m==").await;
    let action = kit.answered("auto_start").await;
    assert_eq!(action.status, ActionStatus::Due);
    assert!(action.due_at_ms.unwrap() - action.answered_at_ms.unwrap() >= 3_600_000);
}

#[tokio::test]
async fn what_a_stopped_daemon_leaves_unfinished_is_taken_up_by_the_next_at_once() {
    let mut kit = Kit::working(auto_start(AutoStart::All)).await;
    let zoom = std::sync::Arc::clone(&kit.zoom);
    let held = zoom.hold().await;
    kit.meeting("meeting.started", "m==").await;
    // More often than an action may fail: a stop is no failed attempt.
    for times in 1..=6 {
        zoom.asked_times(times).await;
        kit.rest().await;
        kit.work();
    }
    zoom.asked_times(7).await;
    drop(held);
    assert_eq!(kit.settled("auto_start").await, ActionStatus::Accepted);
    assert_eq!(zoom.actions(), ["start"; 7]);
}
