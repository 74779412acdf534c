//! Stored rows and their conversion into the model's types.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::database::row;
use super::{StoreError, sql};
use crate::model::{
    Action, ActionId, ActionRecord, ActionStatus, Answer, AppName, AppScope, Content, Entry,
    EntryBody, EventKind, IdKey, Instance, Outcome, OutgoingEvent, Product, Session, SessionId,
    SessionStatus, StopReason, StreamId, StreamRecord, StreamStatus, UserId,
};

row! {
    pub(super) struct SessionRow {
        id: String,
        app: String,
        product: String,
        id_key: String,
        instance_id: String,
        account_id: Option<String>,
        meeting_id: Option<String>,
        operator_id: Option<String>,
        host_id: Option<String>,
        participant_user_id: Option<String>,
        installation_id: Option<String>,
        metadata: Option<String>,
        media: Option<String>,
        status: String,
        meeting_started_at_ms: Option<i64>,
        meeting_ended_at_ms: Option<i64>,
        created_at_ms: i64,
        updated_at_ms: i64,
        ended_at_ms: Option<i64>,
    }
}

row! {
    pub(super) struct StreamRow {
        stream_id: String,
        session_id: String,
        app: String,
        ordinal: i64,
        product: String,
        id_key: String,
        instance_id: String,
        server_urls: String,
        event_ts_ms: i64,
        generation: i64,
        epoch: i64,
        interrupts: i64,
        status: String,
        stop_seen_at_ms: Option<i64>,
        stop_reason: Option<i64>,
        outcome: Option<String>,
        first_packet_ms: Option<i64>,
        tally: String,
        unknown_messages: String,
        unreadable_messages: String,
        media: Option<String>,
        effective: Option<String>,
        video_user_id: Option<i64>,
        ledger: String,
        created_at_ms: i64,
        ended_at_ms: Option<i64>,
    }
}

row! {
    pub(super) struct ActionRow {
        id: String,
        session_id: String,
        action: String,
        asked_by: String,
        cause: Option<String>,
        status: String,
        asked_at_ms: i64,
        due_at_ms: Option<i64>,
        attempts: i64,
        answered_at_ms: Option<i64>,
        answer: Option<String>,
    }
}

row! {
    /// A stream and the number of its last entry.
    pub(super) struct HeadRow {
        pub stream_id: String,
        pub ordinal: i64,
        pub last_seq: i64,
    }
}

row! {
    pub(super) struct EntryRow {
        pub seq: i64,
        pub kind: String,
        pub at_ms: i64,
        pub body: String,
    }
}

row! {
    pub(super) struct EventRow {
        pub(super) id: String,
        pub(super) kind: String,
        pub(super) at_ms: i64,
        app: Option<String>,
        session_id: Option<String>,
        stream_id: Option<String>,
        seq: Option<i64>,
        data: Option<String>,
    }
}

/// How many rows or columns could not be read since the process started.
static PASSED_OVER: AtomicU64 = AtomicU64::new(0);

/// Rows that this version cannot read are skipped, so that one of them does not block others.
pub(super) fn passed_over() -> u64 {
    PASSED_OVER.load(Ordering::Relaxed)
}

fn pass_over(error: &StoreError) {
    let total = PASSED_OVER.fetch_add(1, Ordering::Relaxed) + 1;
    tracing::error!(%error, total, "cannot read a row; it is skipped");
}

/// The readable rows; the others are skipped.
pub(super) fn readable_rows<R, T: TryFrom<R, Error = StoreError>>(rows: Vec<R>) -> Vec<T> {
    rows.into_iter().filter_map(|row| or_passed_over(T::try_from(row))).collect()
}

/// `None` for a row that cannot be read.
pub(super) fn or_passed_over<T>(read: Result<T, StoreError>) -> Option<T> {
    read.inspect_err(pass_over).ok()
}

impl EntryRow {
    /// Converts the row to an entry.
    ///
    /// # Errors
    /// This version cannot read the row.
    pub(super) fn into_entry(
        self,
        session_id: SessionId,
        stream_id: StreamId,
        stream_ordinal: u32,
    ) -> Result<Entry, StoreError> {
        // serde_json's message could quote the text of a transcript.
        let body: EntryBody = serde_json::from_str(&self.body)
            .map_err(|_| unreadable_row(format_args!("entry {} of {stream_id}", self.seq)))?;
        let seq = read_number("seq", self.seq)?;
        Ok(Entry { session_id, stream_id, stream_ordinal, seq, at_ms: self.at_ms, body })
    }

    /// An entry that cannot be read keeps its number, so that readers continue after it.
    pub(super) fn into_entry_or_place(
        self,
        session_id: SessionId,
        stream_id: StreamId,
        stream_ordinal: u32,
    ) -> Result<Entry, StoreError> {
        let (seq, at_ms) = (read_number("seq", self.seq)?, self.at_ms);
        let what = self.kind.clone().into();
        let read = self.into_entry(session_id, stream_id.clone(), stream_ordinal);
        Ok(or_passed_over(read).unwrap_or_else(|| {
            let body = EntryBody::NotKept { what };
            Entry { session_id, stream_id, stream_ordinal, seq, at_ms, body }
        }))
    }
}

impl TryFrom<SessionRow> for Session {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let metadata = row.metadata.and_then(|text| read_json("metadata", &row.id, &text));
        let media = row.media.and_then(|text| read_json("media", &row.id, &text));
        Ok(Session {
            id: session_id(&row.id)?,
            app: app_name(&row.app)?,
            instance: read_instance(&row.product, &row.id_key, &row.instance_id)?,
            account_id: row.account_id,
            meeting_id: row.meeting_id,
            operator_id: row.operator_id,
            host_id: row.host_id,
            participant_user_id: row.participant_user_id,
            installation_id: row.installation_id,
            metadata,
            media,
            meeting_started_at_ms: row.meeting_started_at_ms,
            meeting_ended_at_ms: row.meeting_ended_at_ms,
            status: read_text("session status", &row.status, SessionStatus::parse)?,
            created_at_ms: row.created_at_ms,
            updated_at_ms: row.updated_at_ms,
            ended_at_ms: row.ended_at_ms,
        })
    }
}

impl TryFrom<StreamRow> for StreamRecord {
    type Error = StoreError;

    fn try_from(row: StreamRow) -> Result<Self, StoreError> {
        let outcome = row.outcome.map(|text| read_text("outcome", &text, Outcome::parse));
        let media = row.media.and_then(|text| read_json("media", &row.stream_id, &text));
        let effective =
            row.effective.and_then(|text| read_json("effective media", &row.stream_id, &text));
        Ok(StreamRecord {
            stream_id: stream_id(&row.stream_id)?,
            session_id: session_id(&row.session_id)?,
            app: app_name(&row.app)?,
            ordinal: read_number("ordinal", row.ordinal)?,
            instance: read_instance(&row.product, &row.id_key, &row.instance_id)?,
            server_urls: row.server_urls,
            event_ts_ms: row.event_ts_ms,
            generation: row.generation,
            epoch: row.epoch,
            interrupts: row.interrupts,
            status: read_text("stream status", &row.status, StreamStatus::parse)?,
            stop_seen_at_ms: row.stop_seen_at_ms,
            stop_reason: row.stop_reason.map(StopReason),
            outcome: outcome.transpose()?,
            first_packet_ms: row.first_packet_ms,
            tally: read_figures("tally", &row.stream_id, &row.tally),
            unknown_messages: read_figures(
                "unknown messages",
                &row.stream_id,
                &row.unknown_messages,
            ),
            unreadable_messages: read_figures(
                "unreadable messages",
                &row.stream_id,
                &row.unreadable_messages,
            ),
            media,
            effective,
            video_user_id: video_user_id(row.video_user_id)?,
            ledger: read_figures("ledger", &row.stream_id, &row.ledger),
            created_at_ms: row.created_at_ms,
            ended_at_ms: row.ended_at_ms,
        })
    }
}

pub(super) fn video_user_id(id: Option<i64>) -> Result<Option<UserId>, StoreError> {
    id.map(|id| read_number("video user id", id).map(UserId)).transpose()
}

impl TryFrom<ActionRow> for ActionRecord {
    type Error = StoreError;

    fn try_from(row: ActionRow) -> Result<Self, StoreError> {
        let answer: Option<Answer> =
            row.answer.and_then(|text| read_json("answer", &row.id, &text));
        Ok(ActionRecord {
            id: action_id(&row.id)?,
            session_id: session_id(&row.session_id)?,
            action: read_text("action", &row.action, Action::parse)?,
            asked_by: row.asked_by,
            cause: row.cause,
            status: read_text("action status", &row.status, ActionStatus::parse)?,
            asked_at_ms: row.asked_at_ms,
            due_at_ms: row.due_at_ms,
            attempts: read_number("attempts", row.attempts)?,
            answered_at_ms: row.answered_at_ms,
            answer,
        })
    }
}

impl TryFrom<EventRow> for OutgoingEvent {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        let data = || -> Result<Value, StoreError> {
            let text = row.data.as_deref().unwrap_or("null");
            serde_json::from_str(text).map_err(|_| StoreError::Row(format!("event {}", row.id)))
        };
        let content = match row.seq {
            Some(seq) => Content::Entry { seq: read_number("seq", seq)? },
            None => Content::Data(data()?),
        };
        Ok(Self {
            kind: read_text("event kind", &row.kind, EventKind::parse)?,
            at_ms: row.at_ms,
            app: row.app.as_deref().map(app_name).transpose()?,
            session_id: row.session_id.as_deref().map(session_id).transpose()?,
            stream_id: row.stream_id.as_deref().map(stream_id).transpose()?,
            content,
            id: row.id,
        })
    }
}

pub(super) fn action_id(text: &str) -> Result<ActionId, StoreError> {
    read_text("action id", text, |text| Uuid::try_parse(text).ok().map(ActionId))
}

pub(super) fn app_name(text: &str) -> Result<AppName, StoreError> {
    read_text("app", text, |text| AppName::parse(text).ok())
}

/// Formats the apps for a column or a filter; `None` for all.
pub(super) fn apps_text(apps: &AppScope) -> Option<String> {
    Some(sql::between_commas(apps.names()?.iter().map(AppName::as_str)))
}

/// A pattern for `LIKE … ESCAPE '!'` that finds this text anywhere.
pub(super) fn like_pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for char in text.chars() {
        if "%_!".contains(char) {
            pattern.push('!');
        }
        pattern.push(char);
    }
    pattern.push('%');
    pattern
}

/// Parses the column. A name that this version cannot read must not widen the scope: it is left out.
pub(super) fn read_apps(text: Option<&str>) -> AppScope {
    let names = |text: &str| text.split(',').filter_map(|name| AppName::parse(name).ok()).collect();
    text.map_or(AppScope::All, |text| AppScope::Only(names(text)))
}

pub(super) fn session_id(text: &str) -> Result<SessionId, StoreError> {
    read_text("session id", text, SessionId::parse)
}

pub(super) fn stream_id(text: &str) -> Result<StreamId, StoreError> {
    read_text("stream id", text, |text| StreamId::parse(text).ok())
}

pub(super) fn read_number<T: TryFrom<i64>>(what: &str, number: i64) -> Result<T, StoreError> {
    T::try_from(number).map_err(|_| unreadable_row(format_args!("{what} {number}")))
}

fn read_instance(product: &str, key: &str, id: &str) -> Result<Instance, StoreError> {
    let product = read_text("product", product, Product::parse)?;
    let key = read_text("id key", key, IdKey::parse)?;
    read_text("instance id", id, |id| Instance::new(product, key, id).ok())
}

pub(super) fn read_text<T>(
    what: &str,
    text: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, StoreError> {
    parse(text).ok_or_else(|| unreadable_row(format_args!("{what} {text:?}")))
}

/// A value as JSON, as its column holds it.
pub(super) fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("names, texts and numbers become JSON")
}

/// A column that cannot be read counts as absent; the rest of its row stays usable. The value is not logged, because it
/// could hold what people said.
fn read_json<T: DeserializeOwned>(what: &str, of: &str, text: &str) -> Option<T> {
    let read =
        serde_json::from_str(text).map_err(|_| unreadable_row(format_args!("{what} of {of}")));
    or_passed_over(read)
}

/// Counters that cannot be read restart at zero.
fn read_figures<T: DeserializeOwned + Default>(what: &str, of: &str, text: &str) -> T {
    read_json(what, of, text).unwrap_or_default()
}

fn unreadable_row(what: std::fmt::Arguments<'_>) -> StoreError {
    StoreError::Row(what.to_string())
}

#[cfg(test)]
mod tests {
    use super::like_pattern;

    #[test]
    fn wildcards_in_a_search_stand_for_themselves() {
        assert_eq!(like_pattern("meeting.rtms_started"), "%meeting.rtms!_started%");
        assert_eq!(like_pattern("100%!"), "%100!%!!%");
    }
}
