//! The media of a stream: their names, sets of them, and the one parser of a list of their names.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::named::named;

named! {
    /// A kind of media that Zoom sends (rtms-protocol.md section 10.8).
    #[derive(Hash, PartialOrd, Ord)]
    pub enum Medium {
        /// Sound: one stream for everybody, or one for each speaker.
        Audio: "audio",
        /// Cameras.
        Video: "video",
        /// Shared screens.
        Share: "share",
        /// Lines of text that Zoom recognises in the audio.
        Transcript: "transcript",
        /// Chat messages.
        Chat: "chat",
    }
}

impl Medium {
    /// Whether the medium comes as frames. Transcript and chat come as entries.
    pub fn has_frames(self) -> bool {
        match self {
            Self::Audio | Self::Video | Self::Share => true,
            Self::Transcript | Self::Chat => false,
        }
    }

    fn bit(self) -> u8 {
        // The discriminants are 0 to 4. A ninth medium needs a wider set.
        1 << self as u8
    }
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A set of media. In JSON it is a list of names.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct MediaSet(u8);

impl MediaSet {
    /// Every medium.
    pub const ALL: Self = Self((1 << Medium::ALL.len()) - 1);

    /// Reads names that are separated by commas. Spaces, case and empty names do not matter; `None` if a name is not a
    /// medium's.
    pub fn parse(names: &str) -> Option<Self> {
        Self::from_names(names.split(',').filter(|name| !name.trim().is_empty()))
    }

    /// Reads a list of names. Spaces around them and case do not matter; `None` if a name is not a medium's.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let medium = |name: &str| Medium::parse(&name.trim().to_ascii_lowercase());
        names.into_iter().map(medium).collect()
    }

    /// Whether the medium is in the set.
    pub fn contains(self, medium: Medium) -> bool {
        self.0 & medium.bit() != 0
    }

    /// The set and this medium.
    #[must_use]
    pub fn with(self, medium: Medium) -> Self {
        Self(self.0 | medium.bit())
    }

    /// The media of both sets.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The media that the other set lacks.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The media that come as frames.
    #[must_use]
    pub fn framed(self) -> Self {
        self.iter().filter(|medium| medium.has_frames()).collect()
    }

    /// The media in the order of [`Medium::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Medium> {
        Medium::ALL.into_iter().filter(move |medium| self.contains(*medium))
    }

    /// The number of media.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there is no medium in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The names, separated by commas: `audio, video`.
impl fmt::Display for MediaSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, medium) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{medium}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for MediaSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl From<Medium> for MediaSet {
    fn from(medium: Medium) -> Self {
        Self::default().with(medium)
    }
}

impl<const N: usize> From<[Medium; N]> for MediaSet {
    fn from(media: [Medium; N]) -> Self {
        media.into_iter().collect()
    }
}

impl FromIterator<Medium> for MediaSet {
    fn from_iter<I: IntoIterator<Item = Medium>>(media: I) -> Self {
        media.into_iter().fold(Self::default(), Self::with)
    }
}

impl Serialize for MediaSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for MediaSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Medium>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_medium_has_one_name_everywhere() {
        for medium in Medium::ALL {
            assert_eq!(Medium::parse(medium.as_str()), Some(medium));
            assert_eq!(serde_json::to_value(medium).unwrap(), medium.as_str());
            assert!(MediaSet::ALL.contains(medium));
        }
        assert_eq!(MediaSet::ALL.len(), Medium::ALL.len());
        assert_eq!(MediaSet::ALL.to_string(), "audio, video, share, transcript, chat");
        assert_eq!(MediaSet::ALL.framed().to_string(), "audio, video, share");
    }

    #[test]
    fn a_list_of_names_is_read_whatever_its_spaces_case_and_order() {
        let media = MediaSet::from([Medium::Audio, Medium::Chat]);
        for names in ["audio,chat", " Chat , AUDIO,", "chat,audio,chat"] {
            assert_eq!(MediaSet::parse(names), Some(media), "{names:?}");
        }
        assert_eq!(MediaSet::parse(""), Some(MediaSet::default()));
        assert_eq!(MediaSet::parse("audio,smell"), None);
        assert_eq!(serde_json::to_string(&media).unwrap(), r#"["audio","chat"]"#);
        assert_eq!(serde_json::from_str::<MediaSet>(r#"["chat","audio"]"#).unwrap(), media);
        assert_eq!(media.without(Medium::Chat.into()), Medium::Audio.into());
    }
}
