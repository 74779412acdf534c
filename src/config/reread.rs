//! Which settings count without a restart when they are read again, and which of the others have changed.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use super::apps::{FIELDS, LeftOut};
use super::variables::variables;
use crate::sinks::record::target;

/// The variables that count when they are read again on SIGHUP, beside those of the fields of an app.
pub(super) const REREAD: [&str; 10] = [
    "API_TOKENS",
    "LOG_LEVEL",
    "MEDIA_TYPES_FLAG",
    "RUST_LOG",
    "ZOOM_APPS",
    "ZOOM_APPS_FILE",
    "ZOOM_PHONE",
    "ZOOM_VIDEO_SDK_KEY",
    "ZOOM_VIDEO_SDK_SECRET",
    "ZOOM_VIDEO_SECRET_TOKEN",
];

/// Whether a variable counts when it is read again. The others need a restart.
pub(super) fn is_reread(name: &str) -> bool {
    let is_own =
        FIELDS.iter().any(|field| field.variable == name && field.left_out != LeftOut::Shared);
    is_own || REREAD.contains(&name)
}

/// Recognizes values that have changed. Holds no value, only hashes under a key of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<&'static str, u64>);

impl Fingerprint {
    pub(super) fn of(lookup: &dyn Fn(&str) -> Option<String>) -> Self {
        static KEY: OnceLock<RandomState> = OnceLock::new();
        let key = KEY.get_or_init(RandomState::new);
        let trimmed = |name: &str| lookup(name).map(|value| value.trim().to_owned());
        let value = |name: &str| trimmed(name).filter(|value| !value.is_empty());
        let of_settings = variables().map(|variable| {
            // A default that is written down is no other value.
            let set = variable.names().find_map(value);
            (variable.name, key.hash_one(set.unwrap_or_else(|| variable.default.to_owned())))
        });
        let of_stores = target::store_variables()
            .map(|name| (name, key.hash_one(value(name).unwrap_or_default())));
        Self(of_settings.chain(of_stores).collect())
    }

    /// The settings that differ in another one and need a restart, by name.
    pub fn needing_restart(&self, other: &Self) -> Vec<&'static str> {
        let differs = |name: &&str| self.0.get(name) != other.0.get(name) && !is_reread(name);
        other.0.keys().copied().filter(differs).collect()
    }
}
