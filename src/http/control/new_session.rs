//! The bodies of `POST /api/v1/sdk/sessions` and of actions.

use serde_json::Value;

use crate::http::error::ApiError;
use crate::http::json::parse_fields;
use crate::model::{
    AppName, IdKey, InstallationId, Instance, MediaParams, Metadata, NewSession, Product,
};

/// The size as JSON, in bytes.
const MAX_METADATA_BYTES: usize = 8 * 1024;
/// A meeting number has 9 to 11 digits today; Zoom's type for it allows 19.
const MAX_DIGITS: usize = 19;

const FIELDS: [&str; 8] = [
    "app",
    "platform",
    "meeting_id",
    "product",
    "participant_user_id",
    "installation_id",
    "metadata",
    "media",
];

/// The body of a start request.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Start {
    /// The requested media parameters, not merged with the defaults yet.
    pub media: Option<MediaParams>,
    pub installation_id: Option<InstallationId>,
}

/// Parses the body of a start, which may be empty.
pub(super) fn parse_start(body: &[u8]) -> Result<Start, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(Start::default());
    }
    let mut fields = parse_fields(body, &["media", "installation_id"])?;
    let installation_id = installation_id(fields.get("installation_id"))?;
    Ok(Start { media: parse_media(fields.remove("media"))?, installation_id })
}

/// Parses the body of another action, which may be empty, and returns the installation in it.
pub(super) fn parse_installation(body: &[u8]) -> Result<Option<InstallationId>, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    installation_id(parse_fields(body, &["installation_id"])?.get("installation_id"))
}

/// The body of a new session.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The app that the body names.
    pub app: Option<AppName>,
    /// The session, of the default app and without media.
    pub new: NewSession,
    /// The requested media parameters, not merged with the defaults yet.
    pub media: Option<MediaParams>,
}

/// Parses the body of a new session.
pub(super) fn parse_session(body: &[u8]) -> Result<Wanted, ApiError> {
    let mut fields = parse_fields(body, &FIELDS)?;
    if fields.get("platform").and_then(Value::as_str) != Some("zoom") {
        return Err(invalid_field("platform", "must be \"zoom\""));
    }
    let product = parse_product(fields.get("product"))?;
    let app = parse_app(fields.get("app"))?;
    let new = NewSession {
        app: AppName::default(),
        product,
        meeting_id: meeting_id(product, fields.get("meeting_id"))?,
        participant_user_id: short_text("participant_user_id", fields.get("participant_user_id"))?,
        installation_id: installation_id(fields.get("installation_id"))?.map(|id| id.to_string()),
        metadata: parse_metadata(fields.remove("metadata"))?,
        media: None,
    };
    Ok(Wanted { app, new, media: parse_media(fields.remove("media"))? })
}

fn parse_app(value: Option<&Value>) -> Result<Option<AppName>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    let name = value.as_str().and_then(|name| AppName::parse(name).ok());
    name.map(Some).ok_or_else(|| invalid_field("app", "must be the name of an app"))
}

fn parse_media(value: Option<Value>) -> Result<Option<MediaParams>, ApiError> {
    match value {
        None => Ok(None),
        Some(Value::Object(media)) => Ok(Some(media)),
        Some(_) => Err(invalid_field("media", "must be an object of media parameters")),
    }
}

fn invalid_field(name: &'static str, problem: &'static str) -> ApiError {
    ApiError::InvalidValue { name, problem }
}

fn parse_product(value: Option<&Value>) -> Result<Option<Product>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    let product = value.as_str().and_then(Product::parse);
    let problem = "must be one of meeting, webinar, video_sdk, contact_center, phone";
    product.map(Some).ok_or_else(|| invalid_field("product", problem))
}

/// A meeting's or webinar's number, as people write it or as a JSON number; for other products the id.
fn meeting_id(product: Option<Product>, value: Option<&Value>) -> Result<String, ApiError> {
    if let Some(Product::VideoSdk | Product::ContactCenter | Product::Phone) = product {
        return value
            .and_then(Value::as_str)
            // In a URL's path these two would denote another resource.
            .filter(|id| !matches!(*id, "." | ".."))
            .filter(|id| Instance::new(Product::VideoSdk, IdKey::SessionId, id).is_ok())
            .map(str::to_owned)
            .ok_or_else(|| {
                invalid_field("meeting_id", "must be the id of the session, engagement or call")
            });
    }
    let text = match value {
        Some(Value::String(text)) => text.replace([' ', '-'], ""),
        // `to_string` of a fraction or a negative number contains a character that is no digit.
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let fits = (1..=MAX_DIGITS).contains(&text.len());
    if fits && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text);
    }
    Err(invalid_field(
        "meeting_id",
        "must be the number of the meeting, as a number or in a string",
    ))
}

fn short_text(name: &'static str, value: Option<&Value>) -> Result<Option<String>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    // Borrowed from the model: the limits of any id of Zoom's apply, whatever the product.
    let is_id = |id: &&str| Instance::new(Product::Meeting, IdKey::MeetingUuid, id).is_ok();
    let id = value.as_str().filter(is_id).map(str::to_owned);
    id.map(Some).ok_or_else(|| invalid_field(name, "must be a short identifier in a string"))
}

fn installation_id(value: Option<&Value>) -> Result<Option<InstallationId>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    let id = value.as_str().and_then(InstallationId::parse);
    id.map(Some).ok_or_else(|| invalid_field("installation_id", "must be a UUID"))
}

fn parse_metadata(value: Option<Value>) -> Result<Option<Metadata>, ApiError> {
    match value {
        None => Ok(None),
        Some(Value::Object(_)) if value.as_ref().is_some_and(is_too_long) => {
            Err(invalid_field("metadata", "must be no longer than 8192 bytes of JSON"))
        }
        Some(Value::Object(metadata)) => Ok(Some(metadata)),
        Some(_) => Err(invalid_field("metadata", "must be a JSON object")),
    }
}

fn is_too_long(value: &Value) -> bool {
    value.to_string().len() > MAX_METADATA_BYTES
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<NewSession, String> {
        let parsed = parse_session(body.to_string().as_bytes());
        parsed.map(|wanted| wanted.new).map_err(|error| error.to_string())
    }

    #[test]
    fn a_meeting_number_is_parsed_as_people_and_programs_write_it() {
        for number in [json!(91_234_567_890_u64), json!("91234567890"), json!("912 3456-7890")] {
            let new = read(json!({"platform": "zoom", "meeting_id": number})).unwrap();
            assert_eq!(new.meeting_id, "91234567890");
            assert_eq!(new.product, None);
        }
        for number in
            [json!(-1), json!(1.5), json!(""), json!("abc"), json!("1".repeat(20)), json!([])]
        {
            let refused = read(json!({"platform": "zoom", "meeting_id": number})).unwrap_err();
            assert!(refused.starts_with("meeting_id"), "{refused}");
        }
    }

    #[test]
    fn the_ids_of_other_products_are_kept_as_they_are() {
        for product in ["video_sdk", "contact_center"] {
            let body = json!({"platform": "zoom", "product": product, "meeting_id": "/a b".replace(' ', "+")});
            assert_eq!(read(body).unwrap().meeting_id, "/a+b");
        }
    }

    #[test]
    fn errors_name_the_wrong_field() {
        let good = json!({"platform": "zoom", "meeting_id": 1});
        let with = |name: &str, value: Value| {
            let mut body = good.clone();
            body[name] = value;
            read(body).unwrap_err()
        };
        assert!(with("platform", json!("teams")).starts_with("platform"));
        assert!(with("product", json!("phones")).starts_with("product"));
        assert!(with("participant_user_id", json!("a b")).starts_with("participant_user_id"));
        assert!(with("installation_id", json!("1")).starts_with("installation_id"));
        assert!(with("metadata", json!("x")).starts_with("metadata"));
        assert!(with("metadata", json!({"a": "x".repeat(9000)})).starts_with("metadata"));
        assert!(with("media", json!([])).starts_with("media"));
        for dots in [".", ".."] {
            let body = json!({"platform": "zoom", "product": "video_sdk", "meeting_id": dots});
            assert!(read(body).unwrap_err().starts_with("meeting_id"));
        }
        assert!(with("metdata", json!({})).contains("metdata"));
        for nonsense in ["", "[]", "{", "null"] {
            let error = parse_session(nonsense.as_bytes()).unwrap_err();
            assert_eq!(error.code(), "malformed");
        }
    }

    #[test]
    fn a_start_needs_no_body_and_takes_media_and_an_installation() {
        let read = |body: &str| parse_start(body.as_bytes()).map_err(|error| error.code());
        for nothing in ["", " \n", "{}", r#"{"media":null}"#] {
            assert_eq!(read(nothing), Ok(Start::default()), "{nothing:?}");
        }
        let media = read(r#"{"media":{"types":"audio"}}"#).unwrap().media;
        assert!(media.unwrap().contains_key("types"));
        let id = "01932b5e-0000-7000-8000-000000000000";
        let named = read(&format!(r#"{{"installation_id":"{id}"}}"#)).unwrap().installation_id;
        assert_eq!(named, InstallationId::parse(id));
        assert_eq!(read(r#"{"installation_id":"ana"}"#), Err("invalid_value"));
        assert_eq!(read(r#"{"media":"audio"}"#), Err("invalid_value"));
        assert_eq!(read(r#"{"metadata":{}}"#), Err("unknown_field"));
        assert_eq!(read("[]"), Err("malformed"));
    }

    #[test]
    fn another_action_takes_an_installation_and_nothing_else() {
        let read = |body: &str| parse_installation(body.as_bytes()).map_err(|error| error.code());
        assert_eq!((read(""), read("{}")), (Ok(None), Ok(None)));
        assert_eq!(read(r#"{"media":{}}"#), Err("unknown_field"));
        assert_eq!(read(r#"{"installation_id":7}"#), Err("invalid_value"));
    }

    #[test]
    fn null_fields_count_as_absent() {
        let body = json!({"platform": "zoom", "meeting_id": 1, "metadata": null, "product": null});
        assert_eq!(read(body).unwrap().metadata, None);
    }
}
