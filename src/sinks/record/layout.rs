//! Where the files of recordings go, and what they are called (pure). Ids and names come from other people: whatever
//! they hold, they become one part of a path.

use jiff::Timestamp;
use thiserror::Error;

use super::track::TrackKind;
use crate::model::{Instance, SessionId, Speaker, SpeakerUserId, StreamId, is_joiner, one_line};
use crate::rtms::message::Medium;

/// The longest form of a name or an id in a path.
const MAX_CHARS: usize = 60;
const MAX_BYTES: usize = 120;

/// What a template may name.
const PLACEHOLDERS: [&str; 7] =
    ["date", "time", "product", "meeting", "session", "stream", "ordinal"];

/// How recordings lie where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// A folder for each recording, made from a text with placeholders.
    Template(String),
    /// The folders and names that Zoom's sample library gives its files (github.com/zoom/rtms-samples,
    /// `library/javascript/commonHelpers`).
    RtmsSamples,
}

/// What is wrong with a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LayoutError {
    #[error(
        "has a placeholder that is none of {{date}} {{time}} {{product}} {{meeting}} {{session}} {{stream}} {{ordinal}}"
    )]
    Placeholder,
    #[error("must be folders of A-Z a-z 0-9 - _ . = and placeholders, with / between them")]
    Literal,
    #[error(
        "must hold {{stream}}, or {{session}} and {{ordinal}}: two recordings would be in one folder"
    )]
    NotUnique,
}

/// What a recording is of.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub session_id: SessionId,
    pub stream_id: &'a StreamId,
    pub ordinal: u32,
    pub instance: &'a Instance,
    pub started_at_ms: i64,
}

/// Whose frames a track holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice<'a> {
    One(&'a Speaker),
    /// Everybody, as Zoom mixes or chooses them.
    All,
    /// Everybody, added up here.
    Mix,
}

impl Layout {
    /// `rtms-samples`, or a template such as `{date}/{session}/{ordinal}`.
    pub fn parse(text: &str) -> Result<Self, LayoutError> {
        if text == "rtms-samples" {
            return Ok(Self::RtmsSamples);
        }
        let text = text.trim_matches('/');
        let mut literal = text.to_owned();
        for name in PLACEHOLDERS {
            literal = literal.replace(&format!("{{{name}}}"), "x");
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.=/".contains(c);
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

    /// The folder of a recording. A further part of the same stream has one beside it.
    pub fn folder(&self, of: &Subject<'_>, part: u32) -> String {
        let folder = match self {
            Self::Template(template) => filled(template, of),
            Self::RtmsSamples => {
                format!("{}/{}", underscored(of.instance.id()), underscored(of.stream_id.as_str()))
            }
        };
        if part == 1 { folder } else { format!("{folder}-part{part}") }
    }

    /// The name of a track's first file, or of the folder of its pictures.
    pub fn track(&self, medium: Medium, voice: Voice<'_>, kind: TrackKind) -> String {
        let stem = match self {
            Self::Template(_) => stem(medium, voice),
            Self::RtmsSamples => samples_stem(medium, voice),
        };
        match kind.extension() {
            Some(extension) => format!("{stem}.{extension}"),
            None => stem,
        }
    }

    /// Where a file of a track goes inside the recording's folder. `name` is what it is called in the spool.
    pub fn place(&self, name: &str, voice: Voice<'_>, first_ms: i64) -> String {
        match (self, name.split_once('/'), name.rsplit_once('.')) {
            // The sample library keeps images beside everything else, by the time of each.
            (Self::RtmsSamples, Some((folder, _)), Some((_, extension @ ("jpg" | "png")))) => {
                let who = match voice {
                    Voice::One(speaker) => id(speaker),
                    _ => "unknown".to_owned(),
                };
                // One person's camera and screen may show something in the same millisecond.
                let of = if folder.ends_with("_share") { "_share" } else { "" };
                format!("{who}{of}_{first_ms}.{extension}")
            }
            _ => name.to_owned(),
        }
    }
}

fn filled(template: &str, of: &Subject<'_>) -> String {
    let (date, time) = date_and_time(of.started_at_ms);
    let values = [
        date,
        time,
        of.instance.product.as_str().to_owned(),
        safe(of.instance.id()).unwrap_or_else(|| "unnamed".to_owned()),
        of.session_id.to_string(),
        safe(of.stream_id.as_str()).unwrap_or_else(|| "unnamed".to_owned()),
        of.ordinal.to_string(),
    ];
    let mut folder = template.to_owned();
    // No value holds a brace: what one inserts is not read again.
    for (name, value) in PLACEHOLDERS.iter().zip(values) {
        folder = folder.replace(&format!("{{{name}}}"), &value);
    }
    folder
}

/// In UTC: `2026-03-01` and `18-30-00`.
fn date_and_time(ms: i64) -> (String, String) {
    let at = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let at = format!("{at:.0}");
    let (date, time) = at.trim_end_matches('Z').split_once('T').unwrap_or((&at, ""));
    (date.to_owned(), time.replace(':', "-"))
}

fn stem(medium: Medium, voice: Voice<'_>) -> String {
    let medium = medium.as_str();
    match voice {
        Voice::One(speaker) => match speaker.name.as_deref().and_then(safe) {
            Some(name) => format!("{medium}-{}-{name}", id(speaker)),
            None => format!("{medium}-{}", id(speaker)),
        },
        Voice::All => format!("{medium}-all"),
        Voice::Mix => format!("{medium}-mix"),
    }
}

fn samples_stem(medium: Medium, voice: Voice<'_>) -> String {
    match (medium, voice) {
        (Medium::Share, Voice::One(speaker)) => format!("{}_share", id(speaker)),
        (_, Voice::One(speaker)) => id(speaker),
        (_, Voice::All) => format!("mixed_{}", medium.as_str()),
        (_, Voice::Mix) => "mixed_from_individual".to_owned(),
    }
}

/// A speaker's id in a name. What cannot stand there is left out of it: two speakers may share it.
fn id(speaker: &Speaker) -> String {
    let plain = |kind: &str, id: &str| match safe(id) {
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

/// What of a text may stand in a path: letters and digits of any script with joiners behind them, and `-`; `_` for
/// everything else.
fn safe(text: &str) -> Option<String> {
    let mut safe = String::new();
    for c in one_line(text).chars() {
        let is_joining = is_joiner(c) && safe.ends_with(char::is_alphanumeric);
        let c = if c.is_alphanumeric() || c == '-' || is_joining { c } else { '_' };
        if safe.len() + c.len_utf8() > MAX_BYTES || safe.chars().count() >= MAX_CHARS {
            break;
        }
        if c != '_' || !safe.ends_with('_') {
            safe.push(c);
        }
    }
    let safe = safe.trim_matches(|c| c == '_' || c == '-' || is_joiner(c));
    (!safe.is_empty()).then(|| safe.to_owned())
}

/// As the sample library writes ids.
fn underscored(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::{ChannelId, IdKey, Product, UserId};

    fn folder(layout: &str, stream: &str, part: u32) -> String {
        let instance = Instance::new(Product::Meeting, IdKey::MeetingUuid, "/ab+c==").unwrap();
        let subject = Subject {
            session_id: SessionId(Uuid::nil()),
            stream_id: &StreamId::parse(stream).unwrap(),
            ordinal: 2,
            instance: &instance,
            started_at_ms: 1_732_313_171_881,
        };
        Layout::parse(layout).unwrap().folder(&subject, part)
    }

    #[test]
    fn a_template_becomes_a_folder() {
        assert_eq!(
            folder("{date}/{session}/{ordinal}", "s", 1),
            "2024-11-22/00000000-0000-0000-0000-000000000000/2"
        );
        assert_eq!(
            folder("/zoom/{product}/{time}_{meeting}/{stream}/", "../../etc", 1),
            "zoom/meeting/22-06-11_ab_c/etc"
        );
        assert_eq!(folder("{stream}", "s", 3), "s-part3");
    }

    #[test]
    fn the_sample_librarys_folders_are_kept() {
        assert_eq!(folder("rtms-samples", "a/b=", 1), "_ab_c__/a_b_");
        let layout = Layout::RtmsSamples;
        let ana = Speaker::participant(UserId(7), Some("Ana".into()));
        let ana = Voice::One(&ana);
        assert_eq!(layout.track(Medium::Video, ana, TrackKind::Mp4), "7.mp4");
        assert_eq!(layout.track(Medium::Video, Voice::All, TrackKind::Mp4), "mixed_video.mp4");
        assert_eq!(layout.place("7/000.jpg", ana, 1234), "7_1234.jpg");
        assert_eq!(layout.place("7_share/000.jpg", ana, 1234), "7_share_1234.jpg");
        assert_eq!(layout.place("7.mp4", ana, 1234), "7.mp4");
    }

    #[test]
    fn a_layout_that_puts_two_recordings_in_one_folder_or_leaves_its_own_is_refused() {
        let refused = |text: &str| Layout::parse(text).unwrap_err();
        assert_eq!(refused("{date}/{session}"), LayoutError::NotUnique);
        assert_eq!(refused(""), LayoutError::Literal);
        for out in ["../{stream}", "a//{stream}", ".x/{stream}", "a b/{stream}", "é/{stream}"] {
            assert_eq!(refused(out), LayoutError::Literal, "{out}");
        }
        for odd in ["{sesion}/{stream}", "{stream", "}{stream}", "{{stream}}"] {
            assert_eq!(refused(odd), LayoutError::Placeholder, "{odd}");
        }
    }

    #[test]
    fn a_track_of_an_engagement_is_called_after_its_channel() {
        let track = |layout: &Layout, channel: &str, name: Option<&str>| {
            let channel_id = ChannelId::new(channel);
            let speaker = Speaker { channel_id, name: name.map(Into::into), user_id: None };
            layout.track(Medium::Audio, Voice::One(&speaker), TrackKind::Mp4)
        };
        let template = Layout::Template("{stream}".to_owned());
        assert_eq!(
            track(&template, "123abc", Some("Jane Doe")),
            "audio-channel-123abc-Jane_Doe.mp4"
        );
        assert_eq!(track(&template, "../7", None), "audio-channel-7.mp4");
        assert_eq!(track(&template, "//", None), "audio-channel.mp4");
        assert_eq!(track(&Layout::RtmsSamples, "123abc", Some("Jane")), "channel-123abc.mp4");
    }

    #[test]
    fn a_hostile_name_is_one_part_of_a_path() {
        let layout = Layout::Template("{stream}".to_owned());
        let audio = |name: &str| {
            let speaker = Speaker::participant(UserId(7), Some(name.to_owned()));
            layout.track(Medium::Share, Voice::One(&speaker), TrackKind::Pictures)
        };
        assert_eq!(audio("Ana Núñez (she/her)"), "share-7-Ana_Núñez_she_her");
        assert_eq!(audio("../../../etc/passwd\0"), "share-7-etc_passwd");
        assert_eq!(audio("王伟"), "share-7-王伟");
        assert_eq!(audio("..."), "share-7");
        assert_eq!(audio("\u{202e}"), "share-7");
        assert_eq!(audio("Ana\u{202e}gpj.exe"), "share-7-Anagpj_exe");
        assert_eq!(audio("نی\u{200c}ما\u{200c}"), "share-7-نی\u{200c}ما");
        assert_eq!(audio("\u{200d}\u{200d}"), "share-7");
        let long = audio(&"x".repeat(5_000));
        assert!(long.len() < 100, "{long}");
        assert!(audio(&"王".repeat(5_000)).len() < 200);
    }
}
