//! The pictures of a film: frames of one source at a time as Zoom sent them, and black where there are none.

use std::collections::HashMap;

use super::super::boxes::{ParameterSets, Sample};
use super::super::{annexb, note_sets, sample_data, sps};
use super::black::{black_sets, black_slice};
use super::cut::{CAMERA_STAYS_MS, Cut, Source};
use super::format::FIRST_SIZE;
use crate::sinks::record::track::Counts;

/// A black picture is repeated, so that a player finds one near every place.
pub(super) const BLACK_EVERY_MS: u64 = 2_000;
/// How late a picture may be; it is shown when the one before it has been shown. A later one is left out.
const LATE_MS: u64 = 100;
/// The duration of the newest picture of a file, if nothing follows.
const LAST_PICTURE_MS: u32 = 40;
/// The most pixels of a black picture: those of the largest level of H.264, in which a picture takes 36 kB.
const MAX_PIXELS: u32 = 4096 * 2304;
/// The most sources with parameter sets of their own.
const MAX_SOURCES: usize = 64;

/// What a film shows, when its file is closed and opened again at once.
pub struct NowShown {
    source: Source,
    sets: ParameterSets,
    size: (u16, u16),
}

/// The pictures that are not in the file yet. Times are milliseconds since the origin.
pub(super) struct Film {
    pub cut: Cut,
    sets: HashMap<Source, ParameterSets>,
    /// The size of the last picture.
    size: (u16, u16),
    blacks: u32,
    /// When the film goes black, or the next black picture is due.
    due_ms: u64,
    samples: Vec<Sample>,
    /// The newest picture. Its duration is not known yet.
    newest: Option<Sample>,
    /// The end of what is in the file.
    end_ms: u64,
    bytes: usize,
    pub counts: Counts,
}

impl Film {
    /// A film that starts at `start_ms`, or goes on behind the pictures that are in its file.
    pub(super) fn new(prefers_screen: bool, start_ms: u64, end_ms: Option<u64>) -> Self {
        Self {
            cut: Cut::new(prefers_screen),
            sets: HashMap::new(),
            size: FIRST_SIZE,
            blacks: 0,
            due_ms: end_ms.map_or(start_ms, |end_ms| end_ms + CAMERA_STAYS_MS),
            samples: Vec::new(),
            newest: None,
            end_ms: end_ms.unwrap_or(start_ms),
            bytes: 0,
            counts: Counts::default(),
        }
    }

    /// What is shown, if the film is not black before `end_ms`.
    pub(super) fn shown(&self, end_ms: u64) -> Option<NowShown> {
        let source = self.cut.shown().filter(|_| self.due_ms >= end_ms)?.clone();
        let sets = self.sets.get(&source).cloned().unwrap_or_default();
        Some(NowShown { source, sets, size: self.size })
    }

    /// Continues with what was shown; all its pictures are in the file.
    pub(super) fn go_on(&mut self, shown: NowShown) {
        let NowShown { source, sets, size } = shown;
        self.size = size;
        self.due_ms = self.end_ms + source.stays_ms();
        self.sets.insert(source.clone(), sets);
        self.cut.go_on(source, self.end_ms);
    }

    /// Takes a picture, and shows it if the cut is on its source.
    pub(super) fn take(&mut self, at_ms: u64, source: &Source, payload: &[u8]) {
        let units = annexb::nal_units(payload);
        let has = |kind| units.iter().any(|unit| annexb::unit_type(unit) == kind);
        let is_key = has(annexb::IDR);
        let sets = self.sets_of(source);
        let are_sets = note_sets(sets, &units);
        // Before every key frame: it may follow one of another source.
        let own = is_key.then(|| sets.clone());
        if !is_key && !has(annexb::SLICE) {
            // Parameter sets alone are written with the next picture.
            self.counts.unreadable += u64::from(!are_sets);
            return;
        }
        let picture = own.as_ref().filter(|sets| !sets.pps.is_empty());
        let picture = picture.and_then(|sets| sps::parse_sps(&sets.sps));
        if is_key && picture.is_none() {
            self.counts.unreadable += 1;
            return;
        }
        if at_ms + LATE_MS < self.last_ms() {
            self.counts.late += 1;
            self.cut.break_off(source);
            return;
        }
        // First: behind black only a key frame can be decoded.
        self.fill(at_ms);
        if !self.cut.shows(at_ms, source, is_key) {
            return;
        }
        if let Some(picture) = picture {
            self.size = (picture.width, picture.height);
        }
        let data = sample_data(&units, is_key, own.as_ref());
        self.push(Sample { at: at_ms, duration: 0, is_key, data });
        self.due_ms = at_ms + source.stays_ms();
        self.counts.written += 1;
    }

    /// Fills the film with black up to this time, where no picture is shown.
    pub(super) fn fill(&mut self, until_ms: u64) {
        while self.due_ms < until_ms {
            self.cut.go_black();
            let (width, height) = self.size;
            self.blacks += 1;
            let data = black_picture(width, height, self.blacks);
            self.push(Sample { at: self.due_ms, duration: 0, is_key: true, data });
            self.due_ms += BLACK_EVERY_MS;
        }
    }

    /// The time of the newest picture.
    fn last_ms(&self) -> u64 {
        self.newest.as_ref().map_or(self.end_ms, |newest| newest.at)
    }

    fn push(&mut self, mut sample: Sample) {
        let earliest = self.newest.as_ref().map_or(self.end_ms, |newest| newest.at + 1);
        sample.at = sample.at.max(earliest);
        if let Some(mut newest) = self.newest.take() {
            // The cast fits: a film spans at most `MAX_SPAN_MS`.
            newest.duration = (sample.at - newest.at) as u32;
            self.samples.push(newest);
        }
        self.bytes += sample.data.len();
        self.newest = Some(sample);
    }

    /// The bytes in memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the pictures with a known duration.
    pub(super) fn take_whole(&mut self) -> Vec<Sample> {
        let samples = std::mem::take(&mut self.samples);
        self.bytes = self.newest.as_ref().map_or(0, |newest| newest.data.len());
        if let Some(last) = samples.last() {
            self.end_ms = last.at + u64::from(last.duration);
        }
        samples
    }

    /// Takes all pictures.
    pub(super) fn take_all(&mut self) -> Vec<Sample> {
        if let Some(mut newest) = self.newest.take() {
            newest.duration = LAST_PICTURE_MS;
            self.samples.push(newest);
        }
        self.take_whole()
    }

    /// Forgets what could not be written: what follows begins with a key frame.
    pub(super) fn lose(&mut self) {
        self.newest = None;
        self.bytes = 0;
        self.cut.go_black();
    }

    fn sets_of(&mut self, source: &Source) -> &mut ParameterSets {
        if self.sets.len() >= MAX_SOURCES && !self.sets.contains_key(source) {
            self.sets.clear();
        }
        self.sets.entry(source.clone()).or_default()
    }
}

/// A black picture as a sample, with its parameter sets. Instead of an impossibly large one, a small one.
pub(super) fn black_picture(width: u16, height: u16, number: u32) -> Vec<u8> {
    let is_possible = u32::from(width) * u32::from(height) <= MAX_PIXELS;
    let (width, height) = if is_possible { (width, height) } else { FIRST_SIZE };
    let slice = black_slice(width, height, number);
    sample_data(&[&slice], true, Some(&black_sets(width, height)))
}
