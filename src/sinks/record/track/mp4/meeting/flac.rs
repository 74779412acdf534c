//! Encodes 16-bit samples as FLAC (RFC 9639; pure): lossless, with fixed predictors. The same samples always give the
//! same bytes.

/// The order of the predictors, and the largest Rice parameter of residuals with 4 bits for it.
const MAX_ORDER: usize = 4;
const MAX_RICE: u32 = 14;
const SAMPLE_BITS: u32 = 16;

/// The format of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FlacFormat {
    pub rate_hz: u32,
    pub channels: u16,
}

impl FlacFormat {
    /// The metadata block `STREAMINFO` with its header (RFC 9639, section 8.2). Length and checksum are unknown.
    pub(super) fn stream_info(self, block_samples: u16) -> Vec<u8> {
        // The last block of metadata, of type 0, with 34 bytes.
        let mut info = vec![0x80, 0, 0, 34];
        info.extend(block_samples.to_be_bytes());
        info.extend(block_samples.to_be_bytes());
        // The smallest and the largest frame.
        info.extend([0; 6]);
        // 20 bits for the rate, 3 for the channels, 5 for the bits of a sample, 36 for the number of samples.
        let format = u64::from(self.rate_hz) << 44
            | u64::from(self.channels - 1) << 41
            | u64::from(SAMPLE_BITS - 1) << 36;
        info.extend(format.to_be_bytes());
        info.extend([0; 16]);
        info
    }

    /// One frame (RFC 9639, section 9). `number`: its place among the frames, which all have the same length;
    /// `sound`: the samples of all channels in turn, little-endian.
    pub(super) fn frame(self, number: u32, sound: &[u8]) -> Vec<u8> {
        let channels = usize::from(self.channels);
        let samples: Vec<i32> = sound
            .chunks_exact(2)
            .map(|pair| i32::from(i16::from_le_bytes([pair[0], pair[1]])))
            .collect();
        let length = samples.len() / channels;
        let mut bits = Bits::default();
        // Fixed block size; the block size follows in 16 bits.
        bits.put(0xfff8, 16);
        bits.put(0b0111, 4);
        bits.put(self.rate_code(), 4);
        // Independent channels, 16 bits, reserved.
        bits.put(u32::from(self.channels - 1), 4);
        bits.put(0b1000, 4);
        coded_number(number).into_iter().for_each(|byte| bits.put(byte.into(), 8));
        bits.put(length as u32 - 1, 16);
        let check = crc8(&bits.bytes);
        bits.put(check.into(), 8);
        for channel in 0..channels {
            let own: Vec<i32> = samples.iter().skip(channel).step_by(channels).copied().collect();
            subframe(&mut bits, &own);
        }
        bits.align();
        let check = crc16(&bits.bytes);
        bits.put(check.into(), 16);
        bits.bytes
    }

    fn rate_code(self) -> u32 {
        match self.rate_hz {
            8_000 => 0b0100,
            16_000 => 0b0101,
            32_000 => 0b1000,
            48_000 => 0b1010,
            // As `STREAMINFO` says.
            _ => 0,
        }
    }
}

/// One channel (RFC 9639, section 9.2).
fn subframe(bits: &mut Bits, samples: &[i32]) {
    if samples.iter().all(|sample| *sample == samples[0]) {
        bits.put(0, 8);
        bits.put_signed(samples[0], SAMPLE_BITS);
        return;
    }
    let (order, residual) = best_prediction(samples);
    let rice = best_rice(&residual);
    let coded = 10 + order as u64 * u64::from(SAMPLE_BITS) + rice_bits(&residual, rice);
    if coded >= samples.len() as u64 * u64::from(SAMPLE_BITS) {
        bits.put(0b0000_0010, 8);
        samples.iter().for_each(|sample| bits.put_signed(*sample, SAMPLE_BITS));
        return;
    }
    bits.put(0b0001_0000 | (order as u32) << 1, 8);
    samples[..order].iter().for_each(|sample| bits.put_signed(*sample, SAMPLE_BITS));
    // Parameters of 4 bits, one partition.
    bits.put(0, 6);
    bits.put(rice, 4);
    for value in residual {
        let folded = folded(value);
        let mut zeros = folded >> rice;
        while zeros > 31 {
            bits.put(0, 31);
            zeros -= 31;
        }
        bits.put(1, zeros + 1);
        bits.put(folded & ((1 << rice) - 1), rice);
    }
}

/// The order with the smallest residual, which is the difference of so many orders.
fn best_prediction(samples: &[i32]) -> (usize, Vec<i32>) {
    let mut differences = samples.to_vec();
    let mut best = (0, cost(&differences), differences.clone());
    for order in 1..=MAX_ORDER.min(samples.len() - 1) {
        differences = differences.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let cost = cost(&differences);
        if cost < best.1 {
            best = (order, cost, differences.clone());
        }
    }
    (best.0, best.2)
}

fn cost(residual: &[i32]) -> u64 {
    residual.iter().map(|value| u64::from(value.unsigned_abs())).sum()
}

/// The parameter that takes the fewest bits is near the logarithm of the mean.
fn best_rice(residual: &[i32]) -> u32 {
    let sum: u64 = residual.iter().map(|value| u64::from(folded(*value))).sum();
    let near = (sum / residual.len().max(1) as u64 + 1).ilog2();
    let rices = near.saturating_sub(1).min(MAX_RICE)..=(near + 1).min(MAX_RICE);
    rices.min_by_key(|rice| rice_bits(residual, *rice)).unwrap_or(MAX_RICE)
}

fn rice_bits(residual: &[i32], rice: u32) -> u64 {
    residual.iter().map(|value| u64::from((folded(*value) >> rice) + 1 + rice)).sum()
}

/// Signed values as unsigned ones: 0, -1, 1, -2, …
fn folded(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

/// The number of a frame in up to six bytes, coded like UTF-8 (RFC 9639, section 9.1.5).
fn coded_number(number: u32) -> Vec<u8> {
    if number < 0x80 {
        return vec![number as u8];
    }
    // How many bytes follow the first: each has 6 bits, and the first has the rest.
    let more = (1..6).find(|more| number < 1 << (6 * more + 6 - more)).unwrap_or(5);
    let lead = 0xff_u8 << (7 - more) | (number >> (6 * more)) as u8;
    let rest = (0..more).rev().map(|index| 0x80 | (number >> (6 * index) & 0x3f) as u8);
    std::iter::once(lead).chain(rest).collect()
}

fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ byte, |sum, _| sum << 1 ^ if sum & 0x80 == 0 { 0 } else { 0x07 })
    })
}

const CRC16: [u16; 256] = crc16_table();

const fn crc16_table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut sum = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 0x8000 == 0 { sum << 1 } else { (sum << 1) ^ 0x8005 };
            bit += 1;
        }
        table[index] = sum;
        index += 1;
    }
    table
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| (sum << 8) ^ CRC16[usize::from((sum >> 8) as u8 ^ byte)])
}

/// Bits, the most significant first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    waiting: u64,
    count: u32,
}

impl Bits {
    /// At most 32 bits.
    fn put(&mut self, value: u32, count: u32) {
        self.waiting = self.waiting << count | u64::from(value);
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            self.bytes.push((self.waiting >> self.count) as u8);
        }
        self.waiting &= (1 << self.count) - 1;
    }

    fn put_signed(&mut self, value: i32, count: u32) {
        self.put(value as u32 & ((1 << count) - 1), count);
    }

    fn align(&mut self) {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_takes_a_few_bytes_and_noise_no_more_than_itself() {
        let format = FlacFormat { rate_hz: 16_000, channels: 1 };
        assert!(format.frame(0, &[0; 640]).len() <= 14);
        let mut seed = 1_u32;
        let noise: Vec<u8> = (0..640)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .collect();
        assert!(format.frame(0, &noise).len() < 640 + 16);
    }

    #[test]
    fn numbers_are_coded_like_characters() {
        for (number, coded) in [
            (0x7f, vec![0x7f]),
            (0x80, vec![0xc2, 0x80]),
            (0x7ff, vec![0xdf, 0xbf]),
            (0x800, vec![0xe0, 0xa0, 0x80]),
            (0xffff, vec![0xef, 0xbf, 0xbf]),
            (0x1_0000, vec![0xf0, 0x90, 0x80, 0x80]),
            (0x7fff_ffff, vec![0xfd, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf]),
        ] {
            assert_eq!(coded_number(number), coded, "{number:x}");
        }
    }
}
