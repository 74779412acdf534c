//! The background half: looks at sessions that changed, takes up what is due, gives up what is late.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::policy::{self, NotNow};
use super::{Control, Wish};
use crate::model::{ActionRecord, ActionStatus, Answer, ms};
use crate::store::StoreError;
use crate::zoom::api::{CallError, LONGEST_CALL};
use crate::zoom::error::Problem;
use crate::zoom::token::TokenError;

/// How many sessions are looked at in one go.
const REVIEWS_AT_ONCE: u32 = 100;
/// How many requests to Zoom run at once.
const ACTIONS_AT_ONCE: usize = 16;
/// A planned action is taken up this often, whatever the reason: refusals that may pass, and crashes.
const MAX_ATTEMPTS: u32 = 4;
/// Before the second attempt; each later one waits twice as long.
const RETRY_AFTER: Duration = Duration::from_secs(15);

impl Control {
    /// Runs until the stop. What Zoom is being asked then is broken off, and due again for whoever looks next.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut look = interval(self.settings.look_every);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut running = JoinSet::new();
        let mut store_is_away = false;
        loop {
            tokio::select! {
                // No action starts after the stop: it would only be aborted and count as an attempt.
                biased;
                () = stop.cancelled() => break,
                Some(ended) = running.join_next(), if !running.is_empty() => {
                    if ended.is_err() {
                        tracing::error!("a planned action panicked; it is taken up again");
                    }
                }
                () = self.changed.notified() => {}
                _ = look.tick() => {}
            }
            let looked = self.look_once(&mut running, &stop).await;
            if let Err(error) = &looked
                && !store_is_away
            {
                tracing::warn!(%error, "planned actions wait: the store does not answer");
            }
            store_is_away = looked.is_err();
        }
        while running.join_next().await.is_some() {}
    }

    async fn look_once(
        self: &Arc<Self>,
        running: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let now_ms = (self.settings.now_ms)();
        self.review(now_ms).await?;
        for session_id in self.store.time_out_actions(now_ms).await? {
            tracing::warn!(%session_id, "what Zoom said yes to did not come in time; see the timeline");
        }
        let room = ACTIONS_AT_ONCE.saturating_sub(running.len());
        let limit = u32::try_from(room).unwrap_or(0);
        if limit > 0 {
            let lease_ms = ms(LONGEST_CALL) * 2;
            for action in self.store.claim_actions(now_ms, lease_ms, limit).await? {
                running.spawn(Arc::clone(self).carry_out(action, stop.clone()));
            }
        }
        Ok(())
    }

    /// Plans what the policies want about the sessions that have changed.
    async fn review(&self, now_ms: i64) -> Result<(), StoreError> {
        for (id, mark) in self.store.sessions_to_review(REVIEWS_AT_ONCE).await? {
            let plans = match self.store.snapshot(id).await {
                Ok(snapshot) => snapshot.map(|it| policy::plans(&it, &self.settings.policies)),
                // The others have their turn all the same.
                Err(error @ StoreError::Row(_)) => {
                    tracing::error!(session_id = %id, %error, "a session cannot be read");
                    None
                }
                Err(error) => return Err(error),
            };
            self.store.reviewed(id, mark, &plans.unwrap_or_default(), now_ms).await?;
        }
        Ok(())
    }

    async fn carry_out(self: Arc<Self>, action: ActionRecord, stop: CancellationToken) {
        let (session_id, what) = (action.session_id, action.action.as_str());
        match self.try_carry_out(&action, &stop).await {
            Ok((status, answer)) => tracing::info!(
                %session_id,
                action = what,
                asked_by = action.asked_by,
                status = status.as_str(),
                code = answer.code,
                "planned action"
            ),
            Err(error) => {
                tracing::warn!(%session_id, action = what, %error, "a planned action is not recorded");
            }
        }
    }

    async fn try_carry_out(
        &self,
        action: &ActionRecord,
        stop: &CancellationToken,
    ) -> Result<(ActionStatus, Answer), StoreError> {
        let admit = |snapshot: &_| policy::admit_planned(action, snapshot, &self.settings.policies);
        let now_ms = (self.settings.now_ms)();
        let admitted = self.store.admit_action(action, admit, now_ms).await?;
        let (status, due_at_ms, answer) = match admitted {
            None => return Ok((ActionStatus::Skipped, noted("it was settled meanwhile"))),
            Some(Err(why)) => (ActionStatus::Skipped, None, noted(in_words(why))),
            // Only crashes in the middle come so far.
            Some(Ok(_)) if action.attempts > MAX_ATTEMPTS => {
                (ActionStatus::Refused, None, noted("it was taken up too often without an end"))
            }
            Some(Ok(snapshot)) => {
                let asking = self.ask(&snapshot, action.action, Wish::default());
                match stop.run_until_cancelled(asking).await {
                    None => (ActionStatus::Due, Some(now_ms), noted("the daemon was stopped")),
                    Some(asked) => {
                        let (status, due_at_ms) = match &asked.answer {
                            Ok(_) => self.accepted(action.action, &snapshot),
                            Err(error) => self.after_refusal(action, error),
                        };
                        (status, due_at_ms, asked.record())
                    }
                }
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
            // Tried again in the call, for as long as a meeting that just began needs.
            CallError::Zoom(error) if error.problem == Problem::MeetingNotLive => false,
            CallError::Zoom(error) => error.problem.is_retryable(),
            CallError::Token(error) => {
                matches!(error, TokenError::Unavailable(..) | TokenError::Store(_))
            }
        };
        if !may_pass || action.attempts >= MAX_ATTEMPTS {
            return (ActionStatus::Refused, None);
        }
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

fn in_words(why: NotNow) -> String {
    match why {
        NotNow::CauseGone => {
            "what it was planned for is over, or its policy is switched off".to_owned()
        }
        NotNow::Refused(refusal) => refusal.to_string(),
    }
}

fn noted(detail: impl Into<String>) -> Answer {
    Answer { detail: Some(detail.into()), ..Answer::default() }
}
