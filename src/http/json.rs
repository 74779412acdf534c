//! Parses JSON request bodies.

use serde_json::{Map, Value};

use super::error::ApiError;
use crate::json;

/// The longest field name that an error repeats.
const MAX_FIELD_CHARS: usize = 64;

/// Returns the fields of a JSON object, which must all be known. A null field counts as absent.
pub(super) fn parse_fields(body: &[u8], known: &[&str]) -> Result<Map<String, Value>, ApiError> {
    let mut fields = parse_object(body)?;
    fields.retain(|_, value| !value.is_null());
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(ApiError::UnknownField(name.chars().take(MAX_FIELD_CHARS).collect())),
        None => Ok(fields),
    }
}

/// Returns the fields of a JSON object. Refuses nesting too deep to be read back from the store.
pub(super) fn parse_object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    // Lossy is enough: it only counts brackets, and `from_slice` below rejects invalid UTF-8.
    if json::is_too_deep(&String::from_utf8_lossy(body)) {
        return Err(ApiError::InvalidValue {
            name: "body",
            problem: "must not nest deeper than 64 levels",
        });
    }
    serde_json::from_slice(body)
        .map_err(|error| ApiError::NotJson { line: error.line(), column: error.column() })
}

/// Refuses a body with content: only an empty one and an empty object say nothing.
pub(super) fn nothing(body: &[u8]) -> Result<(), ApiError> {
    if body.is_empty() { Ok(()) } else { parse_fields(body, &[]).map(drop) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_body_and_an_empty_object_say_nothing() {
        for body in ["", "{}", " { } "] {
            assert!(nothing(body.as_bytes()).is_ok(), "{body}");
        }
        for body in [&b"x"[..], b"[]", b"null", b"\xff\xfe", b"{}{}", br#"{"url":1}"#] {
            assert!(nothing(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn nesting_too_deep_to_be_read_back_is_refused() {
        let body =
            |depth: usize| format!(r#"{{"metadata":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(parse_fields(body(63).as_bytes(), &["metadata"]).is_ok());
        for depth in [64, 126, 100_000] {
            let error = parse_fields(body(depth).as_bytes(), &["metadata"]).unwrap_err();
            assert!(matches!(error, ApiError::InvalidValue { name: "body", .. }), "{depth}");
        }
    }
}
