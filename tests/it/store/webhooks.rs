//! Deliveries as the webhook handler builds them.

use std::ops::RangeInclusive;

use rtmsd::model::{
    AppName, AppRooms, Deauthorization, Delivery, DeliveryMethod, Entry, EntryBody, IdKey,
    Instance, MeetingChange, MeetingChanged, NodeId, Notice, Product, SessionId, StopReason,
    StreamId, StreamInterrupted, StreamRecord, StreamStarted, StreamStopped, WebhookEffect,
};
use rtmsd::store::{Append, Claim, Recorded, Store, StoreError};
use uuid::Uuid;

/// The number of the meeting `m`, in webhooks that contain it.
pub(crate) const NUMBER: &str = "91234567890";
pub(crate) const URL: &str = "wss://rtms-sjc1.zoom.us:443";
pub(crate) const OTHER_URL: &str = "wss://rtms-iad1.zoom.us:443";

pub(crate) fn stream_id(text: &str) -> StreamId {
    StreamId::parse(text).unwrap()
}

pub(crate) fn meeting(id: &str) -> Instance {
    Instance::new(Product::Meeting, IdKey::MeetingUuid, id).unwrap()
}

/// A start of `stream` in the meeting `m`, received at the time of the event.
pub(crate) fn started(stream: &str, event_ts_ms: i64, urls: &str) -> Delivery {
    started_in("m", stream, event_ts_ms, urls)
}

pub(crate) fn started_in(instance: &str, stream: &str, event_ts_ms: i64, urls: &str) -> Delivery {
    let started = StreamStarted {
        stream_id: stream_id(stream),
        instance: meeting(instance),
        server_urls: urls.into(),
        account_id: Some("acc1".into()),
        meeting_id: None,
        operator_id: Some("u1".into()),
        is_host: false,
    };
    delivery("meeting.rtms_started", event_ts_ms, WebhookEffect::Started(started))
}

/// A start of `stream` by `operator` in the meeting `m`, with the number [`NUMBER`].
pub(crate) fn started_by(operator: &str, stream: &str, event_ts_ms: i64) -> Delivery {
    let started = StreamStarted {
        stream_id: stream_id(stream),
        instance: meeting("m"),
        server_urls: URL.into(),
        account_id: Some("acc1".into()),
        meeting_id: Some(NUMBER.into()),
        operator_id: Some(operator.into()),
        is_host: false,
    };
    delivery("meeting.rtms_started", event_ts_ms, WebhookEffect::Started(started))
}

pub(crate) fn stopped(stream: &str, event_ts_ms: i64, stop_reason: Option<i64>) -> Delivery {
    let stopped = StreamStopped {
        stream_id: stream_id(stream),
        instance: meeting("m"),
        stop_reason: stop_reason.map(StopReason),
    };
    delivery("meeting.rtms_stopped", event_ts_ms, WebhookEffect::Stopped(stopped))
}

pub(crate) fn interrupted(stream: &str, event_ts_ms: i64) -> Delivery {
    let interrupted = StreamInterrupted { stream_id: stream_id(stream), instance: meeting("m") };
    delivery("meeting.rtms_interrupted", event_ts_ms, WebhookEffect::Interrupted(interrupted))
}

/// The meeting `m` begins or ends.
pub(crate) fn meeting_changed(event_ts_ms: i64, change: MeetingChange) -> Delivery {
    let changed = MeetingChanged {
        change,
        instance: meeting("m"),
        account_id: Some("acc1".into()),
        meeting_id: None,
        host_id: Some("host1".into()),
    };
    delivery("meeting.changed", event_ts_ms, WebhookEffect::Meeting(changed))
}

/// The meeting `m`, identified by its number, begins or ends.
pub(crate) fn numbered_meeting_changed(event_ts_ms: i64, change: MeetingChange) -> Delivery {
    let changed = MeetingChanged {
        change,
        instance: meeting("m"),
        account_id: Some("acc1".into()),
        meeting_id: Some(NUMBER.into()),
        host_id: Some("host1".into()),
    };
    delivery("meeting.changed", event_ts_ms, WebhookEffect::Meeting(changed))
}

/// The user of [`started`]'s streams removes the app.
pub(crate) fn deauthorized(event_ts_ms: i64) -> Delivery {
    deauthorized_by("u1", event_ts_ms)
}

pub(crate) fn deauthorized_by(user: &str, event_ts_ms: i64) -> Delivery {
    let gone = Deauthorization {
        user_id: user.into(),
        account_id: Some("acc1".into()),
        may_keep_data: false,
    };
    delivery("app_deauthorized", event_ts_ms, WebhookEffect::Deauthorized(gone))
}

pub(crate) fn other(event_ts_ms: i64) -> Delivery {
    delivery("meeting.sharing_started", event_ts_ms, WebhookEffect::Other)
}

pub(crate) fn notice_of(event_ts_ms: i64, notice: Notice) -> Delivery {
    delivery("rtms.request_status", event_ts_ms, WebhookEffect::Notice(notice))
}

/// A webhook with this effect, received at the time of the event.
pub(crate) fn delivery(event: &str, event_ts_ms: i64, announcement: WebhookEffect) -> Delivery {
    let body = format!("{event} {event_ts_ms} {announcement:?}");
    let app = AppName::default();
    Delivery {
        digest: Delivery::digest_of(&app, body.as_bytes()),
        app,
        method: DeliveryMethod::Webhook,
        event: event.into(),
        event_ts_ms,
        received_at_ms: event_ts_ms,
        body,
        announcement,
    }
}

/// The same webhook, signed by another app.
pub(crate) fn signed_by(app: &AppName, delivery: Delivery) -> Delivery {
    let digest = Delivery::digest_of(app, delivery.body.as_bytes());
    Delivery { app: app.clone(), digest, ..delivery }
}

/// A change of this stream, as [`record`] returns it.
pub(crate) fn changed(stream: &str) -> Recorded {
    Recorded::Changed { stream_id: stream_id(stream), session_id: SessionId(Uuid::nil()) }
}

pub(crate) async fn record(store: &Store, delivery: Delivery) -> Recorded {
    without_session(store.record_delivery(&delivery).await.unwrap())
}

/// Replaces the session of a changed stream, which has a random id.
pub(crate) fn without_session(recorded: Recorded) -> Recorded {
    match recorded {
        Recorded::Changed { stream_id, .. } => {
            Recorded::Changed { stream_id, session_id: SessionId(Uuid::nil()) }
        }
        other => other,
    }
}

pub(crate) async fn read(store: &Store, stream: &str) -> StreamRecord {
    store.stream(&stream_id(stream)).await.unwrap().expect("the stream is known")
}

/// Announces `stream` at time 1 and returns its session.
pub(crate) async fn announce(store: &Store, stream: &str) -> SessionId {
    assert_eq!(record(store, started(stream, 1, URL)).await, changed(stream));
    read(store, stream).await.session_id
}

/// The claim of one stream, if it was available.
pub(crate) async fn claim_stream(
    store: &Store,
    node: NodeId,
    stream: &StreamId,
    lease_ms: i64,
) -> Result<Option<Claim>, StoreError> {
    let streams = std::slice::from_ref(stream);
    Ok(store.claim_streams(node, streams, lease_ms).await?.pop())
}

/// Claims the streams that no node has, as a daemon does that is alone.
pub(crate) async fn claim_orphans(
    store: &Store,
    node: NodeId,
    lease_ms: i64,
    limit: u32,
    rooms: &AppRooms,
) -> Result<Vec<Claim>, StoreError> {
    let orphans = store.orphans(node, limit, rooms).await?;
    let streams: Vec<_> = orphans.into_iter().map(|orphan| orphan.stream_id).collect();
    store.claim_streams(node, &streams, lease_ms).await
}

/// Entries as the runner with this epoch writes them.
pub(crate) fn under(epoch: i64, entries: &[Entry]) -> Vec<Append> {
    let append = |entry: &Entry| Append { epoch, entry: entry.clone(), offer: None };
    entries.iter().map(append).collect()
}

/// Entries of streams that are not claimed yet.
pub(crate) fn unclaimed(entries: &[Entry]) -> Vec<Append> {
    under(0, entries)
}

/// Stores entries with these numbers in the log of a stream that is not claimed yet.
pub(crate) async fn log(store: &Store, stream: &str, seqs: RangeInclusive<u64>) {
    let record = read(store, stream).await;
    let entry = |seq| Entry {
        session_id: record.session_id,
        stream_id: record.stream_id.clone(),
        stream_ordinal: record.ordinal,
        seq,
        at_ms: 1,
        body: EntryBody::Moved {},
    };
    store.write_entries(&unclaimed(&seqs.map(entry).collect::<Vec<_>>())).await.unwrap();
}
