//! Pages of the audit trail, as the API and the dashboard read them.

use uuid::Uuid;

use super::AppState;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{Params, cut_page};
use crate::model::{SessionId, parse_time};
use crate::store::{AuditPage, Audited};

const TIME_FORM: &str =
    "must be a time, such as 2026-11-28T09:00:00Z, or a number of Unix milliseconds";

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
    let session = filled(params, "session", "must be the id of a session", SessionId::parse)?;
    let session = session.map(|id| id.to_string());
    let time = |name| filled(params, name, TIME_FORM, parse_time);
    // One row more than requested shows whether there is a next page.
    let page = AuditPage {
        before: before.as_deref(),
        limit: limit + 1,
        actor: params.filled("actor"),
        action: params.filled("action"),
        subject: session.as_deref().or_else(|| params.filled("subject")),
        outcome: params.filled("outcome"),
        app: params.filled("app"),
        from_ms: time("from")?,
        to_ms: time("to")?,
        apps: caller.apps.clone(),
    };
    let mut rows = state.store.audit_page(&page).await?;
    let next = cut_page(&mut rows, limit).map(|row| row.id.clone());
    Ok((rows, next))
}

/// The value of a parameter that is not empty, as a form sends it for a field that was left out.
fn filled<T>(
    params: &Params,
    name: &'static str,
    problem: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let read = |text| parse(text).ok_or(ApiError::InvalidValue { name, problem });
    params.filled(name).map(read).transpose()
}
