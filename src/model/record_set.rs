//! What is recorded of a stream: media in files of their own, and one film of everything.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{MediaSet, Medium};
use crate::named::named;

/// The word for one film of everything.
const MEETING: &str = "meeting";

/// What is recorded of a stream. In JSON it is a list of names: of media, and `meeting`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecordSet {
    /// The media with files of their own.
    pub media: MediaSet,
    /// Whether there is one film of everything: `meeting.mp4`.
    pub meeting: bool,
}

named! {
    /// Whose picture a film of everything shows.
    pub enum MeetingPicture {
        /// The active speaker's camera.
        Speaker: "speaker",
        /// The shared screen, and the active speaker's camera while nobody shares one.
        Screen: "screen",
    }
}

impl RecordSet {
    /// Reads names that are separated by commas. Spaces, case and empty names do not matter; `None` if a name is
    /// unknown.
    pub fn parse(names: &str) -> Option<Self> {
        Self::from_names(names.split(',').filter(|name| !name.trim().is_empty()))
    }

    /// Reads names that are separated by commas, or a list of names.
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(names) => Self::parse(names),
            Value::Array(names) => {
                let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
                Self::from_names(names?)
            }
            _ => None,
        }
    }

    fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let is_meeting = |name: &&str| name.trim().eq_ignore_ascii_case(MEETING);
        let (meeting, media): (Vec<&str>, Vec<&str>) = names.into_iter().partition(is_meeting);
        let media = MediaSet::from_names(media)?;
        Some(Self { media, meeting: !meeting.is_empty() })
    }

    /// Every name, for people.
    pub fn all_names() -> String {
        Self { media: MediaSet::ALL, meeting: true }.to_string()
    }

    /// Whether nothing is recorded.
    pub fn is_empty(self) -> bool {
        self.media.is_empty() && !self.meeting
    }

    /// The media that are needed, of those that are received.
    pub fn wanted(self, received: MediaSet) -> MediaSet {
        if self.meeting { self.media.union(received.framed()) } else { self.media }
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        self.media.iter().map(Medium::as_str).chain(self.meeting.then_some(MEETING))
    }
}

impl From<MediaSet> for RecordSet {
    fn from(media: MediaSet) -> Self {
        Self { media, meeting: false }
    }
}

/// The names, separated by commas: `audio, meeting`.
impl fmt::Display for RecordSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(", "))
    }
}

impl Serialize for RecordSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for RecordSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let unknown = || serde::de::Error::custom("a list of what is recorded is needed");
        Self::from_json(&value).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_a_list_of_names() {
        let all = RecordSet { media: MediaSet::ALL, meeting: true };
        assert_eq!(RecordSet::parse(&all.to_string()), Some(all));
        assert_eq!(serde_json::from_value::<RecordSet>(serde_json::json!(all)).unwrap(), all);
        let only = RecordSet { media: MediaSet::default(), meeting: true };
        assert_eq!(RecordSet::parse(" Meeting ,"), Some(only));
        assert!(!only.is_empty());
        assert_eq!(only.wanted(MediaSet::ALL), MediaSet::ALL.framed());
        assert_eq!(only.wanted(Medium::Audio.into()), Medium::Audio.into());
        assert_eq!(RecordSet::parse("audio,film"), None);
        assert_eq!(RecordSet::from_json(&serde_json::json!({})), None);
    }
}
