//! Webhook deliveries and their effects on sessions and streams (rtms-protocol.md sections 3.9, 13.5, 13.6).

mod meaning;
mod starts;
mod stops;

use self::meaning::{StartEffect, effect_of_start, is_stale, outcome_of};
pub(super) use self::starts::record_deliveries;
use self::stops::apply_stop;
use super::actions::confirm_starts;
use super::database::{Connection, binds, row};
use super::installations::deauthorize_user;
use super::sessions::{
    SessionFacts, adopt_session, change_meeting, refresh_session, upsert_session,
};
use super::streams::lock_stream;
use super::{Recorded, Store, StoreError, rows, sql};
use crate::model::{
    AppScope, Cutoffs, Deauthorization, Delivery, MeetingChange, MeetingChanged, Notice, SessionId,
    StreamId, StreamInterrupted, StreamRecord, StreamStarted, WebhookEffect, WebhookOutcome,
    WebhookReason,
};
use crate::telemetry::stream_span;

/// The longest body of a notice that is shown.
const MAX_NOTICE_CHARS: i64 = 8 * 1024;

/// The most webhooks about one stream that are read together: many times what Zoom sends.
const MAX_STREAM_WEBHOOKS: i64 = 500;

row! {
    /// A notice of Zoom about starts and limits that names no session.
    #[derive(Debug, Clone)]
    pub struct AccountNotice {
        /// The name of the app that Zoom sent it to.
        pub app: String,
        pub event: String,
        pub event_ts_ms: i64,
        pub received_at_ms: i64,
        /// As received; `None` if it is too long to show.
        pub body: Option<String>,
    }
}

row! {
    /// A webhook about one of a session's streams, without its body.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DeliveryBrief {
        pub event: String,
        pub event_ts_ms: i64,
        pub received_at_ms: i64,
        /// The number of the stream in its session, from 1.
        pub ordinal: Option<i64>,
        /// See [`WebhookOutcome`].
        pub effect: String,
        /// The body of a notice, unless it is too long.
        pub notice: Option<String>,
    }
}

row! {
    /// A webhook about a stream, with its body.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StreamWebhook {
        pub event: String,
        pub received_at_ms: i64,
        /// See [`WebhookOutcome`].
        pub effect: String,
        /// As received; empty if it is not kept.
        pub body: String,
    }
}

impl Store {
    /// The first webhooks about a stream, in order of arrival.
    pub async fn webhooks_of_stream(
        &self,
        id: &StreamId,
    ) -> Result<Vec<StreamWebhook>, StoreError> {
        let values = binds![id.as_str(), MAX_STREAM_WEBHOOKS];
        self.database.all(sql::WEBHOOKS_OF_STREAM, values).await
    }

    /// The newest notices to some apps that name no known session, newest first.
    pub async fn account_notices(
        &self,
        apps: &AppScope,
        limit: u32,
    ) -> Result<Vec<AccountNotice>, StoreError> {
        let values = binds![i64::from(limit), MAX_NOTICE_CHARS, rows::apps_text(apps)];
        self.database.all(sql::NOTICES_OF_ACCOUNT, values).await
    }

    /// The webhooks about a session's streams, in order of arrival.
    pub async fn deliveries_of(
        &self,
        id: SessionId,
        limit: u32,
    ) -> Result<Vec<DeliveryBrief>, StoreError> {
        let values = binds![id.to_string(), i64::from(limit)];
        self.database.all(sql::DELIVERIES_OF_SESSION, values).await
    }

    /// Deletes deliveries received before their app's time. Returns how many.
    pub async fn prune_deliveries(&self, cutoffs: &Cutoffs) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for (app, before_ms) in self.due_apps(sql::NEXT_APP_OF_DELIVERIES, cutoffs).await? {
            // Each delivery has an app.
            let Some(app) = &app else { continue };
            deleted += self.delete_before(sql::PRUNE_DELIVERIES, before_ms, binds![&**app]).await?;
        }
        Ok(deleted)
    }
}

/// Applies a delivery that is recorded and has had no effect, and notes what it changed.
pub(super) async fn apply_delivery(
    tx: &mut Connection<'_>,
    delivery: &Delivery,
) -> Result<Recorded, StoreError> {
    let (reason, subject) = match &delivery.announcement {
        WebhookEffect::Started(started) => apply_start(tx, delivery, started).await?,
        WebhookEffect::Stopped(stopped) => apply_stop(tx, delivery, stopped).await?,
        WebhookEffect::Interrupted(interrupted) => {
            apply_interrupt(tx, delivery, interrupted).await?
        }
        WebhookEffect::Meeting(meeting) => apply_meeting(tx, delivery, meeting).await?,
        WebhookEffect::Deauthorized(gone) => apply_deauthorization(tx, delivery, gone).await?,
        WebhookEffect::Notice(notice) => {
            record_notice(tx, delivery, notice).await?;
            return Ok(Recorded::NoChange);
        }
        WebhookEffect::Other => return Ok(Recorded::NoChange),
    };
    let (effect, stream_id) = (outcome_of(reason), delivery.announcement.stream_id());
    // Not written for a webhook about a stream: the stream's row names the session.
    let session = subject.session.filter(|_| stream_id.is_none()).map(|id| id.to_string());
    let values =
        binds![&*delivery.digest, effect.as_str(), reason.as_str(), session, subject.installation];
    tx.execute(sql::MARK_DELIVERY, values).await?;
    Ok(match (effect, stream_id.cloned(), subject.session) {
        (WebhookOutcome::Changed, Some(stream_id), Some(session_id)) => {
            Recorded::Changed { stream_id, session_id }
        }
        (_, None, Some(session)) => Recorded::Session(session),
        _ if is_late_start(delivery, reason) => Recorded::AlreadyEnded,
        _ => Recorded::NoChange,
    })
}

/// The session and the installation that a webhook is about, whether or not it changed them.
#[derive(Default)]
struct Subject {
    session: Option<SessionId>,
    installation: Option<String>,
}

impl Subject {
    fn session(id: SessionId) -> Self {
        Self { session: Some(id), installation: None }
    }
}

/// The reason of a webhook's row before the webhook is applied.
pub(super) fn reason_at_first(effect: &WebhookEffect) -> Option<WebhookReason> {
    effect.is_none().then_some(WebhookReason::NotHandled)
}

fn is_late_start(delivery: &Delivery, reason: WebhookReason) -> bool {
    let is_start = matches!(delivery.announcement, WebhookEffect::Started(_));
    is_start && reason == WebhookReason::StreamEnded
}

async fn apply_meeting(
    tx: &mut Connection<'_>,
    delivery: &Delivery,
    meeting: &MeetingChanged,
) -> Result<(WebhookReason, Subject), StoreError> {
    let (at_ms, now_ms) = (delivery.happened_at_ms(), delivery.received_at_ms);
    let changed = change_meeting(tx, &delivery.app, meeting, at_ms, now_ms).await?;
    if !changed.is_kept {
        tx.execute(sql::BLANK_DELIVERY, binds![&*delivery.digest]).await?;
    }
    let reason = match meeting.change {
        MeetingChange::Started => WebhookReason::MeetingStarted,
        MeetingChange::Ended => WebhookReason::MeetingEnded,
    };
    Ok((reason, Subject::session(changed.session)))
}

async fn apply_deauthorization(
    tx: &mut Connection<'_>,
    delivery: &Delivery,
    gone: &Deauthorization,
) -> Result<(WebhookReason, Subject), StoreError> {
    let (at_ms, now_ms) = (delivery.happened_at_ms(), delivery.received_at_ms);
    let forgotten = deauthorize_user(tx, &delivery.app, gone, at_ms, now_ms).await?;
    let reason = match forgotten.is_found {
        true => WebhookReason::AppRemoved,
        false => WebhookReason::UnknownUser,
    };
    Ok((reason, Subject { installation: forgotten.installation, ..Subject::default() }))
}

/// The stream that a webhook names, as the webhook's app sees it.
enum Named {
    Unknown,
    /// Of the app; locked with its session until the transaction ends.
    Own(Box<StreamRecord>),
    /// Another app's, which this webhook must not change.
    Foreign,
}

impl From<Named> for Subject {
    fn from(named: Named) -> Self {
        match named {
            Named::Own(stream) => Subject::session(stream.session_id),
            Named::Unknown | Named::Foreign => Subject::default(),
        }
    }
}

/// Finds and locks the stream that a webhook names. The webhook keeps no trace of another app's stream.
async fn lock_named(
    tx: &mut Connection<'_>,
    delivery: &Delivery,
    stream: &StreamId,
) -> Result<Named, StoreError> {
    let Some(stream) = lock_stream(tx, stream).await? else { return Ok(Named::Unknown) };
    if stream.app == delivery.app {
        return Ok(Named::Own(Box::new(stream)));
    }
    stream_span(&stream).in_scope(|| {
        tracing::warn!(
            sent_by = %delivery.app, event = delivery.event,
            "a webhook names a stream of another app; it is recorded without effect"
        );
    });
    tx.execute(sql::DISOWN_DELIVERY, binds![&*delivery.digest]).await?;
    Ok(Named::Foreign)
}

async fn apply_interrupt(
    tx: &mut Connection<'_>,
    delivery: &Delivery,
    interrupted: &StreamInterrupted,
) -> Result<(WebhookReason, Subject), StoreError> {
    let stream_id = &interrupted.stream_id;
    let stream = lock_named(tx, delivery, stream_id).await?;
    let reason = match &stream {
        Named::Foreign => WebhookReason::OtherAppsStream,
        Named::Unknown => WebhookReason::UnknownStream,
        // A late copy (section 13.5) must not make a healthy stream reconnect.
        Named::Own(_) if is_stale(delivery) => WebhookReason::TooLate,
        Named::Own(_) if is_reported_by_other(tx, delivery, stream_id).await? => {
            WebhookReason::AlreadyKnown
        }
        Named::Own(_) => match tx.execute(sql::NOTE_INTERRUPT, binds![stream_id.as_str()]).await? {
            0 => WebhookReason::StreamEnded,
            _ => WebhookReason::StreamInterrupted,
        },
    };
    if reason != WebhookReason::StreamInterrupted {
        blank_unless_deletable(tx, delivery).await?;
    }
    Ok((reason, stream.into()))
}

/// Whether another delivery with other bytes has reported the same interruption: a second reconnect would interrupt a
/// healthy stream.
async fn is_reported_by_other(
    tx: &mut Connection<'_>,
    delivery: &Delivery,
    stream: &StreamId,
) -> Result<bool, StoreError> {
    let values = binds![stream.as_str(), &*delivery.event, delivery.event_ts_ms, &*delivery.digest];
    let other: Option<(String,)> = tx.optional(sql::INTERRUPT_OF_OTHER, values).await?;
    Ok(other.is_some())
}

/// Assigns a notice to the session that it names, or to the account.
async fn record_notice(
    tx: &mut Connection<'_>,
    delivery: &Delivery,
    notice: &Notice,
) -> Result<(), StoreError> {
    let stream_id = notice.stream_id.as_ref().map(StreamId::as_str);
    let (instance_id, number) = (notice.instance_id.as_deref(), notice.meeting_id.as_deref());
    let named = binds![stream_id, instance_id, number, &delivery.app];
    let session: Option<(String, Option<i64>)> = tx.optional(sql::SESSION_OF_NOTICE, named).await?;
    let (session, erased_at_ms) = session.unzip();
    let values = binds![&*delivery.digest, session, notice.operator_id.as_deref()];
    tx.execute(sql::MARK_NOTICE, values).await?;
    if erased_at_ms.flatten().is_some() {
        tx.execute(sql::BLANK_DELIVERY, binds![&*delivery.digest]).await?;
    }
    Ok(())
}

/// Discards the bodies of late webhooks about a deleted stream, and of webhooks about an unknown stream.
async fn blank_unless_deletable(
    tx: &mut Connection<'_>,
    delivery: &Delivery,
) -> Result<(), StoreError> {
    tx.execute(sql::BLANK_DELIVERY_OF_NO_STREAM, binds![&*delivery.digest]).await.map(drop)
}

/// False if these bytes were recorded before: Zoom repeats a webhook with the same bytes, so the digest recognizes it
/// (section 3.9). A concurrent copy waits here for the first.
async fn insert_delivery(tx: &mut Connection<'_>, delivery: &Delivery) -> Result<bool, StoreError> {
    let values = binds![
        &*delivery.digest,
        &*delivery.event,
        delivery.event_ts_ms,
        delivery.received_at_ms,
        delivery.announcement.stream_id().map(StreamId::as_str),
        body_to_store(delivery),
        &delivery.app,
        reason_at_first(&delivery.announcement).map(WebhookReason::as_str),
        delivery.method.as_str(),
    ];
    Ok(tx.execute(sql::INSERT_DELIVERY, values).await? == 1)
}

/// The body of an event without an effect is not stored: the daemon cannot know which people it names, so no deletion
/// would find it. A deauthorization names a user to be forgotten.
fn body_to_store(delivery: &Delivery) -> &str {
    match delivery.announcement {
        WebhookEffect::Other | WebhookEffect::Deauthorized(_) => "",
        _ => &delivery.body,
    }
}

async fn apply_start(
    tx: &mut Connection<'_>,
    delivery: &Delivery,
    started: &StreamStarted,
) -> Result<(WebhookReason, Subject), StoreError> {
    let stream = match lock_named(tx, delivery, &started.stream_id).await? {
        Named::Own(stream) => stream,
        Named::Foreign => return Ok((StartEffect::Foreign.reason(), Subject::default())),
        Named::Unknown => {
            let session_id = insert_stream(tx, delivery, started).await?;
            return Ok((StartEffect::New.reason(), Subject::session(session_id)));
        }
    };
    let subject = Subject::session(stream.session_id);
    let effect = effect_of_start(&stream, started, delivery.ordered_at_ms());
    let statement = match effect {
        StartEffect::Move => sql::MOVE_STREAM,
        StartEffect::Revive => sql::REVIVE_STREAM,
        StartEffect::New
        | StartEffect::Stale
        | StartEffect::Foreign
        | StartEffect::AlreadyEnded => {
            blank_unless_deletable(tx, delivery).await?;
            return Ok((effect.reason(), subject));
        }
    };
    let values = binds![
        started.stream_id.as_str(),
        &*started.server_urls,
        delivery.ordered_at_ms(),
        started.operator_id.as_deref(),
    ];
    tx.execute(statement, values).await?;
    let (session_id, now_ms) = (stream.session_id, delivery.received_at_ms);
    if let Some(host_id) = started.host_id() {
        tx.execute(sql::NOTE_HOST, binds![session_id.to_string(), host_id]).await?;
    }
    confirm_starts(tx, session_id, started.meeting_id.as_deref(), now_ms).await?;
    refresh_session(tx, session_id, now_ms).await?;
    Ok((effect.reason(), subject))
}

async fn insert_stream(
    tx: &mut Connection<'_>,
    delivery: &Delivery,
    started: &StreamStarted,
) -> Result<SessionId, StoreError> {
    let facts = SessionFacts::of_start(started);
    let now_ms = delivery.received_at_ms;
    // Before the upsert, which would otherwise create a second session beside one that a program requested by number.
    adopt_session(tx, &delivery.app, &started.instance, facts.meeting_id).await?;
    let session_id = upsert_session(tx, &delivery.app, &started.instance, &facts, now_ms).await?;
    // The session gets new data, which a later deletion has to find.
    tx.execute(sql::UNERASE_SESSION, binds![session_id.to_string()]).await?;
    let values = binds![
        started.stream_id.as_str(),
        session_id.to_string(),
        &*started.server_urls,
        delivery.ordered_at_ms(),
        delivery.received_at_ms,
        started.operator_id.as_deref(),
    ];
    tx.execute(sql::INSERT_STREAM, values).await?;
    confirm_starts(tx, session_id, started.meeting_id.as_deref(), now_ms).await?;
    refresh_session(tx, session_id, now_ms).await?;
    Ok(session_id)
}
