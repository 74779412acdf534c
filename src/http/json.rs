//! Request bodies that are JSON.

use serde_json::{Map, Value};

use super::error::ApiError;

/// The longest name of a field that is repeated in an error.
const MAX_FIELD_CHARS: usize = 64;

/// The fields of a JSON object, all of them known. One that is null counts as left out.
pub fn fields(body: &[u8], known: &[&str]) -> Result<Map<String, Value>, ApiError> {
    let mut fields: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| ApiError::NotJson { line: error.line(), column: error.column() })?;
    fields.retain(|_, value| !value.is_null());
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(ApiError::UnknownField(name.chars().take(MAX_FIELD_CHARS).collect())),
        None => Ok(fields),
    }
}
