//! A line of a transcript as JSON.

use serde::Serialize;

use super::super::lines::Line;
use crate::model::{ChannelId, SpeakerUserId, rfc3339};

/// A line's fields in the order of their names, as in all JSON of the API. A struct, because building a `Value` took longer
/// than everything else.
#[derive(Serialize)]
struct JsonLine<'a> {
    attribute: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<&'a ChannelId>,
    end: Option<String>,
    end_ms: i64,
    language: Option<i64>,
    offset_ms: i64,
    ordinal: u32,
    seq: u64,
    start: Option<String>,
    start_ms: i64,
    /// Deprecated: the former name of `ordinal`, sent for one more release.
    stream: u32,
    text: &'a str,
    user_id: Option<&'a SpeakerUserId>,
    user_name: Option<&'a str>,
}

pub(super) fn push(out: &mut Vec<u8>, line: &Line, offset_ms: i64) {
    let said = &line.said;
    let json = JsonLine {
        attribute: said.attribute,
        channel_id: said.speaker.channel_id.as_ref(),
        end: rfc3339(said.end_ms),
        end_ms: said.end_ms,
        language: said.language,
        offset_ms,
        ordinal: line.ordinal,
        seq: line.seq,
        start: rfc3339(said.start_ms),
        start_ms: said.start_ms,
        stream: line.ordinal,
        text: &said.text,
        user_id: said.speaker.user_id.as_ref(),
        user_name: said.speaker.name.as_deref(),
    };
    serde_json::to_writer(out, &json).expect("texts and numbers become JSON");
}
