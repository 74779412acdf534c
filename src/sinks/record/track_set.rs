//! The files of one running recording. All functions block.

mod aligned;
mod counting;
mod film;
mod notes;
mod open;
mod origin;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::aligned::align_track;
pub(super) use self::aligned::finish_tracks;
use self::counting::Progress;
use self::film::EarlyFrames;
pub(super) use self::film::Filming;
use self::open::{Film, OpenTrack, OpenTracks, TrackOrMix};
use super::layout::Layout;
use super::recording_meta::RecordingMeta;
use super::spool::Spool;
use super::track::{NowShown, TrackError, TrackKind};
use crate::hub::{Frame, LeftOuts};
use crate::model::{Medium, SpeakerKey, TimeOf, believed};
use crate::prefetch::prefetch;

/// How long written frames wait for a sync: a little less than a batch takes, so that each batch syncs once.
pub(super) const SYNC_EVERY: Duration = Duration::from_millis(900);
/// How old the saved counts of a killed process may be.
const SAVE_EVERY: Duration = Duration::from_secs(10);
/// The most open files of a recording; the least recently used one is closed for another.
const MAX_OPEN: usize = 32;
/// The most voices; more than this are no meeting.
const MAX_TRACKS: usize = 4_000;
/// The most voices beyond that limit that are counted individually.
const MAX_COUNTED_VOICES: usize = 100_000;
/// The most bytes that all files together keep in memory before they are written.
const MAX_HELD_BYTES: usize = 8 << 20;
/// How much of a payload is prefetched: 20 ms of L16 at 16 kHz.
const MAX_PREFETCHED_BYTES: usize = 640;
/// The approximate memory of a queued frame beside its payload.
const FRAME_BYTES: usize = 128;

/// The files of a recording.
pub(super) struct TrackSet {
    spool: Arc<Spool>,
    layout: Arc<Layout>,
    meta: RecordingMeta,
    /// The most bytes of its files.
    max_bytes: u64,
    open: OpenTracks,
    /// The bytes taken since the last sync, which writes them.
    held_bytes: usize,
    /// Voices without a track, as hashes.
    beyond: HashSet<u64>,
    /// The bytes that existed before the open tracks were opened.
    closed_bytes: u64,
    /// `None` before the first sync, which is due at once.
    synced_at: Option<Instant>,
    is_synced: bool,
    uses: u64,
    /// The local time.
    now_ms: i64,
    has_warned: bool,
    has_warned_unsaved: bool,
    /// The content of mixes before their files were shifted: the earlier origin, and the end of each voice.
    moved_mixes: HashMap<Key, (i64, HashMap<SpeakerKey, i64>)>,
    filming: Filming,
    early: EarlyFrames,
    /// What the film shows while its files are shifted.
    now_shown: Option<NowShown>,
    /// Dropped frames that are not reported to the stream's ledger yet.
    left_out: LeftOuts,
    /// When the counts were last saved.
    saved_at: Instant,
    /// Whether frames were dropped since then.
    is_meta_old: bool,
    /// Whether `label.json` is current except for its counts.
    is_saved: bool,
}

/// The track that a frame belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    One(Medium, Option<SpeakerKey>),
    Mix,
    /// The film of everything.
    Meeting,
}

impl TrackSet {
    /// Continues from the metadata, or starts anew. `max_bytes`: the most bytes of its files.
    pub(super) fn open(
        spool: Arc<Spool>,
        layout: Arc<Layout>,
        mut meta: RecordingMeta,
        max_bytes: u64,
        filming: Filming,
    ) -> io::Result<Self> {
        spool.save(&mut meta)?;
        Ok(Self {
            closed_bytes: spool.bytes(meta.id),
            spool,
            layout,
            meta,
            max_bytes,
            open: OpenTracks::default(),
            held_bytes: 0,
            beyond: HashSet::new(),
            synced_at: None,
            is_synced: true,
            uses: 0,
            now_ms: i64::MIN,
            has_warned: false,
            has_warned_unsaved: false,
            moved_mixes: HashMap::new(),
            filming,
            early: EarlyFrames::default(),
            now_shown: None,
            left_out: LeftOuts::default(),
            saved_at: Instant::now(),
            is_meta_old: false,
            is_saved: true,
        })
    }

    pub(super) fn meta(&self) -> &RecordingMeta {
        &self.meta
    }

    /// The size of the recording; silence counts, even where it takes no space.
    pub(super) fn bytes(&self) -> u64 {
        self.closed_bytes + self.open.bytes
    }

    /// Writes frames, oldest first, and removes them from `frames`. After an error all files are closed, and the rest
    /// stays in `frames`. `now_ms`: Unix milliseconds.
    pub(super) fn take(&mut self, frames: &mut VecDeque<Frame>, now_ms: i64) -> io::Result<()> {
        self.now_ms = now_ms;
        // Before any file is opened, so that it gets the final origin.
        self.place_origin(frames)?;
        self.is_synced &= frames.is_empty();
        self.note_new(frames);
        while let Some(frame) = frames.pop_front() {
            // Sound that has waited for a second is out of the CPU's cache.
            if let Some(next) = frames.front() {
                prefetch(&next.payload[..next.payload.len().min(MAX_PREFETCHED_BYTES)]);
            }
            self.write(&frame)?;
            self.film(&frame)?;
            self.held_bytes += FRAME_BYTES + frame.payload.len();
            if self.held_bytes >= MAX_HELD_BYTES {
                self.write_held()?;
                self.is_synced = frames.is_empty();
            }
        }
        if self.sync_due_in() == Some(Duration::ZERO) {
            self.sync()?;
        }
        Ok(())
    }

    /// Writes the last frames and closes all files, even after an error. Frames that cannot be written are dropped.
    pub(super) fn take_last(
        &mut self,
        frames: &mut VecDeque<Frame>,
        now_ms: i64,
    ) -> io::Result<()> {
        let taken = self.take(frames, now_ms);
        // Before `close_all` saves the counts.
        self.give_up(frames.drain(..));
        let closed = self.close_all();
        taken.and(closed)
    }

    /// Whether all taken frames are in files that play.
    pub(super) fn is_synced(&self) -> bool {
        self.is_synced
    }

    /// How long the next sync may take to come; `None` if nothing waits for it.
    pub(super) fn sync_due_in(&self) -> Option<Duration> {
        let age = self.synced_at.map_or(SYNC_EVERY, |at| at.elapsed());
        (!self.is_synced).then(|| SYNC_EVERY.saturating_sub(age))
    }

    /// Bounds the bytes in memory. The newest picture of every film waits for the next one: if these are many and
    /// large, their files are closed, and continue with a key frame.
    fn write_held(&mut self) -> io::Result<()> {
        self.sync()?;
        if self.open.tracks.values().map(OpenTrack::held_bytes).sum::<usize>() >= MAX_HELD_BYTES {
            self.close_all()?;
        }
        Ok(())
    }

    /// After this, all taken frames are in files that play.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.held_bytes = 0;
        self.synced_at = Some(Instant::now());
        let synced = self.open.sync();
        self.checked(synced)?;
        self.count_synced();
        self.is_synced = true;
        // Not an error of the sync: all frames are in their files, and saving is retried.
        if let Err(error) = self.save_due()
            && !std::mem::replace(&mut self.has_warned_unsaved, true)
        {
            tracing::warn!(recording = %self.meta.id, %error,
                "cannot save a recording's metadata or counts; retrying (further failures are not logged)");
        }
        Ok(())
    }

    /// Saves the counts if they are due, or the metadata if that failed before.
    fn save_due(&mut self) -> io::Result<()> {
        if !self.is_saved {
            return self.save();
        }
        if !self.is_meta_old && self.saved_at.elapsed() < SAVE_EVERY {
            return Ok(());
        }
        self.saved_at = Instant::now();
        self.is_meta_old = false;
        self.spool.save_counts(&mut self.meta)
    }

    /// Writes the metadata so that it survives a power cut.
    fn save(&mut self) -> io::Result<()> {
        let saved = self.spool.save(&mut self.meta);
        self.is_saved = saved.is_ok();
        saved
    }

    /// Closes all files and writes the counts to the metadata, even after an error. The files may be opened again.
    pub(super) fn close_all(&mut self) -> io::Result<()> {
        let filmed = self.film_early();
        // An error has closed all files already.
        let closed = self.keys().iter().try_for_each(|key| self.close(key));
        self.is_synced = true;
        let saved = self.save();
        filmed.and(closed).and(saved)
    }

    /// Whether the frame's time is plausible. The hub corrects implausible ones: nothing it passes on is from before
    /// the recording, except what Zoom buffered.
    fn believes(&self, frame: &Frame) -> bool {
        let since = TimeOf::Since(self.meta.started_at_ms.min(self.now_ms));
        believed(Some(frame.at_ms), since, self.now_ms).is_some()
    }

    fn write(&mut self, frame: &Frame) -> io::Result<()> {
        if !self.believes(frame) {
            self.leave_out(frame, |counts| &mut counts.absurd);
            return Ok(());
        }
        // A frame long after the last one of its file brings all the silence in between.
        if self.bytes() >= self.max_bytes {
            self.leave_out(frame, |counts| &mut counts.beyond_limit);
            return Ok(());
        }
        if !self.meta.records(frame.medium) {
            return Ok(());
        }
        let kind = match TrackKind::of(frame.medium, &frame.stream().effective) {
            Ok(kind) => kind,
            Err(error) => {
                self.warn_once(&error.to_string());
                self.leave_out(frame, |counts| &mut counts.unreadable);
                return Ok(());
            }
        };
        let key = Key::One(frame.medium, frame.speaker_key());
        self.write_to(&key, kind, frame)?;
        match (kind, key) {
            (TrackKind::Wav(format), Key::One(Medium::Audio, Some(_))) if format.is_mixable() => {
                self.write_to(&Key::Mix, kind, frame)
            }
            _ => Ok(()),
        }
    }

    fn write_to(&mut self, key: &Key, kind: TrackKind, frame: &Frame) -> io::Result<()> {
        let is_open = self.ready(key, kind, frame);
        match (&is_open, key) {
            (Ok(true), _) => {}
            (Ok(false), Key::Mix) => self.meta.counts.mix.beyond_limit += 1,
            (Ok(false), Key::Meeting) => self.meta.counts.meeting.beyond_limit += 1,
            (Ok(false), Key::One(..)) => {
                self.count_voice(key);
                self.leave_out(frame, |counts| &mut counts.beyond_limit);
            }
            // It was lost with its voice's file.
            (Err(_), Key::Mix | Key::Meeting) => {}
            (Err(_), Key::One(..)) => self.leave_out(frame, |counts| &mut counts.lost),
        }
        if !is_open? {
            return Ok(());
        }
        self.uses += 1;
        let Some(mut open) = self.open.tracks.get_mut(key) else { return Ok(()) };
        open.used = self.uses;
        let name = frame.speaker().and_then(|speaker| speaker.name.as_ref());
        if !open.is_named && name.is_some() {
            open.is_named = true;
            self.rename(key, frame.speaker());
            // Looked up again, because `rename` borrows all of `self`.
            let Some(renamed) = self.open.tracks.get_mut(key) else { return Ok(()) };
            open = renamed;
        }
        let written = open.write(frame, &mut self.open.bytes);
        // Before the error is handled: the frame is lost with its file.
        open.progress.take(frame);
        let has_left_out = open.progress.has_new_left_out(&open.counts());
        self.checked(written)?;
        // Counted at once, because left-out frames are reported with the time of the newest frame. Written frames are
        // counted at the next sync.
        if has_left_out {
            self.count(key);
        }
        Ok(())
    }

    /// Ensures that a track of this kind is open. False if there are too many.
    fn ready(&mut self, key: &Key, kind: TrackKind, frame: &Frame) -> io::Result<bool> {
        match self.open.tracks.get(key).map(|open| open.kind == kind) {
            Some(true) => return Ok(true),
            Some(false) => self.close(key)?,
            None => {}
        }
        self.open_track(key, kind, frame)
    }

    /// False if there are too many already.
    fn open_track(&mut self, key: &Key, kind: TrackKind, frame: &Frame) -> io::Result<bool> {
        let Some(note) = self.note(key, kind, frame.speaker()) else {
            self.warn_once("it has too many voices");
            return Ok(false);
        };
        if self.open.tracks.len() >= MAX_OPEN {
            let least_used = self.open.tracks.iter().min_by_key(|(_, open)| open.used);
            if let Some(key) = least_used.map(|(key, _)| key.clone()) {
                self.close(&key)?;
            }
        }
        let aligned = align_track(&self.spool, &mut self.meta, note);
        let (path, origin_ms) = self.checked(aligned)?;
        let film = Film { now_ms: frame.at_ms, shows_screen: self.filming.shows_screen };
        let writer = TrackOrMix::resume(&path, *key == Key::Mix, kind, origin_ms, film);
        let mut writer = self.checked(writer)?;
        if let (Some(mix), Some((had_origin_ms, ends))) =
            (writer.mix_mut(), self.moved_mixes.remove(key))
        {
            mix.remember(had_origin_ms, ends);
        }
        if let TrackOrMix::Meeting(meeting) = &mut writer
            && let Some(shown) = self.now_shown.take()
        {
            meeting.go_on(shown);
        }
        let of = &self.meta.tracks[note].speaker;
        let is_named = of.name.is_some() || of.key().is_none();
        let progress = Progress::default();
        let open = OpenTrack { writer, kind, is_named, used: self.uses, progress };
        self.open.insert(key.clone(), open);
        Ok(true)
    }

    fn close(&mut self, key: &Key) -> io::Result<()> {
        let Some(open) = self.open.remove(key) else { return Ok(()) };
        self.closed_bytes += open.bytes();
        let OpenTrack { writer, progress, .. } = open;
        match writer.finish() {
            Ok(finished) => {
                self.count_last(key, progress, finished.counts);
                Ok(())
            }
            Err(error) => {
                self.lose(key, progress);
                self.checked(Err(error))
            }
        }
    }

    /// Incomplete data is repaired only when a file is resumed.
    fn checked<T>(&mut self, done: Result<T, TrackError>) -> io::Result<T> {
        done.map_err(|error| {
            for (key, open) in std::mem::take(&mut self.open).tracks {
                self.lose(&key, open.progress);
            }
            self.held_bytes = 0;
            self.now_shown = None;
            // Measured again: the writers' own counts include what is lost.
            self.closed_bytes = self.spool.bytes(self.meta.id);
            error.source
        })
    }

    /// Logs a problem once per recording.
    fn warn_once(&mut self, problem: &str) {
        if !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!(problem, "cannot record a part of a stream; it becomes a gap");
        }
    }
}

#[cfg(test)]
mod tests;
