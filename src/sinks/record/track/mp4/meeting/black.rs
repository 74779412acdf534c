//! Makes black H.264 pictures of any size without an encoder (H.264, sections 7.3 and 9.2; pure): Constrained Baseline,
//! one macroblock of raw samples, and all others predicted from it.

use super::super::boxes::ParameterSets;

/// `nal_ref_idc` and `nal_unit_type`.
const SPS: u8 = 0x67;
const PPS: u8 = 0x68;
const IDR: u8 = 0x65;

const PROFILE_BASELINE: u8 = 66;
/// `constraint_set0_flag` and `constraint_set1_flag`: Constrained Baseline.
const CONSTRAINTS: u8 = 0xc0;
/// The most macroblocks of a picture of each level (H.264, table A-1).
const LEVELS: [(u32, u8); 4] = [(1_620, 30), (3_600, 31), (8_192, 40), (u32::MAX, 51)];

/// Black in the limited range of Y′CbCr.
const LUMA: u8 = 16;
const CHROMA: u8 = 128;
const LUMA_SAMPLES: usize = 256;
const CHROMA_SAMPLES: usize = 128;

/// `mb_type` in an I slice: raw samples, and a macroblock of one colour that its neighbours predict.
const MB_I_PCM: u32 = 25;
const MB_DC: u32 = 3;
const SLICE_TYPE_ONLY_I: u32 = 7;

/// The parameter sets of a black picture, which is `width` by `height` pixels large.
pub(super) fn black_sets(width: u16, height: u16) -> ParameterSets {
    let (columns, rows) = macroblocks(width, height);
    let level = LEVELS.iter().find(|(most, _)| columns * rows <= *most).map_or(51, |level| level.1);
    let mut sps = Bits::default();
    [PROFILE_BASELINE, CONSTRAINTS, level].into_iter().for_each(|byte| sps.put(byte.into(), 8));
    // The set's id, `log2_max_frame_num_minus4`, `pic_order_cnt_type`, `max_num_ref_frames`.
    [0, 0, 2, 1].into_iter().for_each(|number| sps.number(number));
    sps.put(0, 1);
    sps.number(columns - 1);
    sps.number(rows - 1);
    // Frames, not fields; `direct_8x8_inference_flag`.
    sps.put(0b11, 2);
    // The crop counts pairs of pixels.
    let (cut_x, cut_y) = (columns * 16 - u32::from(width), rows * 16 - u32::from(height));
    sps.put(u32::from(cut_x + cut_y > 0), 1);
    if cut_x + cut_y > 0 {
        [0, cut_x / 2, 0, cut_y / 2].into_iter().for_each(|number| sps.number(number));
    }
    // `vui_parameters_present_flag`.
    sps.put(0, 1);

    let mut pps = Bits::default();
    // The ids of both sets; CAVLC; one slice group, one reference, no weights.
    pps.number(0);
    pps.number(0);
    pps.put(0, 2);
    [0, 0, 0].into_iter().for_each(|number| pps.number(number));
    pps.put(0, 3);
    // The differences of quantization; the slice header says that there is no deblocking.
    [0, 0, 0].into_iter().for_each(|number| pps.number(number));
    pps.put(0b100, 3);
    ParameterSets { sps: sps.unit(SPS), pps: vec![pps.unit(PPS)] }
}

/// A black key frame for [`black_sets`]: its slice. Adjacent pictures must have different numbers.
pub(super) fn black_slice(width: u16, height: u16, number: u32) -> Vec<u8> {
    let (columns, rows) = macroblocks(width, height);
    let mut bits = Bits::default();
    // The first macroblock, the type, the set; `frame_num`, `idr_pic_id`.
    [0, SLICE_TYPE_ONLY_I, 0].into_iter().for_each(|number| bits.number(number));
    bits.put(0, 4);
    bits.number(number % 2);
    // No long-term reference; no change of quantization; no deblocking.
    bits.put(0, 2);
    bits.number(0);
    bits.number(1);
    bits.number(MB_I_PCM);
    bits.align();
    (0..LUMA_SAMPLES).for_each(|_| bits.put(LUMA.into(), 8));
    (0..CHROMA_SAMPLES).for_each(|_| bits.put(CHROMA.into(), 8));
    for index in 1..columns * rows {
        bits.number(MB_DC);
        // `intra_chroma_pred_mode`, `mb_qp_delta`.
        bits.number(0);
        bits.number(0);
        // No coefficients: the code of `coeff_token` depends on the neighbours, of which only raw ones have any (H.264,
        // section 9.2.1).
        match index == 1 || index == columns {
            true => bits.put(0b00_0011, 6),
            false => bits.put(1, 1),
        }
    }
    bits.unit(IDR)
}

fn macroblocks(width: u16, height: u16) -> (u32, u32) {
    (u32::from(width.max(1)).div_ceil(16), u32::from(height.max(1)).div_ceil(16))
}

/// Bits, the most significant first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// The bits of the last byte that are used; 0 if it is full.
    used: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            if self.used == 0 {
                self.bytes.push(0);
            }
            let last = self.bytes.len() - 1;
            self.bytes[last] |= ((value >> bit & 1) as u8) << (7 - self.used);
            self.used = (self.used + 1) % 8;
        }
    }

    /// An unsigned Exponential-Golomb number. A signed 0 is the same code.
    fn number(&mut self, number: u32) {
        let bits = u32::BITS - (number + 1).leading_zeros();
        self.put(0, bits - 1);
        self.put(number + 1, bits);
    }

    fn align(&mut self) {
        self.used = 0;
    }

    /// The NAL unit of these bits, with emulation prevention.
    fn unit(mut self, kind: u8) -> Vec<u8> {
        // `rbsp_stop_one_bit`; the rest of the byte is zero.
        self.put(1, 1);
        let mut unit = vec![kind];
        let mut zeros = 0;
        for byte in self.bytes {
            if zeros >= 2 && byte <= 3 {
                unit.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            unit.push(byte);
        }
        unit
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::sps::parse_sps;
    use super::*;

    #[test]
    fn the_sets_say_the_size_of_the_picture() {
        for (width, height) in [(16, 16), (320, 180), (640, 360), (1280, 720), (1920, 1080)] {
            let picture = parse_sps(&black_sets(width, height).sps).unwrap();
            assert_eq!((picture.width, picture.height), (width, height));
        }
    }

    #[test]
    fn a_macroblock_takes_a_byte_and_adjacent_pictures_differ() {
        let slice = black_slice(1280, 720, 0);
        assert!((3_900..4_100).contains(&slice.len()), "{}", slice.len());
        assert_ne!(slice, black_slice(1280, 720, 1));
    }
}
