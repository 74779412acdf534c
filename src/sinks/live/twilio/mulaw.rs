//! G.711 µ-law (pure).

/// Keeps the logarithm away from zero (ITU-T G.711).
const BIAS: i32 = 0x84;
const MAX: i32 = 0x7fff - BIAS;

/// Encodes a 16-bit sample in 8 bits.
pub(super) fn encode_sample(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(MAX) + BIAS;
    // The bias ensures that the highest set bit is bit 7 or above.
    let exponent = magnitude.ilog2() - 7;
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    // All bits are inverted (ITU-T G.711). The casts fit: the exponent is at most 7, the mantissa 15.
    !(sign | (exponent << 4) as u8 | mantissa as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The inverse, from the recommendation's table.
    fn decode(byte: u8) -> i32 {
        let byte = !byte;
        let exponent = (byte >> 4) & 7;
        let magnitude = (((i32::from(byte & 0x0f) << 3) + BIAS) << exponent) - BIAS;
        if byte & 0x80 == 0 { magnitude } else { -magnitude }
    }

    #[test]
    fn known_samples_have_their_known_bytes() {
        for (sample, byte) in
            [(0, 0xff), (-1, 0x7f), (i16::MAX, 0x80), (i16::MIN, 0x00), (1000, 0xce)]
        {
            assert_eq!(encode_sample(sample), byte, "{sample}");
        }
    }

    #[test]
    fn a_decoded_sample_is_close_to_the_original() {
        for sample in i16::MIN..=i16::MAX {
            let error = (decode(encode_sample(sample)) - i32::from(sample)).abs();
            // Half a step of its segment; the loudest are clipped.
            assert!(error <= (i32::from(sample).abs() + BIAS) >> 5, "{sample}: {error}");
        }
    }

    #[test]
    fn every_byte_survives_decoding_and_encoding() {
        for byte in 0..=255_u8 {
            // There are two zeros.
            let expected = if byte == 0x7f { 0xff } else { byte };
            assert_eq!(encode_sample(decode(byte) as i16), expected);
        }
    }
}
