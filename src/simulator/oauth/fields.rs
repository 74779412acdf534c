//! Query and form fields by name (pure).

use std::collections::HashMap;

/// The fields of query strings and forms; the first of a name counts, an empty one is none.
#[derive(Debug, Default)]
pub(super) struct Fields(HashMap<String, String>);

impl Fields {
    pub(super) fn read(encoded: &[u8]) -> Self {
        Self::default().and(encoded)
    }

    /// With the fields of another part of the request, where they are not here.
    pub(super) fn and(mut self, encoded: &[u8]) -> Self {
        for (name, value) in url::form_urlencoded::parse(encoded) {
            self.0.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}
