//! A line of a transcript, and how it is read from the store.

use serde::{Deserialize, Serialize};

use super::super::speaker::stored_user_id;
use super::super::{ChannelId, Speaker, SpeakerUserId};

/// One phrase of a speaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredLine")]
pub struct TranscriptLine {
    /// Who said it.
    #[serde(flatten)]
    pub speaker: Speaker,
    /// The phrase.
    pub text: String,
    /// Unix milliseconds.
    pub start_ms: i64,
    /// Unix milliseconds.
    pub end_ms: i64,
    /// Zoom's language number (section 10.15).
    pub language: Option<i64>,
    /// 1 new, 2 update, 3 delete (section 10.14); absent in most streams.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub attribute: Option<i64>,
}

/// [`TranscriptLine`] as stored, without `flatten`: for a flattened field serde first collects all fields into a map, which
/// takes several times as long.
#[derive(Deserialize)]
struct StoredLine {
    #[serde(default, deserialize_with = "stored_user_id")]
    user_id: Option<SpeakerUserId>,
    user_name: Option<String>,
    channel_id: Option<ChannelId>,
    text: String,
    start_ms: i64,
    end_ms: i64,
    language: Option<i64>,
    attribute: Option<i64>,
}

impl From<StoredLine> for TranscriptLine {
    fn from(line: StoredLine) -> Self {
        let StoredLine { user_id, user_name: name, channel_id, .. } = line;
        Self {
            speaker: Speaker { user_id, name, channel_id },
            text: line.text,
            start_ms: line.start_ms,
            end_ms: line.end_ms,
            language: line.language,
            attribute: line.attribute,
        }
    }
}
