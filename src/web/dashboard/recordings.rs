//! Recorded files with their players.

use askama::Template;

use super::{marks, rendered};
use crate::model::{RecordedFile, RecordingStatus};

/// The recordings of a session.
#[derive(Template)]
#[template(path = "dashboard/recordings.html")]
pub struct Recordings {
    /// The session's id.
    pub id: String,
    /// Whether the list is final.
    pub is_final: bool,
    pub recordings: Vec<Recorded>,
}

/// One recording.
pub struct Recorded {
    pub ordinal: u32,
    pub part: u32,
    pub status: RecordingStatus,
    pub files: Vec<File>,
}

/// One file.
pub struct File {
    /// The name of its medium.
    medium: String,
    /// Who is heard or seen in it.
    speaker: Option<String>,
    name: String,
    url: String,
    content_type: String,
    bytes: u64,
}

/// How a browser plays a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Player {
    Audio,
    Video,
    None,
}

impl File {
    pub fn of(file: &RecordedFile, url: String) -> Self {
        Self {
            medium: file.medium.clone(),
            speaker: file.speaker.name.clone(),
            name: file.name.clone(),
            url,
            content_type: file.content_type.clone(),
            bytes: file.bytes,
        }
    }

    fn player(&self) -> Player {
        match self.content_type.split('/').next() {
            Some("audio") => Player::Audio,
            Some("video") => Player::Video,
            _ => Player::None,
        }
    }

    fn size(&self) -> String {
        marks::bytes(self.bytes)
    }

    /// What it is, for people who hear the page.
    fn label(&self) -> String {
        match (&self.speaker, self.player()) {
            (Some(name), _) => format!("{} of {name}", self.medium),
            (None, Player::None) => self.name.clone(),
            (None, _) => self.medium.clone(),
        }
    }
}

impl Recorded {
    fn mark(&self) -> marks::Mark {
        let (word, tone) = match self.status {
            RecordingStatus::Recording => ("recording", "busy live"),
            RecordingStatus::Uploading => ("being stored", "busy"),
            RecordingStatus::Stored => ("stored", "good"),
            RecordingStatus::Failed => ("lost", "bad"),
            RecordingStatus::Deleting => ("being deleted", "warn"),
        };
        marks::Mark { word, tone }
    }

    fn is_stored(&self) -> bool {
        self.status == RecordingStatus::Stored
    }

    /// The subtitles of the same recording; those of the whole session where it has none.
    fn captions(&self, id: &str) -> String {
        let own = self.files.iter().find(|file| file.content_type.starts_with("text/vtt"));
        let whole = || format!("/api/v1/sdk/sessions/{id}/transcript?format=vtt");
        own.map_or_else(whole, |file| file.url.clone())
    }
}

impl Recordings {
    pub fn html(&self) -> String {
        rendered(self)
    }
}
