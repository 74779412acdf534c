//! The background worker: reviews changed sessions, executes due actions, and times out late ones.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, error_span};

use super::capacity::NO_CAPACITY;
use super::policy::{self, NotNow};
use super::{Control, RequestOptions};
use crate::model::{Action, ActionRecord, ActionStatus, Answer, SessionId, ms};
use crate::store::StoreError;
use crate::telemetry::session_span;
use crate::zoom::api::{CallError, LONGEST_CALL};
use crate::zoom::error::Problem;
use crate::zoom::token::TokenError;

/// The most sessions reviewed in one pass.
const REVIEWS_AT_ONCE: u32 = 100;
/// The most sessions that are marked together: one that changes before it is marked is reviewed again.
const REVIEWS_MARKED_AT_ONCE: usize = 16;
/// The most requests to Zoom at once.
const ACTIONS_AT_ONCE: usize = 16;
/// The most attempts of a planned action, whatever ended the earlier ones: temporary refusals or crashes. A stop of the
/// daemon does not count.
const MAX_ATTEMPTS: u32 = 4;
/// The wait before the second attempt; it doubles with each further attempt.
const RETRY_AFTER: Duration = Duration::from_secs(15);

impl Control {
    /// Runs until `stop`. A request that is running then is aborted and due again, for this daemon or another.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        tokio::join!(self.review_changes(&stop), Arc::clone(&self).perform_actions(&stop));
    }

    /// Reviews changed sessions.
    async fn review_changes(&self, stop: &CancellationToken) {
        let mut poll = self.polls();
        let mut has_failed = false;
        loop {
            let is_woken = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.changed.notified() => true,
                _ = poll.tick() => false,
            };
            // Almost every webhook of a burst changes a session, and a review costs as much as recording the webhook.
            if stop.run_until_cancelled(self.store.wait_for_burst_end()).await.is_none() {
                return;
            }
            let reviewed = self.review_all(stop).await;
            if let Err(error) = &reviewed
                && !has_failed
            {
                tracing::warn!(%error, "cannot review changed sessions; policies wait");
            }
            has_failed = reviewed.is_err();
            // The change that woke this loop may make an action due.
            if is_woken || matches!(reviewed, Ok(1..)) {
                self.planned.notify_one();
            }
        }
    }

    /// Returns how many sessions were reviewed.
    async fn review_all(&self, stop: &CancellationToken) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            let (listed, reviewed) = self.review((self.settings.now_ms)()).await?;
            all += reviewed;
            // Sessions that are locked stay on the list: they are reviewed after the next change or poll.
            if listed < REVIEWS_AT_ONCE as usize || reviewed == 0 || stop.is_cancelled() {
                return Ok(all);
            }
            self.planned.notify_one();
        }
    }

    async fn perform_actions(self: Arc<Self>, stop: &CancellationToken) {
        let mut poll = self.polls();
        let mut running = JoinSet::new();
        let mut store_is_away = false;
        loop {
            tokio::select! {
                // No action starts after the stop: it would only be aborted and count as an attempt.
                biased;
                () = stop.cancelled() => break,
                Some(ended) = running.join_next(), if !running.is_empty() => {
                    if ended.is_err() {
                        tracing::error!("a planned action panicked; retrying");
                    }
                }
                () = self.planned.notified() => {}
                _ = poll.tick() => {}
            }
            let polled = self.poll(&mut running, stop).await;
            if let Err(error) = &polled
                && !store_is_away
            {
                tracing::warn!(%error, "the store is unavailable; planned actions wait");
            }
            store_is_away = polled.is_err();
        }
        // The running actions see the same stop and store that they are due again.
        while running.join_next().await.is_some() {}
    }

    fn polls(&self) -> Interval {
        let mut poll = interval(self.settings.poll_interval);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        poll
    }

    /// Starts the actions that are due, and ends those that had no effect in time.
    async fn poll(
        self: &Arc<Self>,
        running: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let now_ms = (self.settings.now_ms)();
        for session_id in self.store.time_out_actions(now_ms).await? {
            self.context(session_id).await.in_scope(|| {
                tracing::warn!(
                    "an accepted request had no effect in time; see the session's timeline"
                );
            });
        }
        let room = ACTIONS_AT_ONCE.saturating_sub(running.len());
        let limit = u32::try_from(room).unwrap_or(0);
        if limit > 0 {
            // Longer than any call, so that no other daemon claims an action that is being executed.
            let lease_ms = ms(LONGEST_CALL) * 2;
            for action in self.store.claim_actions(now_ms, lease_ms, limit).await? {
                let context = self.context(action.session_id).await;
                let carried_out = Arc::clone(self).carry_out(action, stop.clone());
                running.spawn(carried_out.instrument(context));
            }
        }
        Ok(())
    }

    /// What log lines about a session carry.
    async fn context(&self, id: SessionId) -> Span {
        let session = self.store.session(id).await.ok().flatten();
        session.as_ref().map_or_else(|| error_span!("session", session_id = %id), session_span)
    }

    /// Plans the policies' actions for sessions that have changed. Returns how many were on the list, and how many were
    /// taken off it.
    async fn review(&self, now_ms: i64) -> Result<(usize, u64), StoreError> {
        let changed = self.store.sessions_to_review(REVIEWS_AT_ONCE).await?;
        let mut reviewed = 0;
        for part in changed.chunks(REVIEWS_MARKED_AT_ONCE) {
            reviewed += self.review_sessions(part, now_ms).await?;
        }
        Ok((changed.len(), reviewed))
    }

    /// Returns how many sessions were taken off the list.
    async fn review_sessions(
        &self,
        changed: &[(SessionId, i64)],
        now_ms: i64,
    ) -> Result<u64, StoreError> {
        let (mut planned, mut without_plan) = (0, Vec::new());
        for (id, mark) in changed {
            let plans = match self.store.snapshot(*id).await {
                Ok(snapshot) => snapshot.map(|it| self.planned_actions(&it)),
                // An unreadable session must not block the others.
                Err(error @ StoreError::Row(_)) => {
                    tracing::error!(session_id = %id, %error, "cannot read a session; its policies are skipped");
                    None
                }
                Err(error) => return Err(error),
            };
            match plans {
                Some(plans) if !plans.is_empty() => {
                    self.store.reviewed(*id, *mark, &plans, now_ms).await?;
                    planned += 1;
                }
                _ => without_plan.push((*id, *mark)),
            }
        }
        Ok(planned + self.store.mark_reviewed(&without_plan).await?)
    }

    async fn carry_out(self: Arc<Self>, action: ActionRecord, stop: CancellationToken) {
        let what = action.action.as_str();
        match self.try_carry_out(&action, &stop).await {
            // Logged only the first time: the start is considered again every few seconds.
            Ok((ActionStatus::Due, answer))
                if answer.code.as_deref() == Some(NO_CAPACITY) && action.answer.is_some() => {}
            Ok((status, answer)) => tracing::info!(
                action = what,
                asked_by = action.asked_by,
                status = status.as_str(),
                code = answer.code,
                "planned action"
            ),
            Err(error) => {
                tracing::warn!(action = what, %error, "could not record the outcome of a planned action; it is due again when its lease ends");
            }
        }
    }

    async fn try_carry_out(
        &self,
        action: &ActionRecord,
        stop: &CancellationToken,
    ) -> Result<(ActionStatus, Answer), StoreError> {
        let room = match action.action {
            Action::Start => Some(self.room_for(action.id).await?),
            _ => None,
        };
        let admit = |snapshot: &_| {
            policy::admit_planned(action, snapshot, &self.planned_actions(snapshot))?;
            // Last: a start that is not wanted now does not wait.
            room.filter(|room| !room.is_enough()).map_or(Ok(()), |room| Err(NotNow::NoRoom(room)))
        };
        let now_ms = (self.settings.now_ms)();
        let admitted = self.store.admit_action(action, admit, now_ms).await?;
        let (status, due_at_ms, answer) = match admitted {
            None => return Ok((ActionStatus::Skipped, detail_answer("it was settled meanwhile"))),
            Some(Err(NotNow::NoRoom(room))) => return self.wait_for_room(action, room).await,
            Some(Err(NotNow::CauseGone)) => {
                let why = "its cause is gone, or its policy is switched off";
                (ActionStatus::Skipped, None, detail_answer(why))
            }
            Some(Err(NotNow::Refused(why))) => {
                (ActionStatus::Skipped, None, detail_answer(why.to_string()))
            }
            // Crashes during the request lead here: after a refusal, `after_refusal` ends the last attempt.
            Some(Ok(_)) if action.attempts > MAX_ATTEMPTS => (
                ActionStatus::Refused,
                None,
                detail_answer("it was attempted too often without an outcome"),
            ),
            Some(Ok(snapshot)) => {
                let asking = self.ask(&snapshot, action.action, RequestOptions::default());
                let Some(asked) = stop.run_until_cancelled(asking).await else {
                    let answer = detail_answer("the daemon was stopped");
                    self.store.hand_back_action(action, &answer, now_ms, now_ms).await?;
                    return Ok((ActionStatus::Due, answer));
                };
                let (status, due_at_ms) = match &asked.answer {
                    Ok(_) => self.accepted(action.action, &snapshot),
                    Err(error) => self.after_refusal(action, error),
                };
                (status, due_at_ms, asked.record())
            }
        };
        let now_ms = (self.settings.now_ms)();
        self.store.answer_action(action.id, status, due_at_ms, &answer, now_ms).await?;
        Ok((status, answer))
    }

    fn after_refusal(
        &self,
        action: &ActionRecord,
        error: &CallError,
    ) -> (ActionStatus, Option<i64>) {
        let may_pass = match error {
            // The call itself has retried for as long as a new meeting needs.
            CallError::Zoom(error) if error.problem == Problem::MeetingNotLive => false,
            CallError::Zoom(error) => error.problem.is_retryable(),
            CallError::Token(error) => {
                matches!(error, TokenError::Unavailable(..) | TokenError::Store(_))
            }
        };
        if !may_pass || action.attempts >= MAX_ATTEMPTS {
            return (ActionStatus::Refused, None);
        }
        // The bound keeps the shift in range, whatever the row holds.
        let backoff_ms = ms(RETRY_AFTER) << action.attempts.saturating_sub(1).min(MAX_ATTEMPTS);
        let zooms_ms = match error {
            CallError::Zoom(error) => error.wait_ms,
            CallError::Token(_) => None,
        };
        let zooms_ms = zooms_ms.map_or(0, |ms| i64::try_from(ms).unwrap_or(i64::MAX));
        let due_at_ms = (self.settings.now_ms)().saturating_add(backoff_ms.max(zooms_ms));
        (ActionStatus::Due, Some(due_at_ms))
    }
}

fn detail_answer(detail: impl Into<String>) -> Answer {
    Answer { detail: Some(detail.into()), ..Answer::default() }
}
