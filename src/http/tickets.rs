//! Short-lived tickets for browser requests that cannot send a token: how they are verified and used up.

mod resource;
mod signed;

use axum::http::Uri;

pub use self::resource::Resource;
pub(super) use self::signed::Claim;
pub use self::signed::TicketKeys;
use super::AppState;
use super::auth::KnownTokens;
use super::error::ApiError;
use super::query::first_value;
use crate::store::{TicketUse, UsedTicket};

/// The most that the clocks of several daemons may differ: used tickets are remembered for this much longer.
const CLOCKS_APART_MS: i64 = 5 * 60 * 1000;
/// The most used tickets of one token that are remembered.
const MAX_USED: u32 = 20_000;
/// The query parameter.
pub(super) const QUERY: &str = "ticket";

/// The ticket in a request's query.
pub fn of_query(uri: &Uri) -> Option<String> {
    first_value(uri.query(), QUERY)
}

/// Verifies a ticket without writing anything: signed here, for this path, by an API token that is still valid.
pub(super) fn verify_ticket(
    state: &AppState,
    known: &KnownTokens,
    ticket: &str,
    path: &str,
) -> Result<Claim, ApiError> {
    let resource = Resource::parse(path).ok_or(ApiError::TicketRefused)?;
    let hash_of = |name: &str| known.hash_of(name);
    state.ticket_keys.read(ticket, &resource.name(), hash_of).ok_or(ApiError::TicketRefused)
}

/// Marks a ticket as used; that of a recording stays valid while its window is open.
pub async fn redeem_ticket(state: &AppState, claim: &Claim) -> Result<(), ApiError> {
    let now_ms = (state.now_ms)();
    let id = hex::encode(claim.id);
    // An expired ticket is valid only as the repeated use of a recording's ticket, within its window.
    let used = if now_ms > claim.expires_at_ms {
        state.store.used_ticket(&id, now_ms).await?.unwrap_or(TicketUse::Spent)
    } else {
        let until_ms = if claim.window_ms > 0 { now_ms.saturating_add(claim.window_ms) } else { 0 };
        // Remembered longer than any clock accepts it: forgetting it sooner would allow a second use.
        let keep_ms = until_ms.max(claim.expires_at_ms).saturating_add(CLOCKS_APART_MS);
        let ticket = UsedTicket { id: &id, token: &claim.token, until_ms, keep_ms };
        state.store.use_ticket(&ticket, MAX_USED, now_ms).await?
    };
    match used {
        TicketUse::First | TicketUse::Again => Ok(()),
        TicketUse::Spent => Err(ApiError::TicketRefused),
        TicketUse::TooMany => Err(ApiError::TooManyTickets),
    }
}
