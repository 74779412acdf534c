//! Audio recordings, decoded by FFmpeg.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use rtmsd::model::{SpeakerKey, SpeakerUserId, UserId};
use rtmsd::sinks::record::track::{Coding, Mix, Track, TrackKind, WavFormat};
use tempfile::TempDir;

use super::tools::{ORIGIN_MS, duration_s, number, packets, probe, probe_header, samples, track};

const L16: WavFormat = WavFormat { coding: Coding::L16, rate_hz: 16_000, channels: 1 };
const A_LAW: WavFormat = WavFormat { coding: Coding::ALaw, rate_hz: 8_000, channels: 1 };
const G722: WavFormat = WavFormat { coding: Coding::G722, rate_hz: 16_000, channels: 1 };
const HOUR_MS: i64 = 3_600_000;

fn who(number: u64) -> SpeakerKey {
    SpeakerKey::User(SpeakerUserId::Number(UserId(number)))
}

fn desk(name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    (folder, path)
}

/// Frame `index` of a tone that differs in every frame.
fn tone(index: i64, samples: i64) -> Vec<i16> {
    (index * samples..(index + 1) * samples).map(|at| (at * 37 % 20_000 - 10_000) as i16).collect()
}

fn bytes(samples: &[i16]) -> Bytes {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn write_tone(track: &mut Track, frames: impl IntoIterator<Item = i64>, samples: i64) {
    for index in frames {
        track.write(ORIGIN_MS + 20 * index, &bytes(&tone(index, samples))).unwrap();
    }
}

#[test]
fn ffmpeg_decodes_exactly_the_samples_that_were_written() {
    for (rate_hz, channels) in [(16_000, 1), (48_000, 2), (8_000, 1), (32_000, 2)] {
        let (_folder, path) = desk("ana.wav");
        let format = WavFormat { rate_hz, channels, ..L16 };
        let mut track = track(&path, TrackKind::Wav(format));
        let per_frame = i64::from(rate_hz) / 50 * i64::from(channels);
        write_tone(&mut track, (0..100).chain(150..200), per_frame);
        track.finish().unwrap();

        let probed = probe(&path);
        let stream = &probed["streams"][0];
        assert_eq!(stream["codec_name"], "pcm_s16le");
        assert_eq!(number(&stream["sample_rate"]), f64::from(rate_hz));
        assert_eq!(stream["channels"], channels);
        assert_eq!(number(&stream["duration"]), 4.0);
        let mut expected: Vec<i16> = (0..200).flat_map(|index| tone(index, per_frame)).collect();
        expected[100 * per_frame as usize..150 * per_frame as usize].fill(0);
        assert!(samples(&path) == expected, "{rate_hz} Hz, {channels} channels");
    }
}

#[test]
fn a_wav_of_a_killed_process_plays_as_it_is() {
    let (_folder, path) = desk("ana.wav");
    let mut track = track(&path, TrackKind::Wav(L16));
    write_tone(&mut track, 0..100, 320);
    track.sync().unwrap();
    write_tone(&mut track, 100..110, 320);
    std::mem::forget(track);
    assert_eq!(duration_s(&path), 2.0);
    let expected: Vec<i16> = (0..100).flat_map(|index| tone(index, 320)).collect();
    assert!(samples(&path) == expected);
}

#[test]
fn g711_plays_as_a_law_with_silence_between_speech() {
    let (_folder, path) = desk("ana.wav");
    let mut track = track(&path, TrackKind::Wav(A_LAW));
    track.write(ORIGIN_MS, &Bytes::from_static(&[0xaa; 160])).unwrap();
    track.write(ORIGIN_MS + 1000, &Bytes::from_static(&[0x2a; 160])).unwrap();
    track.finish().unwrap();
    assert_eq!(probe(&path)["streams"][0]["codec_name"], "pcm_alaw");
    let samples = samples(&path);
    assert_eq!(samples.len(), 8160);
    // The loudest codes, and the quietest between them.
    assert_eq!(samples[..160], [32_256; 160]);
    assert!(samples[160..8000].iter().all(|sample| *sample == 8));
    assert_eq!(samples[8000..], [-32_256; 160]);
}

#[test]
fn g722_plays_and_its_silence_is_silent() {
    let (_folder, path) = desk("ana.wav");
    let mut track = track(&path, TrackKind::Wav(G722));
    let frame = || Bytes::from(vec![0xff; 160]);
    track.write(ORIGIN_MS, &frame()).unwrap();
    track.write(ORIGIN_MS + 10_000, &frame()).unwrap();
    track.finish().unwrap();
    let stream = &probe(&path)["streams"][0];
    assert_eq!(stream["codec_name"], "adpcm_g722");
    assert_eq!(number(&stream["sample_rate"]), 16_000.0);
    assert_eq!(number(&stream["duration"]), 10.02);
    let samples = samples(&path);
    assert_eq!(samples.len(), 160_320);
    assert!(samples.iter().all(|sample| sample.abs() < 50));
}

#[test]
fn a_wav_of_more_than_four_gigabytes_has_its_length() {
    let (_folder, path) = desk("ana.wav");
    let stereo = WavFormat { rate_hz: 48_000, channels: 2, ..L16 };
    let mut track = track(&path, TrackKind::Wav(stereo));
    write_tone(&mut track, (0..5).map(|index| 7 * HOUR_MS / 20 + index), 1920);
    track.finish().unwrap();
    assert!(fs::metadata(&path).unwrap().len() > 1 << 32);
    assert_eq!(number(&probe_header(&path)["streams"][0]["duration"]), 25_200.1);
}

#[test]
fn the_mix_is_the_sum_of_the_voices() {
    let (_folder, path) = desk("mix.wav");
    let mut mix = Mix::create(&path, L16, ORIGIN_MS).unwrap();
    for index in 0..100 {
        let tone = bytes(&tone(index, 320));
        mix.write(ORIGIN_MS + 20 * index, &who(1), &tone).unwrap();
        if index >= 50 {
            mix.write(ORIGIN_MS + 20 * index, &who(2), &bytes(&[5; 320])).unwrap();
        }
    }
    mix.finish().unwrap();
    let one: Vec<i16> = (0..100).flat_map(|index| tone(index, 320)).collect();
    let other = std::iter::repeat_n(0, 16_000).chain(std::iter::repeat(5));
    let sum: Vec<i16> = one.iter().zip(other).map(|(one, other)| one + other).collect();
    assert!(samples(&path) == sum);
}

#[test]
fn opus_plays_from_ogg_with_silence_between_speech() {
    let (_folder, path) = desk("ana.ogg");
    let voice = packets(include_bytes!("../../../src/simulator/picture/voice-0.packets"));
    let mut track = track(&path, TrackKind::Ogg { channels: 1 });
    for (index, packet) in voice.iter().enumerate().take(100) {
        let offset_ms = 1000 + 20 * index as i64;
        track.write(ORIGIN_MS + offset_ms, packet).unwrap();
        track.write(ORIGIN_MS + 10_000 + offset_ms, packet).unwrap();
    }
    // In the order of their times, as Zoom sends them.
    track.finish().unwrap();
    assert_eq!(duration_s(&path), 13.0);
}

#[test]
fn an_ogg_of_a_killed_process_plays_and_is_continued() {
    let (_folder, path) = desk("ana.ogg");
    let voice = packets(include_bytes!("../../../src/simulator/picture/voice-1.packets"));
    let speak = |track: &mut Track, from_ms: i64| {
        for (index, packet) in voice.iter().enumerate().take(100) {
            track.write(ORIGIN_MS + from_ms + 20 * index as i64, packet).unwrap();
        }
    };
    let kind = TrackKind::Ogg { channels: 1 };
    let mut killed = track(&path, kind);
    speak(&mut killed, 1000);
    killed.sync().unwrap();
    assert_eq!(duration_s(&path), 3.0);
    speak(&mut killed, 3000);
    killed.sync().unwrap();
    drop(killed);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 100).unwrap();

    let mut resumed = track(&path, kind);
    speak(&mut resumed, 8000);
    resumed.finish().unwrap();
    assert_eq!(duration_s(&path), 10.0);
    let loudness = |from_ms: usize, to_ms: usize| {
        let samples = samples(&path);
        assert_eq!(samples.len(), 480_000);
        samples[48 * from_ms..48 * to_ms].iter().map(|sample| sample.abs()).max().unwrap()
    };
    assert_eq!(loudness(0, 1000), 0);
    assert!(loudness(1000, 3000) > 1000);
    assert!(loudness(6000, 8000) < 10);
    assert!(loudness(8000, 10_000) > 1000);
}
