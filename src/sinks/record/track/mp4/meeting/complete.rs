//! Completes a film when its stream has ended: adds voices that came late, the text, and an index, with which a player
//! can seek at once. The samples stay where they are in the file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::boxes::{ParameterSets, moof_samples};
use super::super::sps::{Picture, parse_sps};
use super::super::{annexb, note_sets};
use super::black::black_sets;
use super::cut::CAMERA_STAYS_MS;
use super::film::{BLACK_EVERY_MS, black_picture};
use super::format::{BLOCK_MS, FIRST_SIZE, SoundFormat};
use super::fragments::{Fragments, Reopened};
use super::movie::{self, Content, SOUND, VIDEO};
use super::sound::{Blocks, reopen_voices};
use super::table::{Entry, Table};
use super::text::{Cue, Shown, text_samples};
use crate::sinks::record::track::ogg::packet::{self, SAMPLES_PER_MS};
use crate::sinks::record::track::wav::{Coding, WavFile, WavFormat};

/// Where a key frame's parameter sets are; larger ones belong to no real picture.
const SETS_BYTES: usize = 4 << 10;
/// How much is written at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Completes a film. `cues`: the lines of the transcript, in milliseconds since the origin. May be called again. A file
/// of another program stays as it is.
pub fn complete(path: &Path, cues: &[Cue]) -> io::Result<()> {
    let Reopened::Film(film) = Fragments::reopen(path)? else { return Ok(()) };
    let voices = match film.format.sound {
        Some(SoundFormat::Flac(wav)) => {
            let blocks = Blocks(WavFormat { coding: Coding::L16, ..wav });
            Some((blocks, reopen_voices(path, blocks.0)?))
        }
        _ => None,
    };
    let (pictures, sounds) = read_samples(&film)?;
    let end_ms = end_of(&film, voices.as_ref().and_then(|(_, wav)| wav.as_ref()));
    let mut tail = Tail::new(&film.file, film.end)?;
    let sound = match (&voices, film.format.sound) {
        (Some((blocks, wav)), _) => {
            flac_table(&film, *blocks, wav.as_ref(), sounds, end_ms, &mut tail)?
        }
        (None, Some(SoundFormat::Opus { channels })) => {
            opus_table(&film, channels, sounds, end_ms, &mut tail)?
        }
        (None, _) => Table::default(),
    };
    let largest = largest_picture(&film.file, &pictures)?;
    let video = picture_table(&film, pictures, end_ms, &mut tail)?;
    let text = text_table(&film, cues, end_ms, &mut tail)?;
    let (sets, picture) = largest;
    let mut tracks = Vec::new();
    if film.format.has_picture {
        tracks.push((Content::Video(&sets, picture), &video));
    }
    tracks.extend(film.format.sound_content().map(|content| (content, &sound)));
    if !cues.is_empty() {
        tracks.push((Content::Text(picture), &text));
    }
    let index_at = tail.close()?;
    film.file.write_all_at(&movie::index(&tracks), index_at)?;
    film.file.sync_all()?;
    film.complete(index_at)
}

/// A sample in a fragment, and its time in ticks since the origin.
pub(super) type Timed = (u64, Entry);

/// The samples of picture and sound, as they are in the file.
pub(super) fn read_samples(film: &Fragments) -> io::Result<(Vec<Timed>, Vec<Timed>)> {
    let (mut pictures, mut sounds) = (Vec::new(), Vec::new());
    let mut at = film.first_at();
    while let Some(fragment) = film.fragment(at, film.end)? {
        let (mut time, mut offset) = (fragment.info.at, fragment.data_at);
        let samples = match fragment.info.track {
            VIDEO => &mut pictures,
            _ => &mut sounds,
        };
        for sample in moof_samples(&fragment.moof) {
            let (bytes, duration) = (sample.bytes, sample.duration);
            samples.push((time, Entry { offset, bytes, duration, is_key: sample.is_key }));
            time += u64::from(duration);
            offset += u64::from(bytes);
        }
        at = fragment.data_at + fragment.info.data_bytes;
    }
    Ok((pictures, sounds))
}

/// The end of the film, in milliseconds since the origin.
fn end_of(film: &Fragments, voices: Option<&WavFile>) -> u64 {
    let picture_ms = film.end_of(VIDEO).unwrap_or(film.start_ms);
    let sound_end = film.end_of(SOUND).unwrap_or_default();
    let sound_ms = (sound_end * 1_000).div_ceil(u64::from(film.format.sound_scale()));
    let voices_ms = voices.map_or(0, |wav| wav.len_ms().max(0) as u64);
    let end_ms = picture_ms.max(sound_ms).max(voices_ms);
    end_ms.next_multiple_of(BLOCK_MS)
}

/// The packets of all voices, each as the file of voices has it now.
fn flac_table(
    film: &Fragments,
    blocks: Blocks,
    voices: Option<&WavFile>,
    sounds: Vec<Timed>,
    end_ms: u64,
    tail: &mut Tail<'_>,
) -> io::Result<Table> {
    let (first, end) = (film.start_ms / BLOCK_MS, end_ms / BLOCK_MS);
    let mut there = sounds.into_iter().peekable();
    let mut entries = Vec::with_capacity((end - first) as usize);
    for number in first..end {
        let mut stored = None;
        while let Some((_, entry)) = there.next_if(|(at, _)| *at <= number * blocks.ticks()) {
            stored = Some(entry);
        }
        let sound = match voices {
            Some(wav) => wav.there(number * blocks.bytes() as u64, blocks.bytes())?,
            None => Vec::new(),
        };
        let packet = blocks.packet(number, sound);
        let entry = match stored {
            Some(entry) if voices.is_none() || holds(&film.file, &entry, &packet)? => entry,
            _ => tail.put(&packet, blocks.ticks() as u32, true)?,
        };
        entries.push(entry);
    }
    Ok(Table { entries })
}

fn holds(file: &File, entry: &Entry, packet: &[u8]) -> io::Result<bool> {
    if entry.bytes as usize != packet.len() {
        return Ok(false);
    }
    let mut there = vec![0; packet.len()];
    file.read_exact_at(&mut there, entry.offset)?;
    Ok(there == packet)
}

/// The packets of Opus, with silence between them.
fn opus_table(
    film: &Fragments,
    channels: u8,
    sounds: Vec<Timed>,
    end_ms: u64,
    tail: &mut Tail<'_>,
) -> io::Result<Table> {
    let mut entries = Vec::with_capacity(sounds.len());
    let mut time = film.start_ms * SAMPLES_PER_MS;
    let end = (end_ms * SAMPLES_PER_MS, None);
    for (at, entry) in sounds.into_iter().map(|(at, entry)| (at, Some(entry))).chain([end]) {
        for silence in packet::silent_packets(at.saturating_sub(time), channels) {
            let samples = packet::packet_samples(&silence).unwrap_or_default();
            entries.push(tail.put(&silence, samples as u32, true)?);
            time += samples;
        }
        if let Some(entry) = entry {
            time += u64::from(entry.duration);
            entries.push(entry);
        }
    }
    Ok(Table { entries })
}

/// The pictures without a gap: each stays until the next one, and the film is black where that is too long.
fn picture_table(
    film: &Fragments,
    pictures: Vec<Timed>,
    end_ms: u64,
    tail: &mut Tail<'_>,
) -> io::Result<Table> {
    let mut entries: Vec<Entry> = Vec::with_capacity(pictures.len());
    if !film.format.has_picture {
        return Ok(Table { entries });
    }
    let mut size = FIRST_SIZE;
    // When the last picture began, and when the film is black if nothing follows.
    let (mut last_ms, mut due_ms, mut blacks) = (film.start_ms, film.start_ms, 0);
    let end = (end_ms, None);
    for (at_ms, entry) in pictures.into_iter().map(|(at, entry)| (at, Some(entry))).chain([end]) {
        while due_ms < at_ms {
            blacks += 1;
            set_duration(&mut entries, due_ms - last_ms);
            entries.push(tail.put(&black_picture(size.0, size.1, blacks), 0, true)?);
            (last_ms, due_ms) = (due_ms, due_ms + BLACK_EVERY_MS);
        }
        set_duration(&mut entries, at_ms.saturating_sub(last_ms));
        if let Some(entry) = entry {
            if entry.is_key {
                size = size_of(&film.file, &entry)?.unwrap_or(size);
            }
            entries.push(entry);
            // The longest that the film itself lets a picture stay.
            let stays_ms = u64::from(entry.duration).max(CAMERA_STAYS_MS);
            (last_ms, due_ms) = (at_ms, at_ms + stays_ms);
        }
    }
    Ok(Table { entries })
}

fn set_duration(entries: &mut [Entry], duration_ms: u64) {
    if let Some(last) = entries.last_mut() {
        // The cast fits: see `MAX_SPAN_MS`.
        last.duration = duration_ms as u32;
    }
}

fn size_of(file: &File, entry: &Entry) -> io::Result<Option<(u16, u16)>> {
    let (_, picture) = match read_sets(file, entry)? {
        Some(found) => found,
        None => return Ok(None),
    };
    Ok(Some((picture.width, picture.height)))
}

/// The parameter sets in front of a key frame.
fn read_sets(file: &File, entry: &Entry) -> io::Result<Option<(ParameterSets, Picture)>> {
    let mut there = vec![0; SETS_BYTES.min(entry.bytes as usize)];
    file.read_exact_at(&mut there, entry.offset)?;
    let mut units = Vec::new();
    let mut rest = &there[..];
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((unit, after)) = after.split_at_checked(length) else { break };
        units.push(unit);
        rest = after;
    }
    units.retain(|unit| [annexb::SPS, annexb::PPS].contains(&annexb::unit_type(unit)));
    let mut sets = ParameterSets::default();
    note_sets(&mut sets, &units);
    let picture = parse_sps(&sets.sps).filter(|_| !sets.pps.is_empty());
    Ok(picture.map(|picture| (sets, picture)))
}

/// The parameter sets of the largest picture: a player makes room for it.
fn largest_picture(file: &File, pictures: &[Timed]) -> io::Result<(ParameterSets, Picture)> {
    let first = black_sets(FIRST_SIZE.0, FIRST_SIZE.1);
    let picture = parse_sps(&first.sps).expect("this writer's own parameter sets are right");
    let mut largest: Option<(ParameterSets, Picture)> = None;
    let area = |picture: &Picture| u32::from(picture.width) * u32::from(picture.height);
    for (_, entry) in pictures.iter().filter(|(_, entry)| entry.is_key) {
        let Some((sets, picture)) = read_sets(file, entry)? else { continue };
        if largest.as_ref().is_none_or(|(_, largest)| area(largest) < area(&picture)) {
            largest = Some((sets, picture));
        }
    }
    Ok(largest.unwrap_or((first, picture)))
}

fn text_table(
    film: &Fragments,
    cues: &[Cue],
    end_ms: u64,
    tail: &mut Tail<'_>,
) -> io::Result<Table> {
    // Times in this film, which may start later than the origin.
    let own = cues.iter().filter(|cue| cue.end_ms > film.start_ms).map(|cue| Cue {
        start_ms: cue.start_ms.saturating_sub(film.start_ms),
        end_ms: cue.end_ms - film.start_ms,
        text: cue.text.clone(),
    });
    let samples = text_samples(own.collect(), end_ms - film.start_ms);
    // The cast fits: see `MAX_SPAN_MS`.
    let put = |shown: &Shown| tail.put(&shown.data, shown.duration_ms as u32, true);
    Ok(Table { entries: samples.iter().map(put).collect::<io::Result<_>>()? })
}

/// Samples behind the fragments, in one `mdat`.
struct Tail<'a> {
    file: &'a File,
    /// The offset of the box, and of what is not written yet.
    at: u64,
    end: u64,
    waiting: Vec<u8>,
}

impl<'a> Tail<'a> {
    fn new(file: &'a File, at: u64) -> io::Result<Self> {
        let header = movie::large_mdat(0);
        file.write_all_at(&header, at)?;
        Ok(Self { file, at, end: at + header.len() as u64, waiting: Vec::new() })
    }

    fn put(&mut self, data: &[u8], duration: u32, is_key: bool) -> io::Result<Entry> {
        let offset = self.end + self.waiting.len() as u64;
        self.waiting.extend_from_slice(data);
        if self.waiting.len() >= CHUNK_BYTES {
            self.write()?;
        }
        // The cast fits: the samples that this writer makes are small.
        Ok(Entry { offset, bytes: data.len() as u32, duration, is_key })
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.waiting, self.end)?;
        self.end += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Returns the offset behind the box.
    fn close(mut self) -> io::Result<u64> {
        self.write()?;
        self.file.write_all_at(&movie::large_mdat(self.end - self.at), self.at)?;
        Ok(self.end)
    }
}
