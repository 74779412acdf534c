//! Relays: streams that are served on to another program in Zoom's own protocol.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AppName, AppScope, EndpointSource, MediaSet, Medium, Metadata, Product, Session};
use crate::named::named;

/// rtmsd's own id of a relay: a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RelayId(pub Uuid);

impl RelayId {
    /// Parses a UUID in any form that the `uuid` crate reads; none for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for RelayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A program that streams are served on to, without its secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct Relay {
    /// The id under which the API shows the relay, and which its URLs contain.
    pub id: RelayId,
    /// How it was created.
    pub source: EndpointSource,
    /// The owner's name for it.
    pub name: String,
    /// Where the program takes Zoom's webhooks.
    pub webhook_url: String,
    /// The client id with which the program signs its handshakes.
    pub client_id: String,
    /// The streams that it gets.
    pub filter: RelayFilter,
    /// Whether a program that joins late or again gets the transcript and chat from the beginning of the stream, or from
    /// behind what it has.
    pub catch_up: bool,
    /// The last validation of the URL: when, Unix milliseconds, and why it failed.
    pub validation: Option<(i64, Option<String>)>,
    /// When it was created, Unix milliseconds.
    pub created_at_ms: i64,
    /// When it last changed, Unix milliseconds.
    pub updated_at_ms: i64,
}

/// The streams that a relay serves, and the media of them.
#[derive(Debug, Clone, PartialEq)]
pub struct RelayFilter {
    /// The media that the program may have, as far as the stream has them.
    pub media: MediaSet,
    /// Only streams of this product.
    pub product: Option<Product>,
    /// Only sessions of these hosts, by Zoom user id; empty for all.
    pub host_ids: Vec<String>,
    /// Only sessions whose metadata has these fields with these values.
    pub metadata: Metadata,
    /// Only sessions of these apps.
    pub apps: AppScope,
}

impl Default for RelayFilter {
    fn default() -> Self {
        Self {
            media: MediaSet::ALL,
            product: None,
            host_ids: Vec::new(),
            metadata: Metadata::new(),
            apps: AppScope::All,
        }
    }
}

impl RelayFilter {
    /// Whether a stream of this app and product may match: its session decides the rest.
    pub fn may_match(&self, app: &AppName, product: Product) -> bool {
        self.product.is_none_or(|wanted| wanted == product) && self.apps.includes(app)
    }

    /// Whether the streams of a session match.
    pub fn matches(&self, session: &Session) -> bool {
        let host_id = session.host_id.as_ref().or(session.operator_id.as_ref());
        let is_host = self.host_ids.is_empty()
            || host_id.is_some_and(|host_id| self.host_ids.contains(host_id));
        let has = |name: &String| session.metadata.as_ref().and_then(|metadata| metadata.get(name));
        self.may_match(&session.app, session.instance.product)
            && is_host
            && self.metadata.iter().all(|(name, value)| has(name) == Some(value))
    }
}

named! {
    /// Why a program missed a part of a stream.
    pub enum RelayGapCause {
        /// It was not connected.
        Away: "away",
        /// It read too slowly.
        Slow: "slow",
    }
}

/// A span of a medium that a program missed. The stream itself had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayGap {
    /// The medium.
    pub medium: Medium,
    /// The start, Unix milliseconds.
    pub start_ms: i64,
    /// The end, Unix milliseconds.
    pub end_ms: i64,
    /// The frames that were dropped; none if they were not counted.
    pub frames: Option<u64>,
    /// Why.
    pub cause: RelayGapCause,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{IdKey, Instance, SessionId, SessionStatus};

    fn session() -> Session {
        Session {
            id: SessionId(Uuid::nil()),
            app: AppName::default(),
            instance: Instance::new(Product::Meeting, IdKey::MeetingUuid, "M").unwrap(),
            account_id: None,
            meeting_id: None,
            operator_id: Some("u1".into()),
            host_id: None,
            participant_user_id: None,
            installation_id: None,
            metadata: json!({"team": "sales", "tier": 2}).as_object().cloned(),
            media: None,
            status: SessionStatus::Live,
            meeting_started_at_ms: None,
            meeting_ended_at_ms: None,
            created_at_ms: 0,
            updated_at_ms: 0,
            ended_at_ms: None,
        }
    }

    fn metadata(value: serde_json::Value) -> Metadata {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn a_filter_takes_what_all_its_conditions_take() {
        let all = RelayFilter::default();
        assert!(all.matches(&session()));
        for (filter, expected) in [
            (RelayFilter { product: Some(Product::Meeting), ..all.clone() }, true),
            (RelayFilter { product: Some(Product::Webinar), ..all.clone() }, false),
            (RelayFilter { host_ids: vec!["u1".into()], ..all.clone() }, true),
            (RelayFilter { host_ids: vec!["u2".into()], ..all.clone() }, false),
            (RelayFilter { metadata: metadata(json!({"team": "sales"})), ..all.clone() }, true),
            (RelayFilter { metadata: metadata(json!({"team": "it"})), ..all.clone() }, false),
            (RelayFilter { metadata: metadata(json!({"other": 1})), ..all.clone() }, false),
            (RelayFilter { apps: AppScope::Only([].into()), ..all.clone() }, false),
        ] {
            assert_eq!(filter.matches(&session()), expected, "{filter:?}");
        }
    }

    #[test]
    fn the_host_of_a_session_decides_and_without_one_its_operator() {
        let filter = RelayFilter { host_ids: vec!["u1".into()], ..RelayFilter::default() };
        assert!(!filter.matches(&Session { host_id: Some("u9".into()), ..session() }));
    }
}
