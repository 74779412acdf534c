//! Reads one app from the object that describes it: an entry of `ZOOM_APPS`, or the body of a call of the API.

use std::collections::HashMap;
use std::fmt;

use serde_json::{Map, Value};

use super::fields::{FIELDS, Field, LeftOut, NAME, PRODUCTS, RECORDINGS_STORE, RECORDINGS_URL};
use super::{VIDEO_APP, read_app};
use crate::config::read::{Mistake, Reader};
use crate::config::variables::Variable;
use crate::model::{AppName, Product};
use crate::sinks::record::target;
use crate::zoom::app::App;

/// The longest name of an unknown field that a mistake quotes.
const MAX_QUOTED: usize = 40;

/// What every app has unless its own description says otherwise: the values of the variables that apps inherit, those of
/// the daemon's object stores, and the URL of the daemon.
#[derive(Clone, Default)]
pub struct AppDefaults {
    /// By any of a variable's names.
    values: HashMap<&'static str, String>,
    public_url: String,
}

// Not derived, because it would print values.
impl fmt::Debug for AppDefaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppDefaults").finish_non_exhaustive()
    }
}

impl AppDefaults {
    /// Takes the values of the variables that apps inherit.
    pub(super) fn of(lookup: &dyn Fn(&str) -> Option<String>, public_url: &str) -> Self {
        let inherited = FIELDS.iter().filter(|field| field.left_out == LeftOut::Inherited);
        let names = inherited.flat_map(|field| field.variable().names());
        let names = names.chain([MEDIA_FLAG]).chain(target::store_variables());
        let values = names.filter_map(|name| Some((name, lookup(name)?))).collect();
        Self { values, public_url: public_url.to_owned() }
    }

    /// Reads an app from the fields of its description, without its name.
    ///
    /// # Errors
    /// Every mistake, by field and without a value.
    pub fn describe(
        &self,
        name: &AppName,
        fields: &Map<String, Value>,
    ) -> Result<App, Vec<String>> {
        let mut mistakes = Vec::new();
        let mut values: HashMap<&'static str, String> = HashMap::new();
        let mut products = None;
        let store = fields.get(RECORDINGS_STORE).filter(|value| !value.is_null());
        let store = store.map(|value| own_store(value, &mut mistakes));
        let is_no_variable = |key: &str| [NAME, RECORDINGS_STORE].contains(&key);
        for (key, value) in fields.iter().filter(|(key, _)| !is_no_variable(key)) {
            let field = FIELDS.iter().find(|field| field.name == key);
            match (field, field_text(value)) {
                (Some(field), Some(text)) => drop(values.insert(field.variable, text)),
                (None, Some(text)) if key == PRODUCTS => products = Some(text),
                (None, _) if key != PRODUCTS => mistakes.push(unknown_field(key)),
                _ => mistakes.push(format!(
                    "{key} must be a text, a number, true or false, or a list of texts"
                )),
            }
        }
        let products = parse_products(name, products.as_deref()).map_err(|it| mistakes.push(it));
        if store.is_some() && values.get(RECORDINGS_URL).is_none_or(String::is_empty) {
            mistakes.push(format!("{RECORDINGS_STORE} must be set with recordings_url"));
        }
        let lookup = |variable: &str| match &store {
            // Never a mixture of the app's credentials and the daemon's.
            Some(store) if target::is_store_variable(variable) => store.get(variable).cloned(),
            _ => self.value(&values, variable),
        };
        let mut read = Reader::new(&lookup);
        let app = read_app(&mut read, name.clone(), Some(&self.public_url));
        match (read.finish(app), products) {
            (Ok(app), Ok(products)) if mistakes.is_empty() => Ok(App { products, ..app }),
            (read, _) => {
                let found = read.err().map_or_else(Vec::new, |errors| errors.0);
                mistakes.extend(found.iter().map(in_fields));
                Err(mistakes)
            }
        }
    }

    /// The value of a variable for an app with these own values.
    fn value(&self, own: &HashMap<&'static str, String>, name: &str) -> Option<String> {
        let is_name = |field: &&Field| field.variable().names().any(|other| other == name);
        let Some(field) = FIELDS.iter().find(is_name) else {
            // The other form of `media_types`.
            let is_own = own.contains_key("MEDIA_TYPES") || own.contains_key("MEDIA_PRESET");
            return self.values.get(name).filter(|_| name != MEDIA_FLAG || !is_own).cloned();
        };
        if let Some(value) = own.get(field.variable).filter(|value| !value.is_empty()) {
            return (name == field.variable).then(|| value.clone());
        }
        // A preset of its own would otherwise be overridden by the parameters of the others.
        let is_hidden = own.contains_key("MEDIA_PRESET") && is_media(field.variable);
        self.values.get(name).filter(|_| !is_hidden).cloned()
    }
}

const MEDIA_FLAG: &str = "MEDIA_TYPES_FLAG";

fn is_media(variable: &str) -> bool {
    let groups = ["MEDIA_", "AUDIO_", "VIDEO_", "SHARE_", "TRANSCRIPT_", "RTMS_BUFFER_DATA"];
    groups.iter().any(|group| variable.starts_with(group))
}

/// The text of a field, as its variable would have it; `None` for an object.
fn field_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(parts) => {
            let texts: Option<Vec<&str>> = parts.iter().map(Value::as_str).collect();
            Some(texts?.join(","))
        }
        Value::Object(_) => None,
    }
}

/// The variables of an app's object store.
fn own_store(value: &Value, mistakes: &mut Vec<String>) -> HashMap<&'static str, String> {
    let known = |name: &str| target::store_variables().find(|known| *known == name);
    let read = |(name, value): (&String, &Value)| Some((known(name)?, field_text(value)?));
    let store: Option<HashMap<_, _>> =
        value.as_object().and_then(|fields| fields.iter().map(read).collect());
    store.unwrap_or_else(|| {
        mistakes.push(format!(
            "{RECORDINGS_STORE} must be an object of the variables of its object store, such as AWS_REGION, each with a \
             text (see docs/recordings.md)"
        ));
        HashMap::new()
    })
}

fn unknown_field(key: &str) -> String {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    // A text that is no field's name may be a secret.
    match key.len() <= MAX_QUOTED && key.bytes().all(is_word) {
        true => format!("{key} is not a field of an app"),
        false => "it has a field that no app has".to_owned(),
    }
}

/// The products of an app: by default all but the experimental ones, and for the app `video` only the Video SDK.
fn parse_products(name: &AppName, text: Option<&str>) -> Result<Vec<Product>, String> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return Ok(match name.as_str() {
            VIDEO_APP => vec![Product::VideoSdk],
            _ => Product::RELEASED.to_vec(),
        });
    };
    let products: Option<Vec<_>> = text.split(',').map(|it| Product::parse(it.trim())).collect();
    let mut products = products.ok_or_else(|| {
        let names = Product::ALL.map(Product::as_str).join(", ");
        format!("{PRODUCTS} must be a list of {names}")
    })?;
    let mut seen = Vec::new();
    products.retain(|product| {
        !seen.contains(product) && {
            seen.push(*product);
            true
        }
    });
    Ok(products)
}

/// A mistake in a variable as one in the field that means the same.
fn in_fields(mistake: &Mistake) -> String {
    let field = FIELDS.iter().find(|field| field.variable == mistake.name);
    let name = field.map_or(mistake.name, |field| field.name);
    if mistake.problem.starts_with("missing:") {
        return format!("{name} is missing");
    }
    let separator = if mistake.problem.starts_with("must ") { "" } else { ":" };
    format!("{name}{separator} {}", with_field_names(&mistake.problem))
}

/// A text with the names of fields instead of those of variables.
fn with_field_names(text: &str) -> String {
    let mut fields: Vec<&Field> = FIELDS.iter().collect();
    // `MEDIA_TYPES` is a part of `MEDIA_TYPES_FLAG`.
    fields.sort_by_key(|field| std::cmp::Reverse(field.variable.len()));
    fields.iter().fold(text.to_owned(), |text, field| text.replace(field.variable, field.name))
}

/// Whether the environment has a variable, under any of its names.
pub(super) fn is_set(lookup: &dyn Fn(&str) -> Option<String>, variable: &Variable) -> bool {
    variable.names().any(|name| lookup(name).is_some_and(|value| !value.trim().is_empty()))
}
