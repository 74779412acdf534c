//! Splits one frame of H.264 into NAL units (pure). Zoom does not document the framing (section 6.13): start codes,
//! which all known recorders read, length prefixes, and one bare unit are supported.

pub(super) const SLICE: u8 = 1;
pub(super) const IDR: u8 = 5;
pub(super) const SPS: u8 = 7;
pub(super) const PPS: u8 = 8;
/// Filler data, which an MP4 must not contain.
const FILLER: u8 = 12;

/// The type of a unit.
pub(super) fn unit_type(unit: &[u8]) -> u8 {
    // `nal_unit_type` (H.264, section 7.3.1).
    unit.first().map_or(0, |first| first & 0x1f)
}

/// The NAL units of a frame, without their framing. Empty if it is not H.264.
pub(super) fn nal_units(frame: &[u8]) -> Vec<&[u8]> {
    // Lengths first: the start code `00 00 00 01` would be a length of 1, and no unit is that short.
    let units = with_lengths(frame).unwrap_or_else(|| with_start_codes(frame));
    let is_right = |unit: &&[u8]| is_unit(unit) && unit_type(unit) != FILLER;
    units.into_iter().filter(is_right).collect()
}

/// Units with length prefixes of four bytes; `None` if the lengths do not match the frame.
fn with_lengths(mut frame: &[u8]) -> Option<Vec<&[u8]>> {
    let mut units = Vec::new();
    while !frame.is_empty() {
        let (length, rest) = frame.split_first_chunk::<4>()?;
        let (unit, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        if !is_unit(unit) {
            return None;
        }
        units.push(unit);
        frame = rest;
    }
    Some(units)
}

/// Units with start codes of three or four bytes.
fn with_start_codes(frame: &[u8]) -> Vec<&[u8]> {
    let Some(first) = next_start(frame, 0) else { return vec![frame] };
    let mut units = Vec::new();
    let mut begin = first + 3;
    while begin <= frame.len() {
        let end = next_start(frame, begin).unwrap_or(frame.len());
        // Zeros before a start code belong to it, and no unit ends with one.
        let length = frame[begin..end].iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        units.push(&frame[begin..begin + length]);
        begin = end + 3;
    }
    units
}

fn next_start(frame: &[u8], from: usize) -> Option<usize> {
    frame[from..].windows(3).position(|window| window == [0, 0, 1]).map(|at| from + at)
}

/// Whether the forbidden bit is clear and the type is one of H.264's.
fn is_unit(unit: &[u8]) -> bool {
    unit.len() > 1 && unit[0] & 0x80 == 0 && (1..=23).contains(&unit_type(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS_UNIT: &[u8] = &[0x67, 0x42, 0, 0, 3];
    const IDR_UNIT: &[u8] = &[0x65, 1, 2];

    #[test]
    fn start_codes_of_three_and_four_bytes_and_trailing_zeros() {
        let frame = [&[0, 0, 0, 1], SPS_UNIT, &[0, 0, 1], IDR_UNIT, &[0, 0]].concat();
        assert_eq!(nal_units(&frame), [SPS_UNIT, IDR_UNIT]);
    }

    #[test]
    fn lengths_are_read_even_if_they_look_like_start_codes() {
        let large = [&[0x65][..], &[7; 299]].concat();
        let frame = [&[0, 0, 0, 5], SPS_UNIT, &[0, 0, 1, 44], &large].concat();
        assert_eq!(nal_units(&frame), [SPS_UNIT, &large]);
    }

    #[test]
    fn a_bare_unit_is_one_unit() {
        assert_eq!(nal_units(IDR_UNIT), [IDR_UNIT]);
    }

    #[test]
    fn filler_and_foreign_data_are_dropped() {
        assert!(nal_units(&[0, 0, 1, 12, 0xff, 0x80]).is_empty());
        assert!(nal_units(b"\xff\xd8\xff\xe0 a picture").is_empty());
        assert!(nal_units(&[]).is_empty());
        assert!(nal_units(&[0, 0, 1]).is_empty());
        assert!(nal_units(&[0, 0, 0]).is_empty());
    }
}
