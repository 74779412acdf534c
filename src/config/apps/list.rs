//! Reads the list of apps in `ZOOM_APPS`, or in the file that `ZOOM_APPS_FILE` names.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value};

use super::fields::NAME;
use crate::config::dotenv::check_access;
use crate::config::read::Reader;
use crate::model::AppName;

/// The longest file that is read.
const MAX_BYTES: u64 = 1 << 20;
/// The most apps of a list.
const MAX_APPS: usize = 1000;

/// One app of a list: its name, and the fields that describe it.
pub(super) type Described = (AppName, Map<String, Value>);

/// A list of apps, and the setting that it is from.
pub(super) struct List {
    pub setting: &'static str,
    pub apps: Vec<Described>,
    /// Whether every entry has a name of its own. The others are mistakes.
    pub is_whole: bool,
}

/// Reads the list. `None` if it cannot be read; an empty list if neither setting is set.
pub(super) fn read_list(read: &mut Reader<'_>) -> Option<List> {
    let (text, path) = (read.optional("ZOOM_APPS"), read.optional("ZOOM_APPS_FILE"));
    let (setting, list) = match (text, path) {
        (None, None) => {
            return Some(List { setting: "ZOOM_APPS", apps: Vec::new(), is_whole: true });
        }
        (Some(_), Some(_)) => {
            read.mistake("ZOOM_APPS_FILE", "is set beside ZOOM_APPS: keep one of them");
            return None;
        }
        (Some(text), None) => ("ZOOM_APPS", parse_json(&text)),
        (None, Some(path)) => ("ZOOM_APPS_FILE", read_file(Path::new(&path))),
    };
    let entries = match list {
        Ok(entries) => entries,
        Err(problem) => {
            read.mistake(setting, problem);
            return None;
        }
    };
    if entries.len() > MAX_APPS {
        read.mistake(setting, format!("has more than {MAX_APPS} apps"));
        return None;
    }
    let count = entries.len();
    let apps = named(read, setting, entries);
    Some(List { setting, is_whole: apps.len() == count, apps })
}

/// The entries by their names, which are unique.
fn named(read: &mut Reader<'_>, setting: &'static str, entries: Vec<Value>) -> Vec<Described> {
    let mut apps = Vec::<Described>::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let number = index + 1;
        let Value::Object(fields) = entry else {
            read.mistake(setting, format!("app number {number} must be an object of fields"));
            continue;
        };
        let name = fields.get(NAME).and_then(Value::as_str).map(AppName::parse);
        match name {
            None => read.mistake(setting, format!("app number {number}: name is missing")),
            Some(Err(error)) => read.mistake(setting, format!("app number {number}: name {error}")),
            Some(Ok(name)) if apps.iter().any(|(other, _)| *other == name) => {
                read.mistake(setting, format!("app {name} is described twice"));
            }
            Some(Ok(name)) => apps.push((name, fields)),
        }
    }
    apps
}

fn read_file(path: &Path) -> Result<Vec<Value>, String> {
    let unreadable = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let file = File::open(path).map_err(unreadable)?;
    let user = rustix::process::geteuid().as_raw();
    check_access(&file.metadata().map_err(unreadable)?, user, &path.display().to_string())
        .map_err(|problem| format!("{} {problem}", path.display()))?;
    let mut text = String::new();
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("{} is longer than {MAX_BYTES} bytes", path.display()));
    }
    let is_toml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    let list = if is_toml { parse_toml(&text) } else { parse_json(&text) };
    list.map_err(|problem| format!("{} {problem}", path.display()))
}

/// Reads an array of apps, or an object with the array in `apps`. A mistake names its place and quotes nothing.
fn parse_json(text: &str) -> Result<Vec<Value>, String> {
    let value = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("must be a JSON array of apps; line {line}, column {column} cannot be read")
    })?;
    entries(value).ok_or_else(|| "must be a JSON array of apps".to_owned())
}

/// Reads the tables `[[apps]]`.
fn parse_toml(text: &str) -> Result<Vec<Value>, String> {
    let value = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("must have the tables [[apps]]; line {line} cannot be read")
    })?;
    entries(value).ok_or_else(|| "must have the tables [[apps]]".to_owned())
}

fn entries(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(entries) => Some(entries),
        Value::Object(mut fields) if fields.len() == 1 => match fields.remove("apps")? {
            Value::Array(entries) => Some(entries),
            _ => None,
        },
        _ => None,
    }
}
