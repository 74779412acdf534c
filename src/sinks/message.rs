//! Messages for any broker (pure): an id, the parts of a subject, headers and a body.
//!
//! A broker is one more file beside this one: it takes entries from a [`super::relay::Relay`] and frames from
//! [`crate::hub::Hub::sink`], converts them to messages here, and maps path, headers and body to its own form.

use bytes::Bytes;
use serde_json::json;

use crate::hub::Frame;
use crate::model::params::Named;
use crate::model::{AppName, EntryView, Medium, rfc3339};
use crate::rtms::params::Effective;
use crate::store::{Deleted, Relayed};

/// Stands in a path for an unknown or absent name; no real name becomes it.
pub const NOBODY: &str = "_";
/// Distinguishes entries from frames in a path: no medium has this name.
pub const ENTRIES: &str = "entries";
/// The start of the path of a deletion; those of entries and frames have more parts.
pub const DELETED: &str = "deleted";

/// A message for a broker.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Stable across repeated deliveries; `None` for frames, which are delivered once.
    pub id: Option<String>,
    /// The Zoom app that it is about.
    pub app: AppName,
    /// From the general to the particular. Every part consists of ASCII letters, digits, `-`, `_` and `%`.
    pub path: Vec<String>,
    /// Without line breaks.
    pub headers: Vec<(&'static str, String)>,
    /// JSON, or a frame's payload as Zoom sent it.
    pub body: Bytes,
}

impl Message {
    /// At `{account}.{session}.entries.{kind}`; the body is the entry as in the API.
    pub fn of_entry(relayed: &Relayed) -> Self {
        let entry = &relayed.entry;
        let kind = entry.body.kind().as_str();
        let body = serde_json::to_vec(&EntryView::of(entry))
            .expect("an entry has no map with other keys than text");
        Self {
            id: Some(entry.id()),
            app: relayed.app.clone(),
            path: vec![
                path_part(relayed.account_id.as_deref()),
                entry.session_id.to_string(),
                ENTRIES.to_owned(),
                kind.to_owned(),
            ],
            headers: vec![
                ("Rtms-App", relayed.app.to_string()),
                ("Rtms-Session", entry.session_id.to_string()),
                ("Rtms-Stream", entry.stream_id.to_string()),
                ("Rtms-Ordinal", entry.stream_ordinal.to_string()),
                ("Rtms-Seq", entry.seq.to_string()),
                ("Rtms-At-Ms", entry.at_ms.to_string()),
                ("Rtms-Kind", kind.to_owned()),
                ("Rtms-Product", relayed.product.as_str().to_owned()),
            ],
            body: body.into(),
        }
    }

    /// At `{account}.{session}.{medium}.{speaker}`, with a channel or user as the speaker; the body is the payload.
    pub fn of_frame(frame: &Frame, account_id: Option<&str>) -> Self {
        let stream = frame.stream();
        let medium = frame.medium.as_str();
        let speaker = frame.speaker();
        let user = speaker.and_then(|speaker| speaker.user_id.as_ref()).map(ToString::to_string);
        let user = path_part(user.as_deref());
        let channel = speaker.and_then(|speaker| speaker.channel_id.as_ref());
        let channel = channel.map(|id| path_part(Some(id.as_str())));
        let last = channel.clone().unwrap_or_else(|| user.clone());
        let mut headers = vec![
            ("Rtms-App", stream.app.to_string()),
            ("Rtms-Session", stream.session_id.to_string()),
            ("Rtms-Stream", stream.stream_id.to_string()),
            ("Rtms-Ordinal", stream.ordinal.to_string()),
            ("Rtms-Seq", frame.seq.to_string()),
            ("Rtms-At-Ms", frame.at_ms.to_string()),
            ("Rtms-Medium", medium.to_owned()),
            ("Rtms-User", user),
            ("Rtms-Product", stream.instance.product.as_str().to_owned()),
        ];
        headers.extend(channel.map(|channel| ("Rtms-Channel", channel)));
        headers.extend(format_headers(&stream.effective, frame.medium));
        Self {
            id: None,
            app: stream.app.clone(),
            path: vec![
                path_part(account_id),
                stream.session_id.to_string(),
                medium.to_owned(),
                last,
            ],
            headers,
            body: frame.payload.clone(),
        }
    }

    /// At `deleted.{scope}`: the stored data of a subject, such as a session, was deleted.
    pub fn of_deletion(deleted: &Deleted) -> Self {
        let Deleted { scope, subject, at_ms, .. } = deleted;
        // Earlier versions had one app.
        let app = deleted.app.clone().unwrap_or_default();
        let body = json!({
            "type": "data.deleted", "app": app, "scope": scope, "subject": subject,
            "at_ms": at_ms, "at": rfc3339(*at_ms),
        });
        let mut id = format!("data.deleted:{scope}:{subject}:{at_ms}");
        if !app.is_default() {
            // Two apps can delete the data of one user in the same millisecond.
            id = format!("{id}:{app}");
        }
        Self {
            id: Some(id),
            path: vec![DELETED.to_owned(), path_part(Some(scope))],
            headers: vec![
                ("Rtms-App", app.to_string()),
                ("Rtms-Kind", "data.deleted".to_owned()),
                ("Rtms-At-Ms", at_ms.to_string()),
            ],
            app,
            body: body.to_string().into(),
        }
    }

    /// The message without its body, for a broker that rejects its size. The body can be read over the API.
    pub fn without_body(self) -> Self {
        let mut headers = self.headers;
        headers.push(("Rtms-Omitted-Bytes", self.body.len().to_string()));
        Self { headers, body: Bytes::new(), ..self }
    }
}

/// Headers with the format of a frame's payload, as far as Zoom has said.
fn format_headers(effective: &Effective, medium: Medium) -> Vec<(&'static str, String)> {
    let codec = match medium {
        Medium::Audio => effective.audio.and_then(|audio| audio.codec).map(Named::as_str),
        Medium::Video => effective.video.and_then(|video| video.codec).map(Named::as_str),
        Medium::Share => effective.share.and_then(|share| share.codec).map(Named::as_str),
        Medium::Transcript | Medium::Chat => None,
    };
    let mut headers: Vec<_> =
        codec.map(|codec| ("Rtms-Codec", codec.to_owned())).into_iter().collect();
    if medium == Medium::Audio
        && let Some(audio) = effective.audio
    {
        headers.extend(audio.sample_rate.map(|rate| ("Rtms-Sample-Rate", rate.hz().to_string())));
        headers
            .extend(audio.channels.map(|channels| ("Rtms-Channels", channels.as_str().to_owned())));
    }
    headers
}

/// One part of a path. Bytes with a meaning in some broker's subjects are percent-encoded, as in URLs.
fn path_part(name: Option<&str>) -> String {
    use std::fmt::Write as _;
    let Some(name) = name.filter(|name| !name.is_empty()) else { return NOBODY.to_owned() };
    // A real `_` would be taken for an absent name.
    if name == NOBODY {
        return "%5F".to_owned();
    }
    let mut part = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => part.push(byte.into()),
            _ => write!(part, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
    }
    part
}

#[cfg(test)]
mod tests;
