//! The steps of a deletion: a stream's data, its session's row, and everything else that names a user. In bounded
//! parts, inside the deletion's transactions.

use super::database::{Connection, binds};
use super::erase_events::{
    blank_some_answers, forget_events, forget_some_events_of_stream, rewrite_session_events,
};
use super::recordings::delete_recordings_of_stream;
use super::rows;
use super::sessions::refresh_session;
use super::{StoreError, sql};

/// The most entries deleted in one transaction, so that webhooks are not held up.
const ENTRIES_PER_STEP: u32 = 500;
/// The most webhook bodies deleted in one transaction.
const DELIVERIES_PER_STEP: u32 = 200;

/// Counts of deleted data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Gone {
    pub streams: u64,
    /// Sessions of which only the data that names people was deleted.
    pub sessions: u64,
    pub entries: u64,
    pub deliveries: u64,
    /// Recordings with files that are still to be removed.
    pub recordings: u64,
}

/// A deletion and its user. Its rows were collected when it was requested; later data stays, because the user may have
/// returned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of<'a> {
    /// The deletion's id.
    pub deletion: &'a str,
    /// `None` if the deletion is not about a user.
    pub user_id: Option<&'a str>,
    pub asked_at_ms: i64,
    pub now_ms: i64,
}

/// Deletes part of a stream's entries with `statement`. Returns how many, and whether those were the last.
pub(super) async fn delete_some_entries(
    tx: &mut Connection<'_>,
    stream: &str,
    statement: &'static str,
) -> Result<(u64, bool), StoreError> {
    let values = binds![stream, i64::from(ENTRIES_PER_STEP)];
    let entries = tx.execute(statement, values).await?;
    Ok((entries, entries < u64::from(ENTRIES_PER_STEP)))
}

/// Deletes part of a stream's data. `streams` is 1 if that was the last part. Data that names no one stays until its
/// session is deleted.
pub(super) async fn erase_some_of_stream(
    tx: &mut Connection<'_>,
    stream: &str,
    entries: &'static str,
    of: &Of<'_>,
) -> Result<Gone, StoreError> {
    let (entries, is_empty) = delete_some_entries(tx, stream, entries).await?;
    let mut gone = Gone { entries, ..Gone::default() };
    // Only one kind of data reaches its limit in a transaction: each starts when the one before is gone.
    let is_done = is_empty
        && !forget_some_events_of_stream(tx, stream).await?
        && !blank_some_answers(tx, stream).await?;
    if is_done {
        gone.streams = 1;
        gone.deliveries = tx.execute(sql::BLANK_DELIVERIES, binds![stream]).await?;
        tx.execute(sql::FORGET_OFFERS, binds![stream]).await?;
        delete_recordings_of_stream(tx, stream).await?;
        let (left,): (i64,) = tx.one(sql::RECORDINGS_TO_REMOVE, binds![stream]).await?;
        gone.recordings = left.unsigned_abs();
        tx.execute(sql::ERASE_STREAM, binds![stream, of.user_id, of.now_ms]).await?;
    }
    Ok(gone)
}

/// Erases a session after one of its streams. If no other stream has data, removes everything that names people from
/// the session's row and events; otherwise only what names the user.
pub(super) async fn erase_session(
    tx: &mut Connection<'_>,
    session: &str,
    of: &Of<'_>,
) -> Result<Gone, StoreError> {
    let (streams_with_data,): (i64,) = tx.one(sql::STREAMS_WITH_DATA, binds![session]).await?;
    match (streams_with_data, of.user_id) {
        (0, _) => erase_whole_session(tx, session, of).await,
        (_, Some(user_id)) => forget_user_in_session(tx, session, user_id).await,
        (_, None) => Ok(Gone::default()),
    }
}

/// Removes what names people from a session's row when its deletion is requested.
pub(super) async fn erase_deleted_session(
    tx: &mut Connection<'_>,
    session: &str,
    deletion: &str,
    now_ms: i64,
) -> Result<Gone, StoreError> {
    tx.execute(sql::FORGET_USERS_OF_SESSION, binds![session]).await?;
    tx.execute(sql::DELETE_FORWARDS_OF_SESSION, binds![session]).await?;
    tx.execute(sql::DELETE_RELAY_STREAMS_OF_SESSION, binds![session]).await?;
    tx.execute(sql::DELETE_RELAY_EVENTS_OF_SESSION, binds![session]).await?;
    let of = Of { deletion, user_id: None, asked_at_ms: now_ms, now_ms };
    erase_whole_session(tx, session, &of).await
}

async fn erase_whole_session(
    tx: &mut Connection<'_>,
    session: &str,
    of: &Of<'_>,
) -> Result<Gone, StoreError> {
    tx.execute(sql::ERASE_SESSION, binds![session, of.user_id, of.now_ms]).await?;
    let deliveries = tx.execute(sql::BLANK_DELIVERIES_OF_SESSION, binds![session]).await?;
    tx.execute(sql::FORGET_KEPT_ANSWERS, binds![session]).await?;
    if of.user_id.is_some() {
        tx.execute(sql::DELETE_FORWARDS_OF_SESSION, binds![session]).await?;
        tx.execute(sql::DELETE_RELAY_STREAMS_OF_SESSION, binds![session]).await?;
        tx.execute(sql::DELETE_RELAY_EVENTS_OF_SESSION, binds![session]).await?;
        tx.execute(sql::BLANK_ACTIONS_OF_SESSION, binds![session]).await?;
        let values = binds![session, of.asked_at_ms];
        forget_events(tx, sql::FORGET_EVENTS_ABOUT_SESSION, values).await?;
    }
    rewrite_session_events(tx, session).await?;
    Ok(Gone { sessions: 1, deliveries, ..Gone::default() })
}

async fn forget_user_in_session(
    tx: &mut Connection<'_>,
    session: &str,
    user_id: &str,
) -> Result<Gone, StoreError> {
    let is_named = tx.execute(sql::FORGET_USER_IN_SESSION, binds![session, user_id]).await? > 0;
    if is_named {
        tx.execute(sql::FORGET_KEPT_ANSWERS_NAMING, binds![session, user_id]).await?;
        rewrite_session_events(tx, session).await?;
    }
    Ok(Gone { sessions: u64::from(is_named), ..Gone::default() })
}

/// Deletes part of the data that names a user outside of the user's streams. `None` if nothing is left.
pub(super) async fn erase_some_about_user(
    tx: &mut Connection<'_>,
    user_id: &str,
    of: &Of<'_>,
) -> Result<Option<Gone>, StoreError> {
    let values = binds![user_id, of.deletion];
    let session: Option<(String,)> = tx.optional(sql::SESSION_NAMING_USER, values).await?;
    if let Some((session,)) = session {
        tx.execute(sql::LOCK_SESSION, binds![&*session]).await?;
        return erase_session(tx, &session, of).await.map(Some);
    }
    let values = binds![user_id, of.deletion, i64::from(DELIVERIES_PER_STEP)];
    let deliveries = tx.execute(sql::BLANK_SOME_NOTICES_OF_USER, values).await?;
    if deliveries > 0 {
        return Ok(Some(Gone { deliveries, ..Gone::default() }));
    }
    let values = binds![of.deletion];
    forget_events(tx, sql::FORGET_EVENTS_ABOUT_INSTALLATIONS, values).await?;
    tx.execute(sql::FORGET_ADDRESSES_OF_USER, binds![user_id, of.deletion]).await?;
    Ok(None)
}

/// Deletes a session's rows. Its streams must be empty.
pub(super) async fn delete_rows_of_session(
    tx: &mut Connection<'_>,
    session: &str,
) -> Result<Gone, StoreError> {
    delete_streams_of_session(tx, session, None).await?;
    delete_row_of_session(tx, session).await
}

/// Deletes the rows of a session that a deletion collected. A session that has been used since the request stays,
/// without those rows.
pub(super) async fn delete_collected_rows(
    tx: &mut Connection<'_>,
    session: &str,
    deletion: &str,
    now_ms: i64,
) -> Result<Gone, StoreError> {
    let entries = delete_streams_of_session(tx, session, Some(deletion)).await?;
    let (is_used,): (i64,) = tx.one(sql::SESSION_IS_USED, binds![session, deletion]).await?;
    if is_used > 0 {
        tx.execute(sql::CLOSE_COLLECTED_ACTIONS, binds![session, deletion]).await?;
        refresh_session(tx, rows::session_id(session)?, now_ms).await?;
        return Ok(Gone { entries, ..Gone::default() });
    }
    let gone = delete_row_of_session(tx, session).await?;
    Ok(Gone { entries, ..gone })
}

/// Deletes a session's ended streams with their last entries. Returns the number of these entries.
async fn delete_streams_of_session(
    tx: &mut Connection<'_>,
    session: &str,
    deletion: Option<&str>,
) -> Result<u64, StoreError> {
    // Under the lock, a stream that is announced again either keeps its last entry or starts anew.
    tx.execute(sql::LOCK_SESSION, binds![session]).await?;
    let entries =
        tx.execute(sql::DELETE_LAST_ENTRIES_OF_SESSION, binds![session, deletion]).await?;
    tx.execute(sql::DELETE_STREAMS_OF_SESSION, binds![session, deletion]).await?;
    Ok(entries)
}

async fn delete_row_of_session(tx: &mut Connection<'_>, session: &str) -> Result<Gone, StoreError> {
    let deliveries = tx.execute(sql::BLANK_DELIVERIES_OF_SESSION, binds![session]).await?;
    tx.execute(sql::FORGET_KEPT_ANSWERS, binds![session]).await?;
    tx.execute(sql::DELETE_ACTIONS_OF_SESSION, binds![session]).await?;
    tx.execute(sql::DELETE_SESSION, binds![session]).await?;
    Ok(Gone { deliveries, ..Gone::default() })
}
