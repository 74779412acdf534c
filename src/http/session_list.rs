//! One page of sessions, as the API and the dashboard list them.

use super::AppState;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{Params, cut_page};
use crate::model::{AppName, AppScope, Product, Session, SessionId, SessionStatus};
use crate::store::SessionPage;

/// The longest text to search for.
const MAX_SEARCH_CHARS: usize = 200;

/// What a query asks for, limited to the apps that the caller may see. An empty value is none, as in a form.
pub(super) fn parse_page(
    state: &AppState,
    caller: &Caller,
    params: &Params,
) -> Result<SessionPage, ApiError> {
    let statuses = params.parsed_filled(
        "status",
        "must be some of created, rtms_start_requested, start_timed_out, start_refused, connecting, live, stopped, \
         ended, separated by commas",
        |text| text.split(',').map(SessionStatus::parse).collect(),
    )?;
    let app = params.filled("app");
    let app = app.map(|name| AppName::parse(name).map_err(|_| ApiError::UnknownApp)).transpose()?;
    let apps = app.map_or(AppScope::All, |name| AppScope::Only([name].into()));
    let problem = "must be meeting, webinar, video_sdk, contact_center or phone";
    Ok(SessionPage {
        before: params.parsed_filled("before", "must be the id of a session", SessionId::parse)?,
        limit: params.limit()?,
        statuses: statuses.unwrap_or_default(),
        product: params.parsed_filled("product", problem, Product::parse)?,
        search: params.parsed_filled("q", "must have 200 characters at most", search_text)?,
        apps: caller.allowed_apps(&state.apps, apps)?,
    })
}

/// The sessions of a page and, if there is another one, the `before` of it.
pub(super) async fn read_page(
    state: &AppState,
    page: &SessionPage,
) -> Result<(Vec<Session>, Option<SessionId>), ApiError> {
    // One row more than requested shows whether there is a next page.
    let asked = SessionPage { limit: page.limit + 1, ..page.clone() };
    let mut sessions = state.store.sessions(&asked).await?;
    let next = cut_page(&mut sessions, page.limit).map(|session| session.id);
    Ok((sessions, next))
}

/// The text to search for. A meeting number is found as Zoom writes it, too: in groups.
fn search_text(text: &str) -> Option<String> {
    let text = text.trim();
    if text.chars().count() > MAX_SEARCH_CHARS {
        return None;
    }
    let is_number = text.chars().all(|c| c.is_ascii_digit() || c == ' ' || c == '-');
    let digits = || text.chars().filter(char::is_ascii_digit).collect();
    Some(if is_number { digits() } else { text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meeting_number_is_searched_without_its_groups() {
        assert_eq!(search_text(" 912 3456-7890 ").as_deref(), Some("91234567890"));
        assert_eq!(search_text("crm 42").as_deref(), Some("crm 42"));
        assert_eq!(search_text(&"x".repeat(201)), None);
    }
}
