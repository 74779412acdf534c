//! The folders and file names of recordings (pure). Ids and names come from other parties: whatever they contain, each
//! becomes one component of a path.

mod names;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use thiserror::Error;

use self::names::{
    MAX_FOLDER_BYTES, MAX_STEM_BYTES, PART, bounded_name, distinct_name, hashed_name, safe_name,
};
use self::names::{sample_style, samples_folder};
use super::track::TrackKind;
use crate::model::{AppName, Instance, Medium, SessionId, Speaker, SpeakerUserId, StreamId};

/// The placeholders of a template.
const PLACEHOLDERS: [&str; 8] =
    ["app", "date", "time", "product", "meeting", "session", "stream", "ordinal"];

/// The film of everything.
const MEETING_FILE: &str = "meeting.mp4";

/// The layout of recordings at their destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// A folder for each recording, from a template with placeholders.
    Template(String),
    /// The folders and names that Zoom's sample library uses (github.com/zoom/rtms-samples,
    /// `library/javascript/commonHelpers`).
    RtmsSamples,
}

/// Why a layout is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LayoutError {
    #[error(
        "has an unknown placeholder: use {{app}} {{date}} {{time}} {{product}} {{meeting}} {{session}} {{stream}} {{ordinal}}"
    )]
    Placeholder,
    #[error("must be folders of A-Z a-z 0-9 - _ . = and placeholders, with / between them")]
    Literal,
    #[error(
        "must contain {{stream}}, or {{session}} and {{ordinal}}: two recordings would share a folder"
    )]
    NotUnique,
}

/// The stream of a recording, as far as its folder depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub app: &'a AppName,
    pub session_id: SessionId,
    pub stream_id: &'a StreamId,
    pub ordinal: u32,
    pub instance: &'a Instance,
    pub started_at_ms: i64,
}

/// The voice that a track holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice<'a> {
    One(&'a Speaker),
    /// All voices, as Zoom mixes or chooses them.
    All,
    /// All voices, mixed by rtmsd.
    Mix,
}

impl Layout {
    /// Parses `rtms-samples`, or a template such as `{date}/{session}/{ordinal}`.
    pub fn parse(text: &str) -> Result<Self, LayoutError> {
        if text == "rtms-samples" {
            return Ok(Self::RtmsSamples);
        }
        let text = text.trim_matches('/');
        let mut literal = text.to_owned();
        // Replaced by a plain letter, so that the rest can be checked character by character.
        for name in PLACEHOLDERS {
            literal = literal.replace(&format!("{{{name}}}"), "x");
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.=/".contains(c);
        // Neither `..` nor a hidden folder.
        let is_folder = |part: &str| !part.is_empty() && !part.starts_with('.');
        let has = |name: &str| text.contains(&format!("{{{name}}}"));
        if literal.contains(['{', '}']) {
            Err(LayoutError::Placeholder)
        } else if !literal.chars().all(is_plain) || !literal.split('/').all(is_folder) {
            Err(LayoutError::Literal)
        } else if !(has("stream") || (has("session") && has("ordinal"))) {
            Err(LayoutError::NotUnique)
        } else {
            Ok(Self::Template(text.to_owned()))
        }
    }

    /// The folder of a recording, which no other stream shares. Further parts of the same stream have a folder beside
    /// it.
    pub fn folder(&self, of: &Subject<'_>, part: u32) -> String {
        let folder = match self {
            Self::Template(template) => {
                // Filled folder by folder: a slash in a value cannot add a level.
                let folders = template.split('/').map(|folder| fill_template(folder, of));
                folders.collect::<Vec<_>>().join("/")
            }
            Self::RtmsSamples => {
                let meeting = bounded_name(&sample_style(of.instance.id()), MAX_FOLDER_BYTES);
                format!("{meeting}/{}", samples_folder(of.stream_id.as_str()))
            }
        };
        if part == 1 { folder } else { format!("{folder}-{PART}{part}") }
    }

    /// The name of a track's first file, or of its folder of pictures.
    pub fn track(&self, medium: Medium, voice: Voice<'_>, kind: TrackKind) -> String {
        if let TrackKind::Meeting(_) = kind {
            return MEETING_FILE.to_owned();
        }
        let stem = match self {
            Self::Template(_) => file_stem(medium, voice),
            Self::RtmsSamples => samples_stem(medium, voice),
        };
        let stem = bounded_name(&stem, MAX_STEM_BYTES);
        match kind.extension() {
            Some(extension) => format!("{stem}.{extension}"),
            None => stem,
        }
    }

    /// The path of a track's file inside the recording's folder. `name` is its name in the spool.
    pub fn place(&self, name: &str, voice: Voice<'_>, first_ms: i64) -> String {
        match (self, name.split_once('/'), name.rsplit_once('.')) {
            // The sample library stores images beside all other files, named by time.
            (Self::RtmsSamples, Some((folder, _)), Some((_, extension @ ("jpg" | "png")))) => {
                // The folder belongs to one speaker, and to a camera or a screen.
                let (who, of) = match folder.strip_suffix("_share") {
                    Some(who) => (who, "_share"),
                    None => (folder, ""),
                };
                let who = if matches!(voice, Voice::One(_)) { who } else { "unknown" };
                format!("{who}{of}_{first_ms}.{extension}")
            }
            _ => name.to_owned(),
        }
    }
}

/// Fills in one folder of a template.
fn fill_template(template: &str, of: &Subject<'_>) -> String {
    let (date, time) = date_and_time(of.started_at_ms);
    // If two ids form one name, it is ambiguous where the first ends.
    let has = |name: &str| template.contains(name);
    let is_joined = has("{stream}") && (has("{meeting}") || has("{app}"));
    let stream_id = of.stream_id.as_str();
    let stream = if is_joined { hashed_name(stream_id) } else { distinct_name(stream_id) };
    let values = [
        of.app.to_string(),
        date,
        time,
        of.instance.product.as_str().to_owned(),
        distinct_name(of.instance.id()),
        of.session_id.to_string(),
        stream,
        of.ordinal.to_string(),
    ];
    let mut folder = template.to_owned();
    // No value contains a brace: an inserted value is not expanded again.
    for (name, value) in PLACEHOLDERS.iter().zip(values) {
        folder = folder.replace(&format!("{{{name}}}"), &value);
    }
    bounded_name(&folder, MAX_FOLDER_BYTES)
}

/// The date and time in UTC: `2026-03-01` and `18-30-00`.
fn date_and_time(ms: i64) -> (String, String) {
    // An impossible time still gets a folder.
    let at = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let at = format!("{at:.0}");
    let (date, time) = at.trim_end_matches('Z').split_once('T').unwrap_or((&at, ""));
    (date.to_owned(), time.replace(':', "-"))
}

fn file_stem(medium: Medium, voice: Voice<'_>) -> String {
    let medium = medium.as_str();
    match voice {
        Voice::One(speaker) => match speaker.name.as_deref().and_then(safe_name) {
            Some(name) => format!("{medium}-{}-{name}", speaker_id(speaker)),
            None => format!("{medium}-{}", speaker_id(speaker)),
        },
        Voice::All => format!("{medium}-all"),
        Voice::Mix => format!("{medium}-mix"),
    }
}

fn samples_stem(medium: Medium, voice: Voice<'_>) -> String {
    match (medium, voice) {
        (Medium::Share, Voice::One(speaker)) => format!("{}_share", speaker_id(speaker)),
        (_, Voice::One(speaker)) => speaker_id(speaker),
        (_, Voice::All) => format!("mixed_{}", medium.as_str()),
        (_, Voice::Mix) => "mixed_from_individual".to_owned(),
    }
}

/// A speaker's id in a name. Characters that a path cannot hold are omitted, so two speakers may share it.
fn speaker_id(speaker: &Speaker) -> String {
    let plain = |kind: &str, id: &str| match safe_name(id) {
        Some(id) => format!("{kind}-{id}"),
        None => kind.to_owned(),
    };
    match (&speaker.channel_id, &speaker.user_id) {
        (Some(channel_id), _) => plain("channel", channel_id.as_str()),
        (None, Some(SpeakerUserId::Text(text))) => plain("user", text),
        (None, Some(SpeakerUserId::Number(number))) => number.to_string(),
        (None, None) => "unknown".to_owned(),
    }
}
