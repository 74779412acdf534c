//! Control: creates sessions on request, and sends start, stop, pause and resume to Zoom for programs and policies.
//!
//! Every request, past or planned, is a row with its outcome. A program's request is executed while the program waits;
//! a policy's request is planned as a row with a due time, and the background worker of one daemon executes it.

mod capacity;
mod meetings;
mod policy;
mod timeline;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Notify;

pub use capacity::NO_CAPACITY;
pub use meetings::PolicyUser;
pub use policy::Refusal;
pub use timeline::{Missing, Timeline, TimelineEvent};

use crate::model::{
    Action, ActionId, ActionStatus, Answer, AuditRow, ChoiceReason, Chosen, Cursor, InstallationId,
    Keep, MediaError, MediaParams, MediaPlan, NewSession, NodeId, Planned, Session, SessionId,
    SessionSnapshot, StreamId, UserId, ZoomAnswer, ms,
};
use crate::store::{Begin, Begun, Made, Store, StoreError};
use crate::zoom::api::{Accepted, Api, CallError, LONGEST_CALL, StatusChange};
use crate::zoom::app::{App, Apps, Occupancy};
use crate::zoom::error::ZoomError;
use crate::zoom::token::{Candidates, TokenError};

/// How long after its start a meeting may still be unknown to Zoom's REST API (section 14.1).
const NEW_MEETING_MS: i64 = 2 * 60 * 1000;

#[derive(Debug, Clone)]
pub struct Settings {
    /// This daemon, among those that share the store.
    pub node: NodeId,
    pub apps: Apps,
    /// The streams that run here, and how many may.
    pub occupancy: Occupancy,
    /// How long the webhook of a stream may take after Zoom accepted its start; after that, the start has timed out.
    pub start_timeout: Duration,
    /// How often the worker polls for due rows.
    pub poll_interval: Duration,
    /// The wall clock, Unix milliseconds.
    pub now_ms: fn() -> i64,
}

/// Why a request was not carried out.
#[derive(Debug, Error)]
pub enum ControlError {
    #[error("there is no session with this id")]
    UnknownSession,
    /// With the session as it is.
    #[error("{0}")]
    Refused(Refusal, Box<Session>),
    #[error(transparent)]
    Zoom(ZoomError),
    #[error(transparent)]
    Token(TokenError),
    #[error(
        "no daemon has room for a further stream (MAX_STREAMS, MAX_CPU_PERCENT): wait as long as the header retry-after \
         says, or start another daemon"
    )]
    NoCapacity,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A request that Zoom accepted.
#[derive(Debug, Clone)]
pub struct Requested {
    /// The session as it was before the request.
    pub session: Session,
    pub accepted: Accepted,
    /// The owner of the token that the request used.
    pub chosen: Option<Chosen>,
}

/// The options of a program's request.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestOptions<'a> {
    /// The media parameters of the session's next streams.
    pub media: Option<&'a MediaPlan>,
    /// The installation to use; once Zoom accepts, also for the session's later requests.
    pub installation_id: Option<InstallationId>,
    /// The only installations that may be used; `None` for all.
    pub allowed: Option<&'a [InstallationId]>,
}

/// The result of a request to Zoom.
struct Asked {
    /// `None` if there was no token.
    chosen: Option<Chosen>,
    answer: Result<Accepted, CallError>,
}

/// Sends start, stop, pause and resume to Zoom and records each request with its outcome.
pub struct Control {
    store: Store,
    api: Api,
    settings: Settings,
    changed: Notify,
    /// Notified after sessions were reviewed: actions may be due.
    planned: Notify,
}

impl Control {
    pub fn new(store: Store, api: Api, settings: Settings) -> Self {
        Self { store, api, settings, changed: Notify::new(), planned: Notify::new() }
    }

    /// Creates a session, or returns the existing one, and writes the audit row with the session as its subject.
    pub async fn create(&self, new: &NewSession, act: &AuditRow) -> Result<Made, StoreError> {
        self.store.create_session(new, act).await
    }

    /// The app of a session, for [`Self::resolve_media`].
    ///
    /// # Errors
    /// There is no such session, or its app is not configured here.
    pub async fn app_of(&self, id: SessionId) -> Result<Arc<App>, ControlError> {
        let session = self.store.session(id).await?.ok_or(ControlError::UnknownSession)?;
        self.app(&session).map_err(ControlError::Token)
    }

    /// Completes media parameters with those of an app.
    ///
    /// # Errors
    /// Lists every mistake in the parameters.
    pub fn resolve_media(&self, app: &App, wanted: &MediaParams) -> Result<MediaPlan, MediaError> {
        MediaPlan::resolve(&app.params, wanted, app.retention.media != Keep::Nothing)
    }

    /// Sends a request about a session's stream to Zoom and waits for the answer. The audit row is written before, and
    /// its outcome is set with Zoom's answer. A request that is refused before it is sent has no audit row from here.
    pub async fn request(
        &self,
        session_id: SessionId,
        action: Action,
        options: RequestOptions<'_>,
        act: &AuditRow,
    ) -> Result<Requested, ControlError> {
        if action == Action::Stop {
            // Plan first: the stop then also drops a start that a policy was about to plan.
            self.review_session(session_id).await?;
        }
        let snapshot = self.store.snapshot(session_id).await?;
        let snapshot = snapshot.ok_or(ControlError::UnknownSession)?;
        // A start that is refused for another reason gets that answer below.
        if action == Action::Start && policy::admit(action, &snapshot, None).is_ok() {
            self.check_capacity().await?;
        }
        // Choose before anything is written: a caller without a token must not change the session.
        let chosen = self.choose(&snapshot, options).await;
        let now_ms = (self.settings.now_ms)();
        let begin = Begin {
            session_id,
            action,
            asked_by: &format!("api:{}", act.actor),
            now_ms,
            // Late enough for any answer and its webhook: it only takes effect if this daemon dies meanwhile.
            until_ms: now_ms + ms(LONGEST_CALL) + ms(self.settings.start_timeout),
            media: options.media.filter(|_| chosen.is_ok()),
            // A caller that may not use the installations must not cancel planned starts either.
            may_drop_plans: !matches!(chosen, Err(TokenError::NotAllowed)),
            act,
        };
        let admit = |snapshot: &SessionSnapshot| {
            policy::admit(action, snapshot, None)
                .map_err(|refusal| (refusal, Box::new(snapshot.session.clone())))
        };
        let begun = self.store.begin_action(&begin, admit).await?;
        let Begun { id, snapshot } = match begun.ok_or(ControlError::UnknownSession)? {
            Ok(begun) => begun,
            Err((refusal, session)) => return Err(ControlError::Refused(refusal, session)),
        };
        let asked = self.ask_as(chosen, &snapshot.session, action).await;
        let (status, due_at_ms) = match &asked.answer {
            Ok(_) => self.accepted(action, &snapshot),
            Err(_) => (ActionStatus::Refused, None),
        };
        // Before anything else that can fail: Zoom has answered, and the audit trail must say so.
        self.answer(id, status, due_at_ms, &asked).await?;
        if let (Err(_), Some(media)) = (&asked.answer, begin.media) {
            let before = snapshot.session.media.as_ref();
            self.store.restore_media(session_id, media, before).await?;
        }
        let accepted = asked.answer.map_err(|error| match error {
            CallError::Zoom(error) => ControlError::Zoom(error),
            CallError::Token(TokenError::Store(error)) => ControlError::Store(error),
            CallError::Token(error) => ControlError::Token(error),
        })?;
        if let Some(named) = options.installation_id {
            self.store.set_installation(session_id, named).await?;
        }
        Ok(Requested { session: snapshot.session, accepted, chosen: asked.chosen })
    }

    /// Selects the participant for the individual video of the session's streams. Returns the active stream, if any:
    /// its runner reads the choice from the store.
    pub async fn pin_video(
        &self,
        id: SessionId,
        user_id: UserId,
        act: &AuditRow,
    ) -> Result<Option<StreamId>, ControlError> {
        let snapshot = self.store.snapshot(id).await?.ok_or(ControlError::UnknownSession)?;
        let stream = policy::active_stream(&snapshot);
        let own = stream.map_or(&snapshot.session.media, |stream| &stream.media);
        let app = self.app(&snapshot.session).map_err(ControlError::Token)?;
        let params = own.as_ref().map_or(&app.params, |plan| &plan.params);
        if !params.lets_choose_video() {
            let session = Box::new(snapshot.session);
            return Err(ControlError::Refused(Refusal::VideoNotIndividual, session));
        }
        self.store.pin_video(id, user_id, act).await?;
        Ok(stream.map(|stream| stream.stream_id.clone()))
    }

    /// The timeline of a session; `None` if the session is unknown.
    pub async fn timeline(&self, id: SessionId) -> Result<Option<Timeline>, StoreError> {
        let Some(snapshot) = self.store.snapshot(id).await? else { return Ok(None) };
        let deliveries = self.store.deliveries_of(id, timeline::MAX_DELIVERIES).await?;
        let start = Cursor::default();
        let kinds = &timeline::KINDS;
        let app = self.settings.apps.for_session(&snapshot.session);
        let entries = self.store.entries_after(id, &start, kinds, timeline::MAX_ENTRIES).await?;
        let joined = self.store.joined_streams(id).await?;
        let obstacle = app.as_ref().and_then(|app| self.settings.occupancy.obstacle(app));
        Ok(Some(timeline::build(
            &snapshot,
            &deliveries,
            &entries,
            &joined,
            app.map(|app| app.params.media).unwrap_or_default(),
            obstacle.as_deref(),
            (self.settings.now_ms)(),
        )))
    }

    /// Wakes the worker after a change in the store.
    pub fn wake(&self) {
        // Keeps a permit while the worker is busy, so that no change is missed.
        self.changed.notify_one();
    }

    async fn ask(
        &self,
        snapshot: &SessionSnapshot,
        action: Action,
        options: RequestOptions<'_>,
    ) -> Asked {
        let chosen = self.choose(snapshot, options).await;
        self.ask_as(chosen, &snapshot.session, action).await
    }

    async fn ask_as(
        &self,
        chosen: Result<Chosen, TokenError>,
        session: &Session,
        action: Action,
    ) -> Asked {
        let chosen = match chosen {
            Ok(chosen) => chosen,
            Err(error) => return Asked { chosen: None, answer: Err(error.into()) },
        };
        let answer = match self.app(session) {
            Ok(app) => self.ask_with(&app, &chosen, session, action).await,
            Err(error) => Err(error.into()),
        };
        Asked { chosen: Some(chosen), answer }
    }

    async fn ask_with(
        &self,
        app: &Arc<App>,
        chosen: &Chosen,
        session: &Session,
        action: Action,
    ) -> Result<Accepted, CallError> {
        let target = session.target().ok_or_else(|| {
            CallError::Token(TokenError::Missing("the meeting's number is not known".into()))
        })?;
        let began_ms = session.meeting_started_at_ms;
        let change = StatusChange {
            product: session.instance.product,
            target,
            action,
            participant_user_id: session.participant_user_id.as_deref(),
            host_id: session.host_id.as_deref(),
            is_new: action == Action::Start
                && began_ms.is_some_and(|ms| (self.settings.now_ms)() - ms < NEW_MEETING_MS),
        };
        self.api.change_status(app, chosen, &change).await
    }

    async fn choose(
        &self,
        snapshot: &SessionSnapshot,
        RequestOptions { installation_id: named, allowed, .. }: RequestOptions<'_>,
    ) -> Result<Chosen, TokenError> {
        let session = &snapshot.session;
        let app = self.app(session)?;
        let named_before = || {
            let id = session.installation_id.as_deref().and_then(InstallationId::parse);
            // Another caller may have named an installation for the session that this caller may not use.
            id.filter(|id| allowed.is_none_or(|allowed| allowed.contains(id)))
        };
        let users = [
            (ChoiceReason::Host, &session.host_id),
            (ChoiceReason::Participant, &session.participant_user_id),
            (ChoiceReason::Operator, &session.operator_id),
        ];
        let known = Candidates {
            app: app.name.clone(),
            named: named.or_else(named_before),
            users: users
                .into_iter()
                .filter_map(|(reason, user)| Some((reason, user.as_deref()?)))
                .collect(),
            account_id: session.account_id.as_deref(),
            used_before: used_before(snapshot),
            allowed,
        };
        self.api.choose(&app, session.instance.product, &known).await
    }

    /// The app of a session as it is now.
    fn app(&self, session: &Session) -> Result<Arc<App>, TokenError> {
        self.settings
            .apps
            .for_session(session)
            .ok_or_else(|| TokenError::NoApp(session.app.clone()))
    }

    /// The actions that the policies of its app plan for a session; none if the app was removed.
    fn planned_actions(&self, snapshot: &SessionSnapshot) -> Vec<Planned> {
        let app = self.settings.apps.for_session(&snapshot.session);
        app.map_or_else(Vec::new, |app| policy::planned_actions(snapshot, &app.policies))
    }

    /// The status of an accepted action and when it times out: a start waits for its stream, a stop for the stream's
    /// end.
    fn accepted(&self, action: Action, snapshot: &SessionSnapshot) -> (ActionStatus, Option<i64>) {
        let is_followed = match action {
            Action::Start => true,
            Action::Stop => policy::active_stream(snapshot).is_some(),
            // No webhook confirms these (section 3.5).
            Action::Pause | Action::Resume => false,
        };
        let due_at_ms =
            is_followed.then(|| (self.settings.now_ms)() + ms(self.settings.start_timeout));
        (ActionStatus::Accepted, due_at_ms)
    }

    async fn review_session(&self, id: SessionId) -> Result<(), StoreError> {
        let Some(snapshot) = self.store.snapshot(id).await? else { return Ok(()) };
        let plans = self.planned_actions(&snapshot);
        self.store.plan(id, &plans, (self.settings.now_ms)()).await
    }

    async fn answer(
        &self,
        id: ActionId,
        status: ActionStatus,
        due_at_ms: Option<i64>,
        asked: &Asked,
    ) -> Result<(), StoreError> {
        let now_ms = (self.settings.now_ms)();
        self.store.answer_action(id, status, due_at_ms, &asked.record(), now_ms).await
    }
}

impl Asked {
    /// The answer as it is stored.
    fn record(&self) -> Answer {
        let chosen = self.chosen;
        match &self.answer {
            Ok(accepted) => Answer {
                zoom: Some(ZoomAnswer { status: accepted.status, ..ZoomAnswer::default() }),
                chosen,
                ..Answer::default()
            },
            Err(CallError::Zoom(error)) => Answer {
                code: Some(error.problem.code().to_owned()),
                detail: Some(error.problem.advice().to_owned()),
                zoom: error.answer.clone(),
                chosen,
            },
            Err(CallError::Token(error)) => Answer {
                code: Some(token_code(error).to_owned()),
                detail: Some(error.to_string()),
                zoom: None,
                chosen,
            },
        }
    }
}

/// The token that Zoom last accepted for this session.
fn used_before(snapshot: &SessionSnapshot) -> Option<Chosen> {
    let answers = snapshot.actions.iter().rev().filter_map(|action| action.answer.as_ref());
    let is_yes = |answer: &&Answer| answer.code.is_none() && answer.zoom.is_some();
    answers.filter(is_yes).find_map(|answer| answer.chosen)
}

/// The API's error code for a missing token.
pub fn token_code(error: &TokenError) -> &'static str {
    match error {
        TokenError::Missing(_) => "token_missing",
        TokenError::Ambiguous { .. } => "installation_ambiguous",
        TokenError::NotAllowed => "installation_not_allowed",
        TokenError::NeedsReconnect(_) => "installation_needs_reconnect",
        TokenError::Revoked(_) => "installation_revoked",
        TokenError::NoApp(_) => "app_not_configured",
        TokenError::Unavailable(_) => "zoom_unavailable",
        TokenError::Store(_) => "store_unavailable",
    }
}
