//! Where an app's recordings go, if not where those of the daemon go.

use std::path::Path;

use crate::secret::Secret;

/// What an app sets of the place of its recordings; the rest is that of the daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnRecordings {
    pub place: Option<OwnPlace>,
    /// The layout of the folders, as the setting writes it.
    pub layout: Option<String>,
}

/// A folder or an object store, as the settings write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPlace {
    /// May hold credentials.
    pub url: Secret<String>,
    /// Without credentials, as rows of recordings have it.
    pub name: String,
    /// The settings of its object store, by the names of the store's own variables.
    pub options: Vec<(&'static str, Secret<String>)>,
}

impl OwnPlace {
    /// The folder, if it is one: the name of any other place is a URL.
    pub fn folder(&self) -> Option<&Path> {
        Some(Path::new(&self.name)).filter(|name| name.is_absolute())
    }
}
