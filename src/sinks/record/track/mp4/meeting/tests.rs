//! Tests of films: what is shown and heard when, whatever happens to the process that writes them.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;

use super::black::{black_sets, black_slice};
use super::complete::{Timed, read_samples};
use super::*;
use crate::model::{SpeakerUserId, UserId};
use crate::sinks::record::track::wav::{Coding, WavFormat};
use crate::sinks::record::track::{TrackKind, shift};

const ORIGIN_MS: i64 = 1_763_600_000_000;
const WAV: WavFormat = WavFormat { coding: Coding::L16, rate_hz: 16_000, channels: 1 };
const FORMAT: MeetingFormat =
    MeetingFormat { has_picture: true, sound: Some(SoundFormat::Flac(WAV)) };
const VOICE: Medium = Medium::Audio;

fn who(id: u32) -> Option<SpeakerKey> {
    Some(SpeakerKey::User(SpeakerUserId::Number(UserId(id.into()))))
}

/// A picture with its own number in it: a key frame, or one that depends on others.
fn picture(number: u32, is_key: bool) -> Bytes {
    let sets = black_sets(320, 180);
    let mut frame = Vec::new();
    let mut put = |unit: &[u8]| {
        frame.extend([0, 0, 0, 1]);
        frame.extend_from_slice(unit);
    };
    if is_key {
        put(&sets.sps);
        put(&sets.pps[0]);
    }
    let slice = if is_key { 0x65 } else { 0x41 };
    put(&[&[slice][..], format!("n{number:08}.").as_bytes()].concat());
    frame.into()
}

/// The number in a picture of [`picture`]; none for a black one.
fn number_in(data: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(data.get(data.len() - 9..data.len() - 1)?).ok()?;
    text.parse().ok()
}

/// 20 ms of a voice that is never silent.
fn voice(n: i64) -> Bytes {
    (1 + n as i16 % 1_000).to_le_bytes().repeat(320).into()
}

struct Desk {
    _folder: TempDir,
    path: PathBuf,
    origin_ms: i64,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().join("meeting.mp4"), _folder: folder, origin_ms: ORIGIN_MS }
    }

    fn open(&self) -> Meeting {
        Meeting::resume(&self.path, FORMAT, self.origin_ms, self.origin_ms, false).unwrap()
    }

    /// The samples of picture and sound in the file, and the bytes of the file.
    fn read(&self) -> (Vec<Timed>, Vec<Timed>, Vec<u8>) {
        let Reopened::Film(film) = Fragments::reopen(&self.path).unwrap() else { panic!("a film") };
        let (pictures, sounds) = read_samples(&film).unwrap();
        (pictures, sounds, fs::read(&self.path).unwrap())
    }

    fn shift(&mut self, by_ms: i64) {
        let to_ms = self.origin_ms - by_ms;
        shift::prepare_copies(&self.path, TrackKind::Meeting(FORMAT), self.origin_ms, to_ms)
            .unwrap();
        shift::commit_copies(&self.path, to_ms).unwrap();
        self.origin_ms = to_ms;
    }
}

fn data<'a>(bytes: &'a [u8], (_, entry): &Timed) -> &'a [u8] {
    &bytes[entry.offset as usize..][..entry.bytes as usize]
}

#[test]
fn a_gap_is_black_and_the_film_goes_on_with_a_key_frame() {
    let desk = Desk::new();
    let mut film = desk.open();
    let mut show = |at_ms: i64, number, is_key| {
        let frame = picture(number, is_key);
        film.write(Medium::Video, desk.origin_ms + at_ms, who(1), &frame).unwrap();
    };
    show(1_000, 1, true);
    show(1_040, 2, false);
    show(9_000, 3, false);
    show(9_040, 4, true);
    let counts = film.counts();
    film.finish().unwrap();
    let (pictures, _, bytes) = desk.read();
    let shown = |timed: &Timed| (timed.0, number_in(data(&bytes, timed)));
    let shown: Vec<_> = pictures.iter().map(shown).collect();
    // Black from the start, and when the last picture has stayed long enough.
    let expected = [
        (0, None),
        (1_000, Some(1)),
        (1_040, Some(2)),
        (4_040, None),
        (6_040, None),
        (8_040, None),
        (9_040, Some(4)),
    ];
    assert_eq!(shown, expected);
    assert_eq!(counts.written, 3);
}

#[test]
fn voices_that_are_heard_late_are_in_the_complete_film() {
    let desk = Desk::new();
    let mut film = desk.open();
    for n in 0..500 {
        film.write(VOICE, desk.origin_ms + 20 * n, who(1), &voice(n)).unwrap();
        if n % 50 == 0 {
            film.sync().unwrap();
        }
    }
    let (_, before, _) = desk.read();
    assert!((350..=400).contains(&before.len()), "two seconds are held back: {}", before.len());
    for n in 0..100 {
        film.write(VOICE, desk.origin_ms + 20 * n, who(2), &voice(n)).unwrap();
    }
    film.finish().unwrap();
    complete(&desk.path, &[]).unwrap();
    let whole = fs::read(&desk.path).unwrap();
    // Its blocks, encoded from both voices, are somewhere in the file.
    let format = flac::FlacFormat { rate_hz: 16_000, channels: 1 };
    for n in [0_i64, 50, 99, 100, 499] {
        let sample = i16::from_le_bytes([voice(n)[0], voice(n)[1]]);
        let both = if n < 100 { 2 * sample } else { sample };
        let block = format.frame(n as u32, &both.to_le_bytes().repeat(320));
        assert!(whole.windows(block.len()).any(|window| window == block), "block {n}");
    }
    complete(&desk.path, &[]).unwrap();
    assert_eq!(fs::read(&desk.path).unwrap(), whole, "completing again changes nothing");
}

/// What a random meeting should look like: the time of every picture that was taken.
#[derive(Default)]
struct Expected {
    times: HashMap<u32, i64>,
    keys: HashMap<u32, (bool, u32)>,
}

#[test]
fn whatever_happens_pictures_are_at_their_times_and_can_be_decoded() {
    for round in 0..6 {
        let seed = rand::random();
        println!("seed {seed}, round {round}");
        a_random_meeting(&mut StdRng::seed_from_u64(seed));
    }
}

fn a_random_meeting(dice: &mut StdRng) {
    let mut desk = Desk::new();
    let mut film = desk.open();
    let (mut at_ms, mut camera, mut expected) = (desk.origin_ms, 1, Expected::default());
    for number in 0..3_000 {
        at_ms += if dice.random_bool(0.005) { dice.random_range(1_000..20_000) } else { 40 };
        let has_changed = dice.random_bool(0.02);
        if has_changed {
            camera = dice.random_range(1..4);
        }
        let is_key = has_changed || dice.random_bool(0.1);
        let frame = picture(number, is_key);
        film.write(Medium::Video, at_ms, who(camera), &frame).unwrap();
        expected.times.insert(number, at_ms);
        expected.keys.insert(number, (is_key, camera));
        if dice.random_bool(0.8) {
            film.write(VOICE, at_ms, who(camera), &voice(number.into())).unwrap();
        }
        match dice.random_range(0..1_000) {
            0..40 => film.sync().unwrap(),
            // Killed, and started again.
            40..44 => {
                film.sync().unwrap();
                std::mem::forget(film);
                film = desk.open();
            }
            44..48 => {
                film.finish().unwrap();
                film = desk.open();
            }
            48..50 => {
                film.finish().unwrap();
                desk.shift(20 * dice.random_range(1..500));
                film = desk.open();
            }
            _ => {}
        }
    }
    film.finish().unwrap();
    check_film(&desk, &expected);
    complete(&desk.path, &[]).unwrap();
    check_film(&desk, &expected);
}

fn check_film(desk: &Desk, expected: &Expected) {
    let (pictures, sounds, bytes) = desk.read();
    let shown = pictures.iter().filter_map(|timed| number_in(data(&bytes, timed))).count();
    assert!(shown > 300, "{shown} of {} are shown", expected.times.len());
    let mut before: Option<u32> = None;
    for pair in pictures.windows(2) {
        assert!(pair[0].0 + u64::from(pair[0].1.duration) <= pair[1].0, "{pair:?}");
    }
    for timed in &pictures {
        let number = number_in(data(&bytes, timed));
        if let Some(number) = number {
            let off_ms = desk.origin_ms + timed.0 as i64 - expected.times[&number];
            assert!((0..=40).contains(&off_ms), "picture {number} is {off_ms} ms late");
            let (is_key, camera) = expected.keys[&number];
            let follows =
                before.is_some_and(|before| expected.keys[&before].1 == camera && before < number);
            assert!(is_key || follows, "picture {number} cannot be decoded");
        }
        before = number;
    }
    for pair in sounds.windows(2) {
        assert!(pair[0].0 + u64::from(pair[0].1.duration) <= pair[1].0, "{pair:?}");
    }
}

#[test]
fn a_film_cut_anywhere_goes_on_and_a_foreign_one_is_left_alone() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let desk = Desk::new();
    let mut film = desk.open();
    for number in 0..200 {
        let at_ms = desk.origin_ms + 40 * i64::from(number);
        film.write(Medium::Video, at_ms, who(1), &picture(number, number % 25 == 0)).unwrap();
        film.write(VOICE, at_ms, who(1), &voice(number.into())).unwrap();
        if number % 25 == 24 {
            film.sync().unwrap();
        }
    }
    film.finish().unwrap();
    let grown = fs::read(&desk.path).unwrap();
    complete(&desk.path, &[]).unwrap();
    let whole = fs::read(&desk.path).unwrap();
    for _ in 0..40 {
        let source = if dice.random_bool(0.5) { &grown } else { &whole };
        let length = dice.random_range(0..=source.len());
        fs::write(&desk.path, &source[..length]).unwrap();
        let film = desk.open();
        assert_eq!(film.file.path, desk.path, "cut at {length}");
        film.finish().unwrap();
        fs::read_dir(desk.path.parent().unwrap()).unwrap().for_each(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.ends_with(parts::DAMAGED), "cut at {length}: {name}");
        });
    }
    fs::write(&desk.path, b"precious").unwrap();
    let film = desk.open();
    assert_eq!(film.file.path, parts::part_path(&desk.path, 2));
    assert_eq!(fs::read(&desk.path).unwrap(), b"precious");
}

#[test]
fn another_format_begins_a_further_film_that_starts_then() {
    let desk = Desk::new();
    let mut film = desk.open();
    film.write(VOICE, desk.origin_ms, who(1), &voice(1)).unwrap();
    film.finish().unwrap();
    let other = MeetingFormat { sound: Some(SoundFormat::Opus { channels: 1 }), ..FORMAT };
    let now_ms = desk.origin_ms + 5_010;
    let mut film = Meeting::resume(&desk.path, other, desk.origin_ms, now_ms, false).unwrap();
    let packet = Bytes::from_static(&[0xf8, 0xff, 0xfe]);
    film.write(VOICE, now_ms, None, &packet).unwrap();
    let files = film.finish().unwrap().files;
    assert_eq!(files.len(), 2);
    assert_eq!(files[1].path, parts::part_path(&desk.path, 2));
    assert_eq!(files[1].first_ms, desk.origin_ms + 5_000);
    files.iter().for_each(|file| complete(&file.path, &[]).unwrap());
}

#[test]
fn the_slice_of_a_black_picture_is_not_taken_for_a_numbered_one() {
    assert_eq!(number_in(&black_slice(320, 180, 1)), None);
    assert_eq!(number_in(&picture(77, false)), Some(77));
}
