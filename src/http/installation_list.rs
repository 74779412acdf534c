//! Pages of installations, as the API and the dashboard read them.

use std::cmp::Reverse;

use super::AppState;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{Params, cut_page};
use crate::model::{AppScope, Installation, InstallationId};

/// The page of installations that the query selects, newest first, and the `before` of the next one.
pub(super) async fn read_installations(
    state: &AppState,
    caller: &Caller,
    params: &Params,
) -> Result<(Vec<Installation>, Option<InstallationId>), ApiError> {
    let limit = params.limit()?;
    let problem = "must be the id of an installation";
    let before = params.parsed("before", problem, InstallationId::parse)?;
    // One row more than requested shows whether there is a next page.
    let mut found = match &caller.installations {
        None => state.store.installations(&caller.apps, before, limit + 1).await?,
        Some(own) => some_of(state, own, &caller.apps, before, limit + 1).await?,
    };
    let next = cut_page(&mut found, limit).map(|installation| installation.id);
    Ok((found, next))
}

/// A page of a bound caller's own installations, newest first. There are few, so they are filtered in memory.
async fn some_of(
    state: &AppState,
    own: &[InstallationId],
    apps: &AppScope,
    before: Option<InstallationId>,
    limit: u32,
) -> Result<Vec<Installation>, ApiError> {
    let mut own: Vec<_> = own.to_vec();
    // Version 7 UUIDs rise with time, so this order is newest first.
    own.sort_by_key(|id| Reverse(id.0));
    own.dedup();
    own.retain(|id| before.is_none_or(|before| id.0 < before.0));
    let mut found = Vec::new();
    for id in own {
        if found.len() >= limit as usize {
            break;
        }
        let installation = state.store.grant(id).await?.map(|grant| grant.installation);
        found.extend(installation.filter(|installation| apps.includes(&installation.app)));
    }
    Ok(found)
}
