//! Pages of an endpoint's deliveries, as the API and the dashboard read them.

use super::AppState;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{Params, cut_page};
use crate::model::EndpointId;
use crate::store::LoggedDelivery;

/// The page of an endpoint's deliveries that the query selects, newest first, and the `before` of the next one.
pub(super) async fn read_deliveries(
    state: &AppState,
    caller: &Caller,
    id: EndpointId,
    params: &Params,
) -> Result<(Vec<LoggedDelivery>, Option<String>), ApiError> {
    let (limit, before) = (params.limit()?, params.get("before"));
    // One row more than requested shows whether there is a next page.
    let mut found = state.webhooks.deliveries(id, &caller.apps, before, limit + 1).await?;
    let next = cut_page(&mut found, limit).map(|delivery| delivery.event_id.clone());
    Ok((found, next))
}
