//! Recordings: their status and files.

use serde_json::json;

use super::database::{Connection, binds, row, transaction};
use super::retention::is_before;
use super::rows;
use super::sessions::read_app_of_session;
use super::spools::SPOOL_LOST_AFTER_MS;
use super::status_events::emit;
use super::{Store, StoreError, sql};
use crate::model::{
    ChannelId, Cutoffs, EventKind, OutgoingEvent, RecordedFile, Recording, RecordingId,
    RecordingStatus, SessionId, Speaker, SpeakerUserId, SpoolId, StreamId, UserId,
};

/// The most rows of files written in one transaction, so that other writers are not held up.
const FILES_AT_ONCE: usize = 200;
/// The recordings examined in one statement.
const RECORDINGS_PER_PAGE: i64 = 200;
/// The most files that an event lists, because recorded pictures are many. The API lists all of them.
const MAX_FILES_LISTED: usize = 100;
/// How long the first try to remove a recording's files again waits, and the longest wait.
const FIRST_DELETION_RETRY_MS: i64 = 10_000;
const LAST_DELETION_RETRY_MS: i64 = 15 * 60_000;

impl Store {
    /// Records that a spool records a stream, once for each id. Returns the row with its part and status.
    pub async fn begin_recording(&self, new: &NewRecording<'_>) -> Result<Recording, StoreError> {
        let id = new.id.to_string();
        let row: RecordingRow = transaction!(self.database, |tx| {
            let values = binds![
                &*id,
                new.session_id.to_string(),
                new.stream_id.as_str(),
                i64::from(new.ordinal),
                new.spool.to_string(),
                new.started_at_ms,
            ];
            tx.execute(sql::INSERT_RECORDING, values).await?;
            // Read, because the insert computes the part and does nothing for a known id.
            tx.one(sql::RECORDING, binds![&*id]).await?
        })?;
        row.try_into()
    }

    /// The current state of a recording; `None` if it was deleted.
    pub async fn recording(&self, id: RecordingId) -> Result<Option<Recording>, StoreError> {
        let row: Option<RecordingRow> =
            self.database.optional(sql::RECORDING, binds![id.to_string()]).await?;
        row.map(Recording::try_from).transpose()
    }

    /// A session's recordings, without those that are being deleted, by stream and part.
    pub async fn recordings_of(&self, id: SessionId) -> Result<Vec<Recording>, StoreError> {
        let rows: Vec<RecordingRow> =
            self.database.all(sql::RECORDINGS_OF_SESSION, binds![id.to_string()]).await?;
        Ok(rows::readable_rows(rows))
    }

    /// The recordings that a spool's daemon still has to finish.
    pub async fn unfinished_recordings(
        &self,
        spool: SpoolId,
    ) -> Result<Vec<Recording>, StoreError> {
        let rows: Vec<RecordingRow> =
            self.database.all(sql::UNFINISHED_RECORDINGS, binds![spool.to_string()]).await?;
        Ok(rows::readable_rows(rows))
    }

    /// Recordings with files that the daemon of this spool has to delete, oldest first. Includes those of lost spools,
    /// and all that are stored where every daemon reaches the files: not in a folder. `is_shared` says so of recordings
    /// without a known target.
    pub async fn recordings_to_delete(
        &self,
        spool: Option<SpoolId>,
        is_shared: bool,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Recording>, StoreError> {
        let spool = spool.map(|spool| spool.to_string()).unwrap_or_default();
        let values = binds![
            spool,
            i64::from(is_shared),
            now_ms - SPOOL_LOST_AFTER_MS,
            i64::from(limit),
            now_ms,
            now_ms.saturating_add(LAST_DELETION_RETRY_MS),
        ];
        let rows: Vec<RecordingRow> = self.database.all(sql::RECORDINGS_TO_DELETE, values).await?;
        Ok(rows::readable_rows(rows))
    }

    /// Notes that a recording's files could not be removed. [`Store::recordings_to_delete`] leaves it out for a time that
    /// doubles with each failure, from 10 seconds to 15 minutes, so that others get their turn.
    pub async fn defer_recording_deletion(
        &self,
        recording: &Recording,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        // Seven doublings of 10 s exceed the longest wait. The bound keeps the shift from overflowing.
        let doubled = FIRST_DELETION_RETRY_MS << recording.failed_deletions.min(7);
        let due_at_ms = now_ms.saturating_add(doubled.min(LAST_DELETION_RETRY_MS));
        let values = binds![recording.id.to_string(), due_at_ms];
        self.database.execute(sql::DEFER_RECORDING_DELETION, values).await.map(drop)
    }

    /// Stores where a recording's files go: a URL without credentials, or a folder.
    pub async fn set_recording_target(
        &self,
        id: RecordingId,
        target: &str,
    ) -> Result<(), StoreError> {
        self.database
            .execute(sql::SET_RECORDING_TARGET, binds![id.to_string(), target])
            .await
            .map(drop)
    }

    /// Moves a recording from one status to the next. False if it did not have the first: its deletion was requested,
    /// or this call is a repetition.
    pub async fn move_recording(
        &self,
        id: RecordingId,
        from: RecordingStatus,
        to: RecordingStatus,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let values = binds![id.to_string(), from.as_str(), to.as_str(), now_ms];
        Ok(self.database.execute(sql::MOVE_RECORDING, values).await? > 0)
    }

    /// Requests the deletion of recordings stored before their app's time, in small transactions. Returns how many.
    pub async fn expire_recordings(&self, cutoffs: &Cutoffs) -> Result<u64, StoreError> {
        let Some(latest_ms) = cutoffs.latest() else { return Ok(0) };
        let (mut after, mut expired) = (String::new(), 0);
        loop {
            let values = binds![latest_ms, &*after, RECORDINGS_PER_PAGE];
            let page: Vec<OldRecording> =
                self.database.all(sql::RECORDINGS_TO_EXPIRE, values).await?;
            let Some(last) = page.last() else { return Ok(expired) };
            after = last.id.clone();
            expired += transaction!(self.database, |tx| {
                let mut rows = 0;
                for old in page.iter().filter(|old| is_before(cutoffs, &old.app, old.at_ms)) {
                    rows += tx.execute(sql::EXPIRE_RECORDING, binds![&*old.id]).await?;
                }
                rows
            })?;
        }
    }

    /// Writes the files of a recording; updates those that exist.
    pub async fn write_recorded_files(
        &self,
        recording: &Recording,
        files: &[RecordedFile],
    ) -> Result<(), StoreError> {
        for some in files.chunks(FILES_AT_ONCE) {
            transaction!(self.database, |tx| {
                for file in some {
                    write_file(&mut tx, recording, file).await?;
                }
            })?;
        }
        Ok(())
    }

    /// Marks a recording as complete: its list of files is final. False if its deletion is requested.
    pub async fn finish_recording(
        &self,
        recording: &Recording,
        files: &[RecordedFile],
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        self.write_recorded_files(recording, files).await?;
        let id = recording.id.to_string();
        self.database.execute(sql::DROP_EMPTY_RECORDED_FILES, binds![&*id]).await?;
        let (from, to) = (RecordingStatus::Recording, RecordingStatus::Uploading);
        self.move_recording(recording.id, from, to, now_ms).await
    }

    /// Marks a recording as uploaded and emits the event for outgoing webhooks. False if its deletion is requested, or
    /// this call is a repetition.
    pub async fn store_recording(
        &self,
        recording: &Recording,
        files: &[RecordedFile],
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let (from, to) = (RecordingStatus::Uploading, RecordingStatus::Stored);
        let values = binds![recording.id.to_string(), from.as_str(), to.as_str(), now_ms];
        let event = ready_event(recording, files, now_ms);
        transaction!(self.database, |tx| {
            let is_moved = tx.execute(sql::MOVE_RECORDING, values).await? > 0;
            if is_moved {
                let app = read_app_of_session(&mut tx, recording.session_id).await?;
                emit(&mut tx, &OutgoingEvent { app, ..event.clone() }, now_ms).await?;
            }
            is_moved
        })
    }

    /// A recording's files, by name.
    pub async fn recorded_files(&self, id: RecordingId) -> Result<Vec<RecordedFile>, StoreError> {
        let rows: Vec<FileRow> =
            self.database.all(sql::RECORDED_FILES, binds![id.to_string()]).await?;
        rows.into_iter().map(|row| Ok(row.read()?.1)).collect()
    }

    /// Up to `limit` files of a session's recordings, each with its recording.
    pub async fn recorded_files_of(
        &self,
        id: SessionId,
        limit: u32,
    ) -> Result<Vec<(RecordingId, RecordedFile)>, StoreError> {
        let values = binds![id.to_string(), i64::from(limit)];
        let rows: Vec<FileRow> = self.database.all(sql::RECORDED_FILES_OF_SESSION, values).await?;
        rows.into_iter().map(FileRow::read).collect()
    }

    /// The file of a session with this name in the API, and its recording.
    pub async fn recorded_file(
        &self,
        session: SessionId,
        api_name: &str,
    ) -> Result<Option<(Recording, RecordedFile)>, StoreError> {
        let values = binds![session.to_string(), api_name];
        let row: Option<FileRow> = self.database.optional(sql::RECORDED_FILE, values).await?;
        let Some((id, file)) = row.map(FileRow::read).transpose()? else { return Ok(None) };
        // A second statement: the recording may have been deleted since the first.
        let recording = self.recording(id).await?;
        let shown = recording.filter(|recording| recording.status != RecordingStatus::Deleting);
        Ok(shown.map(|recording| (recording, file)))
    }

    /// Requests the deletion of all recordings of a session. They are no longer listed, and the daemons that have their
    /// files remove them. Returns how many.
    pub async fn delete_recordings_of(&self, session: SessionId) -> Result<u64, StoreError> {
        self.database.execute(sql::DELETE_RECORDINGS_OF_SESSION, binds![session.to_string()]).await
    }

    /// Deletes the row of a recording after its files are removed.
    pub async fn forget_recording(&self, id: RecordingId) -> Result<(), StoreError> {
        transaction!(self.database, |tx| {
            // The files first: their foreign key refers to the recording.
            tx.execute(sql::FORGET_RECORDED_FILES, binds![id.to_string()]).await?;
            tx.execute(sql::FORGET_RECORDING, binds![id.to_string()]).await?;
        })?;
        self.note_deleted();
        Ok(())
    }
}

/// A new recording.
#[derive(Debug, Clone)]
pub struct NewRecording<'a> {
    pub id: RecordingId,
    pub session_id: SessionId,
    pub stream_id: &'a StreamId,
    pub ordinal: u32,
    pub spool: SpoolId,
    pub started_at_ms: i64,
}

fn ready_event(recording: &Recording, files: &[RecordedFile], now_ms: i64) -> OutgoingEvent {
    let file = |file: &RecordedFile| {
        json!({
            "file": file.api_name, "medium": file.medium, "content_type": file.content_type,
            "bytes": file.bytes, "sha256": file.sha256,
        })
    };
    let data = json!({
        "session_id": recording.session_id,
        "stream_id": recording.stream_id,
        "ordinal": recording.ordinal,
        // Deprecated: the former name of `ordinal`, sent for one more release.
        "stream": recording.ordinal,
        "recording_id": recording.id,
        "part": recording.part,
        "files": files.iter().take(MAX_FILES_LISTED).map(file).collect::<Vec<_>>(),
        "file_count": files.len(),
    });
    OutgoingEvent::new(EventKind::RecordingReady, &recording.id.to_string(), now_ms, data)
        .in_session(recording.session_id)
        .in_stream(&recording.stream_id)
}

/// Deletes the recordings of a stream along with its entries.
pub(super) async fn delete_recordings_of_stream(
    tx: &mut Connection<'_>,
    stream: &str,
) -> Result<u64, StoreError> {
    // The names go at once, because removing the files can take long.
    tx.execute(sql::FORGET_RECORDED_NAMES, binds![stream]).await?;
    tx.execute(sql::DELETE_RECORDINGS_OF_STREAM, binds![stream]).await
}

async fn write_file(
    tx: &mut Connection<'_>,
    recording: &Recording,
    file: &RecordedFile,
) -> Result<(), StoreError> {
    let (user_id, user_text) = match &file.speaker.user_id {
        // Zoom's user ids have eight digits: one beyond `i64` belongs to no one.
        Some(SpeakerUserId::Number(number)) => (i64::try_from(number.0).ok(), None),
        Some(SpeakerUserId::Text(text)) => (None, Some(&**text)),
        None => (None, None),
    };
    let values = binds![
        recording.id.to_string(),
        &*file.name,
        recording.session_id.to_string(),
        &*file.api_name,
        &*file.path,
        &*file.medium,
        user_id,
        file.speaker.name.as_deref(),
        &*file.content_type,
        i64::try_from(file.bytes).unwrap_or(i64::MAX),
        &*file.sha256,
        file.first_ms,
        file.last_ms,
        user_text,
        file.speaker.channel_id.as_ref().map(ChannelId::as_str),
    ];
    tx.execute(sql::UPSERT_RECORDED_FILE, values).await.map(drop)
}

row! {
    /// An old recording, and when it was stored; of a failed one, when it began.
    struct OldRecording {
        id: String,
        at_ms: i64,
        app: String,
    }
}

row! {
    struct RecordingRow {
        id: String,
        app: String,
        session_id: String,
        stream_id: String,
        ordinal: i64,
        part: i64,
        spool: String,
        status: String,
        started_at_ms: i64,
        finished_at_ms: Option<i64>,
        stored_at_ms: Option<i64>,
        target: Option<String>,
        failed_deletions: i64,
    }
}

impl TryFrom<RecordingRow> for Recording {
    type Error = StoreError;

    fn try_from(row: RecordingRow) -> Result<Self, StoreError> {
        let uuid = |text: &str| uuid::Uuid::try_parse(text).ok();
        Ok(Self {
            id: rows::read_text("recording id", &row.id, RecordingId::parse)?,
            app: rows::app_name(&row.app)?,
            session_id: rows::session_id(&row.session_id)?,
            stream_id: rows::stream_id(&row.stream_id)?,
            ordinal: rows::read_number("ordinal", row.ordinal)?,
            part: rows::read_number("part", row.part)?,
            spool: SpoolId(rows::read_text("spool", &row.spool, uuid)?),
            status: rows::read_text("recording status", &row.status, RecordingStatus::parse)?,
            started_at_ms: row.started_at_ms,
            finished_at_ms: row.finished_at_ms,
            stored_at_ms: row.stored_at_ms,
            target: row.target,
            failed_deletions: rows::read_number("failed deletions", row.failed_deletions)?,
        })
    }
}

row! {
    struct FileRow {
        recording_id: String,
        name: String,
        api_name: String,
        path: String,
        medium: String,
        user_id: Option<i64>,
        user_name: Option<String>,
        content_type: String,
        bytes: i64,
        sha256: String,
        first_ms: Option<i64>,
        last_ms: Option<i64>,
        user_text: Option<String>,
        channel_id: Option<String>,
    }
}

impl FileRow {
    fn read(self) -> Result<(RecordingId, RecordedFile), StoreError> {
        let id = rows::read_text("recording id", &self.recording_id, RecordingId::parse)?;
        let number = self.user_id.map(|id| rows::read_number("user id", id)).transpose()?;
        let text = self.user_text.as_deref().and_then(SpeakerUserId::text);
        let user_id = text.or(number.map(UserId).map(SpeakerUserId::Number));
        let channel_id = self.channel_id.as_deref().and_then(ChannelId::new);
        let file = RecordedFile {
            name: self.name,
            api_name: self.api_name,
            path: self.path,
            medium: self.medium,
            speaker: Speaker { user_id, name: self.user_name, channel_id },
            content_type: self.content_type,
            bytes: rows::read_number("bytes", self.bytes)?,
            sha256: self.sha256,
            first_ms: self.first_ms,
            last_ms: self.last_ms,
        };
        Ok((id, file))
    }
}
