//! `GET /`, `GET /dashboard/sessions` and `…/sessions/live`: the list of sessions.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::Response;
use sha2::{Digest, Sha256};
use url::form_urlencoded::Serializer;

use super::html;
use super::viewer::Viewer;
use crate::http::AppState;
use crate::http::auth::Caller;
use crate::http::error::ApiError;
use crate::http::extract::Params;
use crate::http::session_list::{parse_page, read_page};
use crate::model::{Session, SessionId, SessionStatus};
use crate::store::SessionPage;
use crate::web::dashboard::Section;
use crate::web::dashboard::sessions::{Filters, Live, Row, Sessions};

/// The parameters of the form.
const FILTERS: [&str; 4] = ["q", "status", "product", "app"];
/// The parameter with what a page knows of the sessions under way.
const SEEN: &str = "seen";
/// The most sessions under way on the page.
const MAX_LIVE: u32 = 50;

/// The list of sessions: those under way first, unless a status or a later page is asked for.
pub(in crate::http) async fn page(
    State(state): State<Arc<AppState>>,
    viewer: Viewer,
    params: Params,
) -> Result<Response, ApiError> {
    let mut page = parse_page(&state, &viewer.caller, &params)?;
    let is_first = page.before.is_none();
    let live = match is_first && page.statuses.is_empty() {
        true => Some(read_live(&state, &page, &params).await?.0),
        false => None,
    };
    if live.is_some() {
        page.statuses = statuses(false);
    }
    let (sessions, next) = read_page(&state, &page).await?;
    let list = Sessions {
        layout: viewer.layout(Section::Sessions, "Sessions"),
        filters: filters(&params),
        apps: apps(&state, &viewer.caller),
        live,
        rows: rows(&state, &sessions).await?,
        older: next
            .map(|id| address("/dashboard/sessions", &params, Some(("before", &id.to_string())))),
        newest: (!is_first).then(|| address("/dashboard/sessions", &params, None)),
    };
    Ok(html(list.html()))
}

/// The sessions under way. Has the page read the others again when one has begun or ended.
pub(in crate::http) async fn live(
    State(state): State<Arc<AppState>>,
    viewer: Viewer,
    params: Params,
) -> Result<Response, ApiError> {
    let page = parse_page(&state, &viewer.caller, &params)?;
    let (live, seen) = read_live(&state, &page, &params).await?;
    let mut response = html(live.html());
    if params.get(SEEN).is_some_and(|before| before != seen) {
        let event = HeaderValue::from_static("sessions-changed");
        response.headers_mut().insert("hx-trigger", event);
    }
    Ok(response)
}

/// The sessions under way that the filters let through, and a digest of which they are.
async fn read_live(
    state: &AppState,
    page: &SessionPage,
    params: &Params,
) -> Result<(Live, String), ApiError> {
    let page =
        SessionPage { before: None, limit: MAX_LIVE, statuses: statuses(true), ..page.clone() };
    let (sessions, next) = read_page(state, &page).await?;
    let seen = digest(&sessions);
    let refresh = address("/dashboard/sessions/live", params, Some((SEEN, &seen)));
    let rows = rows(state, &sessions).await?;
    Ok((Live { rows, has_more: next.is_some(), refresh }, seen))
}

fn digest(sessions: &[Session]) -> String {
    let ids = sessions
        .iter()
        .fold(Sha256::new(), |hash, session| hash.chain_update(session.id.to_string()));
    hex::encode(&ids.finalize()[..4])
}

/// The statuses of sessions that are under way, or of the others.
fn statuses(is_active: bool) -> Vec<SessionStatus> {
    let all = SessionStatus::ALL.into_iter();
    all.filter(|status| status.is_under_way() == is_active).collect()
}

async fn rows(state: &AppState, sessions: &[Session]) -> Result<Vec<Row>, ApiError> {
    let ids: Vec<SessionId> = sessions.iter().map(|session| session.id).collect();
    let streams = state.store.streams_of_all(&ids).await?;
    let now_ms = (state.now_ms)();
    let streams_of = |session: &Session| streams.get(&session.id).map_or(&[][..], Vec::as_slice);
    Ok(sessions.iter().map(|session| Row::of(session, streams_of(session), now_ms)).collect())
}

/// The apps to choose from, if there are several.
fn apps(state: &AppState, caller: &Caller) -> Vec<String> {
    let all = state.apps.all();
    let names = all.keys().filter(|name| caller.apps.includes(name));
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    if names.len() > 1 { names } else { Vec::new() }
}

fn filters(params: &Params) -> Filters {
    let [search, status, product, app] =
        FILTERS.map(|name| params.get(name).unwrap_or_default().to_owned());
    Filters { search, status, product, app }
}

/// A path with the filters of the page and one more parameter.
fn address(path: &str, params: &Params, more: Option<(&str, &str)>) -> String {
    let own = FILTERS.map(|name| (name, params.get(name).unwrap_or_default()));
    let pairs = own.into_iter().filter(|(_, value)| !value.is_empty()).chain(more);
    let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}
