//! Starts of meetings and streams, applied in bulk. When a thousand meetings start on the hour, Zoom waits for the answers to
//! all their webhooks, so starts that affect only their own session share a few statements.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::{apply_delivery, body_to_store, insert_delivery, reason_at_first};
use crate::model::{
    Delivery, Instance, MeetingChange, SessionId, StreamId, WebhookEffect, WebhookReason,
};
use crate::store::database::{Bind, Connection, binds};
use crate::store::sessions::{SessionFacts, emit_status};
use crate::store::{Recorded, StoreError, rows, sql};

/// Records deliveries and their effects, in this order.
pub(in crate::store) async fn record_deliveries(
    tx: &mut Connection<'_>,
    deliveries: &[&Delivery],
) -> Result<Vec<Recorded>, StoreError> {
    let mut recorded = vec![Recorded::Repeat; deliveries.len()];
    let new = insert_deliveries(tx, deliveries).await?;
    // Handled first: between starts they would split a bulk statement.
    let (without_effect, with_effect): (Vec<usize>, Vec<usize>) =
        new.into_iter().partition(|index| deliveries[*index].announcement.is_none());
    for index in without_effect {
        recorded[index] = Recorded::NoChange;
    }
    let mut rest = &with_effect[..];
    while !rest.is_empty() {
        let waiting = rest.iter().map(|index| deliveries[*index]);
        let (indexes, later) = rest.split_at(distinct_starts(waiting).max(1));
        let part: Vec<&Delivery> = indexes.iter().map(|index| deliveries[*index]).collect();
        for (index, done) in indexes.iter().zip(apply_part(tx, &part).await?) {
            recorded[*index] = done;
        }
        rest = later;
    }
    Ok(recorded)
}

/// Returns the indexes of those that were not recorded before, in order. A concurrent copy waits here for the first.
async fn insert_deliveries(
    tx: &mut Connection<'_>,
    deliveries: &[&Delivery],
) -> Result<Vec<usize>, StoreError> {
    let mut inserted = HashSet::new();
    if deliveries.len() > 1 {
        let rows: Vec<DeliveryRow<'_>> =
            deliveries.iter().map(|one| DeliveryRow::of(one)).collect();
        let digests: Vec<(String,)> = tx.all_bulk(sql::INSERT_DELIVERIES, &rows, &[]).await?;
        inserted.extend(digests.into_iter().map(|(digest,)| digest));
    }
    let mut new = Vec::with_capacity(deliveries.len());
    for (index, delivery) in deliveries.iter().enumerate() {
        // Removed, so that of two copies in one group only the first counts as new. `insert_delivery` decides about the
        // rest: a recorded delivery that was refused or failed is applied now.
        if inserted.remove(&delivery.digest) || insert_delivery(tx, delivery).await? {
            new.push(index);
        }
    }
    Ok(new)
}

/// How many of the first deliveries are starts, each in a session of its own.
fn distinct_starts<'a>(deliveries: impl Iterator<Item = &'a Delivery>) -> usize {
    let (mut sessions, mut streams) = (HashSet::new(), HashSet::new());
    let is_distinct = |delivery: &'a Delivery| {
        starting_instance(delivery)
            .is_some_and(|instance| sessions.insert((&delivery.app, instance)))
            && delivery.announcement.stream_id().is_none_or(|stream| streams.insert(stream))
    };
    deliveries.map(is_distinct).take_while(|is_distinct| *is_distinct).count()
}

/// The conversation that starts, or in which a stream starts.
fn starting_instance(delivery: &Delivery) -> Option<&Instance> {
    let starts = match &delivery.announcement {
        WebhookEffect::Started(_) => true,
        WebhookEffect::Meeting(meeting) => meeting.change == MeetingChange::Started,
        _ => false,
    };
    delivery.announcement.instance().filter(|_| starts)
}

/// Applies one delivery, or several starts in sessions of their own.
async fn apply_part(
    tx: &mut Connection<'_>,
    part: &[&Delivery],
) -> Result<Vec<Recorded>, StoreError> {
    if let [one] = part {
        return Ok(vec![apply_delivery(tx, one).await?]);
    }
    // One for each delivery: several are starts.
    let rows: Vec<StartRow<'_>> = part.iter().filter_map(|one| StartRow::of(one)).collect();
    let digests: Vec<(String,)> = tx.all_bulk(sql::ISOLATED_STARTS, &rows, &[]).await?;
    let isolated: HashSet<String> = digests.into_iter().map(|(digest,)| digest).collect();
    let is_isolated = |delivery: &Delivery| isolated.contains(&delivery.digest);
    let mut rows = rows.into_iter();
    let mut recorded = Vec::with_capacity(part.len());
    // Consecutive deliveries only, so that sessions are locked in order.
    for run in part.chunk_by(|one, next| is_isolated(one) && is_isolated(next)) {
        let rows: Vec<StartRow<'_>> = rows.by_ref().take(run.len()).collect();
        match run {
            [one] => recorded.push(apply_delivery(tx, one).await?),
            many => recorded.extend(apply_isolated(tx, many, rows).await?),
        }
    }
    Ok(recorded)
}

/// Applies starts that affect only their own session.
async fn apply_isolated(
    tx: &mut Connection<'_>,
    deliveries: &[&Delivery],
    mut rows: Vec<StartRow<'_>>,
) -> Result<Vec<Recorded>, StoreError> {
    let ids = upsert_sessions(tx, &mut rows).await?;
    // Another transaction may have changed a session before it was locked. The deliveries are then recorded one by one.
    let changed: Option<(String,)> = tx.all_bulk(sql::CHANGED_SESSIONS, &rows, &[]).await?.pop();
    if changed.is_some() {
        return Err(StoreError::Statement(sqlx::Error::RowNotFound));
    }
    tx.execute_bulk(sql::INSERT_STREAMS, &rows, &[]).await?;
    let now_ms = deliveries.iter().map(|one| one.received_at_ms).max().unwrap_or_default();
    refresh_sessions(tx, &rows, now_ms).await?;
    tx.execute_bulk(sql::MARK_DELIVERIES, &rows, &[]).await?;
    let recorded =
        |(delivery, session_id): (&&Delivery, SessionId)| match delivery.announcement.stream_id() {
            Some(stream_id) => Recorded::Changed { stream_id: stream_id.clone(), session_id },
            None => Recorded::Session(session_id),
        };
    Ok(deliveries.iter().zip(ids).map(recorded).collect())
}

/// Finds or creates the session of each row, and notes its id in the row.
async fn upsert_sessions(
    tx: &mut Connection<'_>,
    rows: &mut [StartRow<'_>],
) -> Result<Vec<SessionId>, StoreError> {
    let found: Vec<(String, String, String, String)> =
        tx.all_bulk(sql::UPSERT_SESSIONS, rows, &[]).await?;
    let of_instance = |(id, app, product, instance)| ((app, product, instance), id);
    let found: HashMap<(String, String, String), String> =
        found.into_iter().map(of_instance).collect();
    let mut ids = Vec::with_capacity(rows.len());
    for row in rows {
        let instance = (row.app.to_string(), row.product.to_owned(), row.instance_id.to_owned());
        let id = found.get(&instance).ok_or(StoreError::Statement(sqlx::Error::RowNotFound))?;
        ids.push(rows::session_id(id)?);
        row.session_id.clone_from(id);
        row.meeting_session_id = row.stream_id.is_none().then(|| id.clone());
    }
    Ok(ids)
}

/// Derives the status of the rows' sessions, and emits the events.
async fn refresh_sessions(
    tx: &mut Connection<'_>,
    rows: &[StartRow<'_>],
    now_ms: i64,
) -> Result<(), StoreError> {
    let states: Vec<(String, String, Option<String>)> =
        tx.all_bulk(sql::REFRESH_SESSIONS, rows, binds![now_ms]).await?;
    for (id, status, last_emitted) in states {
        let id = rows::session_id(&id)?;
        emit_status(tx, id, &status, last_emitted.as_deref(), now_ms).await?;
    }
    Ok(())
}

/// A row of `INSERT_DELIVERIES`.
#[derive(Serialize)]
struct DeliveryRow<'a> {
    digest: &'a str,
    event: Bind<'a>,
    event_ts_ms: i64,
    received_at_ms: i64,
    stream_id: Option<&'a str>,
    body: Bind<'a>,
    app: &'a str,
    reason: Option<&'static str>,
    method: &'static str,
}

impl<'a> DeliveryRow<'a> {
    fn of(delivery: &'a Delivery) -> Self {
        Self {
            digest: &delivery.digest,
            event: (&*delivery.event).into(),
            event_ts_ms: delivery.event_ts_ms,
            received_at_ms: delivery.received_at_ms,
            stream_id: delivery.announcement.stream_id().map(StreamId::as_str),
            body: body_to_store(delivery).into(),
            app: delivery.app.as_str(),
            reason: reason_at_first(&delivery.announcement).map(WebhookReason::as_str),
            method: delivery.method.as_str(),
        }
    }
}

/// The start of a meeting, or of a stream in it: a row of the other statements.
#[derive(Serialize)]
struct StartRow<'a> {
    digest: &'a str,
    reason: &'static str,
    app: &'a str,
    product: &'static str,
    id_key: &'static str,
    instance_id: &'a str,
    /// The id for a new session, until `upsert_sessions` sets the actual one.
    session_id: String,
    /// Set for a meeting only: a stream's row names its session.
    meeting_session_id: Option<String>,
    account_id: Bind<'a>,
    meeting_id: Bind<'a>,
    operator_id: Bind<'a>,
    host_id: Bind<'a>,
    meeting_started_at_ms: Option<i64>,
    stream_id: Option<&'a str>,
    server_urls: Bind<'a>,
    ordered_at_ms: i64,
    received_at_ms: i64,
}

impl<'a> StartRow<'a> {
    /// `None` if nothing starts.
    fn of(delivery: &'a Delivery) -> Option<Self> {
        let instance = starting_instance(delivery)?;
        let (stream, facts, meeting_started_at_ms) = match &delivery.announcement {
            WebhookEffect::Started(started) => {
                (Some(started), SessionFacts::of_start(started), None)
            }
            WebhookEffect::Meeting(meeting) => {
                (None, SessionFacts::of_meeting(meeting), Some(delivery.happened_at_ms()))
            }
            _ => return None,
        };
        let reason = match stream {
            Some(_) => WebhookReason::StreamStarted,
            None => WebhookReason::MeetingStarted,
        };
        Some(Self {
            digest: &delivery.digest,
            reason: reason.as_str(),
            app: delivery.app.as_str(),
            product: instance.product.as_str(),
            id_key: instance.key.as_str(),
            instance_id: instance.id(),
            session_id: uuid::Uuid::now_v7().to_string(),
            meeting_session_id: None,
            account_id: facts.account_id.into(),
            meeting_id: facts.meeting_id.into(),
            operator_id: facts.operator_id.into(),
            host_id: facts.host_id.into(),
            meeting_started_at_ms,
            stream_id: stream.map(|started| started.stream_id.as_str()),
            server_urls: stream.map(|started| &*started.server_urls).into(),
            ordered_at_ms: delivery.ordered_at_ms(),
            received_at_ms: delivery.received_at_ms,
        })
    }
}
