//! The bodies of `POST /api/v1/webhooks/endpoints` and `PATCH …/{id}`.

use std::sync::LazyLock;

use serde_json::Value;

use crate::http::error::ApiError;
use crate::http::json::parse_fields;
use crate::model::{AppName, AppScope, EventKind};
use crate::store::EndpointChange;

const FIELDS: [&str; 4] = ["url", "description", "events", "apps"];
const CHANGE_FIELDS: [&str; 5] = ["url", "description", "events", "apps", "enabled"];
const MAX_DESCRIPTION_CHARS: usize = 200;
const MAX_APPS: usize = 50;

/// A requested endpoint.
#[derive(Debug)]
pub(super) struct EndpointRequest {
    pub url: String,
    pub description: String,
    /// Empty means all.
    pub events: Vec<EventKind>,
    /// `None` if the body does not say.
    pub apps: Option<AppScope>,
}

/// Parses the body of a new endpoint. Does not judge the URL.
pub(super) fn of_new(body: &[u8]) -> Result<EndpointRequest, ApiError> {
    let fields = parse_fields(body, &FIELDS)?;
    Ok(EndpointRequest {
        url: parse_url(fields.get("url"))?.ok_or(invalid_field("url", "is missing"))?,
        description: parse_description(fields.get("description"))?.unwrap_or_default(),
        events: parse_events(fields.get("events"))?.unwrap_or_default(),
        apps: parse_apps(fields.get("apps"))?,
    })
}

/// Parses the body of a change; absent fields stay as they are.
pub(super) fn of_change(body: &[u8]) -> Result<EndpointChange, ApiError> {
    let fields = parse_fields(body, &CHANGE_FIELDS)?;
    let is_enabled = match fields.get("enabled") {
        None => None,
        Some(Value::Bool(is_enabled)) => Some(*is_enabled),
        Some(_) => return Err(invalid_field("enabled", "must be true or false")),
    };
    Ok(EndpointChange {
        url: parse_url(fields.get("url"))?,
        description: parse_description(fields.get("description"))?,
        events: parse_events(fields.get("events"))?,
        apps: parse_apps(fields.get("apps"))?,
        is_enabled,
    })
}

fn parse_url(value: Option<&Value>) -> Result<Option<String>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    let text = value.as_str().map(str::to_owned);
    text.map(Some).ok_or(invalid_field("url", "must be a URL in a string"))
}

fn parse_description(value: Option<&Value>) -> Result<Option<String>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    let text = value.as_str().filter(|text| text.chars().count() <= MAX_DESCRIPTION_CHARS);
    let text = text.map(str::to_owned);
    text.map(Some).ok_or(invalid_field("description", "must be a string of at most 200 characters"))
}

static EVENTS_FORM: LazyLock<String> = LazyLock::new(|| {
    let kinds = EventKind::ALL.map(EventKind::as_str).join(", ");
    format!("must be an array of event types: {kinds}")
});

fn parse_events(value: Option<&Value>) -> Result<Option<Vec<EventKind>>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    let kind = |name: &Value| name.as_str().and_then(EventKind::parse);
    let kinds: Option<Vec<_>> = value.as_array().and_then(|all| all.iter().map(kind).collect());
    let mut kinds = kinds.ok_or(invalid_field("events", &EVENTS_FORM))?;
    // Sorted, so that the stored list does not depend on the order in the request.
    kinds.sort_by_key(|kind| kind.as_str());
    kinds.dedup();
    Ok(Some(kinds))
}

fn parse_apps(value: Option<&Value>) -> Result<Option<AppScope>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    let name = |name: &Value| name.as_str().and_then(|name| AppName::parse(name).ok());
    let names: Option<Vec<_>> = value.as_array().and_then(|all| all.iter().map(name).collect());
    let names = names.filter(|names| names.len() <= MAX_APPS);
    let problem = "must be an array of at most 50 names of Zoom apps; empty for all";
    let mut names = names.ok_or(invalid_field("apps", problem))?;
    if names.is_empty() {
        return Ok(Some(AppScope::All));
    }
    // Sorted, so that the stored list does not depend on the order in the request.
    names.sort();
    names.dedup();
    Ok(Some(AppScope::Only(names.into())))
}

fn invalid_field(name: &'static str, problem: &'static str) -> ApiError {
    ApiError::InvalidValue { name, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_needs_a_url_and_gets_all_events_by_default() {
        let request = of_new(br#"{"url": "https://example.com/"}"#).unwrap();
        assert_eq!((request.url.as_str(), request.events.len()), ("https://example.com/", 0));
        let body =
            br#"{"url": "x", "events": ["test", "gap.recorded", "test"], "description": null}"#;
        let kinds = [EventKind::GapRecorded, EventKind::Test];
        assert_eq!(of_new(body).unwrap().events, kinds);
        let refused = of_new(br#"{"url": "x", "events": ["sessions"]}"#).unwrap_err().to_string();
        assert!(refused.contains("session.started, session.ended, "), "{refused}");
    }

    #[test]
    fn errors_name_the_wrong_field() {
        for (body, name) in [
            ("{}", "url"),
            (r#"{"url": 1}"#, "url"),
            (r#"{"url": "x", "events": "test"}"#, "events"),
            (r#"{"url": "x", "events": ["nothing"]}"#, "events"),
            (r#"{"url": "x", "description": 1}"#, "description"),
            (r#"{"url": "x", "apps": "acme"}"#, "apps"),
            (r#"{"url": "x", "apps": ["acme", "No Name"]}"#, "apps"),
            (r#"{"url": "x", "enabled": true}"#, "enabled"),
            (r#"{"url": "x", "secret": "whsec_"}"#, "secret"),
        ] {
            let error = of_new(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(name), "{body}: {error}");
        }
        assert_eq!(of_change(b"[]").unwrap_err().code(), "malformed");
        assert_eq!(of_change(br#"{"enabled": "yes"}"#).unwrap_err().code(), "invalid_value");
    }

    #[test]
    fn a_change_leaves_absent_fields_as_they_are() {
        let change = of_change(br#"{"enabled": false}"#).unwrap();
        assert_eq!(change, EndpointChange { is_enabled: Some(false), ..Default::default() });
        assert_eq!(of_change(br#"{"events": []}"#).unwrap().events, Some(vec![]));
        assert_eq!(of_change(br#"{"apps": []}"#).unwrap().apps, Some(AppScope::All));
    }
}
