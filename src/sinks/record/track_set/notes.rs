//! The track notes in a recording's metadata: which file belongs to which speaker.

use std::collections::{HashSet, VecDeque};

use super::{Key, MAX_TRACKS, TrackSet};
use crate::hub::Frame;
use crate::model::{Medium, Speaker};
use crate::sinks::record::layout::Voice;
use crate::sinks::record::recording_meta::TrackNote;
use crate::sinks::record::track::TrackKind;

impl TrackSet {
    /// Adds notes for the tracks that frames start, all at once: metadata is written once per batch, not once per
    /// voice.
    pub(super) fn note_new(&mut self, frames: &VecDeque<Frame>) {
        let known = self.meta.tracks.len();
        let mut seen = HashSet::new();
        for frame in frames {
            let is_own = self.meta.records(frame.medium);
            if !is_own || !self.believes(frame) || self.bytes() >= self.max_bytes {
                continue;
            }
            let Ok(kind) = TrackKind::of(frame.medium, &frame.stream().effective) else { continue };
            let key = Key::One(frame.medium, frame.speaker_key());
            // The cheap tests first: the last one scans all notes.
            let is_known = self.open.tracks.contains_key(&key)
                || self.meta.tracks.len() >= MAX_TRACKS
                || !seen.insert((key.clone(), kind.extension()))
                || self.meta.tracks.iter().any(|note| is_of(note, &key, kind));
            if !is_known {
                let note = self.new_note(&key, kind, frame.speaker());
                self.meta.tracks.push(note);
            }
        }
        if self.meta.tracks.len() > known {
            self.keep_label();
        }
    }

    /// The index of a track's note, which is written before the track.
    pub(super) fn note(
        &mut self,
        key: &Key,
        kind: TrackKind,
        speaker: Option<&Speaker>,
    ) -> Option<usize> {
        let known = self.meta.tracks.iter().position(|note| is_of(note, key, kind));
        match known {
            Some(known) if self.meta.tracks[known].kind == kind => return Some(known),
            Some(known) => self.meta.tracks[known].kind = kind,
            None if self.meta.tracks.len() >= MAX_TRACKS => return None,
            None => {
                let note = self.new_note(key, kind, speaker);
                self.meta.tracks.push(note);
            }
        }
        self.keep_label();
        Some(known.unwrap_or(self.meta.tracks.len() - 1))
    }

    fn new_note(&self, key: &Key, kind: TrackKind, speaker: Option<&Speaker>) -> TrackNote {
        let (medium, voice, speaker) = match (key, speaker) {
            (Key::One(medium, _), Some(speaker)) => (*medium, Voice::One(speaker), speaker.clone()),
            (Key::One(medium, _), None) => (*medium, Voice::All, Speaker::default()),
            (Key::Mix, _) => (Medium::Audio, Voice::Mix, Speaker::default()),
            (Key::Meeting, _) => (Medium::Video, Voice::Mix, Speaker::default()),
        };
        let name = self.unused(self.layout.track(medium, voice, kind));
        let is_mix = !matches!(key, Key::One(..));
        let origin_ms = self.meta.origin_ms;
        TrackNote { name, medium, speaker, is_mix, kind, origin_ms }
    }

    /// Makes a name unique: two speakers may have the same name in a path, but no two tracks the same file.
    fn unused(&self, name: String) -> String {
        let is_free = |name: &String| self.meta.tracks.iter().all(|note| note.name != *name);
        if is_free(&name) {
            return name;
        }
        let (stem, extension) = match name.rsplit_once('.') {
            Some((stem, extension)) => (stem, format!(".{extension}")),
            None => (&*name, String::new()),
        };
        let mut names = (1..).map(|number| format!("{stem}-speaker{number}{extension}"));
        names.find(is_free).expect("there are more numbers than tracks")
    }

    /// Sets the name of a speaker that was unknown when the track started: the file keeps its name, the note changes.
    pub(super) fn rename(&mut self, key: &Key, speaker: Option<&Speaker>) {
        let Key::One(..) = key else { return };
        let of_key = |note: &&mut TrackNote| is_of(note, key, note.kind);
        for note in self.meta.tracks.iter_mut().filter(of_key) {
            note.speaker = speaker.cloned().unwrap_or_default();
        }
        self.keep_label();
    }

    fn keep_label(&mut self) {
        // The note is also in memory, and the next `save` writes it.
        if let Err(error) = self.save() {
            tracing::warn!(recording = %self.meta.id, %error,
                "cannot write a recording's metadata; it is written again later");
        }
    }
}

/// Whether a note belongs to a track. The format does not matter, but a file with another extension is another track.
fn is_of(note: &TrackNote, key: &Key, kind: TrackKind) -> bool {
    let (medium, speaker, is_mix) = match key {
        Key::One(medium, speaker) => (*medium, speaker.clone(), false),
        Key::Mix => (Medium::Audio, None, true),
        Key::Meeting => (Medium::Video, None, true),
    };
    note.medium == medium
        && note.speaker.key() == speaker
        && note.is_mix == is_mix
        && note.kind.extension() == kind.extension()
}
