//! The body of `POST /api/v1/tokens`.

use serde_json::Value;

use crate::http::auth::Scope;
use crate::http::error::ApiError;
use crate::http::json::parse_fields;
use crate::model::{AppName, AppScope, InstallationId};

const FIELDS: [&str; 5] = ["name", "scopes", "installations", "apps", "expires_in_seconds"];
const MAX_NAME_BYTES: usize = 64;
const MAX_LISTED: usize = 50;
/// Ten years.
const MAX_LIFE_S: i64 = 10 * 366 * 24 * 60 * 60;

/// A requested token.
#[derive(Debug)]
pub(super) struct TokenRequest {
    pub name: String,
    /// Separated by `+`.
    pub scopes: String,
    pub installations: Option<Vec<InstallationId>>,
    pub apps: AppScope,
    pub expires_in_ms: Option<i64>,
}

/// Parses the body of a new token.
pub(super) fn of_new(body: &[u8]) -> Result<TokenRequest, ApiError> {
    let fields = parse_fields(body, &FIELDS)?;
    Ok(TokenRequest {
        name: parse_name(fields.get("name"))?,
        scopes: parse_scopes(fields.get("scopes"))?,
        installations: parse_installations(fields.get("installations"))?,
        apps: parse_apps(fields.get("apps"))?,
        expires_in_ms: parse_life(fields.get("expires_in_seconds"))?,
    })
}

/// The ids in the form of their column.
pub(super) fn join(ids: &[InstallationId]) -> String {
    let ids: Vec<_> = ids.iter().map(InstallationId::to_string).collect();
    ids.join("+")
}

fn parse_name(value: Option<&Value>) -> Result<String, ApiError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_name =
        |name: &&str| (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain);
    let name = value.and_then(Value::as_str).filter(is_name);
    let problem = "must be 1 to 64 characters of A-Z a-z 0-9 _ - .";
    name.map(str::to_owned).ok_or(invalid_field("name", problem))
}

fn parse_scopes(value: Option<&Value>) -> Result<String, ApiError> {
    let Some(value) = value else { return Ok("read+control".to_owned()) };
    let mut scopes = items(value, Scope::parse).unwrap_or_default();
    scopes.sort_by_key(|scope| scope.as_str());
    scopes.dedup();
    if scopes.is_empty() {
        return Err(invalid_field(
            "scopes",
            "must be an array of read, control, admin and metrics",
        ));
    }
    Ok(scopes.into_iter().map(Scope::as_str).collect::<Vec<_>>().join("+"))
}

fn parse_installations(value: Option<&Value>) -> Result<Option<Vec<InstallationId>>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    let ids = items(value, InstallationId::parse).filter(|ids| !ids.is_empty());
    let problem = "must be an array of 1 to 50 ids of installations; absent for all";
    ids.map(Some).ok_or(invalid_field("installations", problem))
}

fn parse_apps(value: Option<&Value>) -> Result<AppScope, ApiError> {
    let Some(value) = value else { return Ok(AppScope::All) };
    let problem = "must be an array of at most 50 names of Zoom apps; empty for all";
    let names = items(value, |name| AppName::parse(name).ok());
    let mut names = names.ok_or(invalid_field("apps", problem))?;
    // Sorted, so that the stored list does not depend on the order in the request.
    names.sort();
    names.dedup();
    Ok(if names.is_empty() { AppScope::All } else { AppScope::Only(names.into()) })
}

fn parse_life(value: Option<&Value>) -> Result<Option<i64>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    let life_s = value.as_i64().filter(|life_s| (1..=MAX_LIFE_S).contains(life_s));
    let problem =
        "must be a number of seconds, at most ten years; absent for a token that does not expire";
    life_s.map(|life_s| Some(life_s * 1000)).ok_or(invalid_field("expires_in_seconds", problem))
}

fn items<T>(value: &Value, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let all = value.as_array().filter(|all| all.len() <= MAX_LISTED)?;
    all.iter().map(|item| parse(item.as_str()?)).collect()
}

fn invalid_field(name: &'static str, problem: &'static str) -> ApiError {
    ApiError::InvalidValue { name, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_a_name_and_may_have_limits() {
        let plain = of_new(br#"{"name": "ci"}"#).unwrap();
        assert_eq!(
            (&*plain.name, &*plain.scopes, plain.apps),
            ("ci", "read+control", AppScope::All)
        );
        assert_eq!((plain.installations, plain.expires_in_ms), (None, None));
        let body = br#"{"name": "ci", "scopes": ["read", "admin", "read"], "apps": ["b", "a"],
                        "expires_in_seconds": 60}"#;
        let limited = of_new(body).unwrap();
        assert_eq!((&*limited.scopes, limited.expires_in_ms), ("admin+read", Some(60_000)));
        let names: Vec<_> = limited.apps.names().unwrap().iter().map(AppName::as_str).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn errors_name_the_wrong_field() {
        for (body, name) in [
            ("{}", "name"),
            (r#"{"name": "a b"}"#, "name"),
            (r#"{"name": ""}"#, "name"),
            (r#"{"name": "a", "scopes": []}"#, "scopes"),
            (r#"{"name": "a", "scopes": ["root"]}"#, "scopes"),
            (r#"{"name": "a", "installations": []}"#, "installations"),
            (r#"{"name": "a", "installations": ["x"]}"#, "installations"),
            (r#"{"name": "a", "apps": "acme"}"#, "apps"),
            (r#"{"name": "a", "expires_in_seconds": 0}"#, "expires_in_seconds"),
            (r#"{"name": "a", "expires_in_seconds": 999999999999}"#, "expires_in_seconds"),
            (r#"{"name": "a", "token": "mine"}"#, "token"),
        ] {
            let error = of_new(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(name), "{body}: {error}");
        }
    }
}
