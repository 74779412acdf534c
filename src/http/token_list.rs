//! The API tokens that were made while the daemon ran, as the API and the dashboard read them.

use super::AppState;
use super::auth::Caller;
use super::error::ApiError;
use crate::model::{InstallationId, StoredToken};

/// The tokens that permit nothing beyond the apps and installations of the caller, oldest first.
pub(super) async fn read_tokens(
    state: &AppState,
    caller: &Caller,
) -> Result<Vec<StoredToken>, ApiError> {
    let mut stored = state.store.api_tokens().await?;
    stored.retain(|token| is_within(caller, token));
    Ok(stored)
}

/// The ids in a column.
pub(super) fn split_ids(column: &str) -> Vec<InstallationId> {
    column.split('+').filter_map(InstallationId::parse).collect()
}

/// Whether a token permits nothing that the caller may not do.
fn is_within(caller: &Caller, token: &StoredToken) -> bool {
    let ids = token.installations.as_deref().map(split_ids);
    let may_use = match (&caller.installations, ids) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(_), Some(ids)) => ids.into_iter().all(|id| caller.may_use(id)),
    };
    may_use && caller.apps.covers(&token.apps)
}
