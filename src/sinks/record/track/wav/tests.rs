//! Audio as WAV.

mod overlap;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;

use super::*;
use crate::model::{SpeakerKey, SpeakerUserId, UserId};
use crate::sinks::record::track::{Mix, Track, TrackKind};

const ORIGIN_MS: i64 = 1_763_600_000_000;
const HOUR_MS: i64 = 3_600_000;
const L16: WavFormat = WavFormat { coding: Coding::L16, rate_hz: 16_000, channels: 1 };
const A_LAW: WavFormat = WavFormat { coding: Coding::ALaw, rate_hz: 8_000, channels: 1 };
const FRAME: usize = 640;

struct Desk {
    _folder: TempDir,
    path: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().join("ana.wav"), _folder: folder }
    }

    fn track(&self, format: WavFormat) -> Track {
        Track::resume(&self.path, TrackKind::Wav(format), ORIGIN_MS).unwrap()
    }

    fn mix(&self) -> Mix {
        Mix::resume(&self.path, L16, ORIGIN_MS).unwrap()
    }

    /// The audio in the file, after a check of the header.
    fn sound(&self) -> Vec<u8> {
        let bytes = fs::read(&self.path).unwrap();
        let (format, length) = WavFormat::parse(&bytes).unwrap();
        let sound = bytes[format.header_bytes() as usize..].to_vec();
        assert_eq!(sound.len() as u64, length);
        sound
    }

    fn samples(&self) -> Vec<i16> {
        self.sound().chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }
}

/// 20 ms of one value.
fn frame(sample: i16) -> Bytes {
    sample.to_le_bytes().repeat(FRAME / 2).into()
}

fn write(track: &mut Track, offsets: impl IntoIterator<Item = (i64, i16)>) {
    for (offset_ms, sample) in offsets {
        track.write(ORIGIN_MS + offset_ms, &frame(sample)).unwrap();
    }
}

/// The value of every 20 ms, after a check that it is uniform.
fn values(samples: &[i16]) -> Vec<i16> {
    let chunks = samples.chunks(FRAME / 2);
    chunks.inspect(|chunk| assert!(chunk.iter().all(|s| *s == chunk[0]))).map(|c| c[0]).collect()
}

#[test]
fn consecutive_frames_are_the_file_byte_by_byte() {
    let desk = Desk::new();
    let mut track = desk.track(L16);
    write(&mut track, (0..3000).map(|n| (20 * n, n as i16)));
    let finished = track.finish().unwrap();
    let mut expected = L16.header(3000 * FRAME as u64);
    (0..3000).for_each(|n| expected.extend(frame(n)));
    assert_eq!(fs::read(&desk.path).unwrap(), expected);
    assert_eq!(finished.counts, Counts { written: 3000, ..Counts::default() });
    let bytes = expected.len() as u64;
    let (first_ms, last_ms) = (ORIGIN_MS, ORIGIN_MS + 60_000);
    let path = desk.path.clone();
    assert_eq!(finished.files, [TrackFile { path, bytes, first_ms, last_ms }]);
}

#[test]
fn a_muted_voice_is_silent_for_as_long() {
    let desk = Desk::new();
    let mut track = desk.track(L16);
    write(&mut track, [(40, 1), (60, 2), (160, 3)]);
    track.finish().unwrap();
    assert_eq!(values(&desk.samples()), [0, 0, 1, 2, 0, 0, 0, 0, 3]);
}

#[test]
fn an_hour_of_silence_takes_no_space_but_counts() {
    let desk = Desk::new();
    let mut track = desk.track(L16);
    write(&mut track, [(0, 1)]);
    write(&mut track, (0..10).map(|n| (HOUR_MS + 20 * n, 2)));
    assert_eq!(track.bytes(), (3_600_000 + 200) * 32);
    track.finish().unwrap();
    let metadata = fs::metadata(&desk.path).unwrap();
    assert_eq!(metadata.len(), L16.header_bytes() + (3_600_000 + 200) * 32);
    assert!(metadata.blocks() * 512 < 1 << 20);
    let file = fs::File::open(&desk.path).unwrap();
    let mut around = [0; 2 * FRAME];
    let hour_at = L16.header_bytes() + HOUR_MS as u64 * 32;
    file.read_exact_at(&mut around, hour_at - FRAME as u64).unwrap();
    assert_eq!(around[..FRAME], [0; FRAME]);
    assert_eq!(around[FRAME..], frame(2));
}

#[test]
fn silence_in_a_law_is_not_zero_and_an_odd_file_is_padded() {
    let desk = Desk::new();
    let mut track = desk.track(A_LAW);
    track.write(ORIGIN_MS, &Bytes::from_static(&[1; 160])).unwrap();
    track.write(ORIGIN_MS + 30_000, &Bytes::from_static(&[2; 161])).unwrap();
    track.finish().unwrap();
    let bytes = fs::read(&desk.path).unwrap();
    let sound = &bytes[A_LAW.header_bytes() as usize..];
    assert!(sound[..160].iter().all(|byte| *byte == 1));
    assert!(sound[160..240_000].iter().all(|byte| *byte == 0xd5));
    assert!(sound[240_000..240_161].iter().all(|byte| *byte == 2));
    assert_eq!(sound.len(), 240_162);

    desk.track(A_LAW).finish().unwrap();
    assert_eq!(fs::read(&desk.path).unwrap(), bytes, "the padding is not audio");
}

#[test]
fn timestamps_with_jitter_neither_insert_nor_drop_a_sample() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let desk = Desk::new();
    let mut track = desk.track(L16);
    write(&mut track, (0..500).map(|n| (20 * n + dice.random_range(0..20), n as i16)));
    track.finish().unwrap();
    assert_eq!(values(&desk.samples()), (0..500).collect::<Vec<_>>());
}

#[test]
fn a_lost_frame_leaves_its_place_silent() {
    let desk = Desk::new();
    let mut track = desk.track(L16);
    write(&mut track, [(0, 1), (20, 2), (60, 4), (80, 5)]);
    track.finish().unwrap();
    assert_eq!(values(&desk.samples()), [1, 2, 0, 4, 5]);
}

#[test]
fn frames_out_of_order_are_sorted_and_repeated_frames_dropped() {
    let desk = Desk::new();
    let mut track = desk.track(L16);
    write(&mut track, [(0, 1), (40, 3), (20, 2), (80, 5), (60, 4), (80, 9), (100, 6)]);
    let finished = track.finish().unwrap();
    assert_eq!(values(&desk.samples()), [1, 2, 3, 4, 5, 6]);
    assert_eq!((finished.counts.written, finished.counts.late), (6, 1));
}

#[test]
fn late_audio_fills_silence_and_never_replaces_audio() {
    let desk = Desk::new();
    let mut track = desk.track(L16);
    write(&mut track, (0..50).filter(|n| *n != 5).map(|n| (20 * n, 1)));
    write(&mut track, [(100, 7), (200, 8)]);
    let finished = track.finish().unwrap();
    assert_eq!(finished.counts, Counts { written: 50, late: 1, ..Counts::default() });
    assert_eq!(values(&desk.samples())[4..7], [1, 7, 1]);
}

#[test]
fn an_absurd_time_does_not_cause_an_absurd_file() {
    let desk = Desk::new();
    let mut track = desk.track(L16);
    write(&mut track, [(0, 1), (1_000 * HOUR_MS, 2), (-1, 3), (20, 4)]);
    track.write(i64::MAX, &frame(1)).unwrap();
    track.write(i64::MIN, &frame(1)).unwrap();
    let finished = track.finish().unwrap();
    assert_eq!(values(&desk.samples()), [1, 4]);
    assert_eq!(finished.counts.absurd, 4);
}

#[test]
fn half_a_sample_is_dropped_and_an_empty_frame_counted() {
    let desk = Desk::new();
    let mut track = desk.track(L16);
    track.write(ORIGIN_MS, &Bytes::from_static(&[1, 0, 9])).unwrap();
    track.write(ORIGIN_MS + 20, &Bytes::from_static(&[9])).unwrap();
    assert_eq!(track.finish().unwrap().counts.unreadable, 1);
    assert_eq!(desk.samples(), [1]);
}

#[test]
fn a_track_is_not_created_over_another() {
    let desk = Desk::new();
    fs::write(&desk.path, "precious").unwrap();
    assert!(Track::create(&desk.path, TrackKind::Wav(L16), ORIGIN_MS).is_err());
    let mut track = desk.track(L16);
    write(&mut track, [(0, 1)]);
    let finished = track.finish().unwrap();
    assert_eq!(fs::read(&desk.path).unwrap(), b"precious");
    assert!(finished.files[0].path.ends_with("ana_2.wav"));
}

#[test]
fn a_change_of_format_begins_a_further_file_on_the_same_clock() {
    let desk = Desk::new();
    let mut track = desk.track(L16);
    write(&mut track, [(0, 1)]);
    track.sync().unwrap();
    let stereo = WavFormat { channels: 2, ..L16 };
    let mut track = desk.track(stereo);
    track.write(ORIGIN_MS + 1000, &frame(1)).unwrap();
    let files = track.finish().unwrap().files;
    let spans = files.iter().map(|f| (f.first_ms - ORIGIN_MS, f.last_ms - ORIGIN_MS));
    assert_eq!(spans.collect::<Vec<_>>(), [(0, 20), (0, 1010)]);
    let again = desk.track(stereo).finish().unwrap();
    assert_eq!(again.files, files);
}

#[test]
fn a_file_cut_anywhere_continues_at_the_right_time() {
    let whole = {
        let desk = Desk::new();
        let mut track = desk.track(L16);
        write(&mut track, [(0, 11), (20, 12)]);
        track.sync().unwrap();
        fs::read(&desk.path).unwrap()
    };
    for length in (0..100).chain((100..=whole.len()).step_by(7)) {
        let desk = Desk::new();
        fs::write(&desk.path, &whole[..length]).unwrap();
        let mut track = desk.track(L16);
        write(&mut track, [(100, 13)]);
        let finished = track.finish().unwrap();
        let samples = desk.samples();
        let kept = length.saturating_sub(80) / 2;
        assert_eq!(finished.files.len(), 1, "cut at {length}");
        assert_eq!(samples.len(), 6 * 320, "cut at {length}");
        assert!(samples[..kept].iter().all(|sample| (11..=12).contains(sample)));
        assert!(samples[kept..5 * 320].iter().all(|sample| *sample == 0));
        assert!(samples[5 * 320..].iter().all(|sample| *sample == 13));
    }
}

/// The expected content of the file: every frame at its time, except what was cut off.
#[test]
fn a_walk_of_writing_cutting_and_resuming_keeps_every_sample_in_its_place() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let desk = Desk::new();
    let mut model: Vec<i16> = Vec::new();
    let mut slot = 0;
    for _ in 0..30 {
        let mut track = desk.track(L16);
        for _ in 0..dice.random_range(1..80) {
            slot += if dice.random_ratio(1, 20) { dice.random_range(2..40) } else { 1 };
            let value = dice.random_range(1..i16::MAX);
            write(&mut track, [(20 * slot, value)]);
            model.resize(slot as usize * 320, 0);
            model.extend([value; 320]);
        }
        track.sync().unwrap();
        drop(track);
        assert!(desk.samples() == model);
        let file = fs::OpenOptions::new().write(true).open(&desk.path).unwrap();
        let length = file.metadata().unwrap().len();
        let cut = dice.random_range(0..5_000).min(length);
        file.set_len(length - cut).unwrap();
        model.truncate((length - cut).saturating_sub(80) as usize / 2);
        // The daemon was away for a while.
        slot += dice.random_range(1..100);
    }
    assert!(model.len() > 30 * 320);
}

#[test]
fn a_kill_costs_only_what_was_written_since_the_last_sync() {
    let desk = Desk::new();
    let mut track = desk.track(L16);
    write(&mut track, (0..100).map(|n| (20 * n, 1)));
    track.sync().unwrap();
    write(&mut track, (100..110).map(|n| (20 * n, 2)));
    std::mem::forget(track);
    let mut track = desk.track(L16);
    write(&mut track, [(3000, 3)]);
    track.finish().unwrap();
    let values = values(&desk.samples());
    assert_eq!(values[..100], [1; 100]);
    assert_eq!((values[149], values[150], values.len()), (0, 3, 151));
}

fn say(mix: &mut Mix, who: u64, offsets: impl IntoIterator<Item = i64>, sample: i16) {
    for offset_ms in offsets {
        let who = SpeakerKey::User(SpeakerUserId::Number(UserId(who)));
        mix.write(ORIGIN_MS + offset_ms, &who, &frame(sample)).unwrap();
    }
}

fn every_20_ms(from_ms: i64, to_ms: i64) -> impl Iterator<Item = i64> {
    (from_ms..to_ms).step_by(20)
}

#[test]
fn the_mix_adds_voices_and_stays_at_the_limit() {
    let desk = Desk::new();
    let mut mix = desk.mix();
    for offset_ms in every_20_ms(0, 100) {
        say(&mut mix, 1, [offset_ms], 20_000);
        say(&mut mix, 2, [offset_ms + 40], 15_000);
    }
    say(&mut mix, 3, [200], -30_000);
    say(&mut mix, 4, [200], -30_000);
    assert_eq!(mix.finish().unwrap().counts.written, 12);
    let (loud, low) = (i16::MAX, i16::MIN);
    let expected = [20_000, 20_000, loud, loud, loud, 15_000, 15_000, 0, 0, 0, low];
    assert_eq!(values(&desk.samples()), expected);
}

#[test]
fn a_minute_that_arrives_a_minute_late_is_still_mixed() {
    let desk = Desk::new();
    let mut mix = desk.mix();
    say(&mut mix, 1, every_20_ms(0, 60_000), 100);
    mix.sync().unwrap();
    say(&mut mix, 2, every_20_ms(0, 60_000), 11);
    mix.finish().unwrap();
    assert_eq!(values(&desk.samples()), [111; 3000]);
}

#[test]
fn voices_with_jitter_are_mixed_without_seams_and_repetitions_dropped() {
    let desk = Desk::new();
    let mut mix = desk.mix();
    for offset_ms in every_20_ms(0, 10_000) {
        say(&mut mix, 1, [offset_ms + offset_ms % 7], 100);
        say(&mut mix, 1, [offset_ms + offset_ms % 7], 100);
        say(&mut mix, 2, [offset_ms], 1);
    }
    assert_eq!(mix.finish().unwrap().counts.repeated, 500);
    assert_eq!(values(&desk.samples()), [101; 500]);
}

#[test]
fn a_killed_mix_continues_without_adding_repetitions_twice() {
    let desk = Desk::new();
    let mut mix = desk.mix();
    say(&mut mix, 1, every_20_ms(0, 1000), 100);
    mix.sync().unwrap();
    say(&mut mix, 1, every_20_ms(1000, 1100), 100);
    std::mem::forget(mix);
    let mut mix = desk.mix();
    say(&mut mix, 1, every_20_ms(900, 2000), 100);
    say(&mut mix, 2, every_20_ms(1500, 2000), 1);
    assert_eq!(mix.finish().unwrap().counts.late, 5);
    let values = values(&desk.samples());
    assert_eq!((&values[..75], &values[75..]), (&[100; 75][..], &[101; 25][..]));
}

#[test]
fn only_l16_is_mixed() {
    let desk = Desk::new();
    assert!(Mix::create(&desk.path, A_LAW, ORIGIN_MS).is_err());
    assert!(!desk.path.exists());
}
