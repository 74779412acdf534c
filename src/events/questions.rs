//! After a gap, asks Zoom what the lost events would have said: whether the meetings of known sessions still run, and
//! which meetings run that a policy would have started. Where Zoom gives no answer, nothing changes.

use std::sync::Arc;

use super::sockets::Settings;
use crate::control::{ControlError, PolicyUser};
use crate::model::{
    IdKey, Instance, MeetingChange, MeetingChanged, Product, Session, SessionId, ms,
};
use crate::net::retry::{Doubling, retry};
use crate::store::{EventSocketClaim, EventSocketGap, StoreError};
use crate::zoom::api::{LiveMeeting, MeetingState};
use crate::zoom::app::App;

/// A meeting lasts 30 hours at most, so that one without a change for this long is over.
const FORGOTTEN_AFTER_MS: i64 = 48 * 60 * 60 * 1000;
/// The most sessions that are asked about.
const MAX_SESSIONS: u32 = 500;

/// Zoom's answers: how many meetings have each.
#[derive(Debug, Default)]
struct Answers {
    running: u32,
    over: u32,
    found: u32,
    unknown: u32,
    /// Why the first of the unknown ones is unknown.
    reason: Option<String>,
}

/// Asks, records the answers, and notes that Zoom was asked.
pub(super) async fn ask(
    settings: &Settings,
    app: &Arc<App>,
    claim: &EventSocketClaim,
    gap: EventSocketGap,
) {
    let asker = Asker { settings, app, gap };
    // Until the store takes the answers: there may be no other connection for hours.
    let waits = Doubling::new(settings.timings.first_wait, settings.timings.longest_wait);
    let asked = retry(waits, is_store_unavailable, || asker.ask_all()).await;
    settings.receiver.changes.notify_control();
    let name = &app.name;
    match asked {
        Ok(answers) => {
            answers.count(settings, app);
            let Answers { running, over, found, unknown, reason } = answers;
            tracing::info!(app = %name, running, over, found, unknown, reason,
                "asked Zoom about the app's meetings after a gap in its events; nothing changes for the unknown ones");
            // If this fails, the next connection asks again, which is harmless.
            if let Err(error) = settings.store.event_socket_asked(claim, gap).await {
                tracing::debug!(app = %name, %error, "cannot record that Zoom was asked; it is asked again");
            }
        }
        Err(error) => tracing::warn!(app = %name, %error,
            "cannot ask Zoom about the app's meetings after a gap in its events; trying again after the next connection"),
    }
}

struct Asker<'a> {
    settings: &'a Settings,
    app: &'a Arc<App>,
    gap: EventSocketGap,
}

impl Asker<'_> {
    async fn ask_all(&self) -> Result<Answers, ControlError> {
        let Settings { store, control, now_ms, .. } = self.settings;
        let mut answers = Answers::default();
        let since_ms = now_ms().saturating_sub(FORGOTTEN_AFTER_MS);
        let sessions = store.sessions_to_ask_about(&self.app.name, since_ms, MAX_SESSIONS).await?;
        for id in sessions {
            self.ask_about(id, &mut answers).await?;
        }
        for user in control.policy_users(self.app).await? {
            match control.live_meetings(&user).await {
                Ok(meetings) => self.record_live(&user, meetings, &mut answers).await?,
                Err(error) => answers.unknown(error)?,
            }
        }
        Ok(answers)
    }

    async fn ask_about(&self, id: SessionId, answers: &mut Answers) -> Result<(), ControlError> {
        let Settings { store, control, now_ms, .. } = self.settings;
        match control.meeting_state(id).await {
            Ok(Some((session, state))) if is_over(&session, &state) => {
                if self.is_new(&session) {
                    answers.unknown += 1;
                    return Ok(());
                }
                answers.over += 1;
                let ended = ended(&session);
                store.record_meeting(&self.app.name, &ended, now_ms(), now_ms()).await?;
            }
            Ok(Some(_)) => {
                answers.running += 1;
                store.repeat_planned_starts(id, self.gap.from_ms, now_ms()).await?;
            }
            Ok(None) => answers.unknown += 1,
            // Deleted meanwhile.
            Err(ControlError::UnknownSession) => {}
            Err(error) => answers.unknown(error)?,
        }
        Ok(())
    }

    /// Whether the meeting has just begun, so that Zoom may not know it yet.
    fn is_new(&self, session: &Session) -> bool {
        let began_ms = session.meeting_started_at_ms.unwrap_or(session.created_at_ms);
        let age_ms = (self.settings.now_ms)().saturating_sub(began_ms);
        age_ms < ms(self.settings.timings.new_meeting)
    }

    /// Records running meetings, and counts those that were unknown.
    async fn record_live(
        &self,
        user: &PolicyUser,
        meetings: Vec<LiveMeeting>,
        answers: &mut Answers,
    ) -> Result<(), StoreError> {
        let Settings { store, now_ms, .. } = self.settings;
        for meeting in meetings {
            let Ok(instance) = Instance::new(Product::Meeting, IdKey::MeetingUuid, &meeting.uuid)
            else {
                answers.unknown += 1;
                continue;
            };
            answers.found += u32::from(!self.is_known(&instance).await?);
            let started = MeetingChanged {
                change: MeetingChange::Started,
                instance,
                account_id: user.account_id.clone(),
                meeting_id: meeting.number,
                host_id: meeting.host_id,
            };
            store.record_meeting(&self.app.name, &started, now_ms(), now_ms()).await?;
        }
        Ok(())
    }

    async fn is_known(&self, instance: &Instance) -> Result<bool, StoreError> {
        self.settings.store.has_session(&self.app.name, instance).await
    }
}

impl Answers {
    /// Counts a question without an answer. An unavailable store ends the questions.
    fn unknown(&mut self, error: ControlError) -> Result<(), ControlError> {
        if is_store_unavailable(&error) {
            return Err(error);
        }
        self.unknown += 1;
        self.reason.get_or_insert_with(|| error.to_string());
        Ok(())
    }

    fn count(&self, settings: &Settings, app: &App) {
        for (answer, count) in [
            ("running", self.running),
            ("over", self.over),
            ("found", self.found),
            ("unknown", self.unknown),
        ] {
            settings.metrics.gap_answers.add([app.name.as_str(), answer], u64::from(count));
        }
    }
}

fn is_store_unavailable(error: &ControlError) -> bool {
    matches!(error, ControlError::Store(error) if error.is_temporary())
}

/// Whether the meeting of a session is over: it does not run, or another one runs under its number.
fn is_over(session: &Session, state: &MeetingState) -> bool {
    match state {
        MeetingState::Over => true,
        MeetingState::Running(None) => false,
        // A session that was requested by number has no UUID yet.
        MeetingState::Running(Some(uuid)) => {
            session.instance.key == IdKey::MeetingUuid && session.instance.id() != uuid
        }
    }
}

fn ended(session: &Session) -> MeetingChanged {
    MeetingChanged {
        change: MeetingChange::Ended,
        instance: session.instance.clone(),
        account_id: None,
        meeting_id: None,
        host_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AppName, SessionStatus};

    fn session(key: IdKey, id: &str) -> Session {
        Session {
            id: SessionId(uuid::Uuid::nil()),
            app: AppName::default(),
            instance: Instance::new(Product::Meeting, key, id).unwrap(),
            account_id: None,
            meeting_id: Some("91234567890".to_owned()),
            operator_id: None,
            host_id: None,
            participant_user_id: None,
            installation_id: None,
            metadata: None,
            media: None,
            status: SessionStatus::Connecting,
            meeting_started_at_ms: None,
            meeting_ended_at_ms: None,
            created_at_ms: 1,
            updated_at_ms: 1,
            ended_at_ms: None,
        }
    }

    #[test]
    fn a_meeting_is_over_if_it_or_its_uuid_does_not_run() {
        let running = |uuid: Option<&str>| MeetingState::Running(uuid.map(str::to_owned));
        let own = session(IdKey::MeetingUuid, "abc==");
        let by_number = session(IdKey::MeetingId, "91234567890");
        for (session, state, over) in [
            (&own, MeetingState::Over, true),
            (&own, running(Some("abc==")), false),
            (&own, running(Some("next==")), true),
            (&own, running(None), false),
            (&by_number, running(Some("abc==")), false),
            (&by_number, MeetingState::Over, true),
        ] {
            assert_eq!(is_over(session, &state), over, "{state:?}");
        }
    }
}
