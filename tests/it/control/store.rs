//! What control needs of the store, on both databases.

use rtmsd::model::{
    Action, ActionStatus, Answer, AppName, MediaPlan, NewSession, Planned, Product, SessionId,
    SessionStatus, UserId,
};
use rtmsd::store::{Begin, IdempotencyKey, Kept, Store, Taken};
use serde_json::json;
use tokio::task::JoinSet;

use crate::store::webhooks::{URL, announce, read, record, started, started_in, stream_id};
use crate::support::audit::act;
use crate::support::stores::on_both;

pub(crate) fn meeting(number: &str) -> NewSession {
    NewSession {
        app: AppName::default(),
        product: None,
        meeting_id: number.into(),
        participant_user_id: None,
        installation_id: None,
        metadata: None,
        media: None,
    }
}

async fn made(store: &Store, number: &str, now_ms: i64) -> SessionId {
    store.create_session(&meeting(number), &act("boss", now_ms)).await.unwrap().session.id
}

fn start_at(due_at_ms: i64) -> Planned {
    Planned { action: Action::Start, asked_by: "auto_start", cause: "auto_start".into(), due_at_ms }
}

async fn plan(store: &Store, id: SessionId, plan: Planned) {
    store.reviewed(id, 0, &[plan], 1).await.unwrap();
}

fn yes() -> Answer {
    Answer::default()
}

async fn begin(store: &Store, id: SessionId, now_ms: i64, until_ms: i64) {
    let begin = Begin {
        session_id: id,
        action: Action::Start,
        asked_by: "api:t",
        now_ms,
        until_ms,
        media: None,
        may_drop_plans: true,
        act: &act("t", now_ms),
    };
    store.begin_action(&begin, |_| Ok::<_, ()>(())).await.unwrap().unwrap().unwrap();
}

async fn status(store: &Store, id: SessionId) -> SessionStatus {
    store.session(id).await.unwrap().unwrap().status
}

#[tokio::test]
async fn many_requests_for_one_meeting_make_one_session() {
    on_both(async |test| {
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let store = test.store.clone();
            tasks.spawn(async move {
                store.create_session(&meeting("5"), &act("boss", 1)).await.unwrap()
            });
        }
        let made = tasks.join_all().await;
        assert_eq!(made.iter().filter(|made| made.is_new).count(), 1);
        let first = made[0].session.id;
        assert!(made.iter().all(|made| made.session.id == first));
    })
    .await;
}

#[tokio::test]
async fn a_product_that_is_not_a_meeting_is_known_by_its_id() {
    on_both(async |test| {
        let new = NewSession { product: Some(Product::VideoSdk), ..meeting("/x=") };
        let session = test.store.create_session(&new, &act("boss", 1)).await.unwrap().session;
        assert_eq!((session.instance.id(), session.target()), ("/x=", Some("/x=")));
        assert!(!test.store.create_session(&new, &act("boss", 2)).await.unwrap().is_new);
    })
    .await;
}

#[tokio::test]
async fn a_planned_action_is_taken_up_by_one_and_again_when_that_one_is_gone() {
    on_both(async |test| {
        let store = &test.store;
        let id = made(store, "5", 1).await;
        plan(store, id, start_at(10)).await;
        plan(store, id, start_at(10)).await;
        assert_eq!(store.claim_actions(9, 100, 10).await.unwrap(), []);
        let mut tasks = JoinSet::new();
        for _ in 0..6 {
            let store = store.clone();
            tasks.spawn(async move { store.claim_actions(10, 100, 10).await.unwrap() });
        }
        let claimed: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(claimed.len(), 1);
        assert_eq!((claimed[0].status, claimed[0].attempts), (ActionStatus::Due, 1));
        assert_eq!(store.claim_actions(109, 100, 10).await.unwrap(), []);
        let again = store.claim_actions(110, 100, 10).await.unwrap();
        assert_eq!((again.len(), again[0].attempts), (1, 2));
        let answer = (ActionStatus::Due, Some(300));
        store.answer_action(again[0].id, answer.0, answer.1, &yes(), 120).await.unwrap();
        assert_eq!(store.claim_actions(299, 100, 10).await.unwrap(), []);
        assert_eq!(store.claim_actions(300, 100, 10).await.unwrap()[0].attempts, 3);
    })
    .await;
}

#[tokio::test]
async fn a_start_whose_daemon_died_in_the_middle_times_out() {
    on_both(async |test| {
        let store = &test.store;
        let id = made(store, "5", 1).await;
        begin(store, id, 2, 50).await;
        assert_eq!(status(store, id).await, SessionStatus::RtmsStartRequested);
        assert_eq!(store.time_out_actions(49).await.unwrap(), []);
        assert_eq!(store.time_out_actions(50).await.unwrap(), [id]);
        assert_eq!(status(store, id).await, SessionStatus::StartTimedOut);
        assert_eq!(store.time_out_actions(51).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_webhook_that_comes_before_zooms_answer_confirms_the_start() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        store
            .finish_stream(
                &rtmsd::model::StreamId::parse("s1").unwrap(),
                0,
                1,
                rtmsd::model::Outcome::Closed,
                None,
                2,
            )
            .await
            .unwrap();
        begin(store, id, 3, 50).await;
        record(store, started("s2", 4, URL)).await;
        let action = store.snapshot(id).await.unwrap().unwrap().actions[0].clone();
        assert_eq!((action.status, action.due_at_ms), (ActionStatus::Confirmed, None));
        let accepted = (ActionStatus::Accepted, Some(60));
        store.answer_action(action.id, accepted.0, accepted.1, &yes(), 5).await.unwrap();
        let action = store.snapshot(id).await.unwrap().unwrap().actions[0].clone();
        assert_eq!((action.status, action.answer), (ActionStatus::Confirmed, Some(yes())));
        assert_eq!(store.time_out_actions(100).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_change_during_a_review_is_reviewed_again() {
    on_both(async |test| {
        let store = &test.store;
        let id = announce(store, "s1").await;
        record(store, started_in("m2", "other", 1, URL)).await;
        let other = read(store, "other").await.session_id;
        let mut marks = store.sessions_to_review(10).await.unwrap();
        marks.sort();
        assert_eq!(marks, [(id, 1), (other, 1)]);
        record(store, started("s2", 2, URL)).await;
        store.reviewed(id, 1, &[], 3).await.unwrap();
        assert_eq!(store.mark_reviewed(&[(id, 1), (other, 1)]).await.unwrap(), 1);
        assert_eq!(store.sessions_to_review(10).await.unwrap(), [(id, 2)]);
        assert_eq!(store.mark_reviewed(&[(id, 2)]).await.unwrap(), 1);
        assert_eq!(store.sessions_to_review(10).await.unwrap(), []);
    })
    .await;
}

fn key(key: &str) -> IdempotencyKey {
    IdempotencyKey { token: "t".into(), path: "/p".into(), key: key.into() }
}

#[tokio::test]
async fn an_idempotency_key_is_taken_by_one_and_answered_until_its_time_is_over() {
    on_both(async |test| {
        let store = &test.store;
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let store = store.clone();
            tasks.spawn(async move {
                store.take_idempotency_key(&key("k"), "d", 1, 100).await.unwrap()
            });
        }
        let taken = tasks.join_all().await;
        assert_eq!(taken.iter().filter(|taken| **taken == Taken::Ours).count(), 1);
        assert_eq!(taken.iter().filter(|taken| **taken == Taken::InProgress).count(), 7);
        let take = async |digest, now_ms| {
            store.take_idempotency_key(&key("k"), digest, now_ms, now_ms + 100).await.unwrap()
        };
        assert_eq!(take("other", 2).await, Taken::OtherBody);
        let kept = Kept { status: 201, body: "{}".into() };
        store.keep_answer(&key("k"), &kept, None, 500).await.unwrap();
        assert_eq!(take("d", 499).await, Taken::Answered(kept));
        assert_eq!(take("other", 500).await, Taken::Ours);
        assert_eq!(store.prune_idempotency_keys(600).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_key_whose_daemon_died_is_free_again_and_one_that_was_released_at_once() {
    on_both(async |test| {
        let store = &test.store;
        let take = async |now_ms| {
            store.take_idempotency_key(&key("k"), "d", now_ms, now_ms + 100).await.unwrap()
        };
        assert_eq!(take(1).await, Taken::Ours);
        assert_eq!(take(100).await, Taken::InProgress);
        assert_eq!(take(101).await, Taken::Ours);
        store.release_idempotency_key(&key("k")).await.unwrap();
        assert_eq!(take(102).await, Taken::Ours);
    })
    .await;
}

fn media(types: &str) -> MediaPlan {
    serde_json::from_value(json!({ "types": types })).unwrap()
}

#[tokio::test]
async fn media_parameters_are_those_of_the_streams_that_are_announced_after_them() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s1").await;
        let first = store.stream(&stream_id("s1")).await.unwrap().unwrap();
        let id = first.session_id;
        let wanted = media("audio");
        let begin = Begin {
            session_id: id,
            action: Action::Start,
            asked_by: "api:t",
            now_ms: 2,
            until_ms: 9,
            media: Some(&wanted),
            may_drop_plans: true,
            act: &act("t", 2),
        };
        assert!(store.begin_action(&begin, |_| Err("not now")).await.unwrap().unwrap().is_err());
        assert_eq!(store.session(id).await.unwrap().unwrap().media, None, "nothing was begun");
        store.begin_action(&begin, |_| Ok::<_, ()>(())).await.unwrap().unwrap().unwrap();
        assert_eq!(store.session(id).await.unwrap().unwrap().media, Some(wanted.clone()));
        record(store, started("s2", 5, URL)).await;
        let begin = Begin { media: None, now_ms: 6, ..begin };
        store.begin_action(&begin, |_| Ok::<_, ()>(())).await.unwrap().unwrap().unwrap();
        let streams = store.streams_of(id).await.unwrap();
        let asked: Vec<_> = streams.iter().map(|stream| stream.media.clone()).collect();
        assert_eq!(asked, [None, Some(wanted)]);
    })
    .await;
}

#[tokio::test]
async fn a_new_session_keeps_its_media_until_others_are_named() {
    on_both(async |test| {
        let create = async |media: Option<MediaPlan>| {
            let new = NewSession { media, ..meeting("5") };
            test.store.create_session(&new, &act("boss", 1)).await.unwrap().session.media
        };
        assert_eq!(create(None).await, None);
        assert_eq!(create(Some(media("audio"))).await, Some(media("audio")));
        assert_eq!(create(None).await, Some(media("audio")));
        assert_eq!(create(Some(media("chat"))).await, Some(media("chat")));
    })
    .await;
}

#[tokio::test]
async fn the_choice_of_a_camera_is_the_sessions_and_every_stream_of_it_sees_it() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s1").await;
        let id = store.stream(&stream_id("s1")).await.unwrap().unwrap().session_id;
        store.pin_video(id, UserId(u32::MAX.into()), &act("boss", 1)).await.unwrap();
        store.pin_video(id, UserId(7), &act("boss", 1)).await.unwrap();
        record(store, started("s2", 5, URL)).await;
        let streams = store.streams_of(id).await.unwrap();
        let chosen: Vec<_> = streams.iter().map(|stream| stream.video_user_id).collect();
        assert_eq!(chosen, [Some(UserId(7)); 2]);
    })
    .await;
}
