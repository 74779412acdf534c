//! The boxes of a film with picture, sound and text (ISO/IEC 14496-12; pure): the beginning of one that grows, and the
//! index of one that is complete.

use super::super::boxes::{self, Boxes, FLAGS_OTHER, ParameterSets};
use super::super::sps::Picture;
use super::flac::FlacFormat;
use super::format::FORMAT_BYTES;
use super::table::Table;

pub(super) const VIDEO: u32 = 1;
pub(super) const SOUND: u32 = 2;
const TEXT: u32 = 3;

/// The ticks per second of the film, its picture and its text.
pub(super) const FILM_SCALE: u32 = 1_000;
/// Opus counts at 48 kHz, whatever the input rate.
const OPUS_SCALE: u32 = 48_000;

/// The box that becomes the header of one large `mdat`: its size, its name, 64 bits for that size; the time at which the
/// film starts, and its format.
pub(super) const PLACEHOLDER_BYTES: usize = 24 + FORMAT_BYTES;

/// What a track holds.
pub(super) enum Content<'a> {
    Video(&'a ParameterSets, Picture),
    Flac(FlacFormat, u16),
    Opus {
        channels: u8,
    },
    /// The text is shown over a picture of this size.
    Text(Picture),
}

impl Content<'_> {
    fn id(&self) -> u32 {
        match self {
            Self::Video(..) => VIDEO,
            Self::Flac(..) | Self::Opus { .. } => SOUND,
            Self::Text(_) => TEXT,
        }
    }

    /// The ticks per second.
    pub(super) fn scale(&self) -> u32 {
        match self {
            Self::Video(..) | Self::Text(_) => FILM_SCALE,
            Self::Flac(format, _) => format.rate_hz,
            Self::Opus { .. } => OPUS_SCALE,
        }
    }

    /// The handler's type and name.
    fn handler(&self) -> (&'static [u8; 4], &'static [u8]) {
        match self {
            Self::Video(..) => (b"vide", b"video\0"),
            Self::Flac(..) | Self::Opus { .. } => (b"soun", b"sound\0"),
            Self::Text(_) => (b"sbtl", b"transcript\0"),
        }
    }

    /// The size on the screen.
    fn size(&self) -> (u32, u32) {
        match self {
            Self::Video(_, picture) => (picture.width.into(), picture.height.into()),
            // The last quarter of the picture.
            Self::Text(picture) => (picture.width.into(), u32::from(picture.height) / 4),
            Self::Flac(..) | Self::Opus { .. } => (0, 0),
        }
    }
}

/// Everything before the first fragment. `start_ms`: the time since the origin at which the film starts.
pub(super) fn growing_header(
    tracks: &[Content<'_>],
    start_ms: u64,
    format: &[u8; FORMAT_BYTES],
) -> Vec<u8> {
    let mut out = Boxes { bytes: boxes::first_box() };
    out.part(b"free", |out| {
        out.u64(0);
        out.u64(start_ms);
        out.bytes(format);
    });
    out.part(b"moov", |out| {
        movie_header(out, 0);
        tracks.iter().for_each(|track| out.part(b"trak", |out| track_box(out, track, None)));
        out.part(b"mvex", |out| {
            for track in tracks {
                out.full(b"trex", 0, 0, |out| out.u32s(&[track.id(), 1, 0, 0, FLAGS_OTHER]));
            }
        });
    });
    out.bytes
}

/// The header of the `mdat` that a complete film has instead of the placeholder; `bytes`: its length.
pub(super) fn large_mdat(bytes: u64) -> [u8; 16] {
    let mut header = *b"\0\0\0\x01mdat\0\0\0\0\0\0\0\0";
    header[8..].copy_from_slice(&bytes.to_be_bytes());
    header
}

/// The index of a complete film.
pub(super) fn index(tracks: &[(Content<'_>, &Table)]) -> Vec<u8> {
    let length = |(track, table): &(Content<'_>, &Table)| film_ms(track, table);
    let duration_ms = tracks.iter().map(length).max().unwrap_or_default();
    let mut out = Boxes::default();
    out.part(b"moov", |out| {
        movie_header(out, duration_ms);
        for (track, table) in tracks {
            out.part(b"trak", |out| track_box(out, track, Some(table)));
        }
    });
    out.bytes
}

fn film_ms(track: &Content<'_>, table: &Table) -> u64 {
    table.duration() * u64::from(FILM_SCALE) / u64::from(track.scale())
}

fn movie_header(out: &mut Boxes, duration_ms: u64) {
    out.full(b"mvhd", 1, 0, |out| {
        // Creation, modification.
        out.u64(0);
        out.u64(0);
        out.u32(FILM_SCALE);
        out.u64(duration_ms);
        // Rate 1.0, volume 1.0.
        out.u32s(&[0x1_0000, 0x0100_0000, 0, 0]);
        out.matrix();
        // `pre_defined`, then the next free track id.
        out.u32s(&[0; 6]);
        out.u32(TEXT + 1);
    });
}

fn track_box(out: &mut Boxes, track: &Content<'_>, table: Option<&Table>) {
    let (width, height) = track.size();
    let duration = table.map_or(0, Table::duration);
    // Enabled, in the movie, in its preview.
    out.full(b"tkhd", 1, 7, |out| {
        out.u64(0);
        out.u64(0);
        out.u32s(&[track.id(), 0]);
        out.u64(table.map_or(0, |table| film_ms(track, table)));
        // Reserved; layer and group; volume.
        out.u32s(&[0, 0, 0]);
        out.u32(if track.id() == SOUND { 0x0100_0000 } else { 0 });
        out.matrix();
        // 16.16 fixed point.
        out.u32s(&[width << 16, height << 16]);
    });
    out.part(b"mdia", |out| {
        out.full(b"mdhd", 1, 0, |out| {
            out.u64(0);
            out.u64(0);
            out.u32(track.scale());
            out.u64(duration);
            // The language is "und".
            out.u32(0x55c4_0000);
        });
        let (kind, name) = track.handler();
        out.full(b"hdlr", 0, 0, |out| {
            out.u32(0);
            out.bytes(kind);
            out.u32s(&[0; 3]);
            out.bytes(name);
        });
        out.part(b"minf", |out| media_information(out, track, table));
    });
}

fn media_information(out: &mut Boxes, track: &Content<'_>, table: Option<&Table>) {
    match track {
        Content::Video(..) => out.full(b"vmhd", 0, 1, |out| out.u32s(&[0, 0])),
        Content::Flac(..) | Content::Opus { .. } => out.full(b"smhd", 0, 0, |out| out.u32(0)),
        Content::Text(_) => out.full(b"nmhd", 0, 0, |_| {}),
    }
    boxes::data_reference(out);
    out.part(b"stbl", |out| {
        out.full(b"stsd", 0, 0, |out| {
            out.u32(1);
            sample_entry(out, track);
        });
        match table {
            Some(table) => table.write(out),
            None => boxes::no_samples(out),
        }
    });
}

fn sample_entry(out: &mut Boxes, track: &Content<'_>) {
    match track {
        // With parameter sets before every key frame, which ISO/IEC 14496-15 calls `avc3`: players know `avc1`.
        Content::Video(sets, picture) => {
            out.part(b"avc1", |out| boxes::sample_entry(out, sets, *picture));
        }
        Content::Flac(format, block_samples) => out.part(b"fLaC", |out| {
            sound_entry(out, format.channels, format.rate_hz);
            out.full(b"dfLa", 0, 0, |out| out.bytes(&format.stream_info(*block_samples)));
        }),
        Content::Opus { channels } => out.part(b"Opus", |out| {
            sound_entry(out, u16::from(*channels), OPUS_SCALE);
            out.part(b"dOps", |out| {
                // Version 0; no samples are skipped.
                out.bytes(&[0, *channels, 0, 0]);
                out.u32(OPUS_SCALE);
                // Gain 0, mapping family 0 (mono or stereo).
                out.bytes(&[0, 0, 0]);
            });
        }),
        Content::Text(_) => out.part(b"tx3g", text_entry),
    }
}

fn sound_entry(out: &mut Boxes, channels: u16, rate_hz: u32) {
    // Reserved, then the index of the data reference; reserved.
    out.bytes(&[0, 0, 0, 0, 0, 0, 0, 1]);
    out.u32s(&[0, 0]);
    out.u32(u32::from(channels) << 16 | 16);
    // Reserved, then 16.16 fixed point: all rates fit.
    out.u32s(&[0, rate_hz << 16]);
}

/// 3GPP TS 26.245, section 5.16.
fn text_entry(out: &mut Boxes) {
    out.bytes(&[0, 0, 0, 0, 0, 0, 0, 1]);
    // No flags; centred, at the bottom; a transparent background.
    out.u32(0);
    out.bytes(&[1, 0xff, 0, 0, 0, 0]);
    // The whole box; the style of all characters: font 1, plain, 18 points, white.
    out.bytes(&[0; 8]);
    out.bytes(&[0, 0, 0, 0, 0, 1, 0, 18, 0xff, 0xff, 0xff, 0xff]);
    out.part(b"ftab", |out| out.bytes(b"\0\x01\0\x01\x0aSans-Serif"));
}
