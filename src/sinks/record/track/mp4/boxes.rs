//! The boxes of a fragmented MP4 (ISO/IEC 14496-12 and -15; pure): one video track, times in milliseconds; and what a
//! film of several tracks shares with it.

use super::sps::{HIGH_PROFILES, Picture};

/// The ticks per second.
const TIMESCALE: u32 = 1000;

/// The only track of a file of pictures.
pub(super) const TRACK: u32 = 1;

/// The flags of key frames and of dependent samples: `sample_depends_on` and `sample_is_non_sync_sample` (ISO/IEC
/// 14496-12, section 8.8.3.1).
const FLAGS_KEY: u32 = 0x0200_0000;
pub(super) const FLAGS_OTHER: u32 = 0x0101_0000;

/// The offsets of sequence number, track, time and samples in a `moof` of this writer, in which everything before the
/// samples has a fixed length.
const SEQUENCE_AT: usize = 20;
const TRACK_AT: usize = 44;
pub(super) const TIME_AT: usize = 60;
const COUNT_AT: usize = 80;
const SAMPLES_AT: usize = 88;
const SAMPLE_BYTES: usize = 12;

/// The most samples of a fragment.
pub(super) const MAX_SAMPLES: usize = 10_000;

/// The longest `moof`.
pub(super) const MAX_MOOF_BYTES: usize = SAMPLES_AT + MAX_SAMPLES * SAMPLE_BYTES;

/// What a decoder needs before the first picture: whole NAL units.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ParameterSets {
    pub sps: Vec<u8>,
    pub pps: Vec<Vec<u8>>,
}

/// A picture or a packet of sound. Times are ticks of its track, which are milliseconds for pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    /// The time since the origin.
    pub at: u64,
    pub duration: u32,
    pub is_key: bool,
    /// Of a picture: NAL units with length prefixes of four bytes.
    pub data: Vec<u8>,
}

/// The header values of a whole fragment. Times are ticks of its track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FragmentInfo {
    pub sequence: u32,
    pub track: u32,
    pub at: u64,
    pub duration: u64,
    pub data_bytes: u64,
}

/// The header values of one sample of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SampleInfo {
    pub duration: u32,
    pub bytes: u32,
    pub is_key: bool,
}

/// Everything before the first fragment. The duration, in milliseconds, counts from the origin; 0 means unknown.
pub(super) fn file_header(sets: &ParameterSets, picture: Picture, duration_ms: u64) -> Vec<u8> {
    let mut out = Boxes { bytes: first_box() };
    out.part(b"moov", |out| {
        out.full(b"mvhd", 0, 0, |out| {
            // Creation, modification, timescale, duration, rate 1.0; then volume 1.0.
            out.u32s(&[0, 0, TIMESCALE, 0, 0x1_0000]);
            out.u32s(&[0x0100_0000, 0, 0]);
            out.matrix();
            // `pre_defined`, then the next free track id.
            out.u32s(&[0; 6]);
            out.u32(TRACK + 1);
        });
        out.part(b"trak", |out| track_box(out, sets, picture));
        out.part(b"mvex", |out| {
            out.full(b"mehd", 1, 0, |out| out.u64(duration_ms));
            out.full(b"trex", 0, 0, |out| out.u32s(&[TRACK, 1, 0, 0, FLAGS_OTHER]));
        });
    });
    out.bytes
}

/// The first box of every file.
pub(super) fn first_box() -> Vec<u8> {
    let mut out = Boxes::default();
    out.part(b"ftyp", |out| {
        out.bytes(b"isom");
        out.u32(0x200);
        out.bytes(b"isomiso5iso6avc1mp41");
    });
    out.bytes
}

fn track_box(out: &mut Boxes, sets: &ParameterSets, picture: Picture) {
    let (width, height) = (u32::from(picture.width), u32::from(picture.height));
    // Enabled, in the movie, in its preview.
    out.full(b"tkhd", 0, 7, |out| {
        // Creation, modification, id, reserved, duration; reserved, layer and group, volume.
        out.u32s(&[0, 0, TRACK, 0, 0, 0, 0, 0, 0]);
        out.matrix();
        // 16.16 fixed point.
        out.u32s(&[width << 16, height << 16]);
    });
    out.part(b"mdia", |out| {
        // The language is "und".
        out.full(b"mdhd", 0, 0, |out| out.u32s(&[0, 0, TIMESCALE, 0, 0x55c4_0000]));
        out.full(b"hdlr", 0, 0, |out| {
            out.u32(0);
            out.bytes(b"vide");
            out.u32s(&[0; 3]);
            out.bytes(b"video\0");
        });
        out.part(b"minf", |out| {
            out.full(b"vmhd", 0, 1, |out| out.u32s(&[0, 0]));
            data_reference(out);
            out.part(b"stbl", |out| {
                out.full(b"stsd", 0, 0, |out| {
                    out.u32(1);
                    out.part(b"avc1", |out| sample_entry(out, sets, picture));
                });
                no_samples(out);
            });
        });
    });
}

/// Says that the media are in this file.
pub(super) fn data_reference(out: &mut Boxes) {
    out.part(b"dinf", |out| {
        out.full(b"dref", 0, 0, |out| {
            out.u32(1);
            out.full(b"url ", 0, 1, |_| {});
        });
    });
}

/// The sample table of a track in which every sample is in a fragment.
pub(super) fn no_samples(out: &mut Boxes) {
    out.full(b"stts", 0, 0, |out| out.u32(0));
    out.full(b"stsc", 0, 0, |out| out.u32(0));
    out.full(b"stsz", 0, 0, |out| out.u32s(&[0, 0]));
    out.full(b"stco", 0, 0, |out| out.u32(0));
}

/// The description of H.264, without its name.
pub(super) fn sample_entry(out: &mut Boxes, sets: &ParameterSets, picture: Picture) {
    // Reserved, then the index of the data reference.
    out.bytes(&[0, 0, 0, 0, 0, 0, 0, 1]);
    out.u32s(&[0; 4]);
    out.bytes(&picture.width.to_be_bytes());
    out.bytes(&picture.height.to_be_bytes());
    // 72 dpi, one frame a sample, no name, 24 bits.
    out.u32s(&[0x48_0000, 0x48_0000, 0]);
    out.bytes(&1u16.to_be_bytes());
    out.u32s(&[0; 8]);
    out.bytes(&[0, 24, 0xff, 0xff]);
    out.part(b"avcC", |out| {
        out.bytes(&[1]);
        out.bytes(&sets.sps[1..4]);
        // Length prefixes of four bytes; one SPS.
        out.bytes(&[0xff, 0xe1]);
        out.set(&sets.sps);
        // The cast fits: see `MAX_PPS` of the track.
        out.bytes(&[sets.pps.len() as u8]);
        sets.pps.iter().for_each(|pps| out.set(pps));
        // Only these profiles have the extension (ISO/IEC 14496-15, section 5.3.3.1).
        if HIGH_PROFILES.contains(&sets.sps[1]) {
            out.bytes(&[
                0xfc | picture.chroma_format,
                0xf8 | (picture.luma_bits - 8),
                0xf8 | (picture.chroma_bits - 8),
                0,
            ]);
        }
    });
}

/// A fragment of consecutive samples of one track.
pub(super) fn movie_fragment(track: u32, sequence: u32, samples: &[Sample]) -> Vec<u8> {
    let data_bytes: usize = samples.iter().map(|sample| sample.data.len()).sum();
    let mut out = Boxes::default();
    out.bytes.reserve(SAMPLES_AT + samples.len() * SAMPLE_BYTES + 8 + data_bytes);
    out.part(b"moof", |out| {
        out.full(b"mfhd", 0, 0, |out| out.u32(sequence));
        out.part(b"traf", |out| {
            // Offsets count from this `moof`.
            out.full(b"tfhd", 0, 0x2_0000, |out| out.u32(track));
            out.full(b"tfdt", 1, 0, |out| out.u64(samples.first().map_or(0, |s| s.at)));
            // The offset of the data; for each sample its duration, size and flags.
            out.full(b"trun", 0, 0x701, |out| {
                out.u32(samples.len() as u32);
                // The samples begin behind the header of `mdat`.
                out.u32((SAMPLES_AT + samples.len() * SAMPLE_BYTES + 8) as u32);
                for sample in samples {
                    let flags = if sample.is_key { FLAGS_KEY } else { FLAGS_OTHER };
                    out.u32s(&[sample.duration, sample.data.len() as u32, flags]);
                }
            });
        });
    });
    out.part(b"mdat", |out| samples.iter().for_each(|sample| out.bytes(&sample.data)));
    out.bytes
}

/// Parses a whole `moof` of this writer.
pub(super) fn read_moof(moof: &[u8]) -> Option<FragmentInfo> {
    let count = number_at(moof, COUNT_AT)? as usize;
    if count > MAX_SAMPLES || moof.len() != SAMPLES_AT + count * SAMPLE_BYTES {
        return None;
    }
    let sum = |field: fn(&SampleInfo) -> u32| {
        moof_samples(moof).map(|sample| u64::from(field(&sample))).sum()
    };
    let at = u64::from(number_at(moof, TIME_AT)?) << 32 | u64::from(number_at(moof, TIME_AT + 4)?);
    Some(FragmentInfo {
        sequence: number_at(moof, SEQUENCE_AT)?,
        track: number_at(moof, TRACK_AT)?,
        at,
        duration: sum(|sample| sample.duration),
        data_bytes: sum(|sample| sample.bytes),
    })
}

/// The samples of a `moof` that [`read_moof`] can parse.
pub(super) fn moof_samples(moof: &[u8]) -> impl Iterator<Item = SampleInfo> {
    moof.get(SAMPLES_AT..).unwrap_or_default().chunks_exact(SAMPLE_BYTES).filter_map(|sample| {
        Some(SampleInfo {
            duration: number_at(sample, 0)?,
            bytes: number_at(sample, 4)?,
            is_key: number_at(sample, 8)? == FLAGS_KEY,
        })
    })
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The parameter sets in the beginning of a file of this writer.
pub(super) fn read_sets(beginning: &[u8]) -> Option<ParameterSets> {
    let at = beginning.windows(4).position(|name| name == b"avcC")?;
    // After the name: version, profile, compatibility, level, length size, number of SPS.
    let mut rest = beginning.get(at + 4 + 6..)?;
    let sps = read_set(&mut rest)?;
    let (count, after) = rest.split_first()?;
    rest = after;
    let pps = (0..*count).map(|_| read_set(&mut rest)).collect::<Option<_>>()?;
    Some(ParameterSets { sps, pps })
}

fn read_set(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let (length, after) = rest.split_first_chunk::<2>()?;
    let (set, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
    *rest = after;
    Some(set.to_vec())
}

/// The offset of the duration in the beginning of a file.
pub(super) fn duration_at(beginning: &[u8]) -> Option<usize> {
    // After the name, the version and the flags; only `trex` follows it.
    beginning.windows(4).rposition(|name| name == b"mehd").map(|at| at + 8)
}

/// A writer of sequential and nested boxes.
#[derive(Default)]
pub(super) struct Boxes {
    pub bytes: Vec<u8>,
}

impl Boxes {
    pub(super) fn part(&mut self, name: &[u8; 4], fill: impl FnOnce(&mut Self)) {
        let at = self.bytes.len();
        self.u32(0);
        self.bytes(name);
        fill(self);
        // The cast fits: fragments and parameter sets are bounded.
        let length = (self.bytes.len() - at) as u32;
        self.bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }

    pub(super) fn full(
        &mut self,
        name: &[u8; 4],
        version: u8,
        flags: u32,
        fill: impl FnOnce(&mut Self),
    ) {
        self.part(name, |out| {
            out.u32(u32::from(version) << 24 | flags);
            fill(out);
        });
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn u32(&mut self, number: u32) {
        self.bytes(&number.to_be_bytes());
    }

    pub(super) fn u32s(&mut self, numbers: &[u32]) {
        numbers.iter().for_each(|number| self.u32(*number));
    }

    pub(super) fn u64(&mut self, number: u64) {
        self.bytes(&number.to_be_bytes());
    }

    /// A parameter set with a length prefix.
    fn set(&mut self, unit: &[u8]) {
        self.bytes(&(unit.len() as u16).to_be_bytes());
        self.bytes(unit);
    }

    /// The identity matrix.
    pub(super) fn matrix(&mut self) {
        self.u32s(&[0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000]);
    }
}
