//! Streams: read, updated while they run, ended once.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::actions::confirm_stops;
use super::audit::insert_audit;
use super::database::{Connection, binds, transaction};
use super::deletions::ask_stream_deletion;
use super::entries::insert_entries;
use super::erase_events::blank_some_answers;
use super::handovers::close_offers;
use super::recordings::delete_recordings_of_stream;
use super::rows::{self, StreamRow};
use super::sessions::refresh_session;
use super::status_events::emit_stream;
use super::{Append, Store, StoreError, sql};
use crate::model::{
    AuditRow, Entry, EntryBody, Outcome, SessionId, StopReason, StreamId, StreamRecord,
    StreamStatus,
};

static STREAMS_OF_SESSIONS: LazyLock<String> = LazyLock::new(sql::streams_of_sessions);

/// How many revoked streams are reported at once; more are found by polling.
const MAX_REVOKED: i64 = 1000;

impl Store {
    /// The revoked streams that still run.
    pub async fn revoked_streams(&self) -> Result<Vec<StreamId>, StoreError> {
        let rows: Vec<(String,)> =
            self.database.all(sql::REVOKED_STREAMS, binds![MAX_REVOKED]).await?;
        rows.iter().map(|(id,)| rows::stream_id(id)).collect()
    }

    /// The current state of a stream; `None` if no webhook has named it.
    pub async fn stream(&self, stream: &StreamId) -> Result<Option<StreamRecord>, StoreError> {
        let row: Option<StreamRow> =
            self.database.optional(sql::STREAM, binds![stream.as_str()]).await?;
        row.map(StreamRecord::try_from).transpose()
    }

    /// A session's streams, by ordinal.
    pub async fn streams_of(&self, id: SessionId) -> Result<Vec<StreamRecord>, StoreError> {
        let values = binds![id.to_string()];
        let rows: Vec<StreamRow> = self.database.all(sql::STREAMS_OF_SESSION, values).await?;
        Ok(rows::readable_rows(rows))
    }

    /// The streams of these sessions, by session and ordinal.
    pub async fn streams_of_all(
        &self,
        ids: &[SessionId],
    ) -> Result<HashMap<SessionId, Vec<StreamRecord>>, StoreError> {
        let mut streams: HashMap<SessionId, Vec<StreamRecord>> = HashMap::new();
        for binds in sql::padded_ids(ids) {
            let rows: Vec<StreamRow> = self.database.all(&STREAMS_OF_SESSIONS, &binds).await?;
            for stream in rows::readable_rows::<_, StreamRecord>(rows) {
                streams.entry(stream.session_id).or_default().push(stream);
            }
        }
        Ok(streams)
    }

    /// The streams of a session that neither Zoom nor the daemon has ended, by ordinal.
    pub async fn open_streams(&self, id: SessionId) -> Result<Vec<OpenStream>, StoreError> {
        let rows: Vec<(i64, Option<String>, Option<String>)> =
            self.database.all(sql::OPEN_STREAMS, binds![id.to_string()]).await?;
        let read = |(ordinal, operator_id, host_id): (i64, Option<String>, Option<String>)| {
            let ordinal = rows::read_number("ordinal", ordinal)?;
            let is_hosts = operator_id.as_ref().zip(host_id).map(|(user, host)| *user == host);
            Ok(OpenStream { ordinal, operator_id, is_hosts })
        };
        rows.into_iter().map(read).collect()
    }

    /// Ends a stream once, with its last entry: the first outcome stays. With stop reason 8 (revoked), from here or
    /// from the stop webhook, its personal entries are deleted, so write the last entries before.
    ///
    /// `epoch` and `generation` are those that the stream was run with. A stream that another node has claimed since is
    /// not ended, nor is one that Zoom has moved: it continues at its new URLs. Returns the last entry if this call
    /// ended it; otherwise read the stream to see why not (ended before, claimed, moved, unknown).
    pub async fn finish_stream(
        &self,
        stream: &StreamId,
        epoch: i64,
        generation: i64,
        ending: impl Into<Ending>,
        stop_reason: Option<StopReason>,
        now_ms: i64,
    ) -> Result<Option<Entry>, StoreError> {
        let Ending { outcome, detail } = ending.into();
        let end = End { epoch, generation, outcome, detail, stop_reason, now_ms };
        transaction!(self.database, |tx| { end_stream(&mut tx, stream, &end).await? })
    }
}

/// A stream that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenStream {
    /// Which stream of its session this is, from 1.
    pub ordinal: u32,
    /// The Zoom user who started it, if Zoom named one.
    pub operator_id: Option<String>,
    /// Whether the meeting's host started it; `None` if the host or the starting user is unknown.
    pub is_hosts: Option<bool>,
}

/// An outcome and, where a stream could not go on, the cause for people.
#[derive(Debug, Clone)]
pub struct Ending {
    pub outcome: Outcome,
    pub detail: Option<String>,
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, detail: None }
    }
}

/// The end of a stream, as its runner sees it.
struct End {
    epoch: i64,
    generation: i64,
    outcome: Outcome,
    detail: Option<String>,
    stop_reason: Option<StopReason>,
    now_ms: i64,
}

/// Reads a stream and locks it and its session until the transaction ends.
pub(super) async fn lock_stream(
    tx: &mut Connection<'_>,
    stream: &StreamId,
) -> Result<Option<StreamRecord>, StoreError> {
    let session: Option<(String,)> =
        tx.optional(sql::LOCK_SESSION_OF_STREAM, binds![stream.as_str()]).await?;
    match session {
        Some(_) => read_stream(tx, stream).await,
        None => Ok(None),
    }
}

pub(super) async fn read_stream(
    tx: &mut Connection<'_>,
    stream: &StreamId,
) -> Result<Option<StreamRecord>, StoreError> {
    let row: Option<StreamRow> = tx.optional(sql::STREAM, binds![stream.as_str()]).await?;
    row.map(StreamRecord::try_from).transpose()
}

async fn end_stream(
    tx: &mut Connection<'_>,
    stream: &StreamId,
    end: &End,
) -> Result<Option<Entry>, StoreError> {
    let Some(record) = lock_stream(tx, stream).await? else { return Ok(None) };
    let values = binds![
        stream.as_str(),
        end.outcome.as_str(),
        end.stop_reason,
        end.now_ms,
        end.generation,
        end.epoch,
    ];
    let is_ended = tx.execute(sql::END_STREAM, values).await? > 0;
    let last_entry = match is_ended {
        // Before anything is deleted, so that a number that was seen is not assigned again.
        true => Some(write_last_entry(tx, &record, end).await?),
        false => None,
    };
    let is_first_report =
        end.stop_reason.is_some_and(StopReason::is_revoked) && !record.is_revoked();
    // If a webhook revoked the stream while it ran, only the accepted end deletes. A runner with an old epoch may report the
    // same revocation before it.
    if is_first_report || (is_ended && record.is_revoked()) {
        revoke_stream(tx, &record, end.now_ms).await?;
    }
    if is_ended {
        close_offers(tx, stream).await?;
        let reason = end.stop_reason.or(record.stop_reason);
        let how = Some((end.outcome, reason));
        emit_stream(tx, &record, StreamStatus::Ended, how, end.now_ms).await?;
        if end.outcome == Outcome::LeftOut {
            tx.execute(sql::RESTORE_OPERATOR, binds![record.session_id.to_string()]).await?;
        }
        confirm_stops(tx, record.session_id).await?;
        refresh_session(tx, record.session_id, end.now_ms).await?;
    }
    Ok(last_entry)
}

/// A participant revoked the consent (stop reason 8): deletes personal entries at once, records how many, and schedules
/// the deletion of the rest. Signaling and a webhook may both report it; callers skip a report of a revocation that the
/// stream's row already has.
pub(super) async fn revoke_stream(
    tx: &mut Connection<'_>,
    stream: &StreamRecord,
    now_ms: i64,
) -> Result<(), StoreError> {
    let id = stream.stream_id.as_str();
    tx.execute(sql::NOTE_REVOCATION, binds![id]).await?;
    let entries = tx.execute(sql::DELETE_PERSONAL_ENTRIES, binds![id]).await?;
    let recordings = delete_recordings_of_stream(tx, id).await?;
    // Further answers are deleted with the rest.
    blank_some_answers(tx, id).await?;
    let row = AuditRow {
        detail: serde_json::json!({ "entries": entries, "recordings": recordings }),
        ..AuditRow::new(now_ms, "zoom", "stream.revoke", id)
    };
    insert_audit(tx, &row.of_app(&stream.app)).await?;
    ask_stream_deletion(tx, stream, "zoom", now_ms).await
}

/// The entry that closes a stream's log.
async fn write_last_entry(
    tx: &mut Connection<'_>,
    record: &StreamRecord,
    end: &End,
) -> Result<Entry, StoreError> {
    let (last_seq,): (i64,) = tx.one(sql::LAST_SEQ, binds![record.stream_id.as_str()]).await?;
    let entry = Entry {
        session_id: record.session_id,
        stream_id: record.stream_id.clone(),
        stream_ordinal: record.ordinal,
        seq: rows::read_number::<u64>("seq", last_seq)? + 1,
        at_ms: end.now_ms,
        body: EntryBody::Ended {
            outcome: end.outcome.as_str().into(),
            reason: end.stop_reason.or(record.stop_reason),
            detail: end.detail.clone(),
        },
    };
    // The end has raised the epoch.
    let append = Append { epoch: end.epoch + 1, entry, offer: None };
    insert_entries(tx, &[&append]).await?;
    Ok(append.entry)
}
