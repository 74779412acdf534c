//! Writes Opus in Ogg (RFC 7845) without transcoding. An interrupted stream continues as the same logical stream, which
//! the `ogg` crate's writer does not support, so the pages are built here.

pub(super) mod packet;
mod page;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use self::packet::SAMPLES_PER_MS;
use self::page::{BEGINS, MAX_PAGE_BYTES, Packets};
use super::order::{self, ReorderBuffer, Timed, Turn, fits_origin};
use super::{Counts, Finished, TrackFile, TrackWriter, parts};

/// Each of the two headers has a page of its own.
const HEADER_PAGES: u32 = 2;

/// The most audio in a page.
const PAGE_SAMPLES: u64 = 1000 * SAMPLES_PER_MS;

/// Silence of 20 ms takes four bytes.
const SILENCE_MS_PER_BYTE: u64 = 5;

/// The Opus audio of one voice or of one mixed stream.
pub(super) struct OggTrack {
    origin_ms: i64,
    channels: u8,
    earlier: Vec<TrackFile>,
    file: OggFile,
    /// The end of the audio when the file was opened, in samples. Older frames are dropped.
    resumed: u64,
    order: ReorderBuffer,
    /// The start of the newest queued frame, since the origin.
    reach_ms: i64,
    counts: Counts,
}

/// One logical stream in one file.
struct OggFile {
    path: PathBuf,
    file: File,
    serial: u32,
    /// The number of the next page.
    number: u32,
    /// The offsets of the next and of the last page.
    end: u64,
    last_page_at: u64,
    /// The end of the audio of all whole pages, in samples.
    paged: u64,
    /// Including packets that have no page yet.
    granule: u64,
    packets: Packets,
    bytes: u64,
}

impl OggTrack {
    pub(super) fn open(base: &Path, channels: u8, origin_ms: i64) -> io::Result<Self> {
        let mut earlier = Vec::new();
        let mut file = None;
        let there = parts::existing_parts(base);
        for (index, path) in there.paths.iter().enumerate() {
            let is_last = index + 1 == there.paths.len();
            match OggFile::reopen(path)? {
                // The header says the number of channels once, so another number needs another file.
                Reopened::Stream(found, of) if is_last && of == channels => file = Some(found),
                Reopened::Stream(found, _) => earlier.push(found.close(origin_ms)?),
                Reopened::Begun if is_last => {
                    std::fs::remove_file(path)?;
                    file = Some(OggFile::create(path, channels, origin_ms as u32)?);
                }
                Reopened::Begun | Reopened::Foreign => {}
            }
        }
        let file = match file {
            Some(file) => file,
            None => {
                let path = parts::part_path(base, there.numbers + 1);
                // The cast may cut: a serial need only differ within one file.
                OggFile::create(&path, channels, origin_ms as u32)?
            }
        };
        Ok(Self {
            origin_ms,
            channels,
            earlier,
            resumed: file.granule,
            file,
            order: ReorderBuffer::new(),
            reach_ms: 0,
            counts: Counts::default(),
        })
    }

    fn put(&mut self, frame: &Timed) -> io::Result<()> {
        let Some(samples) = packet::packet_samples(&frame.payload) else { return Ok(()) };
        let exact = (frame.at_ms - self.origin_ms) as u64 * SAMPLES_PER_MS;
        if exact + order::drift_tolerance(samples, SAMPLES_PER_MS) <= self.resumed {
            self.counts.late += 1;
            return Ok(());
        }
        let next = self.file.granule;
        let Some(position) = order::frame_position(exact, next, samples, SAMPLES_PER_MS) else {
            self.counts.overlapped += 1;
            return Ok(());
        };
        // Opus packets have no timestamps: a pause is filled with packets.
        for silence in packet::silent_packets(position - next, self.channels) {
            self.file.push(&silence)?;
        }
        self.file.push(&frame.payload)?;
        self.counts.written += 1;
        Ok(())
    }
}

impl TrackWriter for OggTrack {
    fn write(&mut self, at_ms: i64, payload: &Bytes) -> io::Result<()> {
        // Packets never span pages here, so each must fit an empty one.
        let mut room = Packets::default();
        if packet::packet_samples(payload).is_none() || !room.push(payload) {
            self.counts.unreadable += 1;
            return Ok(());
        }
        if !fits_origin(self.origin_ms, at_ms) {
            self.counts.absurd += 1;
            return Ok(());
        }
        match self.order.push(Timed { at_ms, payload: payload.clone() }) {
            Turn::Waits => self.reach_ms = self.reach_ms.max(at_ms - self.origin_ms),
            Turn::Repeated => self.counts.repeated += 1,
            Turn::Clashes | Turn::Missed(_) => self.counts.late += 1,
        }
        while let Some(frame) = self.order.pop() {
            self.put(&frame)?;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        while let Some(frame) = self.order.pop_any() {
            self.put(&frame)?;
        }
        self.file.flush()
    }

    fn finish(mut self: Box<Self>) -> io::Result<Finished> {
        self.sync()?;
        let mut files = self.earlier;
        files.push(self.file.close(self.origin_ms)?);
        Ok(Finished { files, counts: self.counts })
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn bytes(&self) -> u64 {
        let silence_ms = self.reach_ms.saturating_sub(self.file.len_ms());
        self.file.bytes + u64::try_from(silence_ms).unwrap_or_default() / SILENCE_MS_PER_BYTE
    }
}

/// Copies a file to a path that must not exist, with all times `by_ms` later, in steps of 20 ms. A foreign file is
/// copied unchanged.
pub(super) fn shift_file(from: &Path, to: &Path, by_ms: u64) -> io::Result<()> {
    let Reopened::Stream(there, channels) = OggFile::reopen(from)? else {
        return std::fs::copy(from, to).map(drop);
    };
    let mut copy = OggFile::create(to, channels, there.serial)?;
    for silence in packet::silent_packets(by_ms * SAMPLES_PER_MS, channels) {
        copy.push(&silence)?;
    }
    copy.flush()?;
    let by = copy.granule;
    let mut pages = Pages { reader: BufReader::new(File::open(from)?), buffer: Vec::new() };
    while let Some((info, mut page)) = pages.next_whole()? {
        // The copy has its headers already.
        if info.number >= HEADER_PAGES {
            page::set_place(&mut page, info.granule + by, copy.number);
            copy.append(&page, info.granule + by)?;
        }
    }
    Ok(())
}

/// The result of reopening a file.
enum Reopened {
    /// A stream with this number of channels.
    Stream(OggFile, u8),
    /// A stream of this writer that was killed before its headers were complete.
    Begun,
    Foreign,
}

impl OggFile {
    fn create(path: &Path, channels: u8, serial: u32) -> io::Result<Self> {
        let mut headers = header_page(&opus_head(channels), BEGINS, serial, 0);
        let last_page_at = headers.len() as u64;
        headers.extend(header_page(&opus_tags(), 0, serial, 1));
        let file = parts::create_part(path, &headers)?;
        let mut created = Self::new(path, file, serial);
        created.last_page_at = last_page_at;
        created.end = headers.len() as u64;
        created.number = 2;
        Ok(created)
    }

    fn new(path: &Path, file: File, serial: u32) -> Self {
        Self {
            path: path.to_owned(),
            file,
            serial,
            number: 0,
            end: 0,
            last_page_at: 0,
            paged: 0,
            granule: 0,
            packets: Packets::default(),
            bytes: 0,
        }
    }

    /// Reads a file up to the last whole page, and cuts off the rest.
    fn reopen(path: &Path) -> io::Result<Reopened> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut pages = Pages { reader: BufReader::new(&file), buffer: Vec::new() };
        let mut found: Option<(Self, u8)> = None;
        while let Some((page, body)) = pages.next()? {
            let (stream, _) = match &mut found {
                Some(found) => found,
                None => {
                    let Some(channels) = channels_of(&body) else { return Ok(Reopened::Foreign) };
                    found.insert((Self::new(path, file.try_clone()?, page.serial), channels))
                }
            };
            // Another stream, or a gap in the numbers: what follows cannot be continued.
            if page.serial != stream.serial || page.number != stream.number {
                break;
            }
            stream.last_page_at = stream.end;
            stream.end += page.bytes as u64;
            stream.number += 1;
            stream.paged = page.granule;
            stream.granule = page.granule;
        }
        match found {
            Some((stream, channels)) if stream.number >= 2 => {
                parts::cut_after(&stream.file, path, stream.end, MAX_PAGE_BYTES as u64, b"OggS")?;
                // With the end mark of a finished file, players would stop before what is appended.
                stream.mark_end(false)?;
                Ok(Reopened::Stream(stream, channels))
            }
            _ if is_beginning(&file)? => Ok(Reopened::Begun),
            _ => Ok(Reopened::Foreign),
        }
    }

    fn len_ms(&self) -> i64 {
        self.granule.div_ceil(SAMPLES_PER_MS) as i64
    }

    fn push(&mut self, packet: &[u8]) -> io::Result<()> {
        if self.granule - self.paged >= PAGE_SAMPLES || !self.packets.push(packet) {
            self.flush()?;
            // It fits: `write` has tried it with an empty page.
            self.packets.push(packet);
        }
        self.granule += packet::packet_samples(packet).unwrap_or_default();
        Ok(())
    }

    /// Writes a page of the queued packets. After an error that audio is lost; later audio has the right time.
    fn flush(&mut self) -> io::Result<()> {
        if self.packets.is_empty() {
            return Ok(());
        }
        let page = self.packets.page(0, self.granule, self.serial, self.number);
        self.packets.clear();
        let appended = self.append(&page, self.granule);
        if appended.is_err() {
            // The lost audio counts as not written, so the next frame fills its place with silence.
            self.granule = self.paged;
            // If this fails too, the next page overwrites what is there.
            let _ = self.file.set_len(self.end);
        }
        appended
    }

    fn append(&mut self, page: &[u8], granule: u64) -> io::Result<()> {
        self.file.write_all_at(page, self.end)?;
        self.last_page_at = self.end;
        self.end += page.len() as u64;
        self.bytes += page.len() as u64;
        self.number += 1;
        (self.paged, self.granule) = (granule, granule);
        Ok(())
    }

    fn close(mut self, origin_ms: i64) -> io::Result<TrackFile> {
        self.flush()?;
        self.file.set_len(self.end)?;
        self.mark_end(true)?;
        self.file.sync_all()?;
        let last_ms = origin_ms + self.len_ms();
        Ok(TrackFile { path: self.path, bytes: self.end, first_ms: origin_ms, last_ms })
    }

    fn mark_end(&self, ends: bool) -> io::Result<()> {
        let mut page = vec![0; (self.end - self.last_page_at) as usize];
        self.file.read_exact_at(&mut page, self.last_page_at)?;
        page::set_end(&mut page, ends);
        self.file.write_all_at(&page, self.last_page_at)
    }
}

/// Iterates over the pages of a file.
struct Pages<R> {
    reader: R,
    buffer: Vec<u8>,
}

impl<R: Read> Pages<R> {
    /// The next page and its body.
    fn next(&mut self) -> io::Result<Option<(page::PageInfo, Vec<u8>)>> {
        Ok(self.next_whole()?.map(|(info, mut page)| {
            page.drain(..info.body_at);
            (info, page)
        }))
    }

    fn next_whole(&mut self) -> io::Result<Option<(page::PageInfo, Vec<u8>)>> {
        let missing = MAX_PAGE_BYTES.saturating_sub(self.buffer.len()) as u64;
        self.reader.by_ref().take(missing).read_to_end(&mut self.buffer)?;
        let Some(info) = page::parse_page(&self.buffer) else { return Ok(None) };
        let page = self.buffer.drain(..info.bytes).collect();
        Ok(Some((info, page)))
    }
}

/// Whether a file holds only the beginning of this writer's headers.
fn is_beginning(file: &File) -> io::Result<bool> {
    let length = file.metadata()?.len() as usize;
    // The length is the same for one channel and for two.
    let whole =
        header_page(&opus_head(1), BEGINS, 0, 0).len() + header_page(&opus_tags(), 0, 0, 1).len();
    let mut start = vec![0; length.min(5)];
    file.read_exact_at(&mut start, 0)?;
    Ok(length < whole && b"OggS\0".starts_with(&start))
}

fn header_page(packet: &[u8], flags: u8, serial: u32, number: u32) -> Vec<u8> {
    let mut packets = Packets::default();
    packets.push(packet);
    packets.page(flags, 0, serial, number)
}

/// RFC 7845, section 5.1. No samples are skipped: the first one is at the origin.
fn opus_head(channels: u8) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels);
    // Pre-skip 0, then the input sample rate, little-endian.
    head.extend([0, 0]);
    head.extend(48_000u32.to_le_bytes());
    // Output gain 0, mapping family 0 (mono or stereo).
    head.extend([0, 0, 0]);
    head
}

fn channels_of(packet: &[u8]) -> Option<u8> {
    [1, 2].into_iter().find(|channels| packet == opus_head(*channels))
}

/// The comment header: RFC 7845, section 5.2.
fn opus_tags() -> Vec<u8> {
    // The vendor string with its length, then no comments.
    let mut tags = b"OpusTags\x05\0\0\0rtmsd".to_vec();
    tags.extend([0; 4]);
    tags
}
