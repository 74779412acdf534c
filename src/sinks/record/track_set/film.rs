//! The film of everything in a recording: when it begins, and which format it has.

use std::io;
use std::slice;

use bytes::Bytes;

use super::{Key, TrackSet};
use crate::hub::Frame;
use crate::model::params::FILMED_SOUND;
use crate::model::{MediaSet, Medium};
use crate::sinks::record::track::{MeetingFormat, TrackKind};

/// How long the first frames wait until Zoom has announced the formats of sound and picture, because the links become
/// ready one after the other; and the most bytes that wait, which is as much as their queue holds.
const WAIT_MS: i64 = 10_000;
const MAX_EARLY_BYTES: usize = 16 << 20;

/// What the film of everything should contain.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Filming {
    /// The media that are requested from Zoom.
    pub expected: MediaSet,
    /// Whether a shared screen comes before cameras.
    pub shows_screen: bool,
}

/// Frames from before the film has a format.
#[derive(Default)]
pub(super) struct EarlyFrames {
    frames: Vec<Frame>,
    bytes: usize,
    /// When the first of them came, in Unix milliseconds.
    since_ms: i64,
}

impl TrackSet {
    /// Writes a frame to the film of everything, if there is one.
    pub(super) fn film(&mut self, frame: &Frame) -> io::Result<()> {
        if !self.meta.meeting || !self.believes(frame) || self.bytes() >= self.max_bytes {
            return Ok(());
        }
        let is_ready = self.open.tracks.contains_key(&Key::Meeting) || self.is_answered(frame);
        if is_ready && self.early.frames.is_empty() {
            return self.film_all(slice::from_ref(frame));
        }
        if self.early.frames.is_empty() {
            self.early.since_ms = self.now_ms;
        }
        self.early.bytes += super::FRAME_BYTES + frame.payload.len();
        // Sound is copied: it may share memory with payloads of other streams, and waits longer than they do.
        let payload = match frame.medium {
            Medium::Audio => Bytes::copy_from_slice(&frame.payload),
            _ => frame.payload.clone(),
        };
        self.early.frames.push(Frame { payload, ..frame.clone() });
        if is_ready { self.film_early() } else { Ok(()) }
    }

    /// Writes the frames that waited to the film.
    pub(super) fn film_early(&mut self) -> io::Result<()> {
        let frames = std::mem::take(&mut self.early).frames;
        self.film_all(&frames)
    }

    /// Writes frames to the film, in the format that is known as of the last one.
    fn film_all(&mut self, frames: &[Frame]) -> io::Result<()> {
        let Some(last) = frames.last() else { return Ok(()) };
        let format = self.film_format(last);
        if format.is_empty() {
            return Ok(());
        }
        let kind = TrackKind::Meeting(format);
        frames.iter().try_for_each(|frame| self.write_to(&Key::Meeting, kind, frame))
    }

    /// Whether the film's format is known, or was waited for long enough.
    fn is_answered(&self, frame: &Frame) -> bool {
        let is_waiting = !self.early.frames.is_empty();
        self.unanswered(frame).is_empty()
            || is_waiting && self.now_ms.saturating_sub(self.early.since_ms) >= WAIT_MS
            || self.early.bytes >= MAX_EARLY_BYTES
    }

    /// The media of the film without an announced format.
    fn unanswered(&self, frame: &Frame) -> MediaSet {
        let effective = &frame.stream().effective;
        let is_open = |medium: &Medium| match medium {
            Medium::Audio => effective.audio.is_none(),
            Medium::Video => effective.video.is_none(),
            Medium::Share => effective.share.is_none() && self.filming.shows_screen,
            Medium::Transcript | Medium::Chat => false,
        };
        self.filming.expected.iter().filter(is_open).collect()
    }

    fn film_format(&mut self, frame: &Frame) -> MeetingFormat {
        let effective = &frame.stream().effective;
        let mut announced = MeetingFormat::of(effective, self.filming.shows_screen);
        if effective.audio.is_some() && announced.sound.is_none() {
            self.warn_once(FILMED_SOUND);
        }
        let unanswered = self.unanswered(frame);
        // There is room for pictures that may come.
        announced.has_picture |= !unanswered.without(Medium::Audio.into()).is_empty();
        // What the film has already keeps its place.
        let known = self.meta.tracks.iter().find_map(|note| match note.kind {
            TrackKind::Meeting(format) => Some(format),
            _ => None,
        });
        known.map_or(announced, |known| announced.or(known))
    }
}
