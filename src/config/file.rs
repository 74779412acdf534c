//! The settings file of `--config`: TOML in which each key is the name of a setting in lower case. Tables only group
//! keys: their names and the key's are joined by `_`, so that `[nats] url` is `nats_url`.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::dotenv::check_access;
use super::read::Mistake;
use super::redact::REDACTED;
use super::source::edit_distance;
use super::value_files;
use super::variables::{Secrecy, variable_named, variables};
use crate::sinks::record::target;

/// The longest file that is accepted.
const MAX_BYTES: u64 = 1 << 20;
/// The mode bit that lets every user of the machine read the file.
const READABLE_BY_ALL: u32 = 0o004;
/// What names the file in a list of mistakes.
const OPTION: &str = "--config";

/// The content of a settings file.
#[derive(Default)]
pub(super) struct ConfigFile {
    /// For messages.
    path: String,
    /// By the name of the variable.
    values: HashMap<String, Entry>,
    /// Each with its line.
    mistakes: Vec<(usize, Mistake)>,
    is_readable_by_all: bool,
}

struct Entry {
    line: usize,
    text: String,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[secret] in line {}", self.line)
    }
}

impl ConfigFile {
    /// Reads the file. `user` is the id of the user that the daemon runs as.
    ///
    /// # Errors
    /// Why the whole file is rejected, and what to do.
    pub(super) fn read(path: &Path, user: u32) -> Result<Self, Mistake> {
        let name = path.display().to_string();
        let refused =
            |problem: String| Mistake { name: OPTION, problem: format!("{name} {problem}") };
        let unreadable = |error: std::io::Error| refused(format!("cannot be read: {error}"));
        let file = File::open(path).map_err(unreadable)?;
        // Of the open file, because the path could name another file by now.
        let metadata = file.metadata().map_err(unreadable)?;
        check_access(&metadata, user, &name).map_err(refused)?;
        let mut text = String::new();
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(refused(format!("is longer than {MAX_BYTES} bytes")));
        }
        let mut read = Self::parse(&name, &text).map_err(refused)?;
        read.is_readable_by_all = metadata.mode() & READABLE_BY_ALL != 0;
        Ok(read)
    }

    fn parse(path: &str, text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // The library's own rendering of an error quotes the line, which may have a secret.
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, &span));
            format!("line {line} is not TOML: {}", error.message())
        })?;
        let mut file = Self { path: path.to_owned(), ..Self::default() };
        file.take(text, &[], table.get_ref());
        // The library sorts a table's keys by name.
        file.mistakes.sort_by_key(|(line, _)| *line);
        Ok(file)
    }

    /// Takes the values of a table. `above` are the names of the tables around it.
    fn take(&mut self, text: &str, above: &[&str], table: &DeTable<'_>) {
        for (key, value) in table {
            let parts = [above, &[key.get_ref()]].concat();
            let line = line_of(text, &key.span());
            match (value.get_ref(), known_name(&parts.join("_"))) {
                // A table is never a value, also under the name of a setting: [capture] may hold bytes.
                (DeValue::Table(below), _) => self.take(text, &parts, below),
                (value, Some(name)) => self.set(name, line, text_of(value)),
                (_, None) => self.refuse(OPTION, line, unknown_key(&parts)),
            }
        }
    }

    fn set(&mut self, name: String, line: usize, value: Result<String, &'static str>) {
        let setting = variable_of(&name).map_or(OPTION, |variable| variable.name);
        match (value, self.values.get(&name).map(|entry| entry.line)) {
            (Err(problem), _) => self.refuse(setting, line, problem.to_owned()),
            (Ok(_), Some(other)) => {
                let (first, second) = (line.min(other), line.max(other));
                self.refuse(
                    setting,
                    second,
                    format!("sets what line {first} sets: keep one of them"),
                );
            }
            (Ok(text), None) => drop(self.values.insert(name, Entry { line, text })),
        }
    }

    fn refuse(&mut self, name: &'static str, line: usize, problem: String) {
        let problem = format!("{} line {line} {problem}", self.path);
        self.mistakes.push((line, Mistake { name, problem }));
    }

    /// In the order of their lines.
    pub(super) fn mistakes(&self) -> impl Iterator<Item = &Mistake> {
        self.mistakes.iter().map(|(_, mistake)| mistake)
    }

    /// The value of a variable; an empty one counts as none.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|entry| entry.text.as_str()).filter(|text| !text.is_empty())
    }

    /// Where a variable is set, for messages.
    pub(super) fn place(&self, name: &str) -> Option<String> {
        let entry = self.values.get(name)?;
        Some(format!("{} line {}", self.path, entry.line))
    }

    /// What is said about the file at the start.
    pub(super) fn note(&self) -> Option<String> {
        let is_secret = |name: &String| match variable_named(name) {
            Some(variable) => variable.secrecy != Secrecy::All,
            None => target::is_store_variable(name),
        };
        let has_secrets = self.values.keys().any(is_secret);
        (has_secrets && self.is_readable_by_all).then(|| {
            let path = &self.path;
            format!("{path} has secrets and can be read by every user of this machine: run chmod o-r {path}")
        })
    }
}

/// The variable that a key in lower case means: a setting, its file, or a variable of an object store.
fn known_name(key: &str) -> Option<String> {
    let name = key.to_ascii_uppercase();
    let is_lower = key.bytes().all(|byte| !byte.is_ascii_uppercase());
    let is_known = variable_of(&name).is_some() || target::is_store_variable(&name);
    (is_lower && is_known).then_some(name)
}

/// The setting that has this name, or a file of this name. Its aliases are for programs that exist already.
fn variable_of(name: &str) -> Option<&'static super::Variable> {
    let by_name = |name: &str| variable_named(name).filter(|variable| variable.name == name);
    by_name(name).or_else(|| by_name(value_files::setting_of(name)?))
}

fn unknown_key(parts: &[&str]) -> String {
    // A key may hold anything: a secret that stands in the wrong place is not repeated.
    let is_name = |part: &&str| {
        part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    let shown = if parts.iter().all(is_name) { parts.join(".") } else { "a key".to_owned() };
    format!("sets {shown}, which is no setting: did you mean {}?", nearest_key(&parts.join("_")))
}

/// The key of the setting with the name that is most like this one, aliases included.
fn nearest_key(key: &str) -> String {
    let key = key.to_ascii_lowercase();
    let names = variables().flat_map(|it| it.names().map(|name| (name, it.name)));
    let nearest = names.min_by_key(|(name, _)| edit_distance(&key, &name.to_ascii_lowercase()));
    nearest.map_or_else(String::new, |(_, name)| name.to_ascii_lowercase())
}

/// A value as it would be in the environment.
fn text_of(value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) if text.contains(REDACTED) => Err("has a redacted value: fill it in"),
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => integer(number).map(|number| number.to_string()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(is) => Ok(is.to_string()),
        DeValue::Datetime(_) => Err("has a date: put it in quotes"),
        DeValue::Array(items) => list_of(items),
        DeValue::Table(_) => Err("has a table: write name = value"),
    }
}

/// A list as text, separated by commas; a list of tables as JSON.
fn list_of(items: &[Spanned<DeValue<'_>>]) -> Result<String, &'static str> {
    let is_nested = |item: &Spanned<DeValue<'_>>| {
        matches!(item.get_ref(), DeValue::Table(_) | DeValue::Array(_))
    };
    if items.iter().any(is_nested) {
        return json_array(items).map(|list| list.to_string());
    }
    let mut texts = Vec::new();
    for item in items {
        let text = text_of(item.get_ref())?;
        if text.contains(',') {
            return Err("has an element with a comma: make it several elements");
        }
        texts.push(text);
    }
    Ok(texts.join(","))
}

fn json_of(value: &DeValue<'_>) -> Result<Value, &'static str> {
    match value {
        DeValue::Integer(number) => integer(number).map(Value::from),
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(number) => Ok(Value::from(number)),
            Err(_) => Err("has a number that cannot be read"),
        },
        DeValue::Boolean(is) => Ok(Value::from(*is)),
        DeValue::Array(items) => json_array(items),
        DeValue::Table(table) => {
            let mut fields = Map::new();
            for (key, value) in table {
                fields.insert(key.get_ref().to_string(), json_of(value.get_ref())?);
            }
            Ok(Value::Object(fields))
        }
        DeValue::String(_) | DeValue::Datetime(_) => text_of(value).map(Value::from),
    }
}

fn json_array(items: &[Spanned<DeValue<'_>>]) -> Result<Value, &'static str> {
    items.iter().map(|item| json_of(item.get_ref())).collect::<Result<_, _>>().map(Value::Array)
}

fn integer(number: &DeInteger<'_>) -> Result<i64, &'static str> {
    i64::from_str_radix(number.as_str(), number.radix())
        .map_err(|_| "has a number that is too large")
}

/// The line of a place in the text, from 1.
fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = &text.as_bytes()[..span.start.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
