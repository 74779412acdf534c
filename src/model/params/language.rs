//! The languages that Zoom transcribes (rtms-protocol.md section 10.15).

use super::names::{Named, setting_values};

setting_values! {
    /// A language that Zoom transcribes, in the order of its numbers from -1 (section 10.15).
    Language {
        None: "none",
        Arabic: "arabic",
        Bengali: "bengali",
        Cantonese: "cantonese",
        Catalan: "catalan",
        ChineseSimplified: "chinese_simplified",
        ChineseTraditional: "chinese_traditional",
        Czech: "czech",
        Danish: "danish",
        Dutch: "dutch",
        English: "english",
        Estonian: "estonian",
        Finnish: "finnish",
        FrenchCanada: "french_canada",
        FrenchFrance: "french_france",
        German: "german",
        Hebrew: "hebrew",
        Hindi: "hindi",
        Hungarian: "hungarian",
        Indonesian: "indonesian",
        Italian: "italian",
        Japanese: "japanese",
        Korean: "korean",
        Malay: "malay",
        Persian: "persian",
        Polish: "polish",
        Portuguese: "portuguese",
        Romanian: "romanian",
        Russian: "russian",
        Spanish: "spanish",
        Swedish: "swedish",
        Tagalog: "tagalog",
        Tamil: "tamil",
        Telugu: "telugu",
        Thai: "thai",
        Turkish: "turkish",
        Ukrainian: "ukrainian",
        Vietnamese: "vietnamese",
    }
}

impl Language {
    /// Zoom's number of the language (section 10.15).
    pub fn number(self) -> i64 {
        // The variants are in the order of Zoom's numbers, which start at -1.
        self as i64 - 1
    }

    /// The language with this number.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.iter().copied().find(|language| language.number() == number)
    }
}
