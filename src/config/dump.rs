//! The settings in effect without their secrets, and where each comes from.

use super::redact::{REDACTED, redact};
use super::source::Source;
use super::variables::variables;
use crate::sinks::record::target;

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dumped {
    pub name: &'static str,
    /// Without secrets.
    pub value: String,
    /// Where the value is set; none for the default.
    pub origin: Option<String>,
}

/// Every setting that has a value, in the order of the documents, and then the variables of object stores.
pub fn dump<E: Fn(&str) -> Option<String>>(source: &Source<E>) -> Vec<Dumped> {
    let value = |name: &str| {
        let value = source.lookup(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    };
    let settings = variables().filter_map(|variable| {
        let set = variable.names().find_map(|name| Some((name, value(name)?)));
        let (origin, value) = match set {
            Some((name, value)) => (source.origin(name), value),
            None if variable.default.is_empty() => return None,
            None => (None, variable.default.to_owned()),
        };
        Some(Dumped { name: variable.name, value: redact(variable, &value), origin })
    });
    let of_stores = target::store_variables().filter_map(|name| {
        value(name)?;
        Some(Dumped { name, value: REDACTED.to_owned(), origin: source.origin(name) })
    });
    settings.chain(of_stores).collect()
}

#[cfg(test)]
mod tests;
