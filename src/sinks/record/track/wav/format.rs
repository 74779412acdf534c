//! The header of a WAV file (pure): `JUNK`, which becomes `ds64` if 32 bits are too few for the file's size (EBU Tech
//! 3306, RF64), `fmt `, `fact` unless the coding is PCM, `data`.

use serde::{Deserialize, Serialize};

/// The format of audio in a WAV file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WavFormat {
    pub coding: Coding,
    /// The sample rate of the audio, even if a byte holds two samples.
    pub rate_hz: u32,
    pub channels: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Coding {
    /// Signed 16 bits, little-endian (section 9).
    L16,
    /// G.711 as Zoom sends it, PCMA (section 8.2).
    ALaw,
    /// 64 kbit/s: a byte holds two samples.
    G722,
}

/// The sample rates of section 10.12.
const RATES_HZ: [u32; 4] = [8_000, 16_000, 32_000, 48_000];

const TAG_PCM: u16 = 1;
const TAG_A_LAW: u16 = 6;
const TAG_G722: u16 = 0x028f;

const JUNK_BYTES: u32 = 28;
/// The fields of PCM.
const FMT_BYTES: usize = 16;

/// Where the `fmt ` chunk begins.
const FMT_AT: usize = 12 + 8 + JUNK_BYTES as usize;

/// The longest header.
pub(super) const MAX_HEADER_BYTES: usize = FMT_AT + 8 + FMT_BYTES + 2 + 12 + 8;

impl WavFormat {
    /// Whether audio of this coding can be added sample by sample.
    pub fn is_mixable(self) -> bool {
        self.coding == Coding::L16
    }

    /// Bytes per millisecond.
    pub fn bytes_per_ms(self) -> u64 {
        let samples = u64::from(self.rate_hz / 1000) * u64::from(self.channels);
        match self.coding {
            Coding::L16 => samples * 2,
            Coding::ALaw => samples,
            Coding::G722 => samples / 2,
        }
    }

    /// The bytes of one sample of each channel.
    pub fn block_bytes(self) -> u64 {
        match self.coding {
            Coding::L16 => 2 * u64::from(self.channels),
            Coding::ALaw | Coding::G722 => u64::from(self.channels),
        }
    }

    /// The byte of silence.
    pub fn silence(self) -> u8 {
        match self.coding {
            Coding::L16 => 0,
            Coding::ALaw => 0xd5,
            Coding::G722 => 0xff,
        }
    }

    pub fn header_bytes(self) -> u64 {
        self.header(0).len() as u64
    }

    /// The header of a file with this much audio.
    pub fn header(self, data_bytes: u64) -> Vec<u8> {
        let fmt = self.fmt();
        let header_bytes = FMT_AT + fmt.len() + 8;
        // RIFF counts the padding byte, `data` does not.
        let riff_bytes = (header_bytes - 8) as u64 + data_bytes + data_bytes % 2;
        let samples = data_bytes / self.block_bytes() * self.samples_per_block();
        // RF64 (EBU Tech 3306): `ds64` has the sizes, and the fields of 32 bits are all ones.
        let is_large = riff_bytes > u64::from(u32::MAX);
        let size = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();

        let mut header = Vec::with_capacity(header_bytes);
        header.extend(if is_large { b"RF64" } else { b"RIFF" });
        header.extend(size(riff_bytes));
        header.extend(b"WAVE");
        // `JUNK` reserves the place of `ds64`, so that a file that grows need not be rewritten.
        header.extend(if is_large { b"ds64" } else { b"JUNK" });
        header.extend(JUNK_BYTES.to_le_bytes());
        for field in [riff_bytes, data_bytes, samples] {
            header.extend((if is_large { field } else { 0 }).to_le_bytes());
        }
        header.extend([0; 4]);
        header.extend(fmt);
        if self.coding != Coding::L16 {
            // The field of `fact` is the end of what `fmt` returns.
            let fact = header.len() - 4;
            header[fact..].copy_from_slice(&size(samples));
        }
        header.extend(b"data");
        header.extend(if is_large { [0xff; 4] } else { size(data_bytes) });
        header
    }

    /// The `fmt ` chunk, and `fact` with zero samples if the coding needs one.
    fn fmt(self) -> Vec<u8> {
        let (tag, bits) = match self.coding {
            Coding::L16 => (TAG_PCM, 16u16),
            Coding::ALaw => (TAG_A_LAW, 8),
            Coding::G722 => (TAG_G722, 4),
        };
        let is_pcm = tag == TAG_PCM;
        let mut fmt = Vec::new();
        fmt.extend(b"fmt ");
        fmt.extend((FMT_BYTES as u32 + if is_pcm { 0 } else { 2 }).to_le_bytes());
        fmt.extend(tag.to_le_bytes());
        fmt.extend(self.channels.to_le_bytes());
        fmt.extend(self.rate_hz.to_le_bytes());
        fmt.extend((self.bytes_per_ms() as u32 * 1000).to_le_bytes());
        fmt.extend((self.block_bytes() as u16).to_le_bytes());
        fmt.extend(bits.to_le_bytes());
        if !is_pcm {
            // No extension of `fmt `.
            fmt.extend([0, 0]);
            fmt.extend(b"fact");
            fmt.extend(4u32.to_le_bytes());
            fmt.extend([0; 4]);
        }
        fmt
    }

    fn samples_per_block(self) -> u64 {
        if self.coding == Coding::G722 { 2 } else { 1 }
    }

    /// Parses a header that [`WavFormat::header`] wrote: the format, and the length of the audio in it.
    pub fn parse(header: &[u8]) -> Option<(Self, u64)> {
        let field = |at: usize, length: usize| header.get(at..at + length);
        let number = |at: usize, length: usize| {
            // Little-endian.
            let bytes = field(at, length)?.iter().rev();
            Some(bytes.fold(0u64, |number, byte| number << 8 | u64::from(*byte)))
        };
        let coding = match number(FMT_AT + 8, 2)? as u16 {
            TAG_PCM => Coding::L16,
            TAG_A_LAW => Coding::ALaw,
            TAG_G722 => Coding::G722,
            _ => return None,
        };
        let channels = number(FMT_AT + 10, 2)? as u16;
        let rate_hz = number(FMT_AT + 12, 4)? as u32;
        if !(1..=2).contains(&channels) || !RATES_HZ.contains(&rate_hz) {
            return None;
        }
        let format = Self { coding, rate_hz, channels };
        let data_at = format.header_bytes() as usize;
        let small = number(data_at - 4, 4)?;
        // The second field of `ds64`.
        let data_bytes = if small == u64::from(u32::MAX) { number(28, 8)? } else { small };
        // A file that differs from this writer's form is foreign and not continued.
        let is_ours = header.get(..data_at)? == format.header(data_bytes);
        is_ours.then_some((format, data_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const L16: WavFormat = WavFormat { coding: Coding::L16, rate_hz: 16_000, channels: 1 };
    const CODINGS: [WavFormat; 4] = [
        L16,
        WavFormat { rate_hz: 48_000, channels: 2, ..L16 },
        WavFormat { coding: Coding::ALaw, rate_hz: 8_000, channels: 1 },
        WavFormat { coding: Coding::G722, rate_hz: 16_000, channels: 1 },
    ];

    #[test]
    fn the_header_of_16_khz_l16_byte_by_byte() {
        let mut expected = b"RIFF\xc8\x02\0\0WAVEJUNK\x1c\0\0\0".to_vec();
        expected.extend([0; 28]);
        expected.extend(b"fmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\x00\x7d\0\0\x02\0\x10\0");
        expected.extend(b"data\x80\x02\0\0");
        assert_eq!(L16.header(640), expected);
    }

    #[test]
    fn a_header_is_read_back_even_beyond_four_gigabytes() {
        for format in CODINGS {
            for bytes in [0, 4, 640, 4_294_967_200, 4_294_967_296, 20_000_000_000] {
                assert_eq!(WavFormat::parse(&format.header(bytes)), Some((format, bytes)));
            }
            assert!(format.header(0).len() <= MAX_HEADER_BYTES);
        }
        assert_eq!(&L16.header(1 << 33)[..4], b"RF64");
    }

    #[test]
    fn headers_of_other_writers_are_foreign() {
        let header = L16.header(640);
        for at in 0..header.len() - 4 {
            let mut other = header.clone();
            other[at] ^= 0x55;
            assert_eq!(WavFormat::parse(&other), None, "byte {at}");
            assert_eq!(WavFormat::parse(&header[..at]), None);
        }
    }
}
