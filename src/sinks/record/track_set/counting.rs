//! Counts the frames of a recording in its metadata and reports dropped ones to the stream's ledger, so that the files
//! never silently differ from what was received.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Key, MAX_COUNTED_VOICES, TrackSet};
use crate::hub::{Frame, LeftOut, LeftOuts};
use crate::model::Medium;
use crate::sinks::record::track::Counts;

/// The state of an open track's counts.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Its counts in the metadata, and those at the last sync.
    counted: Counts,
    synced: Counts,
    /// Frames taken since the last sync: a disk failure loses them.
    unsynced: LeftOuts,
    /// The time and the size of the newest frame.
    newest: (i64, usize),
}

impl Progress {
    pub(super) fn take(&mut self, frame: &Frame) {
        self.newest = (frame.at_ms, frame.payload.len());
        self.unsynced.add(LeftOut::of(frame));
    }

    /// Whether `counts` has left-out frames that are not yet in the metadata.
    pub(super) fn has_new_left_out(&self, counts: &Counts) -> bool {
        counts.left_out() != self.counted.left_out()
    }

    /// What `counts` has gained since the last call, and the time (Unix milliseconds) and the size of the newest frame.
    pub(super) fn take_new_counts(&mut self, counts: Counts) -> (Counts, (i64, usize)) {
        (counts.since(std::mem::replace(&mut self.counted, counts)), self.newest)
    }
}

impl TrackSet {
    /// The frames dropped since the last call.
    pub(crate) fn take_left_out(&mut self) -> LeftOuts {
        std::mem::take(&mut self.left_out)
    }

    /// Drops frames that cannot be written to disk.
    pub(crate) fn give_up(&mut self, frames: impl IntoIterator<Item = Frame>) {
        frames.into_iter().for_each(|frame| self.leave_out(&frame, |counts| &mut counts.lost));
    }

    pub(super) fn leave_out(&mut self, frame: &Frame, why: fn(&mut Counts) -> &mut u64) {
        *why(self.counts_of(frame.medium)) += 1;
        self.left_out.add(LeftOut::of(frame));
        self.is_meta_old = true;
    }

    /// Counts a voice without a track, once.
    pub(super) fn count_voice(&mut self, key: &Key) {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        if self.beyond.len() < MAX_COUNTED_VOICES && self.beyond.insert(hasher.finish()) {
            self.meta.counts.voices_beyond_limit += 1;
        }
    }

    /// Adds a track's counts to the metadata.
    pub(super) fn count(&mut self, key: &Key) {
        let Some(open) = self.open.tracks.get_mut(key) else { return };
        let (news, newest) = open.progress.take_new_counts(open.counts());
        self.add_counts(key, &news, newest);
    }

    /// Marks all taken frames as written.
    pub(super) fn count_synced(&mut self) {
        for key in self.keys() {
            self.count(&key);
            if let Some(open) = self.open.tracks.get_mut(&key) {
                open.progress.synced = open.progress.counted;
                open.progress.unsynced = LeftOuts::default();
            }
        }
    }

    pub(super) fn count_last(&mut self, key: &Key, mut progress: Progress, counts: Counts) {
        let (news, newest) = progress.take_new_counts(counts);
        self.add_counts(key, &news, newest);
    }

    /// Adds new counts to the metadata, and reports dropped frames to the ledger. A frame in the mix is in its voice's file
    /// too: only the latter is reported. A film shows one picture of several, so that what it leaves out is no loss.
    fn add_counts(&mut self, key: &Key, news: &Counts, (at_ms, bytes): (i64, usize)) {
        let medium = match key {
            Key::One(medium, _) => medium,
            Key::Mix => return self.meta.counts.mix.add(news),
            Key::Meeting => return self.meta.counts.meeting.add(news),
        };
        self.counts_of(*medium).add(news);
        if news.left_out() > 0 {
            self.left_out.add(LeftOut::frames(*medium, at_ms, news.left_out(), bytes));
            self.is_meta_old = true;
        }
    }

    /// The disk failed: frames taken after the last sync are not in the file.
    pub(super) fn lose(&mut self, key: &Key, progress: Progress) {
        let unwritten = progress.counted.since(progress.synced);
        let counts = match key {
            Key::Mix => &mut self.meta.counts.mix,
            Key::Meeting => &mut self.meta.counts.meeting,
            Key::One(medium, _) => self.counts_of(*medium),
        };
        // Saturating: after a restart the counts may lag behind.
        counts.written = counts.written.saturating_sub(unwritten.written);
        counts.truncated = counts.truncated.saturating_sub(unwritten.truncated);
        counts.repeated = counts.repeated.saturating_sub(unwritten.repeated);
        counts.lost += progress.unsynced.frames();
        // A frame of the mix, and one of the film that has a file of its own, is reported with that file.
        let own = self.meta.media;
        let is_reported = |span: &LeftOut| match key {
            Key::One(..) => true,
            Key::Mix => false,
            Key::Meeting => !own.contains(span.medium),
        };
        let spans = progress.unsynced.into_iter().filter(is_reported);
        spans.for_each(|span| self.left_out.add(span));
        self.is_meta_old = true;
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.open.tracks.keys().cloned().collect()
    }

    fn counts_of(&mut self, medium: Medium) -> &mut Counts {
        self.meta.counts.media.entry(medium).or_default()
    }
}
