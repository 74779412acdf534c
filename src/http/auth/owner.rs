//! Which app a path belongs to, and whether the caller's token may see it: one check for every path with an id.

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams};
use axum::http::request::Parts;

use crate::http::AppState;
use crate::http::audit::changes_something;
use crate::http::error::ApiError;
use crate::http::extract::PathPart;
use crate::http::received_list::Digest;
use crate::model::{ApiTokenId, AppName, AppScope, EndpointId, InstallationId, RelayId, SessionId};

/// The object that the first parameter of a path names. The objects of further parameters are parts of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Session,
    Installation,
    Endpoint,
    Relay,
    Token,
    App,
    Webhook,
}

/// The paths with parameters, each with all paths below it. A path that is not here is closed to tokens of some apps.
const OWNERS: [(&str, Owner); 10] = [
    ("/api/v1/apps/{app}", Owner::App),
    ("/api/v1/sdk/sessions/{id}", Owner::Session),
    ("/dashboard/sessions/{id}", Owner::Session),
    ("/api/v1/zoom/installations/{id}", Owner::Installation),
    ("/api/v1/webhooks/endpoints/{id}", Owner::Endpoint),
    ("/api/v1/relays/{id}", Owner::Relay),
    ("/api/v1/tokens/{id}", Owner::Token),
    ("/api/v1/zoom/webhooks/{webhook}", Owner::Webhook),
    ("/dashboard/webhooks/{webhook}", Owner::Webhook),
    ("/dashboard/endpoints/{id}", Owner::Endpoint),
];

impl Owner {
    /// The object of a route's path; `None` if no rule says whose it is.
    fn of_route(path: &str) -> Option<Self> {
        let is_own = |(own, _): &&(&str, Self)| {
            path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        OWNERS.iter().find(is_own).map(|(_, owner)| *owner)
    }

    fn unknown(self) -> ApiError {
        match self {
            Self::Session => SessionId::unknown(),
            Self::Installation => InstallationId::unknown(),
            Self::Endpoint => EndpointId::unknown(),
            Self::Relay => RelayId::unknown(),
            Self::Token => ApiTokenId::unknown(),
            Self::App => AppName::unknown(),
            Self::Webhook => Digest::unknown(),
        }
    }

    /// The apps of the object with this id; `None` if there is none.
    async fn apps(self, state: &AppState, id: &str) -> Result<Option<AppScope>, ApiError> {
        let store = &state.store;
        let app = match self {
            Self::Session => match SessionId::read(id) {
                Some(id) => store.app_of_session(id).await?,
                None => None,
            },
            Self::Installation => match InstallationId::read(id) {
                Some(id) => store.grant(id).await?.map(|grant| grant.installation.app),
                None => None,
            },
            Self::App => AppName::read(id).filter(|name| state.apps.get(name).is_some()),
            Self::Webhook => match Digest::read(id) {
                Some(Digest(digest)) => store.app_of_received(&digest).await?,
                None => None,
            },
            Self::Endpoint => {
                let Some(id) = EndpointId::read(id) else { return Ok(None) };
                return Ok(store.endpoint(id).await?.map(|stored| stored.endpoint.apps));
            }
            Self::Relay => {
                let Some(id) = RelayId::read(id) else { return Ok(None) };
                return Ok(store.relay(id).await?.map(|stored| stored.relay.filter.apps));
            }
            Self::Token => {
                let stored = store.api_tokens().await?;
                let named = stored.into_iter().find(|token| Some(token.id) == ApiTokenId::read(id));
                return Ok(named.map(|token| token.apps));
            }
        };
        Ok(app.map(|app| AppScope::Only([app].into())))
    }
}

/// Checks that the token may see the object of the path, and returns the object's apps if it read them: for a token of
/// some apps, and for a request that changes something, whose audit row names the app.
///
/// # Errors
/// What an unknown object is answered with, if it is unknown or has an app that the token may not see: the same look-up
/// precedes both answers.
pub(super) async fn check_owner(
    state: &AppState,
    allowed: &AppScope,
    parts: &mut Parts,
) -> Result<Option<AppScope>, ApiError> {
    let is_limited = *allowed != AppScope::All;
    if !is_limited && !changes_something(&parts.method) {
        return Ok(None);
    }
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    if !route.contains('{') {
        return Ok(None);
    }
    let Some(owner) = Owner::of_route(&route) else {
        return if is_limited { Err(ApiError::UnknownRoute) } else { Ok(None) };
    };
    // `ok`: invalid percent-encoding is an unknown id.
    let params = RawPathParams::from_request_parts(parts, state).await.ok();
    let id = params.iter().flatten().next().map(|(_, id)| id.to_owned()).unwrap_or_default();
    let apps = owner.apps(state, &id).await?;
    match apps {
        Some(apps) if allowed.covers(&apps) => Ok(Some(apps)),
        _ if is_limited => Err(owner.unknown()),
        // The handler answers for an unknown id.
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::Owner;
    use crate::http::routes::{Access, all_routes, page_routes};

    #[test]
    fn every_route_with_a_parameter_has_a_rule_that_says_whose_it_is() {
        let all = all_routes("/webhook").into_iter().chain(page_routes());
        let with_id = all.filter(|route| route.path.contains('{'));
        for route in with_id.filter(|route| route.access != Access::Open) {
            assert!(Owner::of_route(&route.path).is_some(), "{}: add it to OWNERS", route.path);
        }
    }

    #[test]
    fn a_rule_is_for_a_path_and_those_below_it() {
        let session = "/api/v1/sdk/sessions/{id}";
        assert_eq!(Owner::of_route(session), Some(Owner::Session));
        let below = format!("{session}/forward/{{forward}}");
        assert_eq!(Owner::of_route(&below), Some(Owner::Session));
        assert_eq!(Owner::of_route(&format!("{session}s")), None);
        assert_eq!(Owner::of_route("/api/v1/sdk/sessions"), None);
    }
}
