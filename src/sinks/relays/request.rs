//! The description of a relay, in a request to the API or in the configuration.

use serde_json::{Map, Value};

use crate::model::{AppName, AppScope, MediaSet, Metadata, Product, RelayFilter};
use crate::secret::Secret;

const MAX_NAME_CHARS: usize = 64;
const MAX_CREDENTIAL_BYTES: usize = 256;
const MAX_HOSTS: usize = 200;
const MAX_HOST_BYTES: usize = 128;
const MAX_METADATA_FIELDS: usize = 16;
const MAX_METADATA_BYTES: usize = 4096;
const MAX_APPS: usize = 50;

/// The fields of a description.
pub const FIELDS: [&str; 11] = [
    "name",
    "webhook_url",
    "client_id",
    "client_secret",
    "secret_token",
    "media",
    "product",
    "host_ids",
    "metadata",
    "apps",
    "catch_up",
];

/// A field that is missing or wrong, and what it must be. Never contains the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldProblem {
    pub name: &'static str,
    pub problem: &'static str,
}

/// A description of a relay. In a change, `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct AskedRelay {
    pub name: Option<String>,
    pub webhook_url: Option<String>,
    pub client_id: Option<String>,
    pub client_secret: Option<Secret<String>>,
    pub secret_token: Option<Secret<String>>,
    pub media: Option<MediaSet>,
    /// `Some(None)` removes the condition.
    pub product: Option<Option<Product>>,
    pub host_ids: Option<Vec<String>>,
    pub metadata: Option<Metadata>,
    pub apps: Option<AppScope>,
    pub catch_up: Option<bool>,
}

impl AskedRelay {
    /// Reads the fields that are present. Does not check the URL.
    ///
    /// # Errors
    /// A field has a wrong value.
    pub fn read(fields: &Map<String, Value>) -> Result<Self, FieldProblem> {
        Ok(Self {
            name: read(fields, "name", "must be a text of 1 to 64 characters", name)?,
            webhook_url: read(fields, "webhook_url", "must be a URL in a string", text)?,
            client_id: read(fields, "client_id", CREDENTIAL, credential)?,
            client_secret: read(fields, "client_secret", CREDENTIAL, credential)?.map(Secret::new),
            secret_token: read(fields, "secret_token", CREDENTIAL, credential)?.map(Secret::new),
            media: read(fields, "media", MEDIA, media)?,
            product: read(fields, "product", PRODUCT, product)?,
            host_ids: read(fields, "host_ids", HOSTS, host_ids)?,
            metadata: read(fields, "metadata", METADATA, metadata)?,
            apps: read(fields, "apps", APPS, apps)?,
            catch_up: read(fields, "catch_up", "must be true or false", Value::as_bool)?,
        })
    }

    /// Reads a description with everything that a new relay needs.
    ///
    /// # Errors
    /// A field is missing or has a wrong value.
    pub fn read_new(fields: &Map<String, Value>) -> Result<Self, FieldProblem> {
        let asked = Self::read(fields)?;
        let needed = [
            ("name", asked.name.is_some()),
            ("webhook_url", asked.webhook_url.is_some()),
            ("client_id", asked.client_id.is_some()),
            ("client_secret", asked.client_secret.is_some()),
            ("secret_token", asked.secret_token.is_some()),
        ];
        match needed.into_iter().find(|(_, is_there)| !is_there) {
            Some((name, _)) => Err(FieldProblem { name, problem: "is missing" }),
            None => Ok(asked),
        }
    }

    /// The streams to serve. A field that is not described is taken from `before`.
    pub fn filter(&self, before: RelayFilter) -> RelayFilter {
        RelayFilter {
            media: self.media.unwrap_or(before.media),
            product: self.product.unwrap_or(before.product),
            host_ids: self.host_ids.clone().unwrap_or(before.host_ids),
            metadata: self.metadata.clone().unwrap_or(before.metadata),
            apps: self.apps.clone().unwrap_or(before.apps),
        }
    }
}

const CREDENTIAL: &str = "must be a text of 1 to 256 printable ASCII characters without comma";
const MEDIA: &str = "must be an array of audio, video, share, transcript and chat";
const PRODUCT: &str =
    "must be meeting, webinar, video_sdk, contact_center or phone, or an empty string for all";
const HOSTS: &str = "must be an array of at most 200 Zoom user ids";
const METADATA: &str = "must be an object of at most 16 fields and 4096 bytes";
const APPS: &str = "must be an array of at most 50 names of Zoom apps; empty for all";

fn read<T>(
    fields: &Map<String, Value>,
    name: &'static str,
    problem: &'static str,
    parse: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>, FieldProblem> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    parse(value).map(Some).ok_or(FieldProblem { name, problem })
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn name(value: &Value) -> Option<String> {
    let fits = |name: &str| (1..=MAX_NAME_CHARS).contains(&name.trim().chars().count());
    text(value).filter(|name| fits(name))
}

fn credential(value: &Value) -> Option<String> {
    // The signature joins the client id with commas (rtms-protocol.md section 5.1).
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    let fits = |text: &str| (1..=MAX_CREDENTIAL_BYTES).contains(&text.len()) && is_plain(text);
    text(value).filter(|text| fits(text))
}

fn media(value: &Value) -> Option<MediaSet> {
    let names: Option<Vec<&str>> = value.as_array()?.iter().map(Value::as_str).collect();
    MediaSet::from_names(names?).filter(|media| !media.is_empty())
}

fn product(value: &Value) -> Option<Option<Product>> {
    match value.as_str()? {
        "" => Some(None),
        name => Product::parse(name).map(Some),
    }
}

fn host_ids(value: &Value) -> Option<Vec<String>> {
    let ids: Option<Vec<String>> = value.as_array()?.iter().map(text).collect();
    let fits = |id: &String| (1..=MAX_HOST_BYTES).contains(&id.len());
    ids.filter(|ids| ids.len() <= MAX_HOSTS && ids.iter().all(fits))
}

fn metadata(value: &Value) -> Option<Metadata> {
    let fields = value.as_object()?;
    let fits = fields.len() <= MAX_METADATA_FIELDS && value.to_string().len() <= MAX_METADATA_BYTES;
    fits.then(|| fields.clone())
}

fn apps(value: &Value) -> Option<AppScope> {
    let name = |name: &Value| AppName::parse(name.as_str()?).ok();
    let names: Option<Vec<AppName>> = value.as_array()?.iter().map(name).collect();
    let mut names = names.filter(|names| names.len() <= MAX_APPS)?;
    if names.is_empty() {
        return Some(AppScope::All);
    }
    // Sorted, so that what is stored does not depend on the order in the request.
    names.sort();
    names.dedup();
    Some(AppScope::Only(names.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn described(more: Value) -> Map<String, Value> {
        let mut fields = json!({
            "name": "notes", "webhook_url": "https://a.example", "client_id": "id",
            "client_secret": "s1", "secret_token": "s2",
        });
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fields.as_object().unwrap().clone()
    }

    #[test]
    fn a_relay_needs_a_name_a_url_and_three_credentials() {
        let asked = AskedRelay::read_new(&described(json!({}))).unwrap();
        assert_eq!(asked.filter(RelayFilter::default()), RelayFilter::default());
        for name in ["name", "webhook_url", "client_id", "client_secret", "secret_token"] {
            let mut fields = described(json!({}));
            fields.remove(name);
            let problem = AskedRelay::read_new(&fields).unwrap_err();
            assert_eq!(problem, FieldProblem { name, problem: "is missing" });
        }
    }

    #[test]
    fn a_wrong_value_is_named_by_its_field() {
        for (field, value) in [
            ("name", json!(" ")),
            ("client_id", json!("a,b")),
            ("client_secret", json!("")),
            ("secret_token", json!(7)),
            ("media", json!(["sound"])),
            ("media", json!([])),
            ("product", json!("phone call")),
            ("host_ids", json!("u1")),
            ("host_ids", json!([""])),
            ("metadata", json!([])),
            ("apps", json!(["No Name"])),
            ("catch_up", json!("yes")),
        ] {
            let problem = AskedRelay::read(&described(json!({ field: value }))).unwrap_err();
            assert_eq!(problem.name, field);
        }
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let before = RelayFilter {
            product: Some(Product::Meeting),
            host_ids: vec!["u1".into()],
            ..RelayFilter::default()
        };
        let change = json!({"media": ["audio"], "product": ""});
        let asked = AskedRelay::read(change.as_object().unwrap()).unwrap();
        let after = asked.filter(before.clone());
        let media = MediaSet::from_names(["audio"]).unwrap();
        assert_eq!(after, RelayFilter { media, product: None, ..before });
    }
}
