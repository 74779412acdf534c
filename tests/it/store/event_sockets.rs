//! The event sockets of apps on both stores: one daemon holds each, gaps are known, and what Zoom says of meetings
//! afterwards has the effects of the lost events. A lease of zero length has expired, one of a minute has not.

use rtmsd::model::{
    Action, ActionStatus, Answer, AppName, DeliveryMethod, MeetingChange, MeetingChanged, NodeId,
    Planned, SessionId, WebhookOutcome, WebhookReason, ZoomAnswer,
};
use rtmsd::store::{EventSocketClaim, EventSocketRow, ReceivedPage, Store};
use uuid::Uuid;

use super::webhooks::*;
use crate::support::stores::on_both;

const LONG: i64 = 60_000;
const OVER: i64 = 0;

fn node(n: u128) -> NodeId {
    NodeId(Uuid::from_u128(n))
}

async fn claim(store: &Store, n: u128, lease_ms: i64) -> Option<EventSocketClaim> {
    store.claim_event_socket(&AppName::default(), node(n), lease_ms).await.unwrap()
}

async fn row(store: &Store) -> EventSocketRow {
    let (rows, now_ms) = store.event_sockets().await.unwrap();
    assert!(now_ms > 1_700_000_000_000);
    rows.into_iter().next().expect("a row")
}

#[tokio::test]
async fn one_daemon_holds_the_event_socket_of_an_app_until_its_lease_ends() {
    on_both(async |test| {
        let store = &test.store;
        let first = claim(store, 1, LONG).await.expect("it is free");
        assert_eq!(first.epoch, 1);
        assert_eq!(claim(store, 2, LONG).await, None);
        let acme = AppName::parse("acme").unwrap();
        let other = store.claim_event_socket(&acme, node(2), LONG).await.unwrap();
        assert_eq!(other.map(|claim| claim.epoch), Some(1), "each app has its own");
        assert!(store.renew_event_socket(&first, OVER, None).await.unwrap());
        let second = claim(store, 2, LONG).await.expect("the lease is over");
        assert_eq!(second.epoch, 2);
        // The first daemon wakes up, and changes nothing.
        assert!(!store.renew_event_socket(&first, LONG, None).await.unwrap());
        assert_eq!(store.event_socket_up(&first).await.unwrap(), None);
        store.event_socket_down(&first, "closed", 0).await.unwrap();
        store.release_event_socket(&first, 0).await.unwrap();
        let (rows, _) = store.event_sockets().await.unwrap();
        let row = rows.iter().find(|row| row.app == "default").unwrap();
        assert_eq!((row.owner.clone(), row.problem.clone()), (Some(node(2).to_string()), None));
        assert_eq!(claim(store, 1, LONG).await, None);
        store.release_event_socket(&second, 0).await.unwrap();
        assert_eq!(claim(store, 1, LONG).await.map(|claim| claim.epoch), Some(3));
    })
    .await;
}

#[tokio::test]
async fn of_many_daemons_at_once_one_gets_the_event_socket() {
    on_both(async |test| {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 1..=8 {
            let store = test.store.clone();
            tasks.spawn(async move { claim(&store, n, LONG).await });
        }
        let claims: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(claims.len(), 1, "{claims:?}");
    })
    .await;
}

#[tokio::test]
async fn a_gap_lies_between_the_last_sign_of_a_connection_and_the_next_one() {
    on_both(async |test| {
        let store = &test.store;
        let first = claim(store, 1, LONG).await.unwrap();
        // Nothing is known of the time before.
        let up = store.event_socket_up(&first).await.unwrap().unwrap();
        assert_eq!((up.gap, up.unasked), (None, None));
        assert!(row(store).await.is_connected(0));
        // The daemon last heard from Zoom 5 s before, and then dies: the sign of life is not that of the lease.
        assert!(store.renew_event_socket(&first, OVER, Some(0)).await.unwrap());
        let seen_ms = row(store).await.seen_at_ms.unwrap();
        assert!(store.renew_event_socket(&first, OVER, Some(5_000)).await.unwrap());
        assert_eq!(row(store).await.seen_at_ms, Some(seen_ms), "a sign of life stays");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let second = claim(store, 2, LONG).await.unwrap();
        assert!(!row(store).await.is_connected(0), "the new holder is not connected yet");
        let up = store.event_socket_up(&second).await.unwrap().unwrap();
        let gap = up.gap.expect("a gap");
        assert_eq!(gap.from_ms, seen_ms);
        assert!(gap.length_ms() >= 20, "{gap:?}");
        assert_eq!(up.unasked, Some(gap));
        assert_eq!(row(store).await.gap(), Some(gap));
        // It is lost before anybody has asked: the next time asks about both gaps.
        store.event_socket_down(&second, "silent", 0).await.unwrap();
        assert_eq!(row(store).await.problem.as_deref(), Some("silent"));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let again = store.event_socket_up(&second).await.unwrap().unwrap();
        let next = again.gap.expect("a gap");
        assert!(next.from_ms >= gap.until_ms && next.length_ms() >= 20, "{gap:?} {next:?}");
        let unasked = again.unasked.unwrap();
        assert_eq!((unasked.from_ms, unasked.until_ms), (gap.from_ms, next.until_ms));
        assert_eq!(row(store).await.problem, None);
        store.event_socket_asked(&second, unasked).await.unwrap();
        store.event_socket_down(&second, "closed", 0).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        let last = store.event_socket_up(&second).await.unwrap().unwrap();
        assert_eq!(last.unasked, last.gap, "only what came after the question");
    })
    .await;
}

#[tokio::test]
async fn a_handover_leaves_no_gap() {
    on_both(async |test| {
        let store = &test.store;
        let first = claim(store, 1, LONG).await.unwrap();
        store.event_socket_up(&first).await.unwrap().unwrap();
        store.release_event_socket(&first, LONG).await.unwrap();
        let second = claim(store, 2, LONG).await.expect("it is free at once");
        let up = store.event_socket_up(&second).await.unwrap().unwrap();
        assert_eq!((up.gap, up.unasked), (None, None));
        // What the first promised no longer counts.
        let (rows, now_ms) = store.event_sockets().await.unwrap();
        assert!(rows[0].seen_at_ms.unwrap() <= now_ms);
    })
    .await;
}

#[tokio::test]
async fn the_log_says_how_an_event_came_and_a_copy_of_the_other_way_changes_nothing() {
    on_both(async |test| {
        let store = &test.store;
        let by_socket =
            |delivery| rtmsd::model::Delivery { method: DeliveryMethod::WebSocket, ..delivery };
        let start = by_socket(started("s", 5, URL));
        record(store, start.clone()).await;
        let copy = rtmsd::model::Delivery { method: DeliveryMethod::Webhook, ..start.clone() };
        assert_eq!(record(store, copy).await, rtmsd::store::Recorded::Repeat);
        record(store, stopped("unknown", 6, None)).await;
        let only = async |method| {
            let page = ReceivedPage { limit: 10, method: Some(method), ..ReceivedPage::default() };
            store.received_page(&page).await.unwrap()
        };
        let sockets = only(DeliveryMethod::WebSocket).await;
        assert_eq!(sockets.len(), 1);
        assert_eq!(
            (&sockets[0].digest, sockets[0].method),
            (&start.digest, DeliveryMethod::WebSocket)
        );
        assert_eq!(only(DeliveryMethod::Webhook).await.len(), 1);
        // The same interruption with other bytes: one reconnect.
        let interruption = interrupted("s", 7);
        record(store, interruption.clone()).await;
        let other = by_socket(rtmsd::model::Delivery {
            digest: "0f".repeat(32),
            body: "other bytes".to_owned(),
            ..interruption
        });
        record(store, other.clone()).await;
        assert_eq!(read(store, "s").await.interrupts, 1);
        let seen = store.received(&other.digest).await.unwrap().unwrap();
        let expected = (WebhookOutcome::Nothing, Some(WebhookReason::AlreadyKnown));
        assert_eq!((seen.outcome, seen.reason), expected);
        record(store, interrupted("s", 8)).await;
        assert_eq!(read(store, "s").await.interrupts, 2, "a later one counts");
    })
    .await;
}

fn changed_meeting(change: MeetingChange) -> MeetingChanged {
    MeetingChanged {
        change,
        instance: meeting("m"),
        account_id: None,
        meeting_id: Some(NUMBER.to_owned()),
        host_id: Some("host1".to_owned()),
    }
}

async fn to_ask_about(store: &Store) -> Vec<SessionId> {
    store.sessions_to_ask_about(&AppName::default(), 0, 10).await.unwrap()
}

#[tokio::test]
async fn what_zoom_says_of_a_meeting_has_the_effect_of_the_lost_event() {
    on_both(async |test| {
        let (store, app) = (&test.store, AppName::default());
        let begun = changed_meeting(MeetingChange::Started);
        assert!(!store.has_session(&app, &meeting("m")).await.unwrap());
        let id = store.record_meeting(&app, &begun, 5, 6).await.unwrap();
        assert!(store.has_session(&app, &meeting("m")).await.unwrap());
        assert_eq!(to_ask_about(store).await, [id]);
        let acme = AppName::parse("acme").unwrap();
        assert_eq!(store.sessions_to_ask_about(&acme, 0, 10).await.unwrap(), []);
        // The event comes after all: the first time stays.
        record(store, numbered_meeting_changed(9, MeetingChange::Started)).await;
        let session = store.session(id).await.unwrap().unwrap();
        assert_eq!(session.meeting_started_at_ms, Some(5));
        let ended = changed_meeting(MeetingChange::Ended);
        assert_eq!(store.record_meeting(&app, &ended, 20, 21).await.unwrap(), id);
        let session = store.session(id).await.unwrap().unwrap();
        assert_eq!((session.status.as_str(), session.meeting_ended_at_ms), ("ended", Some(20)));
        assert_eq!(to_ask_about(store).await, []);
    })
    .await;
}

#[tokio::test]
async fn a_policys_start_whose_stream_was_not_announced_is_due_again() {
    on_both(async |test| {
        let (store, app) = (&test.store, AppName::default());
        let begun = changed_meeting(MeetingChange::Started);
        let id = store.record_meeting(&app, &begun, 5, 6).await.unwrap();
        let plan = Planned {
            action: Action::Start,
            asked_by: "auto_start",
            cause: "auto_start".to_owned(),
            due_at_ms: 10,
        };
        store.plan(id, &[plan], 10).await.unwrap();
        let planned = store.claim_actions(11, LONG, 1).await.unwrap().remove(0);
        let answer = Answer { zoom: Some(ZoomAnswer::default()), ..Answer::default() };
        let (status, due_ms) = (ActionStatus::Accepted, Some(90_000));
        store.answer_action(planned.id, status, due_ms, &answer, 20).await.unwrap();
        assert!(!store.repeat_planned_starts(id, 21, 30).await.unwrap(), "before the gap");
        assert!(store.repeat_planned_starts(id, 20, 30).await.unwrap());
        let again = store.claim_actions(31, LONG, 1).await.unwrap();
        assert_eq!(again.len(), 1);
        store.answer_action(planned.id, status, due_ms, &answer, 40).await.unwrap();
        // With its stream there is nothing to repeat.
        let mut start = started_by("u1", "s", 50);
        start.received_at_ms = 50;
        record(store, start).await;
        assert!(!store.repeat_planned_starts(id, 20, 60).await.unwrap());
    })
    .await;
}
