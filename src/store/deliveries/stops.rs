//! Stops of streams, and stops that arrive before their start.

use super::{Named, Subject, blank_unless_deletable, lock_named};
use crate::model::{Delivery, StopReason, StreamStopped, WebhookReason};
use crate::store::actions::confirm_stops;
use crate::store::database::{Connection, binds};
use crate::store::sessions::{SessionFacts, refresh_session, upsert_session};
use crate::store::streams::revoke_stream;
use crate::store::{StoreError, sql};

pub(super) async fn apply_stop(
    tx: &mut Connection<'_>,
    delivery: &Delivery,
    stopped: &StreamStopped,
) -> Result<(WebhookReason, Subject), StoreError> {
    let stream = match lock_named(tx, delivery, &stopped.stream_id).await? {
        Named::Own(stream) => stream,
        Named::Foreign => return Ok((WebhookReason::OtherAppsStream, Subject::default())),
        Named::Unknown => {
            insert_tombstone(tx, delivery, stopped).await?;
            return Ok((WebhookReason::UnknownStream, Subject::default()));
        }
    };
    let subject = Subject::session(stream.session_id);
    let id = stopped.stream_id.as_str();
    let values = binds![id, delivery.received_at_ms, stopped.stop_reason];
    let is_news = tx.execute(sql::NOTE_STOP, values).await? > 0;
    confirm_stops(tx, stream.session_id).await?;
    // The runner ends a running stream, after it has stored the last entries.
    if stream.ended_at_ms.is_none() {
        let reason =
            if is_news { WebhookReason::StreamStopped } else { WebhookReason::AlreadyKnown };
        return Ok((reason, subject));
    }
    if stopped.stop_reason.is_some_and(StopReason::is_revoked) {
        if !stream.is_revoked() {
            revoke_stream(tx, &stream, delivery.received_at_ms).await?;
        }
        // The data to be deleted may be gone already: this webhook arrived after the deletion.
        tx.execute(sql::BLANK_DELIVERIES, binds![id]).await?;
    } else {
        blank_unless_deletable(tx, delivery).await?;
    }
    if is_news {
        refresh_session(tx, stream.session_id, delivery.received_at_ms).await?;
    }
    Ok((WebhookReason::StreamEnded, subject))
}

/// Remembers a stop that arrived before its start, which will then be stale.
async fn insert_tombstone(
    tx: &mut Connection<'_>,
    delivery: &Delivery,
    stopped: &StreamStopped,
) -> Result<(), StoreError> {
    let (facts, now_ms) = (SessionFacts::default(), delivery.received_at_ms);
    let session_id = upsert_session(tx, &delivery.app, &stopped.instance, &facts, now_ms).await?;
    let values = binds![
        stopped.stream_id.as_str(),
        session_id.to_string(),
        delivery.ordered_at_ms(),
        stopped.stop_reason,
        now_ms,
    ];
    tx.execute(sql::INSERT_TOMBSTONE, values).await?;
    if stopped.stop_reason.is_some_and(StopReason::is_revoked) {
        // Of a start that was refused and waits to be processed again.
        tx.execute(sql::BLANK_DELIVERIES, binds![stopped.stream_id.as_str()]).await?;
    }
    blank_unless_deletable(tx, delivery).await?;
    refresh_session(tx, session_id, now_ms).await
}
