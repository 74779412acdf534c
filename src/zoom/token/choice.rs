//! Whose token fits a meeting: the order in which installations and the configured token are considered.

use super::{Configured, TokenError, Tokens, Wanted, is_connected};
use crate::model::{ChoiceReason, Chosen, Installation, InstallationId};

/// An ambiguous choice lists this many installations at most.
const MAX_LISTED: u32 = 20;

/// What is known of a meeting that says whose token fits it.
#[derive(Debug, Clone, Default)]
pub struct Candidates<'a> {
    /// The installation that the caller names.
    pub named: Option<InstallationId>,
    /// Zoom's user ids, the best first, each with its part in the meeting.
    pub users: Vec<(ChoiceReason, &'a str)>,
    pub account_id: Option<&'a str>,
    /// What Zoom last said yes to for this meeting.
    pub used_before: Option<Chosen>,
}

impl Chosen {
    /// What to ask [`Tokens::token`] for.
    pub fn wanted(&self) -> Wanted {
        self.installation_id.map_or(Wanted::Configured, Wanted::Installation)
    }

    fn installation(id: InstallationId, reason: ChoiceReason) -> Self {
        Self { installation_id: Some(id), reason }
    }

    const fn configured(reason: ChoiceReason) -> Self {
        Self { installation_id: None, reason }
    }
}

impl Tokens {
    /// Chooses, in this order: the named installation; the host's, another known user's, or one of the meeting's
    /// account; what worked for this meeting before; the only connected one; the configured token. Whether the choice
    /// may do what is asked of it is for Zoom to say.
    ///
    /// # Errors
    /// [`TokenError::Ambiguous`] when several are connected and nothing says which fits;
    /// [`TokenError::NeedsReconnect`] when the one that fits must be installed again and no other is there.
    pub async fn choose(&self, known: &Candidates<'_>) -> Result<Chosen, TokenError> {
        if let Some(id) = known.named {
            return Ok(Chosen::installation(id, ChoiceReason::Named));
        }
        let mut lost = None;
        for (reason, user_id, account_id) in owners(known) {
            let Some(grant) = self.0.store.find_grant(user_id, account_id).await? else { continue };
            let id = grant.installation.id;
            if is_connected(&grant) {
                return Ok(Chosen::installation(id, reason));
            }
            lost = lost.or(Some(id));
        }
        if let Some(chosen) = self.used_before(known).await? {
            return Ok(chosen);
        }
        self.among_all(known, lost).await
    }

    async fn used_before(&self, known: &Candidates<'_>) -> Result<Option<Chosen>, TokenError> {
        let Some(before) = known.used_before else { return Ok(None) };
        let is_good = match before.installation_id {
            Some(id) => self.0.store.grant(id).await?.as_ref().is_some_and(is_connected),
            None => self.has_configured(),
        };
        Ok(is_good.then_some(Chosen { reason: ChoiceReason::UsedBefore, ..before }))
    }

    /// Nothing points at one of them.
    async fn among_all(
        &self,
        known: &Candidates<'_>,
        lost: Option<InstallationId>,
    ) -> Result<Chosen, TokenError> {
        let mut connected = self.0.store.connected_installations(MAX_LISTED + 1).await?;
        let only = match &connected[..] {
            [only] => Some(only),
            _ => None,
        };
        // One of an account that is known to be another is the last resort.
        let may_fit = |only: &&Installation| {
            known.account_id.is_none_or(|account_id| only.account_id == account_id)
        };
        if let Some(only) = only.filter(|only| may_fit(only) || !self.has_configured()) {
            return Ok(Chosen::installation(only.id, ChoiceReason::OnlyInstallation));
        }
        if self.has_configured() {
            return Ok(Chosen::configured(ChoiceReason::Configured));
        }
        if let Some(id) = lost {
            return Err(TokenError::NeedsReconnect(id));
        }
        if connected.is_empty() {
            return Err(TokenError::no_source());
        }
        let has_more = connected.len() > MAX_LISTED as usize;
        connected.truncate(MAX_LISTED as usize);
        let ids = connected.into_iter().map(|installation| installation.id).collect();
        Err(TokenError::Ambiguous { ids, has_more })
    }

    fn has_configured(&self) -> bool {
        !matches!(self.0.configured, Configured::None)
    }
}

/// Who may own the installation that fits, the best first.
fn owners<'a>(
    known: &Candidates<'a>,
) -> impl Iterator<Item = (ChoiceReason, Option<&'a str>, Option<&'a str>)> {
    let users = known.users.clone().into_iter().map(|(reason, user)| (reason, Some(user), None));
    let account = known.account_id.map(|account| (ChoiceReason::Account, None, Some(account)));
    users.chain(account)
}
