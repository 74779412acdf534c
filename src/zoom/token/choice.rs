//! Chooses the token for a meeting: the order in which installations and the configured token are considered.

use super::{Configured, TokenError, Tokens, Wanted, is_connected};
use crate::model::{AppName, ChoiceReason, Chosen, Installation, InstallationId};
use crate::store::{StoreError, StoredGrant};
use crate::zoom::app::App;

/// The most installations that an ambiguous choice lists.
const MAX_LISTED: u32 = 20;

/// The facts about a meeting from which its token is chosen.
#[derive(Debug, Clone, Default)]
pub struct Candidates<'a> {
    /// The app whose stream it is. Only its installations and its configured token are candidates.
    pub app: AppName,
    /// The installation that the caller named.
    pub named: Option<InstallationId>,
    /// Zoom user ids in order of preference, each with its role in the meeting.
    pub users: Vec<(ChoiceReason, &'a str)>,
    pub account_id: Option<&'a str>,
    /// The token that Zoom last accepted for this meeting.
    pub used_before: Option<Chosen>,
    /// If set, the caller may use only these installations and no configured token.
    pub allowed: Option<&'a [InstallationId]>,
}

impl Candidates<'_> {
    /// Whether the caller may use this installation.
    pub fn allows(&self, id: InstallationId) -> bool {
        self.allowed.is_none_or(|allowed| allowed.contains(&id))
    }
}

impl Chosen {
    /// The argument for [`Tokens::token`].
    pub fn wanted(&self, app: &AppName) -> Wanted {
        let configured = || Wanted::Configured(app.clone());
        self.installation_id.map_or_else(configured, Wanted::Installation)
    }

    fn installation(id: InstallationId, reason: ChoiceReason) -> Self {
        Self { installation_id: Some(id), reason }
    }

    const fn configured(reason: ChoiceReason) -> Self {
        Self { installation_id: None, reason }
    }
}

impl Tokens {
    /// Chooses a token of the app in this order: the named installation; the installation of the host, of another known user, or
    /// of the meeting's account; the token that worked for this meeting before; the only connected installation; the
    /// configured token. Zoom decides whether the chosen token is permitted to do what is requested.
    ///
    /// # Errors
    /// [`TokenError::NoApp`] if the app is not configured here;
    /// [`TokenError::NotAllowed`] if the caller may not use the named installation;
    /// [`TokenError::Missing`] if the app has no such installation;
    /// [`TokenError::Ambiguous`] if several installations are connected and none can be matched;
    /// [`TokenError::NeedsReconnect`] if the matching one must be installed again and there is no other.
    pub async fn choose(&self, known: &Candidates<'_>) -> Result<Chosen, TokenError> {
        let app = &*self.0.app(&known.app)?;
        if let Some(id) = known.named {
            if !known.allows(id) {
                return Err(TokenError::NotAllowed);
            }
            let named = self.grant_of(&known.app, id).await?;
            named.ok_or_else(|| TokenError::no_installation(id))?;
            return Ok(Chosen::installation(id, ChoiceReason::Named));
        }
        let mut lost = None;
        for (reason, user_id, account_id) in possible_owners(known) {
            let found = self.0.store.find_grant(&known.app, user_id, account_id).await?;
            let Some(grant) = found else { continue };
            let id = grant.installation.id;
            if !known.allows(id) {
                continue;
            }
            if is_connected(&grant) {
                return Ok(Chosen::installation(id, reason));
            }
            lost = lost.or(Some(id));
        }
        if let Some(chosen) = self.used_before(app, known).await? {
            return Ok(chosen);
        }
        self.among_all(app, known, lost).await
    }

    async fn used_before(
        &self,
        app: &App,
        known: &Candidates<'_>,
    ) -> Result<Option<Chosen>, TokenError> {
        let Some(before) = known.used_before else { return Ok(None) };
        let is_good = match before.installation_id {
            Some(id) if !known.allows(id) => false,
            Some(id) => self.grant_of(&known.app, id).await?.as_ref().is_some_and(is_connected),
            None => may_configured(app, known),
        };
        Ok(is_good.then_some(Chosen { reason: ChoiceReason::UsedBefore, ..before }))
    }

    /// Chooses when no installation matches the meeting.
    async fn among_all(
        &self,
        app: &App,
        known: &Candidates<'_>,
        lost: Option<InstallationId>,
    ) -> Result<Chosen, TokenError> {
        let mut connected = self.connected(known).await?;
        let only = match &connected[..] {
            [only] => Some(only),
            _ => None,
        };
        // An installation of another account is the last resort.
        let may_fit = |only: &&Installation| {
            known.account_id.is_none_or(|account_id| only.account_id == account_id)
        };
        if let Some(only) = only.filter(|only| may_fit(only) || !may_configured(app, known)) {
            return Ok(Chosen::installation(only.id, ChoiceReason::OnlyInstallation));
        }
        if may_configured(app, known) {
            return Ok(Chosen::configured(ChoiceReason::Configured));
        }
        if let Some(id) = lost {
            return Err(TokenError::NeedsReconnect(id));
        }
        if connected.is_empty() {
            return Err(match known.allowed {
                None => TokenError::no_source(app),
                Some(_) => TokenError::NotAllowed,
            });
        }
        let has_more = connected.len() > MAX_LISTED as usize;
        connected.truncate(MAX_LISTED as usize);
        let ids = connected.into_iter().map(|installation| installation.id).collect();
        Err(TokenError::Ambiguous { ids, has_more })
    }

    /// The grant of an installation of this app.
    async fn grant_of(
        &self,
        app: &AppName,
        id: InstallationId,
    ) -> Result<Option<StoredGrant>, StoreError> {
        let grant = self.0.store.grant(id).await?;
        Ok(grant.filter(|grant| grant.installation.app == *app))
    }

    /// The connected installations that the caller may use, at most one more than are listed.
    async fn connected(&self, known: &Candidates<'_>) -> Result<Vec<Installation>, TokenError> {
        let Some(allowed) = known.allowed else {
            let limit = MAX_LISTED + 1;
            return Ok(self.0.store.connected_installations(&known.app, limit).await?);
        };
        let mut connected = Vec::new();
        // One statement each, because a token is bound to few installations.
        for id in allowed {
            let grant = self.grant_of(&known.app, *id).await?;
            connected.extend(grant.filter(is_connected).map(|grant| grant.installation));
            if connected.len() > MAX_LISTED as usize {
                break;
            }
        }
        Ok(connected)
    }
}

/// Whether the caller may use the app's configured token, which belongs to no installation.
fn may_configured(app: &App, known: &Candidates<'_>) -> bool {
    known.allowed.is_none() && !matches!(app.configured, Configured::None)
}

/// The possible owners of a matching installation, in order of preference.
fn possible_owners<'a>(
    known: &Candidates<'a>,
) -> impl Iterator<Item = (ChoiceReason, Option<&'a str>, Option<&'a str>)> {
    let users = known.users.clone().into_iter().map(|(reason, user)| (reason, Some(user), None));
    let account = known.account_id.map(|account| (ChoiceReason::Account, None, Some(account)));
    users.chain(account)
}
