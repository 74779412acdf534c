//! Fields of query strings and forms, by name (pure).

use std::collections::HashMap;

/// Decoded fields. Of several with the same name the first counts; an empty field counts as absent.
#[derive(Debug, Default)]
pub(super) struct Fields(HashMap<String, String>);

impl Fields {
    pub(super) fn read(encoded: &[u8]) -> Self {
        Self::default().and(encoded)
    }

    /// Adds the fields of another part of the request. Fields that are already present win.
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
