//! Control: sessions by request, and what is asked of Zoom for them, by programs and by policies.
//!
//! Everything that was asked, will be asked and came of it is a row. A program's request is carried out while it waits;
//! what a policy wants is planned as a row with a due time, and one background worker of any replica takes it up.

mod media;
mod policy;
mod timeline;
mod worker;

use std::time::Duration;

use thiserror::Error;
use tokio::sync::Notify;

pub use media::MediaError;
pub use policy::{AutoStart, Policies, Refusal};
pub use timeline::{Missing, Moment, Timeline};

use crate::model::{
    Action, ActionId, ActionStatus, Answer, InstallationId, InstallationStatus, MediaParams,
    NewSession, Session, SessionId, Standing, StreamId, UserId, ZoomAnswer, ms,
};
use crate::rtms::params::Params;
use crate::store::{Begin, Begun, Made, Store, StoreError};
use crate::zoom::api::{Accepted, Api, CallError, LONGEST_CALL, StatusChange};
use crate::zoom::refusal::ZoomError;
use crate::zoom::token::{TokenError, Wanted};

/// For so long after its beginning Zoom may not know a meeting (section 14.1).
const NEW_MEETING_MS: i64 = 2 * 60 * 1000;

#[derive(Debug, Clone)]
pub struct Settings {
    pub policies: Policies,
    /// Without a webhook for so long after Zoom's yes, a start has timed out.
    pub start_timeout: Duration,
    /// How often due rows are looked for.
    pub look_every: Duration,
    /// What every stream asks for, unless its session says otherwise.
    pub params: Params,
    /// Whether anything may be recorded.
    pub may_record: bool,
    /// The wall clock, Unix milliseconds.
    pub now_ms: fn() -> i64,
}

/// Why a request was not carried out.
#[derive(Debug, Error)]
pub enum ControlError {
    #[error("there is no session with this id")]
    UnknownSession,
    /// What `Refusal` says; with the session as it is.
    #[error("not now: {0:?}")]
    Refused(Refusal, Box<Session>),
    #[error(transparent)]
    Zoom(ZoomError),
    #[error(transparent)]
    Token(TokenError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What Zoom said yes to.
#[derive(Debug, Clone)]
pub struct Requested {
    /// As it was before.
    pub session: Session,
    pub accepted: Accepted,
}

/// Asks Zoom for things, and keeps the books.
pub struct Control {
    store: Store,
    api: Api,
    settings: Settings,
    changed: Notify,
}

impl Control {
    pub fn new(store: Store, api: Api, settings: Settings) -> Self {
        Self { store, api, settings, changed: Notify::new() }
    }

    /// Makes a session, or finds the one that is the same.
    pub async fn create(&self, new: &NewSession) -> Result<Made, StoreError> {
        self.store.create_session(new, (self.settings.now_ms)()).await
    }

    /// What streams would ask for with these parameters, every one named.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn resolve_media(&self, wanted: &MediaParams) -> Result<MediaParams, MediaError> {
        let media = media::resolve(&self.settings.params, wanted)?;
        media::check_recording(&media, self.settings.may_record)?;
        Ok(media)
    }

    /// Asks Zoom for an action on a session's stream, and waits for the answer. `media`, which must be resolved,
    /// is what the session's streams ask for from then on.
    pub async fn request(
        &self,
        session_id: SessionId,
        action: Action,
        media: Option<&MediaParams>,
        asked_by: &str,
    ) -> Result<Requested, ControlError> {
        if action == Action::Stop {
            // So that a start that is about to be planned is dropped with the others.
            self.review_session(session_id).await?;
        }
        let now_ms = (self.settings.now_ms)();
        let until_ms = now_ms + ms(LONGEST_CALL) + ms(self.settings.start_timeout);
        let begin = Begin { session_id, action, asked_by, now_ms, until_ms, media };
        let admit = |standing: &Standing| {
            policy::admit(action, standing, None)
                .map_err(|refusal| (refusal, Box::new(standing.session.clone())))
        };
        let begun = self.store.begin_action(&begin, admit).await?;
        let Begun { id, standing } = match begun.ok_or(ControlError::UnknownSession)? {
            Ok(begun) => begun,
            Err((refusal, session)) => return Err(ControlError::Refused(refusal, session)),
        };
        let asked = self.ask(&standing, action).await;
        let (status, due_at_ms) = match &asked {
            Ok(_) => self.accepted(action, &standing),
            Err(_) => (ActionStatus::Refused, None),
        };
        self.answer(id, status, due_at_ms, &asked).await?;
        let accepted = asked.map_err(|error| match error {
            CallError::Zoom(error) => ControlError::Zoom(error),
            CallError::Token(TokenError::Store(error)) => ControlError::Store(error),
            CallError::Token(error) => ControlError::Token(error),
        })?;
        Ok(Requested { session: standing.session, accepted })
    }

    /// Chooses whose video a session's streams ask for, from now on. Returns the stream that goes on, if one does:
    /// its runner finds the choice in the store.
    pub async fn pin_video(
        &self,
        id: SessionId,
        user_id: UserId,
    ) -> Result<Option<StreamId>, ControlError> {
        let standing = self.store.standing(id).await?.ok_or(ControlError::UnknownSession)?;
        let stream = policy::living(&standing);
        let own = stream.map_or(&standing.session.media, |stream| &stream.media);
        if !media::is_individual(&self.settings.params, own.as_ref()) {
            let session = Box::new(standing.session);
            return Err(ControlError::Refused(Refusal::VideoNotIndividual, session));
        }
        self.store.pin_video(id, user_id).await?;
        Ok(stream.map(|stream| stream.stream_id.clone()))
    }

    /// What happened to a session, in order; none when it is unknown.
    pub async fn timeline(&self, id: SessionId) -> Result<Option<Timeline>, StoreError> {
        let Some(standing) = self.store.standing(id).await? else { return Ok(None) };
        let deliveries = self.store.deliveries_of(id, timeline::MAX_DELIVERIES).await?;
        let cursor = crate::model::Cursor::default();
        let kinds = &timeline::KINDS;
        let entries = self.store.entries_after(id, &cursor, kinds, timeline::MAX_ENTRIES).await?;
        Ok(Some(timeline::tell(
            &standing,
            &deliveries,
            &entries,
            &self.settings.params.media,
            (self.settings.now_ms)(),
        )))
    }

    /// Something has changed in the store: there may be something to do.
    pub fn look(&self) {
        self.changed.notify_one();
    }

    async fn ask(&self, standing: &Standing, action: Action) -> Result<Accepted, CallError> {
        let session = &standing.session;
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
        let wanted = self.wanted(session).await.map_err(TokenError::Store)?;
        let asked = self.api.change_status(&wanted.source, &change).await;
        match (asked, wanted.lost) {
            // There is no other token: the user whose own one is lost can mend that.
            (Err(CallError::Token(TokenError::Missing(_))), Some(id)) => {
                Err(TokenError::NeedsReconnect(id).into())
            }
            (asked, _) => asked,
        }
    }

    /// Whose token is used: of the installation that is named, else of the meeting's host, else of the participant,
    /// else of somebody in the account, else the configured one.
    async fn wanted<'a>(&self, session: &'a Session) -> Result<Choice<'a>, StoreError> {
        if let Some(id) = session.installation_id.as_deref().and_then(InstallationId::parse) {
            return Ok(Choice { source: Wanted::Installation(id), lost: None });
        }
        let users = [&session.host_id, &session.participant_user_id, &session.operator_id];
        let mut lost = None;
        for user_id in users.into_iter().filter_map(|id| id.as_deref()) {
            let Some(grant) = self.store.find_grant(Some(user_id), None).await? else { continue };
            let id = grant.installation.id;
            if grant.installation.status == InstallationStatus::Connected {
                return Ok(Choice { source: Wanted::Installation(id), lost: None });
            }
            lost = lost.or(Some(id));
        }
        let source = Wanted::For { host_id: None, account_id: session.account_id.as_deref() };
        Ok(Choice { source, lost })
    }

    /// Where an action stands that Zoom said yes to: a start's stream is waited for, and the end of a stopped one.
    fn accepted(&self, action: Action, standing: &Standing) -> (ActionStatus, Option<i64>) {
        let is_followed = match action {
            Action::Start => true,
            Action::Stop => policy::living(standing).is_some(),
            Action::Pause | Action::Resume => false,
        };
        let due_at_ms =
            is_followed.then(|| (self.settings.now_ms)() + ms(self.settings.start_timeout));
        (ActionStatus::Accepted, due_at_ms)
    }

    async fn review_session(&self, id: SessionId) -> Result<(), StoreError> {
        let Some(standing) = self.store.standing(id).await? else { return Ok(()) };
        let plans = policy::plans(&standing, &self.settings.policies);
        self.store.plan(id, &plans, (self.settings.now_ms)()).await
    }

    async fn answer(
        &self,
        id: ActionId,
        status: ActionStatus,
        due_at_ms: Option<i64>,
        asked: &Result<Accepted, CallError>,
    ) -> Result<(), StoreError> {
        let now_ms = (self.settings.now_ms)();
        self.store.answer_action(id, status, due_at_ms, &answer(asked), now_ms).await
    }
}

/// Whose token is used for a session.
struct Choice<'a> {
    source: Wanted<'a>,
    /// The best user's installation, whose tokens Zoom takes no more.
    lost: Option<InstallationId>,
}

/// What is kept of an answer.
fn answer(asked: &Result<Accepted, CallError>) -> Answer {
    match asked {
        Ok(accepted) => Answer {
            code: None,
            detail: None,
            zoom: Some(ZoomAnswer { status: accepted.status, ..ZoomAnswer::default() }),
        },
        Err(CallError::Zoom(error)) => Answer {
            code: Some(error.problem.code().to_owned()),
            detail: Some(error.problem.advice().to_owned()),
            zoom: error.answer.clone(),
        },
        Err(CallError::Token(error)) => Answer {
            code: Some(token_code(error).to_owned()),
            detail: Some(error.to_string()),
            zoom: None,
        },
    }
}

/// Our word for why there is no token.
pub fn token_code(error: &TokenError) -> &'static str {
    match error {
        TokenError::Missing(_) => "token_missing",
        TokenError::NeedsReconnect(_) => "installation_needs_reconnect",
        TokenError::Revoked(_) => "installation_revoked",
        TokenError::Unavailable(_) => "zoom_unavailable",
        TokenError::Store(_) => "store_unavailable",
    }
}
