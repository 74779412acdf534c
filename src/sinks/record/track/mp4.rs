//! Writes H.264 in fragmented MP4 without transcoding: a killed process leaves a file that plays.

mod annexb;
mod boxes;
pub(super) mod meeting;
mod part;
mod sps;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use self::boxes::{ParameterSets, Sample};
use self::part::{Part, Reopened};
use super::order::{Timed, fits_origin};
use super::{Counts, Finished, TrackFile, TrackWriter, parts};

/// The most picture parameter sets that a file can refer to.
const MAX_PPS: usize = 255;

/// The most bytes of parameter sets at a time. Real ones have a few hundred.
const MAX_SETS_BYTES: usize = 32 << 10;

/// The pictures of one participant, of the active speaker, or of a shared screen.
pub(super) struct Mp4Track {
    base: PathBuf,
    origin_ms: i64,
    earlier: Vec<TrackFile>,
    /// The number of files, including foreign ones.
    numbered: usize,
    part: Option<Part>,
    /// The latest parameter sets.
    sets: ParameterSets,
    /// Whether no picture can be decoded before the next key frame.
    needs_key: bool,
    /// Whether parameter sets other than those of the file are among its pictures.
    sets_in_band: bool,
    /// Whether sets arrived that the file does not hold yet: each is written once.
    has_unwritten_sets: bool,
    counts: Counts,
    bytes: u64,
}

impl Mp4Track {
    pub(super) fn open(base: &Path, origin_ms: i64) -> io::Result<Self> {
        let mut track = Self {
            base: base.to_owned(),
            origin_ms,
            earlier: Vec::new(),
            numbered: 0,
            part: None,
            sets: ParameterSets::default(),
            needs_key: true,
            sets_in_band: false,
            has_unwritten_sets: false,
            counts: Counts::default(),
            bytes: 0,
        };
        let there = parts::existing_parts(base);
        track.numbered = there.numbers;
        for (index, path) in there.paths.iter().enumerate() {
            let is_last = index + 1 == there.paths.len();
            // Only the last file is continued: the earlier ones have pictures of another size.
            match Part::reopen(path)? {
                Reopened::Part(part) if is_last => track.continue_part(*part),
                Reopened::Part(part) => track.earlier.push(part.close(origin_ms)?.0),
                Reopened::Begun if is_last => {
                    std::fs::remove_file(path)?;
                    track.numbered = parts::existing_parts(base).numbers;
                }
                Reopened::Begun | Reopened::Foreign => {}
            }
        }
        Ok(track)
    }

    fn continue_part(&mut self, part: Part) {
        self.sets = part.sets.clone();
        // Its last key frame may have had others before it.
        self.sets_in_band = true;
        self.part = Some(part);
    }

    fn take(&mut self, frame: &Timed) -> io::Result<()> {
        let units = annexb::nal_units(&frame.payload);
        let has = |kind| units.iter().any(|unit| annexb::unit_type(unit) == kind);
        self.has_unwritten_sets |= note_sets(&mut self.sets, &units);
        let is_key = has(annexb::IDR);
        if !is_key && (self.needs_key || !has(annexb::SLICE)) {
            // Parameter sets alone are written with the next picture.
            let are_sets = !has(annexb::SLICE) && (has(annexb::SPS) || has(annexb::PPS));
            match are_sets {
                true => self.counts.written += 1,
                false => self.counts.unreadable += 1,
            }
            return Ok(());
        }
        if is_key && !self.begin_picture()? {
            self.counts.unreadable += 1;
            return Ok(());
        }
        let Some(part) = &mut self.part else { return Ok(()) };
        // Sets that differ from those in the file's header must precede their key frame.
        self.sets_in_band |= self.has_unwritten_sets && part.sets != self.sets;
        // In other frames they stay in place.
        let sets =
            Some(&self.sets).filter(|_| is_key && self.has_unwritten_sets && self.sets_in_band);
        let data = sample_data(&units, is_key, sets);
        let at_ms = (frame.at_ms - self.origin_ms) as u64;
        let pushed = part.push(Sample { at: at_ms, duration: 0, is_key, data });
        self.needs_key = pushed.is_err();
        self.has_unwritten_sets = pushed.is_err();
        self.counts.written += u64::from(pushed.is_ok());
        pushed
    }

    /// Ensures that a file for pictures of the newest sets is open; false if the sets are incomplete.
    fn begin_picture(&mut self) -> io::Result<bool> {
        let picture = sps::parse_sps(&self.sets.sps).filter(|_| !self.sets.pps.is_empty());
        let Some(picture) = picture else { return Ok(false) };
        let may_part = self.numbered <= parts::MAX_PARTS;
        let fits = self.part.as_ref().is_some_and(|part| part.picture == picture);
        if !fits && (self.part.is_none() || may_part) {
            self.close_part()?;
            if !may_part {
                return Ok(false);
            }
            self.numbered += 1;
            let path = parts::part_path(&self.base, self.numbered);
            self.part = Some(Part::create(&path, self.sets.clone(), picture)?);
            self.sets_in_band = false;
        }
        Ok(true)
    }

    fn close_part(&mut self) -> io::Result<()> {
        if let Some(part) = self.part.take() {
            let (file, added) = part.close(self.origin_ms)?;
            self.bytes += added;
            self.earlier.push(file);
        }
        Ok(())
    }
}

impl TrackWriter for Mp4Track {
    fn write(&mut self, at_ms: i64, payload: &Bytes) -> io::Result<()> {
        if !fits_origin(self.origin_ms, at_ms) {
            self.counts.absurd += 1;
            return Ok(());
        }
        self.take(&Timed { at_ms, payload: payload.clone() })
    }

    fn sync(&mut self) -> io::Result<()> {
        let Some(part) = &mut self.part else { return Ok(()) };
        let synced = part.sync();
        // The fragment is lost, and the pictures that depend on it cannot be decoded.
        self.needs_key |= synced.is_err();
        synced
    }

    fn finish(mut self: Box<Self>) -> io::Result<Finished> {
        self.close_part()?;
        Ok(Finished { files: self.earlier, counts: self.counts })
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn held_bytes(&self) -> usize {
        self.part.as_ref().map_or(0, Part::held_bytes)
    }

    fn bytes(&self) -> u64 {
        self.bytes + self.part.as_ref().map_or(0, |part| part.added)
    }
}

/// Copies a file to a path that must not exist, with all times `by_ms` later. A foreign file is copied unchanged.
pub(super) fn shift_file(from: &Path, to: &Path, by_ms: u64) -> io::Result<()> {
    // Damaged data is found and kept beside the film itself.
    drop(Part::reopen(from)?);
    std::fs::copy(from, to)?;
    match Part::reopen(to)? {
        Reopened::Part(part) => part.shift(by_ms),
        Reopened::Begun | Reopened::Foreign => Ok(()),
    }
}

/// Stores parameter sets: an SPS starts a new collection. Ignores sets that are too large for any picture. Whether there
/// are any.
fn note_sets(sets: &mut ParameterSets, units: &[&[u8]]) -> bool {
    let of = |kind| units.iter().filter(move |unit| annexb::unit_type(unit) == kind);
    let sps = of(annexb::SPS).next_back();
    let pps: Vec<_> = of(annexb::PPS).take(MAX_PPS).collect();
    if sps.is_none() && pps.is_empty() {
        return false;
    }
    let bytes: usize = sps.iter().chain(&pps).map(|unit| unit.len()).sum();
    if bytes > MAX_SETS_BYTES {
        *sets = ParameterSets::default();
        return true;
    }
    if let Some(sps) = sps {
        sets.sps = sps.to_vec();
    }
    if !pps.is_empty() {
        sets.pps = pps.into_iter().map(|unit| unit.to_vec()).collect();
    }
    true
}

/// The units with length prefixes. In a key frame, `sets` replace its own.
fn sample_data(units: &[&[u8]], is_key: bool, sets: Option<&ParameterSets>) -> Vec<u8> {
    let mut data = Vec::new();
    let mut put = |unit: &[u8]| {
        // The cast fits: a frame arrives in one message of at most 16 MiB.
        data.extend((unit.len() as u32).to_be_bytes());
        data.extend_from_slice(unit);
    };
    if let Some(sets) = sets {
        put(&sets.sps);
        sets.pps.iter().for_each(|pps| put(pps));
    }
    let is_set = |unit: &[u8]| [annexb::SPS, annexb::PPS].contains(&annexb::unit_type(unit));
    for unit in units.iter().filter(|unit| !is_key || !is_set(unit)) {
        put(unit);
    }
    data
}
