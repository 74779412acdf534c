//! Sessions: found or created by webhooks, with a status derived from their streams.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::audit::insert_audit;
use super::database::{Connection, binds, row, transaction};
use super::rows::{self, SessionRow, json_text};
use super::status_events::{self, emit_session};
use super::{SessionPage, Store, StoreError, sql};
use crate::model::{
    AppName, AuditRow, Cursor, IdKey, Instance, MeetingChange, MeetingChanged, NewSession, Product,
    Session, SessionId, SessionStatus, StreamStarted, UserId,
};

/// A meeting lasts 30 hours at most: after this time without any event, the number belongs to another session.
const FORGOTTEN_AFTER_MS: i64 = 48 * 60 * 60 * 1000;

impl Store {
    /// One page of sessions, newest first.
    pub async fn sessions(&self, page: &SessionPage) -> Result<Vec<Session>, StoreError> {
        let before = page.before.map(|id| id.to_string());
        let names = || sql::between_commas(page.statuses.iter().map(|status| status.as_str()));
        let (statement, statuses) = match &page.statuses[..] {
            [] => (sql::SESSIONS, None),
            [status] => (sql::SESSIONS_OF_STATUS, Some(status.as_str().to_owned())),
            several if several.iter().all(|status| status.is_under_way()) => {
                (sql::SESSIONS_UNDER_WAY, Some(names()))
            }
            _ => (sql::SESSIONS, Some(names())),
        };
        let search = page.search.as_deref().map(rows::like_pattern);
        let values = binds![
            before,
            statuses,
            i64::from(page.limit),
            rows::apps_text(&page.apps),
            page.product.map(|product| product.as_str()),
            search.as_deref().map(str::to_lowercase),
            search,
        ];
        let rows: Vec<SessionRow> = self.database.all(statement, values).await?;
        Ok(rows::readable_rows(rows))
    }

    /// Creates a session or finds the existing one: the conversation with this id, or the running meeting with this
    /// number. Other fields of `new` replace what was stored.
    pub async fn create_session(
        &self,
        new: &NewSession,
        act: &AuditRow,
    ) -> Result<Made, StoreError> {
        let instance = instance_of(new)?;
        transaction!(self.database, |tx| {
            let made = insert_session(&mut tx, new, &instance, act.at_ms).await?;
            let act = act.on(&made.session.id.to_string()).of_app(&made.session.app);
            insert_audit(&mut tx, &act).await?;
            made
        })
    }

    /// Selects the participant for the individual video of a session's streams, and writes the audit row.
    pub async fn pin_video(
        &self,
        id: SessionId,
        user_id: UserId,
        act: &AuditRow,
    ) -> Result<(), StoreError> {
        let user_id = i64::try_from(user_id.0)
            .map_err(|_| StoreError::Row("a user id beyond the range of Zoom's ids".into()))?;
        let values = binds![id.to_string(), user_id];
        self.execute_audited(sql::PIN_VIDEO, values, act).await.map(drop)
    }

    /// The current state of a session; `None` if the id is unknown.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let values = binds![id.to_string()];
        let row: Option<SessionRow> = self.database.optional(sql::SESSION, values).await?;
        row.map(Session::try_from).transpose()
    }

    /// The app of a session; `None` if the id is unknown.
    pub async fn app_of_session(&self, id: SessionId) -> Result<Option<AppName>, StoreError> {
        self.database
            .run(|| async {
                let mut reader = self.database.reader().await?;
                read_app_of_session(&mut reader.connection(), id).await
            })
            .await
    }

    /// Those of the sessions that exist, by id, with how far their entries go.
    pub async fn known_sessions(
        &self,
        ids: &[SessionId],
    ) -> Result<HashMap<SessionId, KnownSession>, StoreError> {
        let mut known: HashMap<SessionId, KnownSession> = HashMap::new();
        for binds in sql::padded_ids(ids) {
            let rows: Vec<(String, String, String, String, i64, i64)> =
                self.database.all(&KNOWN_SESSIONS, &binds).await?;
            for (id, app, product, status, ordinal, last_seq) in rows {
                let product = rows::read_text("product", &product, Product::parse)?;
                let app = rows::app_name(&app)?;
                let is_ended = status == SessionStatus::Ended.as_str();
                let session = known.entry(rows::session_id(&id)?);
                let newest = Cursor::default();
                let session = session.or_insert(KnownSession { app, product, is_ended, newest });
                let (ordinal, seq) =
                    (rows::read_number("ordinal", ordinal)?, rows::read_number("seq", last_seq)?);
                session.newest.advance(ordinal, seq);
            }
        }
        Ok(known)
    }
}

/// What is known of a session without reading all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSession {
    pub app: AppName,
    pub product: Product,
    pub is_ended: bool,
    /// The position of a reader that has seen every entry.
    pub newest: Cursor,
}

static KNOWN_SESSIONS: LazyLock<String> = LazyLock::new(|| {
    // A session without a stream has one row, with the ordinal 0, which no stream has.
    format!(
        "SELECT sessions.id, sessions.app, sessions.product, sessions.status,
                COALESCE(streams.ordinal, 0),
                COALESCE((SELECT MAX(seq) FROM entries
                           WHERE entries.stream_id = streams.stream_id), 0)
           FROM sessions LEFT JOIN streams ON streams.session_id = sessions.id
          WHERE sessions.id IN ({})",
        sql::id_places()
    )
});

/// The app of a session; `None` if the session was deleted.
pub(super) async fn read_app_of_session(
    tx: &mut Connection<'_>,
    id: SessionId,
) -> Result<Option<AppName>, StoreError> {
    let row: Option<(String,)> = tx.optional(sql::APP_OF_SESSION, binds![id.to_string()]).await?;
    row.map(|(app,)| rows::app_name(&app)).transpose()
}

/// A session that a program requested.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    pub session: Session,
    /// False if it existed already.
    pub is_new: bool,
}

/// The information about a session in a webhook, besides its id.
#[derive(Default)]
pub(super) struct SessionFacts<'a> {
    pub account_id: Option<&'a str>,
    pub meeting_id: Option<&'a str>,
    pub operator_id: Option<&'a str>,
    pub host_id: Option<&'a str>,
}

impl<'a> SessionFacts<'a> {
    pub(super) fn of_start(started: &'a StreamStarted) -> Self {
        Self {
            account_id: started.account_id.as_deref(),
            meeting_id: started.meeting_id.as_deref(),
            operator_id: started.operator_id.as_deref(),
            host_id: started.host_id(),
        }
    }

    pub(super) fn of_meeting(meeting: &'a MeetingChanged) -> Self {
        Self {
            account_id: meeting.account_id.as_deref(),
            meeting_id: meeting.meeting_id.as_deref(),
            operator_id: None,
            host_id: meeting.host_id.as_deref(),
        }
    }
}

/// Finds or creates an app's session of `instance` and locks it until the transaction ends. Fills in the information of
/// the webhook. See [`adopt_session`] for a session that a program created by the meeting's number.
pub(super) async fn upsert_session(
    tx: &mut Connection<'_>,
    app: &AppName,
    instance: &Instance,
    facts: &SessionFacts<'_>,
    now_ms: i64,
) -> Result<SessionId, StoreError> {
    let (product, key) = (instance.product.as_str(), instance.key.as_str());
    let values = binds![
        uuid::Uuid::now_v7().to_string(),
        product,
        key,
        instance.id(),
        facts.account_id,
        facts.meeting_id,
        facts.operator_id,
        now_ms,
        app,
        facts.host_id,
    ];
    let (id,): (String,) = tx.one(sql::UPSERT_SESSION, values).await?;
    rows::session_id(&id)
}

/// Renames an app's session known by its meeting number to the id that Zoom uses.
pub(super) async fn adopt_session(
    tx: &mut Connection<'_>,
    app: &AppName,
    instance: &Instance,
    number: Option<&str>,
) -> Result<(), StoreError> {
    let Some(number) = number else { return Ok(()) };
    let (product, key) = (instance.product.as_str(), instance.key.as_str());
    let values = binds![product, key, instance.id(), number, app];
    // Only meetings and webinars have numbers, which Zoom reuses for later meetings.
    if tx.execute(sql::ADOPT_SESSION, values).await? == 0 && is_meeting(instance.product) {
        tx.execute(sql::ADOPT_EARLIER_SESSION, values).await?;
    }
    Ok(())
}

fn is_meeting(product: Product) -> bool {
    matches!(product, Product::Meeting | Product::Webinar)
}

/// The session of a meeting that began or ended.
pub(super) struct Changed {
    pub session: SessionId,
    /// Whether Zoom's data about people is kept.
    pub is_kept: bool,
}

/// Opens or closes an app's session of a meeting that began or ended at `at_ms`.
pub(super) async fn change_meeting(
    tx: &mut Connection<'_>,
    app: &AppName,
    meeting: &MeetingChanged,
    at_ms: i64,
    now_ms: i64,
) -> Result<Changed, StoreError> {
    adopt_session(tx, app, &meeting.instance, meeting.meeting_id.as_deref()).await?;
    let is_kept = may_keep(tx, app, meeting).await?;
    let facts = if is_kept { SessionFacts::of_meeting(meeting) } else { SessionFacts::default() };
    let id = upsert_session(tx, app, &meeting.instance, &facts, now_ms).await?;
    let (started, ended) = match meeting.change {
        MeetingChange::Started => (Some(at_ms), None),
        MeetingChange::Ended => (None, Some(at_ms)),
    };
    tx.execute(sql::NOTE_MEETING, binds![id.to_string(), started, ended]).await?;
    refresh_session(tx, id, now_ms).await?;
    Ok(Changed { session: id, is_kept })
}

row! {
    /// The stored session before Zoom's update.
    struct KnownRow {
        id: String,
        host_id: Option<String>,
        erased_at_ms: Option<i64>,
    }
}

/// Whether data about people in a meeting's webhook may be stored: not for an erased session. The end of an unknown
/// meeting may be that of a deleted session: it closes the session and names no one.
async fn may_keep(
    tx: &mut Connection<'_>,
    app: &AppName,
    meeting: &MeetingChanged,
) -> Result<bool, StoreError> {
    let values = binds![meeting.instance.product.as_str(), meeting.instance.id(), app];
    let known: Option<KnownRow> = tx.optional(sql::LOCK_SESSION_OF_INSTANCE, values).await?;
    match (known, meeting.change) {
        (Some(KnownRow { erased_at_ms: Some(_), .. }), _) | (None, MeetingChange::Ended) => {
            Ok(false)
        }
        (_, MeetingChange::Started) => Ok(true),
        (Some(KnownRow { id, host_id, .. }), MeetingChange::Ended) => {
            let (streams,): (i64,) = tx.one(sql::STREAMS_WITH_DATA, binds![id]).await?;
            // A session without a host or data may be the rest of a deleted one.
            Ok(host_id.is_some() || streams > 0)
        }
    }
}

async fn insert_session(
    tx: &mut Connection<'_>,
    new: &NewSession,
    instance: &Instance,
    now_ms: i64,
) -> Result<Made, StoreError> {
    let fresh = uuid::Uuid::now_v7().to_string();
    let id = match find_by_number(tx, new, now_ms).await? {
        Some(id) => id,
        None => {
            let values = binds![
                &*fresh,
                instance.product.as_str(),
                instance.key.as_str(),
                instance.id(),
                &*new.meeting_id,
                now_ms,
                &new.app,
            ];
            let (id,): (String,) = tx.one(sql::CREATE_SESSION, values).await?;
            id
        }
    };
    let metadata = new.metadata.as_ref().map(json_text);
    let (participant, installation) =
        (new.participant_user_id.as_deref(), new.installation_id.as_deref());
    let media = new.media.as_ref().map(json_text);
    let values = binds![&*id, participant, installation, metadata, media];
    tx.execute(sql::DESCRIBE_SESSION, values).await?;
    let row: SessionRow = tx.one(sql::SESSION, binds![&*id]).await?;
    // For an existing session, the insert returned that one's id.
    Ok(Made { is_new: id == fresh, session: row.try_into()? })
}

/// Finds the app's running meeting with this number. Other products have no numbers: their ids find them.
async fn find_by_number(
    tx: &mut Connection<'_>,
    new: &NewSession,
    now_ms: i64,
) -> Result<Option<String>, StoreError> {
    let (one, other) = match new.product {
        // A number does not reveal which of the two it belongs to.
        None => (Product::Meeting, Product::Webinar),
        Some(product @ (Product::Meeting | Product::Webinar)) => (product, product),
        Some(Product::VideoSdk | Product::ContactCenter | Product::Phone) => return Ok(None),
    };
    let since_ms = now_ms.saturating_sub(FORGOTTEN_AFTER_MS);
    let values = binds![&*new.meeting_id, one.as_str(), other.as_str(), since_ms, &new.app];
    let found: Option<(String,)> = tx.optional(sql::FIND_SESSION_BY_NUMBER, values).await?;
    Ok(found.map(|(id,)| id))
}

/// The id of a session that no webhook has named.
fn instance_of(new: &NewSession) -> Result<Instance, StoreError> {
    let product = new.product.unwrap_or(Product::Meeting);
    let key = match product {
        Product::Meeting | Product::Webinar => IdKey::MeetingId,
        Product::VideoSdk => IdKey::SessionId,
        Product::ContactCenter => IdKey::EngagementId,
        Product::Phone => IdKey::CallId,
    };
    Instance::new(product, key, &new.meeting_id)
        .map_err(|error| StoreError::Row(format!("the id of a new session {error}")))
}

/// Derives a session's status from its streams after one of them has changed, and emits the event.
pub(super) async fn refresh_session(
    tx: &mut Connection<'_>,
    id: SessionId,
    now_ms: i64,
) -> Result<(), StoreError> {
    let state: Option<(String, Option<String>)> =
        tx.optional(sql::REFRESH_SESSION, binds![id.to_string(), now_ms]).await?;
    match state {
        Some((status, last_emitted)) => {
            emit_status(tx, id, &status, last_emitted.as_deref(), now_ms).await
        }
        None => Ok(()),
    }
}

/// Emits the event of a session that has this status, if its last event was another.
pub(super) async fn emit_status(
    tx: &mut Connection<'_>,
    id: SessionId,
    status: &str,
    last_emitted: Option<&str>,
    now_ms: i64,
) -> Result<(), StoreError> {
    match status_events::of_session(last_emitted, status) {
        Some(kind) => emit_session(tx, id, kind, now_ms).await,
        None => Ok(()),
    }
}
