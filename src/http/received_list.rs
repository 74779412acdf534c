//! The log of Zoom's webhooks as the API and the dashboard read it: pages by a query, and one webhook.

use super::AppState;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{Params, PathPart, cut_page};
use crate::model::{
    AppName, AppScope, DeliveryMethod, InstallationId, Received, SessionId, WebhookOutcome,
    WebhookReason, parse_time,
};
use crate::store::ReceivedPage;

/// The longest text that is searched for.
const MAX_TEXT_CHARS: usize = 200;
const METHODS: &str = "must be webhook or websocket";
const TIME: &str = "must be Unix milliseconds or a time such as 2026-11-28T21:30:00Z";

/// The page of the log that the query selects, and the `before` of the next one.
pub(super) async fn read_page(
    state: &AppState,
    caller: &Caller,
    params: &Params,
) -> Result<(Vec<Received>, Option<String>), ApiError> {
    let limit = params.limit()?;
    let outcomes = "must be changed, none, notice, refused or failed";
    let filter = ReceivedPage {
        before: params.parsed_filled("before", "must be the `next` of a page", read_cursor)?,
        // One row more than requested shows whether there is a next page.
        limit: limit + 1,
        apps: asked_apps(caller, params)?,
        event: params.filled("event"),
        outcome: params.parsed_filled("outcome", outcomes, WebhookOutcome::parse)?,
        reason: params.parsed_filled("reason", "must be one of the log", WebhookReason::parse)?,
        method: params.parsed_filled("method", METHODS, DeliveryMethod::parse)?,
        session: params.parsed_filled("session", "must be a session's id", SessionId::parse)?,
        from_ms: params.parsed_filled("from", TIME, parse_time)?,
        until_ms: params.parsed_filled("until", TIME, parse_time)?,
        text: params.parsed_filled("q", "must have at most 200 characters", searched_text)?,
    };
    let mut found = state.store.received_page(&filter).await?;
    let next = cut_page(&mut found, limit).map(cursor_of);
    found.iter_mut().for_each(|webhook| hide_installation(webhook, caller));
    Ok((found, next))
}

fn searched_text(text: &str) -> Option<&str> {
    (text.chars().count() <= MAX_TEXT_CHARS).then_some(text)
}

/// The apps that the caller may see, or the one of them that the query names.
fn asked_apps(caller: &Caller, params: &Params) -> Result<AppScope, ApiError> {
    let Some(name) = params.filled("app") else { return Ok(caller.apps.clone()) };
    match AppName::parse(name) {
        Ok(name) if caller.apps.includes(&name) => Ok(AppScope::Only([name].into())),
        _ => Err(ApiError::UnknownApp),
    }
}

/// Leaves out the installation that a webhook revoked, if the caller may not see it.
fn hide_installation(webhook: &mut Received, caller: &Caller) {
    let may_see = |id: &String| InstallationId::parse(id).is_some_and(|id| caller.may_use(id));
    webhook.installation_id = webhook.installation_id.take().filter(may_see);
}

fn cursor_of(webhook: &Received) -> String {
    format!("{}-{}", webhook.received_at_ms, webhook.digest)
}

fn read_cursor(text: &str) -> Option<(i64, &str)> {
    let (received_at_ms, digest) = text.split_once('-')?;
    Some((received_at_ms.parse().ok()?, Digest::read(digest).map(|_| digest)?))
}

/// A webhook as the caller sees it, or 404.
pub(super) async fn known_webhook(
    state: &AppState,
    caller: &Caller,
    digest: &str,
) -> Result<Received, ApiError> {
    let found = state.store.received(digest).await?;
    let mut webhook = found.ok_or(ApiError::UnknownWebhook)?;
    hide_installation(&mut webhook, caller);
    Ok(webhook)
}

/// A webhook, and its body if it is kept and the caller may see it.
pub(super) async fn read_webhook(
    state: &AppState,
    caller: &Caller,
    Digest(digest): &Digest,
) -> Result<(Received, Option<String>), ApiError> {
    let webhook = known_webhook(state, caller, digest).await?;
    let body = match caller.is_admin && webhook.has_body {
        true => state.store.received_body(digest).await?,
        false => None,
    };
    Ok((webhook, body))
}

/// The id of a webhook: see [`Delivery::digest_of`](crate::model::Delivery::digest_of) and
/// [`Delivery::digest_by_time`](crate::model::Delivery::digest_by_time).
pub(super) struct Digest(pub String);

impl PathPart for Digest {
    const NAME: &'static str = "webhook";

    fn read(text: &str) -> Option<Self> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(is_hex)).then(|| Self(text.to_owned()))
    }

    fn unknown() -> ApiError {
        ApiError::UnknownWebhook
    }
}
