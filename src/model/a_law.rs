//! Decodes ITU-T G.711 A-law (pure).

/// The sample that a byte of A-law stands for.
pub fn from_a_law(byte: u8) -> i16 {
    // A-law inverts every other bit on the line.
    let bits = byte ^ 0x55;
    let (segment, step) = ((bits >> 4) & 7, i16::from(bits & 0x0f));
    let magnitude = match segment {
        0 => (step << 4) + 8,
        _ => ((step << 4) + 0x108) << (segment - 1),
    };
    if bits & 0x80 == 0 { -magnitude } else { magnitude }
}
