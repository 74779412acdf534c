//! Encodes the voices of a script as audio frames of the negotiated codec (pure).
//!
//! L16 and G.711 A-law are encoded from the script's samples. Opus is not encoded: while a person speaks, the frames
//! repeat one recorded sentence, of which there are three voices. Each frame is one packet of 20 ms, the only legal
//! send rate of Opus (section 8.2), and mono even where stereo was negotiated, which decoders accept. Opus silence
//! is the usual three-byte packet. G.722 frames contain only silence. RTP content has the same bytes, without RTP
//! headers.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::sync::{Arc, LazyLock};

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::script::{Script, Utterance, Voice};
use crate::model::from_a_law;
use crate::rtms::server::params::{AudioParams, G711, G722, L16, OPUS};

/// The sample rate of recordings.
const CLIP_HZ: i64 = 8_000;
/// The peak of a tone: about -32 dBFS, so that several mixed tones do not clip.
const TONE_PEAK: f64 = 800.0;
const OPUS_PACKET_MS: i64 = 20;

/// The bytes of a frame, encoded as they are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payload {
    pub base64: Arc<str>,
    /// The number of bytes before base64.
    pub length: usize,
}

impl Payload {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { base64: BASE64_STANDARD.encode(bytes).into(), length: bytes.len() }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        BASE64_STANDARD.decode(self.base64.as_bytes()).expect("Payload::of encoded it")
    }
}

/// Encodes frames with one set of parameters. Frames of silence and of tones are encoded once and reused.
pub(super) struct Encoder {
    params: AudioParams,
    silence: Payload,
    tones: BTreeMap<u32, Payload>,
}

impl Encoder {
    pub(super) fn new(params: AudioParams, script: &Script) -> Self {
        let silence = encode_samples(&params, &vec![0; samples_per_frame(&params)]);
        let mut tones = BTreeMap::new();
        for utterance in script.utterances.iter() {
            if let Voice::Tone { hz } = utterance.voice {
                tones.entry(hz).or_insert_with(|| encode_samples(&params, &sine_wave(hz, &params)));
            }
        }
        Self { params, silence, tones }
    }

    /// The frame of one utterance that begins at `from_ms` in the script.
    pub(super) fn single_voice(&self, utterance: &Utterance, from_ms: i64) -> Payload {
        if self.params.codec == OPUS {
            let index = (from_ms - i64::from(utterance.start_ms)) / OPUS_PACKET_MS;
            // Negative in a frame that begins before the utterance.
            return voice_packet(utterance.who, index.max(0) as usize);
        }
        match (&utterance.voice, self.covers(utterance, from_ms)) {
            // Reused only if the tone fills the whole frame; at an edge part of the frame is silent.
            (Voice::Tone { hz }, true) => self.tones[hz].clone(),
            (Voice::Timestamp(clock), _) => timestamped_frame(clock(), self.silence.length),
            _ => encode_samples(&self.params, &self.samples(utterance, from_ms)),
        }
    }

    /// The frame that mixes these utterances; silence if there are none.
    pub(super) fn mixed_voices(&self, utterances: &[&Utterance], from_ms: i64) -> Payload {
        match utterances {
            [] => self.silence.clone(),
            [one] => self.single_voice(one, from_ms),
            // Encoded packets cannot be mixed, so the first speaker is heard alone.
            [first, ..] if self.params.codec == OPUS => self.single_voice(first, from_ms),
            [first, others @ ..] => {
                let mut sum = self.samples(first, from_ms);
                for other in others {
                    let samples = self.samples(other, from_ms);
                    sum.iter_mut().zip(samples).for_each(|(s, more)| *s = s.saturating_add(more));
                }
                encode_samples(&self.params, &sum)
            }
        }
    }

    /// Whether the utterance lasts for the whole frame.
    fn covers(&self, utterance: &Utterance, from_ms: i64) -> bool {
        i64::from(utterance.start_ms) <= from_ms
            && from_ms + self.params.send_rate <= i64::from(utterance.end_ms())
    }

    /// The utterance's samples in a frame, silent before its start and after its end.
    fn samples(&self, utterance: &Utterance, from_ms: i64) -> Vec<i16> {
        let rate = sample_rate_hz(&self.params);
        let mut samples = match &utterance.voice {
            Voice::Tone { hz } => sine_wave(*hz, &self.params),
            Voice::Clip(clip) => {
                let first = (from_ms - i64::from(utterance.start_ms)) * rate / 1000;
                let frame = first..first + samples_per_frame(&self.params) as i64;
                frame.map(|index| clip_sample(clip, index, rate)).collect()
            }
            // A timestamp does not survive mixing.
            Voice::Timestamp(_) => vec![0; samples_per_frame(&self.params)],
        };
        for (index, sample) in samples.iter_mut().enumerate() {
            let at_ms = from_ms + index as i64 * 1000 / rate;
            let spoken = i64::from(utterance.start_ms)..i64::from(utterance.end_ms());
            if !spoken.contains(&at_ms) {
                *sample = 0;
            }
        }
        samples
    }
}

/// The utterances that are heard between two times of the script, the latest first and at most `limit`.
pub(super) fn utterances_between(
    script: &Script,
    from_ms: i64,
    to_ms: i64,
    limit: usize,
) -> Vec<&Utterance> {
    let all = &script.utterances;
    // A binary search: utterances are sorted by start, and this runs for every frame.
    let started = all.partition_point(|utterance| i64::from(utterance.start_ms) < to_ms);
    let sounding = all[..started].iter().rev().take(LOOK_BACK);
    sounding.filter(|utterance| i64::from(utterance.end_ms()) > from_ms).take(limit).collect()
}

/// How many earlier utterances are searched for ones that are still heard. Bounds the cost of a frame.
const LOOK_BACK: usize = 8;

pub(super) fn sample_rate_hz(params: &AudioParams) -> i64 {
    match params.sample_rate {
        0 => 8_000,
        1 => 16_000,
        2 => 32_000,
        _ => 48_000,
    }
}

fn samples_per_frame(params: &AudioParams) -> usize {
    // The cast is safe: both factors are positive and small, because `negotiate` checked them.
    (sample_rate_hz(params) * params.send_rate / 1000) as usize
}

/// One frame of a tone, starting at phase zero. Frames hold whole periods, so consecutive frames join smoothly.
fn sine_wave(hz: u32, params: &AudioParams) -> Vec<i16> {
    let step = TAU * f64::from(hz) / sample_rate_hz(params) as f64;
    (0..samples_per_frame(params)).map(|n| (TONE_PEAK * (step * n as f64).sin()) as i16).collect()
}

/// Sample `index` of a clip that is resampled from 8 kHz A-law to `rate`, with linear interpolation.
fn clip_sample(clip: &[u8], index: i64, rate: i64) -> i16 {
    let at = |position: i64| {
        let byte = usize::try_from(position).ok().and_then(|position| clip.get(position));
        byte.map_or(0, |byte| i64::from(from_a_law(*byte)))
    };
    let (position, rest) = (index * CLIP_HZ / rate, index * CLIP_HZ % rate);
    // Beyond either end of the clip is silence.
    let (here, next) = (at(position), at(position + 1));
    (here + (next - here) * rest / rate) as i16
}

fn encode_samples(params: &AudioParams, mono: &[i16]) -> Payload {
    let bytes = match params.codec {
        // Little-endian, unlike L16 in RFC 3551 (section 9).
        L16 => {
            let copies = params.channel as usize;
            let channels = mono.iter().flat_map(|sample| std::iter::repeat_n(*sample, copies));
            channels.flat_map(i16::to_le_bytes).collect()
        }
        G711 => mono.iter().map(|sample| to_a_law(*sample)).collect(),
        // One byte for two samples.
        G722 => vec![0xfa; mono.len() / 2],
        _ => opus_silence(params.channel),
    };
    Payload::of(&bytes)
}

/// A frame of `length` bytes that starts with a timestamp; the rest is zero.
fn timestamped_frame(timestamp: u64, length: usize) -> Payload {
    let mut bytes = timestamp.to_le_bytes().to_vec();
    bytes.resize(length.max(bytes.len()), 0);
    Payload::of(&bytes)
}

/// Packet `index` of the voice of the person with this index.
fn voice_packet(who: usize, index: usize) -> Payload {
    let packets = &VOICES[who % VOICES.len()];
    packets[index % packets.len()].clone()
}

/// Opus packets of three voices. `picture/make-pictures.sh` makes them from the demo's recordings.
static VOICES: LazyLock<[Vec<Payload>; 3]> = LazyLock::new(|| {
    [
        split_packets(include_bytes!("picture/voice-0.packets")),
        split_packets(include_bytes!("picture/voice-1.packets")),
        split_packets(include_bytes!("picture/voice-2.packets")),
    ]
});

/// Splits a file of packets, each of which follows its length in one byte.
fn split_packets(mut file: &[u8]) -> Vec<Payload> {
    let mut packets = Vec::new();
    while let Some((length, rest)) = file.split_first() {
        let (packet, rest) = rest.split_at(usize::from(*length));
        packets.push(Payload::of(packet));
        file = rest;
    }
    packets
}

/// A full-band packet of 20 ms that decodes to silence. Bit 2 of its first byte means stereo (RFC 6716, 3.1).
fn opus_silence(channel: i64) -> Vec<u8> {
    vec![if channel == 2 { 0xfc } else { 0xf8 }, 0xff, 0xfe]
}

/// Encodes a sample as ITU-T G.711 A-law.
fn to_a_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0 } else { 0x80 };
    // One's complement for negative samples, as in the standard's tables: -1 encodes like 0, but for the sign.
    let magnitude = (if sample < 0 { !sample } else { sample } as u16) >> 4;
    let code = match magnitude {
        0..16 => magnitude,
        _ => {
            let segment = magnitude.ilog2() as u16 - 3;
            (segment << 4) | ((magnitude >> (segment - 1)) & 0x0f)
        }
    };
    (code as u8 | sign) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    const L16_16K: AudioParams = AudioParams {
        content_type: 2,
        sample_rate: 1,
        channel: 1,
        codec: L16,
        data_opt: 2,
        send_rate: 20,
    };

    fn utterance(voice: Voice) -> Utterance {
        let text = String::new();
        Utterance { who: 0, text, start_ms: 100, duration_ms: 200, language: 9, voice }
    }

    fn l16(payload: &Payload) -> Vec<i16> {
        payload.bytes().chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }

    #[test]
    fn every_a_law_byte_survives_decoding_and_encoding() {
        for byte in 0..=255 {
            assert_eq!(to_a_law(from_a_law(byte)), byte);
        }
        assert_eq!((from_a_law(0xd5), from_a_law(0x55)), (8, -8));
        assert_eq!((from_a_law(0xaa), from_a_law(0x2a)), (32256, -32256));
    }

    #[test]
    fn a_frame_of_l16_at_16_khz_is_640_bytes() {
        let encoder = Encoder::new(L16_16K, &Script::load(1));
        let frame = encoder.single_voice(&utterance(Voice::Tone { hz: 200 }), 120);
        assert_eq!((frame.length, frame.base64.len()), (640, 856));
        assert!(l16(&frame).iter().any(|sample| *sample > 700));
    }

    #[test]
    fn a_frame_starts_with_its_timestamp() {
        let encoder = Encoder::new(L16_16K, &Script::load(1));
        let frame = encoder.single_voice(&utterance(Voice::Timestamp(|| 0x0102)), 120).bytes();
        assert_eq!((frame.len(), &frame[..9]), (640, &[2, 1, 0, 0, 0, 0, 0, 0, 0][..]));
    }

    #[test]
    fn a_clip_is_resampled_and_followed_by_silence() {
        let clip: Arc<[u8]> = vec![0xaa; 800].into();
        let encoder = Encoder::new(L16_16K, &Script::load(1));
        let spoken = utterance(Voice::Clip(clip));
        assert!(l16(&encoder.single_voice(&spoken, 120)).iter().all(|sample| *sample == 32256));
        assert!(l16(&encoder.single_voice(&spoken, 240)).iter().all(|sample| *sample == 0));
    }

    #[test]
    fn a_frame_that_begins_before_the_utterance_is_silent_up_to_its_start() {
        let encoder = Encoder::new(L16_16K, &Script::load(1));
        let clip: Arc<[u8]> = vec![0xaa; 800].into();
        let samples = l16(&encoder.single_voice(&utterance(Voice::Clip(clip)), 90));
        assert!(samples[..160].iter().all(|sample| *sample == 0));
        assert!(samples[160..].iter().all(|sample| *sample == 32256));
    }

    #[test]
    fn stereo_repeats_each_sample_and_a_law_is_one_byte_a_sample() {
        let stereo = AudioParams { channel: 2, ..L16_16K };
        let frame = Encoder::new(stereo, &Script::load(1)).mixed_voices(&[], 0);
        assert_eq!(frame.length, 1280);
        let g711 = AudioParams { codec: G711, sample_rate: 0, ..L16_16K };
        let frame = Encoder::new(g711, &Script::load(1)).mixed_voices(&[], 0);
        assert_eq!(frame.bytes(), vec![0xd5; 160]);
    }

    fn opus() -> Encoder {
        let params = AudioParams { codec: OPUS, sample_rate: 3, channel: 2, ..L16_16K };
        Encoder::new(params, &Script::load(1))
    }

    #[test]
    fn opus_is_silent_when_nobody_speaks() {
        assert_eq!(opus().mixed_voices(&[], 0).bytes(), [0xfc, 0xff, 0xfe]);
    }

    #[test]
    fn opus_voices_are_consecutive_packets_of_20_ms_that_repeat() {
        for voice in VOICES.iter() {
            for packet in voice {
                let first = packet.bytes()[0];
                // The configuration gives mode and duration; code 0 is one frame (RFC 6716, section 3.1).
                let (config, code) = (first >> 3, first & 3);
                let is_20_ms = match config {
                    0..12 => config % 4 == 1,
                    12..16 => config % 2 == 1,
                    _ => config % 4 == 3,
                };
                assert!(is_20_ms && code == 0, "config {config}, code {code}");
            }
        }
        let (encoder, spoken) = (opus(), utterance(Voice::Tone { hz: 200 }));
        assert_eq!(encoder.single_voice(&spoken, 100), VOICES[0][0]);
        assert_eq!(encoder.mixed_voices(&[&spoken, &spoken], 140), VOICES[0][2]);
        let all_ms = 20 * VOICES[0].len() as i64;
        assert!(all_ms > 2_000);
        assert_eq!(encoder.single_voice(&spoken, 100 + all_ms), VOICES[0][0]);
    }

    #[test]
    fn overlapping_voices_are_mixed_by_addition() {
        let encoder = Encoder::new(L16_16K, &Script::load(1));
        let one = utterance(Voice::Tone { hz: 200 });
        let alone = l16(&encoder.mixed_voices(&[&one], 120));
        let both = l16(&encoder.mixed_voices(&[&one, &one], 120));
        assert!(alone.iter().zip(both).all(|(one, two)| one * 2 == two));
    }

    #[test]
    fn the_load_script_always_has_one_speaker() {
        let script = Script::load(3);
        for from_ms in (0..3000).step_by(20) {
            assert_eq!(utterances_between(&script, from_ms, from_ms + 20, 3).len(), 1);
        }
        assert!(utterances_between(&script, 3000, 3020, 3).is_empty());
    }
}
