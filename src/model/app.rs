//! The names of Zoom apps, and the apps that an API token may see.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// The longest name of an app, in bytes. Names are parts of paths, subjects and folders.
const MAX_NAME_BYTES: usize = 32;

/// Why a text is refused as the name of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "must have 1 to {MAX_NAME_BYTES} characters of a-z, 0-9, - and _, and begin with a letter or a digit"
)]
pub struct AppNameError;

/// The operator's name for one Zoom Marketplace app, such as `default` or `acme-prod`: part of webhook paths, broker
/// subjects, metric labels and recording folders.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
// Shared: every session and stream carries a copy.
pub struct AppName(Arc<str>);

impl AppName {
    /// The name of the app that `ZOOM_CLIENT_ID` and its neighbours describe.
    pub const DEFAULT: &'static str = "default";

    /// Parses a name: 1 to 32 lower-case letters, digits, `-` and `_`, beginning with a letter or a digit.
    pub fn parse(text: &str) -> Result<Self, AppNameError> {
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        let begins_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let fits = text.len() <= MAX_NAME_BYTES && text.bytes().all(is_plain);
        if begins_well && fits { Ok(Self(text.into())) } else { Err(AppNameError) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the app of the settings without a name.
    pub fn is_default(&self) -> bool {
        *self.0 == *Self::DEFAULT
    }
}

impl Default for AppName {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for AppName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AppName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The apps that a caller may see and use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AppScope {
    /// Every app, also those that are added later.
    #[default]
    All,
    /// Only these apps. Nothing shows the caller that others exist.
    Only(Arc<[AppName]>),
}

impl AppScope {
    /// Whether the caller may see what belongs to this app.
    pub fn includes(&self, app: &AppName) -> bool {
        match self {
            Self::All => true,
            Self::Only(apps) => apps.contains(app),
        }
    }

    /// Whether every app of `other` is in this scope.
    pub fn covers(&self, other: &Self) -> bool {
        match other.names() {
            None => *self == Self::All,
            Some(apps) => apps.iter().all(|app| self.includes(app)),
        }
    }

    /// The app of a scope with a single one.
    pub fn only(&self) -> Option<&AppName> {
        match self.names() {
            Some([app]) => Some(app),
            _ => None,
        }
    }

    /// The only apps of the scope; none if it has all.
    pub fn names(&self) -> Option<&[AppName]> {
        match self {
            Self::All => None,
            Self::Only(apps) => Some(apps),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AppName, AppScope};

    #[test]
    fn an_app_name_is_safe_in_a_path_a_subject_and_a_folder() {
        for good in ["default", "a", "7", "acme-prod_2", &"x".repeat(32)] {
            assert_eq!(AppName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "_a", "A", "a.b", "a/b", "a b", "..", "ü", "a*", &"x".repeat(33)] {
            assert!(AppName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_scope_includes_only_its_apps() {
        let [acme, other] = ["acme", "other"].map(|name| AppName::parse(name).unwrap());
        let only = AppScope::Only([acme.clone()].into());
        assert!(only.includes(&acme) && !only.includes(&other));
        assert!(AppScope::All.includes(&other));
        assert!(!AppScope::Only([].into()).includes(&acme));
    }

    #[test]
    fn a_scope_covers_another_with_no_app_beside_its_own() {
        let [acme, other] = ["acme", "other"].map(|name| AppName::parse(name).unwrap());
        let only = AppScope::Only([acme.clone()].into());
        let both = AppScope::Only([acme, other].into());
        assert!(both.covers(&only) && !only.covers(&both) && only.covers(&only));
        assert!(AppScope::All.covers(&both) && AppScope::All.covers(&AppScope::All));
        assert!(!both.covers(&AppScope::All), "apps may be added later");
    }
}
