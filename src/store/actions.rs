//! Actions: the requests to Zoom about a session, sent and planned.

use serde::Serialize;
use uuid::Uuid;

use super::audit::{ASKED, insert_audit_as, settle_audit};
use super::database::{Bind, Connection, binds, transaction};
use super::rows::{self, ActionRow, json_text};
use super::sessions::refresh_session;
use super::snapshots::lock_snapshot;
use super::{Store, StoreError, sql};
use crate::model::{
    Action, ActionId, ActionRecord, ActionStatus, Answer, AuditRow, InstallationId, MediaPlan,
    Planned, SessionId, SessionSnapshot,
};

/// The most late actions that one call considers; the others follow at the next poll.
const TIME_OUTS_AT_ONCE: i64 = 100;

/// A start that is due within this time is as good as due: it waits for room, or is being considered, which takes two
/// minutes at most. The rest is for daemons with clocks that differ.
const DUE_SOON_MS: i64 = 180_000;
/// Zoom gives a stream up after a minute that nobody joins (rtms-protocol.md section 3.6).
const GIVEN_UP_MS: i64 = 60_000;

/// A row of `MARK_REVIEWED`.
#[derive(Serialize)]
struct ReviewRow {
    session_id: String,
    mark: i64,
}

/// An action that a program requests.
#[derive(Debug, Clone, Copy)]
pub struct Begin<'a> {
    pub session_id: SessionId,
    pub action: Action,
    pub asked_by: &'a str,
    pub now_ms: i64,
    pub until_ms: i64,
    /// The media parameters of the session's next streams; `None` leaves them as they are.
    pub media: Option<&'a MediaPlan>,
    /// Whether a stop drops the starts that are planned.
    pub may_drop_plans: bool,
    /// The audit row; its outcome and detail are written with Zoom's answer.
    pub act: &'a AuditRow,
}

/// An action that has begun.
#[derive(Debug, Clone)]
pub struct Begun {
    pub id: ActionId,
    /// The session before the action.
    pub snapshot: SessionSnapshot,
}

impl Store {
    /// Begins an action that a program requests, if `admit` permits it, and writes its audit row. Nothing else changes
    /// the session in between. Without an answer by `until_ms` the action counts as timed out. `None` if the session is
    /// unknown.
    pub async fn begin_action<R>(
        &self,
        begin: &Begin<'_>,
        admit: impl Fn(&SessionSnapshot) -> Result<(), R>,
    ) -> Result<Option<Result<Begun, R>>, StoreError> {
        let id = ActionId(Uuid::now_v7());
        transaction!(self.database, |tx| {
            let snapshot = lock_snapshot(&mut tx, begin.session_id).await?;
            let Some(snapshot) = snapshot else { return Ok(None) };
            // Before the plans are dropped, because `admit` reports a planned start.
            let admitted = admit(&snapshot);
            // Even if the stop itself is refused: its caller wants no stream.
            if begin.action == Action::Stop && begin.may_drop_plans {
                drop_planned_starts(&mut tx, begin).await?;
            }
            if admitted.is_ok() {
                insert_running(&mut tx, id, begin).await?;
            }
            Some(admitted.map(|()| Begun { id, snapshot }))
        })
    }

    /// Takes back the media `set` of an action that Zoom refused, unless they were changed since.
    pub async fn restore_media(
        &self,
        id: SessionId,
        set: &MediaPlan,
        before: Option<&MediaPlan>,
    ) -> Result<(), StoreError> {
        let values = binds![id.to_string(), json_text(set), before.map(json_text)];
        self.database.execute(sql::RESTORE_MEDIA, values).await.map(drop)
    }

    /// Begins a planned action that this caller has claimed, if `admit` permits it. Nothing else changes the session in
    /// between. `None` if it was settled meanwhile.
    pub async fn admit_action<R>(
        &self,
        action: &ActionRecord,
        admit: impl Fn(&SessionSnapshot) -> Result<(), R>,
        now_ms: i64,
    ) -> Result<Option<Result<SessionSnapshot, R>>, StoreError> {
        transaction!(self.database, |tx| {
            let snapshot = lock_snapshot(&mut tx, action.session_id).await?;
            let Some(snapshot) = snapshot else { return Ok(None) };
            let id = action.id.0.to_string();
            let own: ActionRow = tx.one(sql::ACTION, binds![&*id]).await?;
            if !ActionRecord::try_from(own)?.status.is_open() {
                return Ok(None);
            }
            if let Err(refusal) = admit(&snapshot) {
                return Ok(Some(Err(refusal)));
            }
            tx.execute(sql::RUN_ACTION, binds![&*id]).await?;
            refresh_session(&mut tx, action.session_id, now_ms).await?;
            Some(Ok(snapshot))
        })
    }

    /// Records the outcome of an action. `due_at_ms` is when to review it next.
    pub async fn answer_action(
        &self,
        id: ActionId,
        status: ActionStatus,
        due_at_ms: Option<i64>,
        answer: &Answer,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let text = json_text(answer);
        let values = binds![id.0.to_string(), status.as_str(), due_at_ms, now_ms, &*text];
        transaction!(self.database, |tx| {
            let outcome = answer.code.as_deref().unwrap_or("ok");
            let detail = audit_detail(answer);
            settle_audit(&mut tx, &id.0.to_string(), outcome, &detail).await?;
            // Without an action, its session was deleted meanwhile.
            if let Some(action) = lock_action(&mut tx, id).await? {
                tx.execute(sql::ANSWER_ACTION, values).await?;
                let session_id = action.session_id;
                if action.action == Action::Stop && status == ActionStatus::Accepted {
                    let values = binds![session_id.to_string()];
                    tx.execute(sql::DROP_PENDING_STARTS, values).await?;
                }
                refresh_session(&mut tx, session_id, now_ms).await?;
            }
        })
    }

    /// Returns a planned action that this daemon could not carry out, because it stops or no daemon has room: it is due
    /// at `due_at_ms`, and the attempt does not count.
    pub async fn hand_back_action(
        &self,
        action: &ActionRecord,
        answer: &Answer,
        due_at_ms: i64,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let (id, session_id) = (action.id.0.to_string(), action.session_id);
        let values = binds![&*id, now_ms, json_text(answer), due_at_ms];
        transaction!(self.database, |tx| {
            tx.execute(sql::LOCK_SESSION, binds![session_id.to_string()]).await?;
            tx.execute(sql::HAND_BACK_ACTION, values).await?;
            refresh_session(&mut tx, session_id, now_ms).await?;
        })
    }

    /// How many streams come before that of a planned start: of starts that are under way or were planned earlier and are
    /// due, and the streams that Zoom has announced lately and no daemon runs. Older ones find no daemon for another
    /// reason than room, such as an app that is full.
    pub async fn starts_ahead(&self, start: ActionId, now_ms: i64) -> Result<usize, StoreError> {
        let (soon_ms, since_ms) = (now_ms.saturating_add(DUE_SOON_MS), now_ms - GIVEN_UP_MS);
        let values = binds![start.0.to_string(), soon_ms, since_ms];
        let row: Option<(i64,)> = self.database.optional(sql::STARTS_AHEAD, values).await?;
        Ok(row.map_or(0, |(count,)| usize::try_from(count).unwrap_or(0)))
    }

    /// Sets the installation that provides the token for a session from now on.
    pub async fn set_installation(
        &self,
        id: SessionId,
        installation: InstallationId,
    ) -> Result<(), StoreError> {
        let values = binds![id.to_string(), installation.to_string()];
        self.database.execute(sql::SET_INSTALLATION, values).await.map(drop)
    }

    /// Sessions that have changed since their last review by the policies, each with the mark for [`Store::reviewed`] and
    /// [`Store::mark_reviewed`].
    pub async fn sessions_to_review(
        &self,
        limit: u32,
    ) -> Result<Vec<(SessionId, i64)>, StoreError> {
        let values = binds![i64::from(limit)];
        let rows: Vec<(String, i64)> = self.database.all(sql::SESSIONS_TO_REVIEW, values).await?;
        rows.into_iter()
            .map(|(id, mark): (String, i64)| Ok((rows::session_id(&id)?, mark)))
            .collect()
    }

    /// Plans the actions that policies want for a session. Earlier plans of the same cause stay.
    pub async fn plan(
        &self,
        id: SessionId,
        planned: &[Planned],
        now_ms: i64,
    ) -> Result<(), StoreError> {
        if planned.is_empty() {
            return Ok(());
        }
        transaction!(self.database, |tx| {
            for plan in planned {
                insert_planned(&mut tx, id, plan, now_ms).await?;
            }
        })
    }

    /// Records that a policy has reviewed a session, and plans the actions it wants. Earlier plans of the same cause
    /// stay.
    pub async fn reviewed(
        &self,
        id: SessionId,
        mark: i64,
        planned: &[Planned],
        now_ms: i64,
    ) -> Result<(), StoreError> {
        transaction!(self.database, |tx| {
            for plan in planned {
                insert_planned(&mut tx, id, plan, now_ms).await?;
            }
            tx.execute(sql::REVIEWED, binds![id.to_string(), mark]).await?;
        })
    }

    /// Takes sessions off the list of [`Store::sessions_to_review`], each with its mark, without planning an action.
    /// Those that have changed since, or are locked (Postgres), stay on it. Returns how many were taken off.
    pub async fn mark_reviewed(&self, reviewed: &[(SessionId, i64)]) -> Result<u64, StoreError> {
        let row =
            |(id, mark): &(SessionId, i64)| ReviewRow { session_id: id.to_string(), mark: *mark };
        let rows: Vec<ReviewRow> = reviewed.iter().map(row).collect();
        if rows.is_empty() {
            return Ok(0);
        }
        transaction!(self.database, |tx| { tx.execute_bulk(sql::MARK_REVIEWED, &rows, &[]).await? })
    }

    /// Claims up to `limit` planned actions that are due, for `lease_ms`.
    pub async fn claim_actions(
        &self,
        now_ms: i64,
        lease_ms: i64,
        limit: u32,
    ) -> Result<Vec<ActionRecord>, StoreError> {
        let values = binds![now_ms, now_ms.saturating_add(lease_ms), i64::from(limit)];
        let rows: Vec<ActionRow> =
            transaction!(self.database, |tx| { claim_due(&mut tx, values).await? })?;
        Ok(rows::readable_rows(rows))
    }

    /// Times out actions that no webhook confirmed. Returns their sessions.
    pub async fn time_out_actions(&self, now_ms: i64) -> Result<Vec<SessionId>, StoreError> {
        let values = binds![now_ms, TIME_OUTS_AT_ONCE];
        let late: Vec<(String,)> =
            self.database.all(sql::SESSIONS_WITH_LATE_ACTIONS, values).await?;
        let mut sessions = Vec::with_capacity(late.len());
        // One transaction for each, so that a session is locked only briefly. A repeated id finds nothing left.
        for (id,) in late {
            sessions.extend(self.time_out_actions_of(&id, now_ms).await?);
        }
        Ok(sessions)
    }

    async fn time_out_actions_of(
        &self,
        id: &str,
        now_ms: i64,
    ) -> Result<Option<SessionId>, StoreError> {
        transaction!(self.database, |tx| {
            tx.execute(sql::LOCK_SESSION, binds![id]).await?;
            let values = binds![now_ms, id];
            let late = settle_actions(&mut tx, sql::TIME_OUT_ACTIONS, values, now_ms).await?;
            late.into_iter().next()
        })
    }
}

/// The installation used for Zoom, how it was chosen, and the HTTP status of Zoom's answer.
fn audit_detail(answer: &Answer) -> serde_json::Value {
    let zoom_status = answer.zoom.as_ref().map(|zoom| zoom.status);
    serde_json::json!({ "chosen": answer.chosen, "zoom_status": zoom_status })
}

async fn insert_running(
    tx: &mut Connection<'_>,
    id: ActionId,
    begin: &Begin<'_>,
) -> Result<(), StoreError> {
    let values = binds![
        id.0.to_string(),
        begin.session_id.to_string(),
        begin.action.as_str(),
        begin.asked_by,
        // Without a cause, which is unique in a session: NULLs are distinct in both databases, so a program may repeat
        // an action.
        None::<String>,
        ActionStatus::Running.as_str(),
        begin.now_ms,
        begin.until_ms,
        1,
    ];
    tx.execute(sql::INSERT_ACTION, values).await?;
    let act = AuditRow { outcome: ASKED.to_owned(), ..begin.act.clone() };
    insert_audit_as(tx, &id.0.to_string(), &act).await?;
    if let Some(media) = begin.media {
        let values = binds![begin.session_id.to_string(), json_text(media)];
        tx.execute(sql::SET_MEDIA, values).await?;
    }
    refresh_session(tx, begin.session_id, begin.now_ms).await
}

async fn insert_planned(
    tx: &mut Connection<'_>,
    id: SessionId,
    plan: &Planned,
    now_ms: i64,
) -> Result<(), StoreError> {
    let values = binds![
        Uuid::now_v7().to_string(),
        id.to_string(),
        plan.action.as_str(),
        plan.asked_by,
        // The same cause makes the insert do nothing: a policy plans each action once.
        &*plan.cause,
        ActionStatus::Due.as_str(),
        now_ms,
        plan.due_at_ms,
        0,
    ];
    tx.execute(sql::INSERT_ACTION, values).await.map(drop)
}

/// Changes actions by a statement that returns their sessions, and refreshes those.
pub(super) async fn settle_actions(
    tx: &mut Connection<'_>,
    statement: &'static str,
    values: &[Bind<'_>],
    now_ms: i64,
) -> Result<Vec<SessionId>, StoreError> {
    let changed: Vec<(String,)> = tx.all(statement, values).await?;
    let mut sessions = Vec::with_capacity(changed.len());
    for (id,) in changed {
        let id = rows::session_id(&id)?;
        refresh_session(tx, id, now_ms).await?;
        sessions.push(id);
    }
    Ok(sessions)
}

async fn claim_due(
    tx: &mut Connection<'_>,
    values: &[Bind<'_>],
) -> Result<Vec<ActionRow>, StoreError> {
    let ids: Vec<(String,)> = tx.all(sql::CLAIM_ACTIONS, values).await?;
    let mut rows = Vec::with_capacity(ids.len());
    for (id,) in ids {
        rows.push(tx.one(sql::ACTION, binds![id]).await?);
    }
    Ok(rows)
}

/// A stream was announced: confirms the requested starts.
pub(super) async fn confirm_starts(
    tx: &mut Connection<'_>,
    id: SessionId,
    meeting_id: Option<&str>,
    now_ms: i64,
) -> Result<(), StoreError> {
    let values = binds![id.to_string(), meeting_id];
    settle_actions(tx, sql::CONFIRM_STARTS, values, now_ms).await?;
    settle_actions(tx, sql::CONFIRM_LATE_START, binds![id.to_string()], now_ms).await.map(drop)
}

/// A stream has ended or will end: confirms the requested stops.
pub(super) async fn confirm_stops(
    tx: &mut Connection<'_>,
    id: SessionId,
) -> Result<(), StoreError> {
    tx.execute(sql::CONFIRM_STOPS, binds![id.to_string()]).await.map(drop)
}

async fn drop_planned_starts(tx: &mut Connection<'_>, begin: &Begin<'_>) -> Result<(), StoreError> {
    let detail = Some("a stop was requested before it was due".to_owned());
    let answer = serde_json::to_string(&Answer { detail, ..Answer::default() })
        .expect("texts and numbers become JSON");
    let values = binds![begin.session_id.to_string(), begin.now_ms, answer];
    settle_actions(tx, sql::DROP_PLANNED_STARTS, values, begin.now_ms).await.map(drop)
}

/// Reads an action and locks its session until the transaction ends.
async fn lock_action(
    tx: &mut Connection<'_>,
    id: ActionId,
) -> Result<Option<ActionRecord>, StoreError> {
    let values = binds![id.0.to_string()];
    let row: Option<ActionRow> = tx.optional(sql::ACTION, values).await?;
    let Some(row) = row else { return Ok(None) };
    let action = ActionRecord::try_from(row)?;
    // After the read, which is safe: an action never moves to another session.
    tx.execute(sql::LOCK_SESSION, binds![action.session_id.to_string()]).await?;
    Ok(Some(action))
}
