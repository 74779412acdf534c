//! Pages of the audit trail, as the API and the dashboard read them.

use uuid::Uuid;

use super::AppState;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{Params, cut_page};
use crate::store::{AuditPage, Audited};

/// The page of the audit trail that the query selects, newest first, and the `before` of the next one.
pub(super) async fn read_audit(
    state: &AppState,
    caller: &Caller,
    params: &Params,
) -> Result<(Vec<Audited>, Option<String>), ApiError> {
    let limit = params.limit()?;
    let problem = "must be the id of an audit row";
    let before = params.parsed("before", problem, |text| Uuid::parse_str(text).ok())?;
    // In the form that the store compares with: a UUID has several spellings.
    let before = before.map(|id| id.to_string());
    // One row more than requested shows whether there is a next page.
    let page = AuditPage {
        before: before.as_deref(),
        limit: limit + 1,
        actor: params.filled("actor"),
        action: params.filled("action"),
        apps: caller.apps.clone(),
    };
    let mut rows = state.store.audit_page(&page).await?;
    let next = cut_page(&mut rows, limit).map(|row| row.id.clone());
    Ok((rows, next))
}
