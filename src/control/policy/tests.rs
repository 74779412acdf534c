//! The policies of starts, stops and restarts.

use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::model::{
    ActionRecord, AppName, IdKey, Instance, Product, Session, SessionId, StopReason, StreamId,
    Tally,
};
use crate::zoom::app::StreamsPerMeeting;

const MINUTE_MS: i64 = 60_000;

fn session() -> Session {
    Session {
        id: SessionId(Uuid::nil()),
        app: AppName::default(),
        instance: Instance::new(Product::Meeting, IdKey::MeetingUuid, "m==").unwrap(),
        account_id: None,
        meeting_id: Some("5".into()),
        operator_id: None,
        host_id: Some("host1".into()),
        participant_user_id: None,
        installation_id: None,
        metadata: None,
        media: None,
        status: SessionStatus::Stopped,
        meeting_started_at_ms: Some(0),
        meeting_ended_at_ms: None,
        created_at_ms: 0,
        updated_at_ms: 0,
        ended_at_ms: None,
    }
}

/// A stream that lived from one time to the other and ended for `reason`.
fn stream(ordinal: u32, from_ms: i64, to_ms: Option<i64>, reason: Option<i64>) -> StreamRecord {
    StreamRecord {
        stream_id: StreamId::parse(&format!("s{ordinal}")).unwrap(),
        session_id: SessionId(Uuid::nil()),
        app: AppName::default(),
        ordinal,
        instance: session().instance,
        server_urls: "wss://a".into(),
        event_ts_ms: from_ms,
        generation: 1,
        epoch: 0,
        interrupts: 0,
        status: if to_ms.is_some() { StreamStatus::Ended } else { StreamStatus::Live },
        stop_seen_at_ms: None,
        stop_reason: reason.map(StopReason),
        outcome: to_ms.map(|_| Outcome::Stopped),
        first_packet_ms: None,
        tally: Tally::default(),
        unknown_messages: crate::model::UnknownMessages::new(),
        unreadable_messages: crate::model::UnreadableMessages::default(),
        media: None,
        effective: None,
        video_user_id: None,
        ledger: Vec::new(),
        created_at_ms: from_ms,
        ended_at_ms: to_ms,
    }
}

fn action(action: Action, status: ActionStatus, asked_at_ms: i64) -> ActionRecord {
    ActionRecord {
        id: ActionId(Uuid::now_v7()),
        session_id: SessionId(Uuid::nil()),
        action,
        asked_by: "api:a".into(),
        cause: None,
        status,
        asked_at_ms,
        due_at_ms: None,
        attempts: 1,
        answered_at_ms: None,
        answer: None,
    }
}

fn snapshot(streams: Vec<StreamRecord>, actions: Vec<ActionRecord>) -> SessionSnapshot {
    SessionSnapshot { session: session(), streams, actions }
}

fn policies() -> Policies {
    Policies {
        auto_start: AutoStart::Off,
        auto_stop_after: None,
        restarts: 3,
        restart_after: Duration::from_secs(5),
        streams_per_meeting: StreamsPerMeeting::All,
    }
}

fn restart_at(streams: Vec<StreamRecord>) -> Option<i64> {
    let plans = planned_actions(&snapshot(streams, Vec::new()), &policies());
    assert!(plans.iter().all(|plan| plan.action == Action::Start && plan.asked_by == "restart"));
    plans.first().map(|plan| plan.due_at_ms)
}

#[test]
fn exactly_the_technical_ends_are_followed_by_a_restart() {
    let technical: Vec<i64> =
        (0..40).filter(|n| restart_at(vec![stream(1, 0, Some(9), Some(*n))]).is_some()).collect();
    assert_eq!(technical, [10, 11, 12, 13, 14, 15, 16, 17, 19, 24]);
}

#[test]
fn a_stream_that_was_lost_without_a_reason_is_restarted_when_it_was_not_our_doing() {
    for (outcome, is_restarted) in Outcome::ALL
        .map(|outcome| (outcome, matches!(outcome, Outcome::WindowExpired | Outcome::Gone)))
    {
        let mut lost = stream(1, 0, Some(9), None);
        lost.outcome = Some(outcome);
        assert_eq!(restart_at(vec![lost]).is_some(), is_restarted, "{outcome:?}");
    }
}

#[test]
fn a_stream_that_was_left_out_neither_causes_nor_prevents_a_restart() {
    let left_out = |n: u32, reason| StreamRecord {
        outcome: Some(Outcome::LeftOut),
        ..stream(n, 0, Some(1), reason)
    };
    // Zoom ends a stream that nobody joins, for a technical reason.
    assert_eq!(restart_at(vec![left_out(1, Some(15))]), None);
    let lost = stream(1, 0, Some(9), Some(14));
    let alone = restart_at(vec![lost.clone()]);
    assert_eq!(restart_at(vec![lost, left_out(2, Some(15))]), alone);
    assert!(alone.is_some());
}

#[test]
fn restarts_in_a_row_come_later_and_later_and_end() {
    let mut streams = Vec::new();
    let mut waits = Vec::new();
    for n in 1..=5_u32 {
        let from_ms = i64::from(n) * MINUTE_MS;
        streams.push(stream(n, from_ms, Some(from_ms + 10), Some(14)));
        waits.push(restart_at(streams.clone()).map(|at_ms| at_ms - from_ms - 10));
    }
    assert_eq!(waits, [Some(5000), Some(15_000), Some(45_000), None, None]);
}

#[test]
fn a_stream_that_was_stable_is_restarted_as_if_it_were_the_first() {
    let mut streams: Vec<_> = (1..=4).map(|n| stream(n, 0, Some(10), Some(14))).collect();
    assert_eq!(restart_at(streams.clone()), None);
    streams.push(stream(5, 20, Some(20 + 5 * MINUTE_MS), Some(14)));
    assert_eq!(restart_at(streams), Some(20 + 5 * MINUTE_MS + 5000));
}

#[test]
fn a_stream_that_somebody_asked_to_stop_is_not_restarted() {
    let streams = || vec![stream(1, 5, Some(9), Some(14))];
    for (status, is_restarted) in [
        (ActionStatus::Accepted, false),
        (ActionStatus::Running, false),
        (ActionStatus::Refused, true),
        (ActionStatus::Due, true),
    ] {
        let stopped = snapshot(streams(), vec![action(Action::Stop, status, 7)]);
        assert_eq!(!planned_actions(&stopped, &policies()).is_empty(), is_restarted, "{status:?}");
    }
    let before = snapshot(streams(), vec![action(Action::Stop, ActionStatus::Accepted, 3)]);
    assert_eq!(planned_actions(&before, &policies()).len(), 1);
}

#[test]
fn nothing_is_planned_for_a_meeting_that_is_over() {
    let mut over = snapshot(vec![stream(1, 0, Some(9), Some(14))], Vec::new());
    over.session.meeting_ended_at_ms = Some(8);
    assert_eq!(planned_actions(&over, &policies()), []);
    let mut ended = snapshot(vec![stream(1, 0, Some(9), Some(14))], Vec::new());
    ended.session.status = SessionStatus::Ended;
    assert_eq!(planned_actions(&ended, &policies()), []);
}

#[test]
fn a_meeting_is_started_once_it_began_and_while_it_has_had_no_stream() {
    let all = Policies { auto_start: AutoStart::All, ..policies() };
    let began = snapshot(Vec::new(), Vec::new());
    assert_eq!(planned_actions(&began, &all)[0].cause, "auto_start");
    assert_eq!(planned_actions(&began, &policies()), []);
    let mut unknown = began.clone();
    unknown.session.meeting_started_at_ms = None;
    assert_eq!(planned_actions(&unknown, &all), []);
    let had_one = snapshot(vec![stream(1, 0, Some(9), Some(3))], Vec::new());
    assert_eq!(planned_actions(&had_one, &all), []);
    let hosts = |hosts: &[&str]| Policies {
        auto_start: AutoStart::Hosts(hosts.iter().map(ToString::to_string).collect()),
        ..policies()
    };
    assert_eq!(planned_actions(&began, &hosts(&["host2", "host1"])).len(), 1);
    assert_eq!(planned_actions(&began, &hosts(&["host2"])), []);
}

#[test]
fn a_stream_is_stopped_so_long_after_its_announcement() {
    let after = Policies { auto_stop_after: Some(Duration::from_secs(10)), ..policies() };
    let live = snapshot(vec![stream(1, 77, None, None)], Vec::new());
    let plan = &planned_actions(&live, &after)[0];
    assert_eq!((plan.action, plan.due_at_ms), (Action::Stop, 10_077));
    assert_eq!(plan.cause, "auto_stop:s1");
    assert_eq!(
        planned_actions(&snapshot(vec![stream(1, 0, Some(9), Some(3))], vec![]), &after),
        []
    );
}

#[test]
fn a_start_is_admitted_when_nothing_is_live_or_on_its_way() {
    let live = snapshot(vec![stream(1, 0, None, None)], Vec::new());
    assert_eq!(admit(Action::Start, &live, None), Err(Refusal::AlreadyLive));
    let mut stopping = live.clone();
    stopping.streams[0].stop_seen_at_ms = Some(5);
    assert_eq!(admit(Action::Start, &stopping, None), Ok(()));
    for (status, admitted) in [
        (ActionStatus::Running, Err(Refusal::AlreadyRequested)),
        (ActionStatus::Accepted, Err(Refusal::AlreadyRequested)),
        (ActionStatus::TimedOut, Ok(())),
        (ActionStatus::Refused, Ok(())),
        (ActionStatus::Confirmed, Ok(())),
        (ActionStatus::Due, Ok(())),
    ] {
        let asked = snapshot(Vec::new(), vec![action(Action::Start, status, 1)]);
        assert_eq!(admit(Action::Start, &asked, None), admitted, "{status:?}");
        let own = asked.actions[0].id;
        assert_eq!(admit(Action::Start, &asked, Some(own)), Ok(()), "itself");
    }
}

#[test]
fn a_stop_needs_a_stream_or_one_on_its_way() {
    let none = snapshot(Vec::new(), Vec::new());
    let asked = snapshot(Vec::new(), vec![action(Action::Start, ActionStatus::Accepted, 1)]);
    for action in [Action::Stop, Action::Pause, Action::Resume] {
        assert_eq!(admit(action, &none, None), Err(Refusal::NoStream), "{action:?}");
        let admitted = admit(action, &asked, None).is_ok();
        assert_eq!(admitted, action == Action::Stop, "{action:?}");
    }
    let mut paused = snapshot(vec![stream(1, 0, None, None)], Vec::new());
    paused.streams[0].status = StreamStatus::Paused;
    assert_eq!(admit(Action::Pause, &paused, None), Err(Refusal::AlreadyPaused));
    assert_eq!(admit(Action::Resume, &paused, None), Ok(()));
}
