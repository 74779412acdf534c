//! Streams that a policy leaves out: what the decision is made from, and what remains of them.

use rtmsd::model::{
    Delivery, EntryBody, MeetingChange, Outcome, SessionStatus, StopReason, WebhookEffect,
};
use rtmsd::store::{Ending, OpenStream, Store};

use super::webhooks::*;
use crate::support::stores::on_both;

/// Marks the user of a start as the meeting's host, as Zoom does.
fn by_host(mut delivery: Delivery) -> Delivery {
    let WebhookEffect::Started(started) = &mut delivery.announcement else {
        panic!("it is no start")
    };
    started.is_host = true;
    delivery
}

fn open(ordinal: u32, operator: &str, is_hosts: Option<bool>) -> OpenStream {
    OpenStream { ordinal, operator_id: Some(operator.into()), is_hosts }
}

async fn leave_out(store: &Store, stream: &str, now_ms: i64) -> EntryBody {
    let detail = Some("stream 1 is joined instead".to_owned());
    let ending = Ending { outcome: Outcome::LeftOut, detail };
    let ended = store.finish_stream(&stream_id(stream), 0, 1, ending, None, now_ms).await.unwrap();
    ended.expect("it had not ended").body
}

#[tokio::test]
async fn open_streams_are_those_that_nobody_ended_and_whether_the_host_started_them() {
    on_both(async |test| {
        let store = &test.store;
        record(store, started_by("bo", "s1", 1)).await;
        record(store, started_by("ana", "s2", 2)).await;
        let id = read(store, "s1").await.session_id;
        let unknown = [open(1, "bo", None), open(2, "ana", None)];
        assert_eq!(store.open_streams(id).await.unwrap(), unknown, "the host is unknown");
        record(store, by_host(started_by("ana", "s3", 3))).await;
        let known =
            [open(1, "bo", Some(false)), open(2, "ana", Some(true)), open(3, "ana", Some(true))];
        assert_eq!(store.open_streams(id).await.unwrap(), known);
        assert_eq!(store.session(id).await.unwrap().unwrap().host_id.as_deref(), Some("ana"));
        // Zoom's stop counts at once, before the runner has recorded the end.
        record(store, stopped("s1", 4, Some(6))).await;
        leave_out(store, "s3", 5).await;
        assert_eq!(store.open_streams(id).await.unwrap(), [open(2, "ana", Some(true))]);
    })
    .await;
}

#[tokio::test]
async fn the_host_is_also_known_from_the_meetings_start_and_from_a_later_announcement() {
    on_both(async |test| {
        let store = &test.store;
        record(store, numbered_meeting_changed(1, MeetingChange::Started)).await;
        record(store, started_by("host1", "s1", 2)).await;
        record(store, started_by("bo", "s2", 3)).await;
        let id = read(store, "s1").await.session_id;
        let streams = [open(1, "host1", Some(true)), open(2, "bo", Some(false))];
        assert_eq!(store.open_streams(id).await.unwrap(), streams);
        // The host brings the app into a stream that exists.
        record(store, by_host(started_by("bo", "s2", 4))).await;
        let streams = [open(1, "host1", Some(false)), open(2, "bo", Some(true))];
        assert_eq!(store.open_streams(id).await.unwrap(), streams);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_left_out_says_why_and_leaves_its_session_to_the_joined_one() {
    on_both(async |test| {
        let store = &test.store;
        record(store, started_by("ana", "s1", 1)).await;
        record(store, started_by("bo", "s2", 2)).await;
        let last = leave_out(store, "s2", 3).await;
        let EntryBody::Ended { outcome, detail, .. } = last else { panic!("{last:?}") };
        assert_eq!(
            (&*outcome, detail.as_deref()),
            ("left_out", Some("stream 1 is joined instead"))
        );
        let id = read(store, "s1").await.session_id;
        let session = async || store.session(id).await.unwrap().unwrap();
        assert_eq!(session().await.status, SessionStatus::Connecting);
        // Requests are sent on behalf of a user whose stream is joined.
        assert_eq!(session().await.operator_id.as_deref(), Some("ana"));
        // Zoom ends the stream that nobody joins, and the meeting ends the other.
        record(store, stopped("s2", 4, Some(15))).await;
        record(store, stopped("s1", 5, Some(6))).await;
        let joined = stream_id("s1");
        let end = store.finish_stream(&joined, 0, 1, Outcome::Stopped, Some(StopReason(6)), 6);
        assert!(end.await.unwrap().is_some());
        assert_eq!(session().await.status, SessionStatus::Ended);
    })
    .await;
}

#[tokio::test]
async fn a_session_of_left_out_streams_keeps_its_operator_and_ends_with_its_meeting() {
    on_both(async |test| {
        let store = &test.store;
        record(store, started_by("bo", "s1", 1)).await;
        leave_out(store, "s1", 2).await;
        let id = read(store, "s1").await.session_id;
        let session = store.session(id).await.unwrap().unwrap();
        assert_eq!(session.status, SessionStatus::Stopped);
        assert_eq!(session.operator_id.as_deref(), Some("bo"));
        record(store, stopped("s1", 3, Some(6))).await;
        assert_eq!(store.session(id).await.unwrap().unwrap().status, SessionStatus::Ended);
    })
    .await;
}

#[tokio::test]
async fn a_left_out_stream_that_zoom_announces_again_is_decided_anew() {
    on_both(async |test| {
        let store = &test.store;
        record(store, started_by("ana", "s1", 1)).await;
        record(store, started_by("bo", "s2", 2)).await;
        leave_out(store, "s2", 3).await;
        assert_eq!(record(store, started_by("bo", "s2", 10)).await, changed("s2"));
        let stream = read(store, "s2").await;
        assert_eq!((stream.outcome, stream.generation), (None, 2));
        let both = store.open_streams(stream.session_id).await.unwrap();
        assert_eq!(both.iter().map(|open| open.ordinal).collect::<Vec<_>>(), [1, 2]);
    })
    .await;
}
