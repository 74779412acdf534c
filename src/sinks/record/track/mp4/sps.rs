//! Parses a sequence parameter set for the size of the pictures (H.264, section 7.3.2.1.1; pure).

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Picture {
    pub width: u16,
    pub height: u16,
    pub chroma_format: u8,
    pub luma_bits: u8,
    pub chroma_bits: u8,
}

/// Profiles with further fields about colours.
pub(super) const HIGH_PROFILES: [u8; 13] =
    [44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244];

const MAX_FRAMES_IN_CYCLE: u32 = 255;

/// Parses an SPS unit; `None` if it is truncated or invalid.
pub(super) fn parse_sps(unit: &[u8]) -> Option<Picture> {
    let payload = without_emulation(unit.get(1..)?);
    let mut bits = Bits { bytes: &payload, at: 0 };
    let profile = bits.take(8)? as u8;
    // Constraint flags and level, then `seq_parameter_set_id`.
    bits.take(16)?;
    bits.number()?;
    let mut picture =
        Picture { width: 0, height: 0, chroma_format: 1, luma_bits: 8, chroma_bits: 8 };
    if HIGH_PROFILES.contains(&profile) {
        skip_colours(&mut bits, &mut picture)?;
    }
    // `log2_max_frame_num_minus4`.
    bits.number()?;
    frame_order(&mut bits)?;
    // `max_num_ref_frames`, then `gaps_in_frame_num_value_allowed_flag`.
    bits.number()?;
    bits.take(1)?;
    read_size(&mut bits, &mut picture)?;
    Some(picture)
}

fn skip_colours(bits: &mut Bits, picture: &mut Picture) -> Option<()> {
    picture.chroma_format = u8::try_from(bits.number()?).ok().filter(|format| *format <= 3)?;
    if picture.chroma_format == 3 {
        // `separate_colour_plane_flag`.
        bits.take(1)?;
    }
    let depth = |more: u32| u8::try_from(more).ok().filter(|more| *more <= 6).map(|more| 8 + more);
    picture.luma_bits = depth(bits.number()?)?;
    picture.chroma_bits = depth(bits.number()?)?;
    // `qpprime_y_zero_transform_bypass_flag`, then `seq_scaling_matrix_present_flag`.
    bits.take(1)?;
    if bits.take(1)? == 1 {
        let lists = if picture.chroma_format == 3 { 12 } else { 8 };
        for list in 0..lists {
            if bits.take(1)? == 1 {
                skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(())
}

fn skip_scaling_list(bits: &mut Bits, size: u32) -> Option<()> {
    let (mut last, mut next) = (8i32, 8i32);
    for _ in 0..size {
        if next != 0 {
            next = last.checked_add(bits.signed()?)?.rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

fn frame_order(bits: &mut Bits) -> Option<()> {
    // `pic_order_cnt_type`; type 2 has no further fields.
    match bits.number()? {
        0 => {
            bits.number()?;
        }
        1 => {
            bits.take(1)?;
            bits.number()?;
            bits.number()?;
            let frames = bits.number()?;
            if frames > MAX_FRAMES_IN_CYCLE {
                return None;
            }
            for _ in 0..frames {
                bits.number()?;
            }
        }
        _ => {}
    }
    Some(())
}

fn read_size(bits: &mut Bits, picture: &mut Picture) -> Option<()> {
    let width = bits.number()?.checked_add(1)?.checked_mul(16)?;
    let map_height = bits.number()?.checked_add(1)?.checked_mul(16)?;
    let is_progressive = bits.take(1)? == 1;
    let fields = if is_progressive { 1 } else { 2 };
    if !is_progressive {
        // `mb_adaptive_frame_field_flag`.
        bits.take(1)?;
    }
    // `direct_8x8_inference_flag`.
    bits.take(1)?;
    let (mut cut_x, mut cut_y) = (0u32, 0u32);
    if bits.take(1)? == 1 {
        // `CropUnitX` and `CropUnitY` (H.264, equations 7-19 to 7-22).
        let unit_x = if matches!(picture.chroma_format, 1 | 2) { 2 } else { 1 };
        let unit_y = if picture.chroma_format == 1 { 2 } else { 1 } * fields;
        cut_x = bits.number()?.checked_add(bits.number()?)?.checked_mul(unit_x)?;
        cut_y = bits.number()?.checked_add(bits.number()?)?.checked_mul(unit_y)?;
    }
    picture.width = u16::try_from(width.checked_sub(cut_x)?).ok().filter(|width| *width > 0)?;
    let height = map_height.checked_mul(fields)?.checked_sub(cut_y)?;
    picture.height = u16::try_from(height).ok().filter(|height| *height > 0)?;
    Some(())
}

/// Removes the emulation prevention bytes.
fn without_emulation(unit: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for byte in unit {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        payload.push(*byte);
    }
    payload
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut taken = 0;
        for _ in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            taken = taken << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(taken)
    }

    /// An unsigned Exponential-Golomb number.
    fn number(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            // A longer code does not fit 32 bits.
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.take(zeros)?)
    }

    fn signed(&mut self) -> Option<i32> {
        let number = self.number()?;
        let half = i32::try_from(number.div_ceil(2)).ok()?;
        Some(if number % 2 == 1 { half } else { -half })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_sets_are_refused_without_a_panic() {
        let mut seed = 0x9e37_79b9_u32;
        for round in 0..20_000 {
            let bytes: Vec<u8> = (0..40)
                .map(|_| {
                    seed ^= seed << 13;
                    seed ^= seed >> 17;
                    seed ^= seed << 5;
                    if round % 2 == 0 { (seed & seed >> 9) as u8 } else { seed as u8 }
                })
                .collect();
            let mut unit = vec![0x67, HIGH_PROFILES[round % 13]];
            unit.extend(bytes);
            parse_sps(&unit);
        }
        assert_eq!(parse_sps(&[]), None);
        assert_eq!(parse_sps(&[0x67, 66, 0, 30]), None);
    }
}
