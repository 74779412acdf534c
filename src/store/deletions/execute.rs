//! The execution of a deletion, one part in each transaction.

use serde_json::json;

use super::{NOTHING_FOUND, Scope, Subject, add_counts, collect_items, prepare};
use crate::model::{AuditRow, EventKind, OutgoingEvent};
use crate::store::audit::insert_audit;
use crate::store::database::{Connection, binds, row, transaction};
use crate::store::erase::{
    Gone, Of, delete_collected_rows, erase_session, erase_some_about_user, erase_some_of_stream,
};
use crate::store::erase_events::forget_some_of_session;
use crate::store::rows::{app_name, read_text};
use crate::store::status_events::emit;
use crate::store::{Store, StoreError, sql};

/// The value of `is_collected` if the request itself collected the deletion's items and erased its session. Older
/// versions did less.
const PREPARED: i64 = 2;

/// How long a user's deletion waits for the revoked streams of the user to end. A stopped daemon's streams end when
/// another has claimed them.
const WAIT_FOR_STREAMS_MS: i64 = 60_000;

impl Store {
    /// Executes a bounded part of the oldest deletion that can make progress. False if nothing is left to delete or
    /// every deletion waits; an error if no deletion can make progress.
    pub async fn delete_some(&self, now_ms: i64) -> Result<bool, StoreError> {
        let (mut after, mut failed) = (String::new(), None);
        while let Some(id) = self.next_deletion(&after).await? {
            match self.step_deletion(&id, now_ms).await {
                Ok(Step::Waits) => {}
                Ok(step) => {
                    self.note_deleted();
                    if let Step::Over(done) = step {
                        done.log();
                    }
                    return Ok(true);
                }
                // A deletion that fails must not block the others.
                Err(error) => failed = failed.or(Some(error)),
            }
            after = id;
        }
        failed.map_or(Ok(false), Err)
    }

    async fn next_deletion(&self, after: &str) -> Result<Option<String>, StoreError> {
        let next: Option<(String,)> =
            self.database.optional(sql::NEXT_DELETION, binds![after]).await?;
        Ok(next.map(|(id,)| id))
    }

    async fn step_deletion(&self, id: &str, now_ms: i64) -> Result<Step, StoreError> {
        transaction!(self.database, |tx| { delete_part(&mut tx, id, now_ms).await? })
    }
}

row! {
    /// A running deletion and what it has deleted so far.
    struct Pending {
        scope: String,
        subject: String,
        app: String,
        actor: String,
        asked_at_ms: i64,
        after_stream: String,
        streams: i64,
        sessions: i64,
        entries: i64,
        deliveries: i64,
        recordings: i64,
        is_collected: i64,
    }
}

/// A finished deletion.
struct Done {
    id: String,
    scope: Scope,
    gone: Gone,
    is_found: bool,
}

impl Done {
    /// Logs without the subject, because it may be a user's id.
    fn log(&self) {
        let Self { id, scope, gone, is_found } = self;
        let (scope, Gone { streams, sessions, entries, deliveries, recordings }) =
            (scope.as_str(), gone);
        if !is_found {
            tracing::warn!(deletion = id, scope, "a deletion found no data; nothing was deleted");
            return;
        }
        tracing::info!(
            deletion = id,
            scope,
            streams,
            sessions,
            entries,
            deliveries,
            recordings_to_remove = recordings,
            "a deletion is complete"
        );
    }
}

/// The result of executing one part of a deletion.
enum Step {
    /// More of it is left.
    Part,
    /// The user's revoked streams have not ended yet.
    Waits,
    Over(Done),
}

impl Scope {
    /// The statement for the next stream to empty.
    fn next_stream(self) -> &'static str {
        match self {
            Self::User => sql::STREAM_OF_USER_TO_EMPTY,
            Self::Session => sql::STREAM_OF_SESSION_TO_EMPTY,
            Self::Stream => sql::STREAM_TO_EMPTY,
        }
    }

    /// The statement for entries to delete before the rest goes with its session.
    fn entries(self) -> &'static str {
        match self {
            Self::User | Self::Stream => sql::DELETE_SOME_PERSONAL_ENTRIES,
            Self::Session => sql::DELETE_SOME_EARLIER_ENTRIES,
        }
    }
}

/// Whether a user's deletion has to wait for the user's revoked streams, which could still write after its end.
async fn waits(
    tx: &mut Connection<'_>,
    id: &str,
    pending: &Pending,
    now_ms: i64,
) -> Result<bool, StoreError> {
    if now_ms >= pending.asked_at_ms.saturating_add(WAIT_FOR_STREAMS_MS) {
        return Ok(false);
    }
    let values = binds![&*pending.subject, id];
    let (running,): (i64,) = tx.one(sql::RUNNING_STREAMS_OF_USER, values).await?;
    Ok(running > 0)
}

/// Executes one part of a deletion.
async fn delete_part(tx: &mut Connection<'_>, id: &str, now_ms: i64) -> Result<Step, StoreError> {
    let pending: Option<Pending> = tx.optional(sql::LOCK_DELETION, binds![id]).await?;
    // Another daemon has finished it.
    let Some(pending) = pending else { return Ok(Step::Part) };
    let scope = read_text("deletion scope", &pending.scope, Scope::parse)?;
    let app = app_name(&pending.app)?;
    // An older version recorded the request: prepare it now.
    if pending.is_collected < PREPARED {
        if pending.is_collected == 0 {
            collect_items(tx, &Subject { scope, id: &pending.subject, app: &app }, id).await?;
        }
        prepare(tx, scope, id, &pending.subject, now_ms).await?;
        tx.execute(sql::MARK_PREPARED, binds![id]).await?;
        return Ok(Step::Part);
    }
    if scope == Scope::User && waits(tx, id, &pending, now_ms).await? {
        return Ok(Step::Waits);
    }
    let user_id = (scope == Scope::User).then_some(&*pending.subject);
    let of = Of { deletion: id, user_id, asked_at_ms: pending.asked_at_ms, now_ms };
    let values = binds![&*pending.subject, &*pending.after_stream, id];
    let stream: Option<(String,)> = tx.optional(scope.next_stream(), values).await?;
    if let Some((stream,)) = stream {
        let gone = delete_stream_part(tx, scope, &stream, &of).await?;
        // Moves past a stream only when it is empty.
        let after = if gone.streams > 0 { &*stream } else { &*pending.after_stream };
        add_counts(tx, id, after, &gone).await?;
        return Ok(Step::Part);
    }
    if let Some(user_id) = user_id
        && let Some(gone) = erase_some_about_user(tx, user_id, &of).await?
    {
        add_counts(tx, id, &pending.after_stream, &gone).await?;
        return Ok(Step::Part);
    }
    if scope == Scope::Session && forget_some_of_session(tx, &pending.subject, Some(id)).await? {
        return Ok(Step::Part);
    }
    end_deletion(tx, id, &Subject { scope, id: &pending.subject, app: &app }, &pending, now_ms)
        .await
        .map(Step::Over)
}

/// Deletes part of a stream's data. The last part also erases the people that its session names.
async fn delete_stream_part(
    tx: &mut Connection<'_>,
    scope: Scope,
    stream: &str,
    of: &Of<'_>,
) -> Result<Gone, StoreError> {
    let session: Option<(String,)> =
        tx.optional(sql::LOCK_SESSION_OF_STREAM, binds![stream]).await?;
    let mut gone = erase_some_of_stream(tx, stream, scope.entries(), of).await?;
    // Deleting a session has erased it already, in `prepare`.
    if let (Some((session,)), true, true) = (session, gone.streams > 0, scope != Scope::Session) {
        let more = erase_session(tx, &session, of).await?;
        gone.sessions += more.sessions;
        gone.deliveries += more.deliveries;
    }
    Ok(gone)
}

async fn end_deletion(
    tx: &mut Connection<'_>,
    id: &str,
    subject: &Subject<'_>,
    pending: &Pending,
    now_ms: i64,
) -> Result<Done, StoreError> {
    let (scope, mut gone) = (subject.scope, pending.gone());
    if scope == Scope::Session {
        // The session was counted when it was erased.
        let last = delete_collected_rows(tx, &pending.subject, id, now_ms).await?;
        gone.entries += last.entries;
        gone.deliveries += last.deliveries;
    }
    tx.execute(sql::END_DELETION, binds![id]).await?;
    let is_found = gone != Gone::default();
    // The daemon that has a recording's files removes them, which may take longer.
    let data = json!({
        "scope": scope.as_str(), "subject": pending.subject, "recordings_to_remove": gone.recordings,
    });
    let event = OutgoingEvent::new(EventKind::DataDeleted, id, now_ms, data).of_app(subject.app);
    emit(tx, &event, now_ms).await?;
    let audit = AuditRow {
        outcome: if is_found { "ok" } else { NOTHING_FOUND }.to_owned(),
        detail: pending.detail(scope, &gone),
        ..AuditRow::new(now_ms, &pending.actor, "data.deleted", &pending.subject)
    };
    insert_audit(tx, &audit.of_app(subject.app)).await?;
    Ok(Done { id: id.to_owned(), scope, gone, is_found })
}

impl Pending {
    fn gone(&self) -> Gone {
        let count = i64::unsigned_abs;
        Gone {
            streams: count(self.streams),
            sessions: count(self.sessions),
            entries: count(self.entries),
            deliveries: count(self.deliveries),
            recordings: count(self.recordings),
        }
    }

    fn detail(&self, scope: Scope, gone: &Gone) -> serde_json::Value {
        let Gone { streams, sessions, entries, deliveries, recordings } = gone;
        json!({
            "scope": scope.as_str(), "asked_at_ms": self.asked_at_ms, "streams": streams,
            "sessions": sessions, "entries": entries, "deliveries": deliveries,
            "recordings_to_remove": recordings,
        })
    }
}
