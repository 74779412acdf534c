//! Parses the length of an Opus packet (RFC 6716, section 3; pure).

/// Opus counts samples at 48 kHz, whatever the input rate.
pub(in crate::sinks::record::track) const SAMPLES_PER_MS: u64 = 48;

const MAX_PACKET_SAMPLES: u64 = 120 * SAMPLES_PER_MS;

/// The number of samples in a packet; `None` if it is not an Opus packet.
pub(in crate::sinks::record::track) fn packet_samples(packet: &[u8]) -> Option<u64> {
    let first = *packet.first()?;
    let config = first >> 3;
    // Frame lengths of SILK, hybrid and CELT (RFC 6716, table 2).
    let frame = match config {
        0..12 => [480, 960, 1920, 2880][usize::from(config % 4)],
        12..16 => [480, 960][usize::from(config % 2)],
        _ => [120, 240, 480, 960][usize::from(config % 4)],
    };
    // The code of the frame count (RFC 6716, section 3.2).
    let frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u64::from(packet.get(1)? & 0x3f),
    };
    let samples = frame * frames;
    (1..=MAX_PACKET_SAMPLES).contains(&samples).then_some(samples)
}

/// This much silence, rounded down to 20 ms: packets of up to six full-band frames that decode to zero.
pub(in crate::sinks::record::track) fn silent_packets(
    samples: u64,
    channels: u8,
) -> impl Iterator<Item = Vec<u8>> {
    const FRAME: u64 = 20 * SAMPLES_PER_MS;
    const FRAMES_PER_PACKET: u64 = 6;
    let frames = samples / FRAME;
    let packets = frames.div_ceil(FRAMES_PER_PACKET);
    (0..packets).map(move |index| {
        let here = (frames - index * FRAMES_PER_PACKET).min(FRAMES_PER_PACKET) as u8;
        // Config 31 (full-band CELT, 20 ms), mono or stereo, code 3: the next byte counts the frames.
        let mut packet = vec![if channels == 2 { 0xff } else { 0xfb }, here];
        packet.extend([0xff, 0xfe].repeat(here.into()));
        packet
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_determine_the_length_of_a_packet() {
        assert_eq!(packet_samples(&[0xf8, 0xff, 0xfe]), Some(960));
        assert_eq!(packet_samples(&[0x78]), Some(960));
        assert_eq!(packet_samples(&[0x18]), Some(2880));
        assert_eq!(packet_samples(&[0x81]), Some(240));
        assert_eq!(packet_samples(&[0xfb, 6]), Some(5760));
        assert_eq!(packet_samples(&[0xfb, 7]), None);
        assert_eq!(
            (packet_samples(&[]), packet_samples(&[0xfb]), packet_samples(&[0xfb, 0])),
            (None, None, None)
        );
    }

    #[test]
    fn silence_is_as_long_as_it_should_be() {
        for ms in [0, 19, 20, 119, 120, 140, 3_600_010] {
            let packets = silent_packets(ms * SAMPLES_PER_MS, 1);
            let sum: u64 = packets.map(|packet| packet_samples(&packet).unwrap()).sum();
            assert_eq!(sum, ms / 20 * 20 * SAMPLES_PER_MS);
        }
    }
}
