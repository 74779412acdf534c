//! Asks Zoom which meetings run, after a time in which its events were lost.

use std::sync::Arc;

use super::{Control, ControlError, RequestOptions};
use crate::model::{Installation, Session, SessionId};
use crate::zoom::api::{CallError, LiveMeeting, MeetingState};
use crate::zoom::app::{App, AutoStart};
use crate::zoom::token::{Configured, Wanted};

/// The most users of an app whose meetings are asked for.
const MAX_USERS: u32 = 200;

/// A user whose meetings the app's policy starts, and the token that may list them.
#[derive(Debug, Clone)]
pub struct PolicyUser {
    /// The Zoom user id in the question: `me` for the owner of the token.
    user: String,
    wanted: Wanted,
    pub account_id: Option<String>,
}

impl Control {
    /// Whether the meeting of a session runs. None if the session has no number, or Zoom does not say.
    ///
    /// # Errors
    /// The session is unknown, there is no token for it, or Zoom refused or did not answer.
    pub async fn meeting_state(
        &self,
        id: SessionId,
    ) -> Result<Option<(Session, MeetingState)>, ControlError> {
        let snapshot = self.store.snapshot(id).await?.ok_or(ControlError::UnknownSession)?;
        let app = self.app(&snapshot.session).map_err(ControlError::Token)?;
        let Some(number) = snapshot.session.target().map(str::to_owned) else { return Ok(None) };
        let chosen = self.choose(&snapshot, RequestOptions::default()).await;
        let chosen = chosen.map_err(ControlError::Token)?;
        let state = self.api.meeting(&app, &chosen, &number).await.map_err(control_error)?;
        Ok(state.map(|state| (snapshot.session, state)))
    }

    /// The users whose meetings the policy of an app starts by itself, as far as a token can list them.
    pub async fn policy_users(&self, app: &Arc<App>) -> Result<Vec<PolicyUser>, ControlError> {
        let is_wanted = |user: &str| match &app.policies.auto_start {
            AutoStart::Off => false,
            AutoStart::All => true,
            AutoStart::Hosts(hosts) => hosts.iter().any(|host| host == user),
        };
        if app.policies.auto_start == AutoStart::Off {
            return Ok(Vec::new());
        }
        let installed = self.store.connected_installations(&app.name, MAX_USERS).await?;
        let own = |of: &Installation| PolicyUser {
            user: "me".to_owned(),
            wanted: Wanted::Installation(of.id),
            account_id: Some(of.account_id.clone()),
        };
        let wanted = installed.iter().filter(|of| is_wanted(&of.user_id));
        let mut users: Vec<_> = wanted.map(own).collect();
        if let (AutoStart::Hosts(hosts), false) =
            (&app.policies.auto_start, app.configured == Configured::None)
        {
            let is_installed = |host: &String| installed.iter().any(|of| of.user_id == *host);
            users.extend(hosts.iter().filter(|host| !is_installed(host)).map(|host| PolicyUser {
                user: host.clone(),
                wanted: Wanted::Configured(app.name.clone()),
                account_id: None,
            }));
        }
        users.truncate(MAX_USERS as usize);
        Ok(users)
    }

    /// The meetings that a user hosts now.
    ///
    /// # Errors
    /// There is no token, or Zoom refused or did not answer.
    pub async fn live_meetings(&self, user: &PolicyUser) -> Result<Vec<LiveMeeting>, ControlError> {
        self.api.live_meetings(&user.wanted, &user.user).await.map_err(control_error)
    }
}

fn control_error(error: CallError) -> ControlError {
    match error {
        CallError::Zoom(error) => ControlError::Zoom(error),
        CallError::Token(error) => ControlError::Token(error),
    }
}
