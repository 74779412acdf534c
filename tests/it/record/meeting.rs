//! Films of whole meetings, decoded by FFmpeg and played by a browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rtmsd::model::{Medium, SpeakerKey, SpeakerUserId, UserId};
use rtmsd::sinks::record::track::{
    Coding, Cue, Meeting, MeetingFormat, SoundFormat, WavFormat, complete_meeting,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::film::watch;
use super::tools::{
    ORIGIN_MS, decode, duration_s, film, packets, probe, samples, with_start_codes,
};
use crate::support::browser::Browser;

const CAMERAS: [&[u8]; 2] = [
    include_bytes!("../../../src/simulator/picture/camera-0.h264"),
    include_bytes!("../../../src/simulator/picture/camera-1.h264"),
];
const SLIDE: &[u8] = include_bytes!("../../../src/simulator/picture/slide.h264");
const OPUS: &[u8] = include_bytes!("../../../src/simulator/picture/voice-0.packets");

const RATE_HZ: u32 = 16_000;
const ANA: u32 = 1;
const BO: u32 = 2;
/// Brightness of a picture of one pixel: black, and a slide.
const BLACK: u8 = 20;
const BRIGHT: u8 = 150;

fn l16() -> Option<SoundFormat> {
    let wav = WavFormat { coding: Coding::L16, rate_hz: RATE_HZ, channels: 1 };
    Some(SoundFormat::Flac(wav))
}

/// A film, and what was put into it.
struct Desk {
    _folder: TempDir,
    path: PathBuf,
    format: MeetingFormat,
    shows_screen: bool,
}

impl Desk {
    fn new(format: MeetingFormat) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meeting.mp4");
        Self { _folder: folder, path, format, shows_screen: false }
    }

    fn open(&self) -> Meeting {
        Meeting::resume(&self.path, self.format, ORIGIN_MS, ORIGIN_MS, self.shows_screen).unwrap()
    }

    fn complete(&self, meeting: Meeting) {
        let files = meeting.finish().unwrap().files;
        files.iter().for_each(|file| complete_meeting(&file.path, &[]).unwrap());
    }
}

fn who(id: u32) -> Option<SpeakerKey> {
    Some(SpeakerKey::User(SpeakerUserId::Number(UserId(id.into()))))
}

/// The frames of a scene as Zoom sends them.
fn frames(stream: &[u8]) -> Vec<Bytes> {
    film(stream).iter().map(|units| with_start_codes(units)).collect()
}

/// Shows this many pictures, 25 per second. Returns their times.
fn shoot(meeting: &mut Meeting, id: u32, stream: &[u8], from_ms: i64, pictures: i64) -> Vec<i64> {
    let medium = if stream == SLIDE { Medium::Share } else { Medium::Video };
    let times: Vec<i64> = (0..pictures).map(|index| from_ms + 40 * index).collect();
    for (frame, at_ms) in frames(stream).iter().cycle().zip(&times) {
        meeting.write(medium, ORIGIN_MS + at_ms, who(id), frame).unwrap();
    }
    times
}

/// A tone of 500 Hz in frames of 20 ms.
fn speak(meeting: &mut Meeting, id: u32, from_ms: i64, to_ms: i64) {
    for at_ms in (from_ms..to_ms).step_by(20) {
        meeting.write(Medium::Audio, ORIGIN_MS + at_ms, who(id), &tone()).unwrap();
    }
}

fn tone() -> Bytes {
    let samples = (0..320).map(|n| if n / 16 % 2 == 0 { 4_000_i16 } else { -4_000 });
    samples.flat_map(i16::to_le_bytes).collect()
}

/// The time of each picture in milliseconds, and its brightness. Decoded at once by ffmpeg.
fn brightness(path: &Path) -> Vec<(i64, u8)> {
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-an", "-sn", "-vf", "scale=1:1:flags=area,format=gray", "-fps_mode", "passthrough"])
        // Otherwise ffmpeg guesses a rate, and warns of pictures that do not keep it.
        .args(["-enc_time_base", "1/1000", "-f", "rawvideo", "-"])
        .output()
        .expect("ffmpeg is there: tests/setup installs it");
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    let times = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            "v",
            "-show_entries",
            "packet=pts_time",
            "-of",
            "csv=p=0",
        ])
        .arg(path)
        .output()
        .unwrap();
    let times = String::from_utf8(times.stdout).unwrap();
    let ms = |line: &str| (line.trim_matches(',').parse::<f64>().unwrap() * 1_000.0).round() as i64;
    let times: Vec<i64> = times.lines().filter(|line| !line.is_empty()).map(ms).collect();
    assert_eq!(times.len(), out.stdout.len(), "every picture is decoded");
    times.into_iter().zip(out.stdout).collect()
}

/// Where each sound begins, in milliseconds.
fn onsets(path: &Path) -> Vec<i64> {
    let sound = samples(path);
    let mut onsets = Vec::new();
    let mut quiet = usize::MAX;
    for (at, sample) in sound.iter().enumerate() {
        if sample.unsigned_abs() < 500 {
            quiet = quiet.saturating_add(1);
            continue;
        }
        if quiet > RATE_HZ as usize / 10 {
            onsets.push(at as i64 * 1_000 / i64::from(RATE_HZ));
        }
        quiet = 0;
    }
    onsets
}

#[test]
fn two_people_take_turns_and_a_gap_is_black_and_silent() {
    let desk = Desk::new(MeetingFormat { has_picture: true, sound: l16() });
    let mut meeting = desk.open();
    let mut times = shoot(&mut meeting, ANA, CAMERAS[0], 400, 40);
    speak(&mut meeting, ANA, 400, 2_000);
    times.extend(shoot(&mut meeting, BO, CAMERAS[1], 2_000, 50));
    speak(&mut meeting, BO, 2_000, 4_000);
    // Nobody is there for 16 seconds.
    times.extend(shoot(&mut meeting, ANA, CAMERAS[0], 20_000, 25));
    speak(&mut meeting, ANA, 20_000, 21_000);
    desk.complete(meeting);

    let seen = brightness(&desk.path);
    let shown: Vec<i64> = seen.iter().map(|(at_ms, _)| *at_ms).collect();
    assert!(times.iter().all(|at_ms| shown.contains(at_ms)), "{shown:?}");
    for (at_ms, luma) in &seen {
        let is_black = !times.contains(at_ms);
        assert_eq!(*luma < BLACK, is_black, "{at_ms} ms: {luma}");
    }
    let black: Vec<i64> = shown.iter().filter(|at_ms| !times.contains(at_ms)).copied().collect();
    assert_eq!(black, [0, 6_960, 8_960, 10_960, 12_960, 14_960, 16_960, 18_960]);
    assert_eq!(onsets(&desk.path), [400, 20_000]);
    let (sound, heard_ms) = (samples(&desk.path), |ms: usize| ms * RATE_HZ as usize / 1_000);
    assert!(sound[heard_ms(4_000)..heard_ms(20_000)].iter().all(|sample| *sample == 0));
    // Lossless.
    let sent: Vec<i16> =
        tone().chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    assert_eq!(sound[heard_ms(400)..heard_ms(420)], sent);
    assert_eq!(duration_s(&desk.path), 21.0);
}

#[test]
fn a_shared_screen_is_shown_if_it_is_wanted_and_the_camera_comes_back() {
    for shows_screen in [true, false] {
        let format = MeetingFormat { has_picture: true, sound: None };
        let desk = Desk { shows_screen, ..Desk::new(format) };
        let mut meeting = desk.open();
        // The screen is shared for three of twelve seconds, beside the camera.
        for at_ms in (0..12_000).step_by(40) {
            let index = at_ms as usize / 40 % 25;
            let camera = &frames(CAMERAS[0])[index];
            meeting.write(Medium::Video, ORIGIN_MS + at_ms, who(ANA), camera).unwrap();
            if (2_000..5_000).contains(&at_ms) {
                let slide = &frames(SLIDE)[index];
                meeting.write(Medium::Share, ORIGIN_MS + at_ms + 20, who(BO), slide).unwrap();
            }
        }
        desk.complete(meeting);
        let seen = brightness(&desk.path);
        let bright = seen.iter().filter(|(_, luma)| *luma > BRIGHT).count();
        assert_eq!(bright, if shows_screen { 75 } else { 0 });
        assert!(seen.last().unwrap().1 < BRIGHT, "the camera is back");
        // The index, at the end, describes the largest picture.
        let whole = fs::read(&desk.path).unwrap();
        let entry = whole.windows(4).rposition(|name| name == b"avc1").unwrap();
        let width = u16::from_be_bytes([whole[entry + 28], whole[entry + 29]]);
        assert_eq!(width, if shows_screen { 640 } else { 320 });
    }
}

#[test]
fn sound_alone_and_pictures_alone_are_films_too() {
    let desk = Desk::new(MeetingFormat { has_picture: false, sound: l16() });
    let mut meeting = desk.open();
    speak(&mut meeting, ANA, 1_000, 3_000);
    desk.complete(meeting);
    let probed = probe(&desk.path);
    assert_eq!(probed["streams"].as_array().unwrap().len(), 1);
    assert_eq!(probed["streams"][0]["codec_name"], "flac");
    assert_eq!((onsets(&desk.path), duration_s(&desk.path)), (vec![1_000], 3.0));

    let desk = Desk::new(MeetingFormat { has_picture: true, sound: None });
    let mut meeting = desk.open();
    shoot(&mut meeting, ANA, CAMERAS[0], 0, 50);
    desk.complete(meeting);
    assert_eq!(decode(&desk.path), (50, String::new()));
}

#[test]
fn mixed_opus_is_in_the_film_as_it_came() {
    let sound = Some(SoundFormat::Opus { channels: 1 });
    let desk = Desk::new(MeetingFormat { has_picture: true, sound });
    let mut meeting = desk.open();
    shoot(&mut meeting, ANA, CAMERAS[0], 0, 100);
    let packets = packets(OPUS);
    for (index, packet) in packets.iter().take(40).enumerate() {
        let at_ms = ORIGIN_MS + 1_000 + 20 * index as i64;
        meeting.write(Medium::Audio, at_ms, None, packet).unwrap();
    }
    desk.complete(meeting);
    let probed = probe(&desk.path);
    let codecs: Vec<&Value> =
        probed["streams"].as_array().unwrap().iter().map(|stream| &stream["codec_name"]).collect();
    assert_eq!(codecs, ["h264", "opus"]);
    assert_eq!(duration_s(&desk.path), 4.0);
    let whole = fs::read(&desk.path).unwrap();
    let is_there = |packet: &Bytes| whole.windows(packet.len()).any(|window| window == packet);
    assert!(packets.iter().take(40).all(is_there));
}

#[test]
fn the_transcript_is_a_track_of_text_that_ffmpeg_extracts() {
    let desk = Desk::new(MeetingFormat { has_picture: true, sound: l16() });
    let mut meeting = desk.open();
    shoot(&mut meeting, ANA, CAMERAS[0], 0, 150);
    speak(&mut meeting, ANA, 0, 6_000);
    meeting.finish().unwrap();
    let cue = |start_ms, end_ms, text: &str| Cue { start_ms, end_ms, text: text.to_owned() };
    let cues = [cue(1_000, 2_500, "Ana: grüezi"), cue(4_000, 5_000, "Bo: hello")];
    complete_meeting(&desk.path, &cues).unwrap();
    let srt = desk.path.with_extension("srt");
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&desk.path)
        .args(["-map", "0:s:0"])
        .arg(&srt)
        .status();
    assert!(status.unwrap().success());
    let text = fs::read_to_string(srt).unwrap();
    for part in ["00:00:01,000 --> 00:00:02,500", "Ana: grüezi", "00:00:04,000 --> 00:00:05,000"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    probe(&desk.path);
}

/// An hour of a meeting, as fast as the machine can: every ten seconds somebody speaks and a screen flashes. Clocks of
/// both jitter. In the film the flash and the tone are at the same time, at the end as at the beginning.
#[test]
fn sound_and_picture_are_in_step_over_an_hour() {
    const EVERY_MS: i64 = 10_000;
    const HOUR_MS: i64 = 3_600_000;
    let seed = rand::random();
    println!("seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let desk = Desk::new(MeetingFormat { has_picture: true, sound: l16() });
    let desk = Desk { shows_screen: true, ..desk };
    let mut meeting = desk.open();
    let (camera, slide) = (frames(CAMERAS[0]), frames(SLIDE));
    let mut flashes = Vec::new();
    for beat_ms in (0..HOUR_MS).step_by(EVERY_MS as usize) {
        // One key frame each second, without the pictures between.
        for second in 0..8 {
            let at_ms = ORIGIN_MS + beat_ms + second * 1_000 + dice.random_range(-8..8);
            meeting.write(Medium::Video, at_ms.max(ORIGIN_MS), who(ANA), &camera[0]).unwrap();
        }
        let flash_ms = beat_ms + 8_500;
        meeting.write(Medium::Share, ORIGIN_MS + flash_ms, who(BO), &slide[0]).unwrap();
        for index in 0..25 {
            let at_ms = ORIGIN_MS + flash_ms + 20 * index + dice.random_range(-8..=8);
            meeting.write(Medium::Audio, at_ms, who(ANA), &tone()).unwrap();
        }
        flashes.push(flash_ms);
        meeting.sync().unwrap();
        // The process is killed and started again now and then.
        if dice.random_bool(0.02) {
            std::mem::forget(meeting);
            meeting = desk.open();
        }
    }
    desk.complete(meeting);
    let heard = onsets(&desk.path);
    let seen = brightness(&desk.path);
    let mut was_bright = false;
    let mut seen_ms = Vec::new();
    for (at_ms, luma) in seen {
        if luma > BRIGHT && !was_bright {
            seen_ms.push(at_ms);
        }
        was_bright = luma > BRIGHT;
    }
    // Where a process was killed, its last beat may be missing.
    assert!(heard.len() >= flashes.len() - 30, "{} of {}", heard.len(), flashes.len());
    let mut drifts = Vec::new();
    for heard_ms in heard {
        let nearest = seen_ms.iter().min_by_key(|seen_ms| (**seen_ms - heard_ms).abs()).unwrap();
        if (nearest - heard_ms).abs() < 1_000 {
            drifts.push(heard_ms - nearest);
        }
    }
    let most = drifts.iter().map(|drift| drift.abs()).max().unwrap();
    println!("{} beats, at most {most} ms apart; the last {:?}", drifts.len(), drifts.last());
    assert!(drifts.len() >= flashes.len() - 60, "{} beats", drifts.len());
    assert!(most < 40, "{drifts:?}");
}

#[test]
fn a_killed_process_leaves_a_film_that_plays() {
    let desk = Desk::new(MeetingFormat { has_picture: true, sound: l16() });
    let mut meeting = desk.open();
    for second in 0..10 {
        shoot(&mut meeting, ANA, CAMERAS[0], second * 1_000, 25);
        speak(&mut meeting, ANA, second * 1_000, second * 1_000 + 1_000);
        meeting.sync().unwrap();
    }
    std::mem::forget(meeting);
    assert_eq!(brightness(&desk.path).len(), 249);
    let heard_s = samples(&desk.path).len() as f64 / f64::from(RATE_HZ);
    assert!((7.5..=8.0).contains(&heard_s), "two seconds are held back: {heard_s}");
    // It goes on, and is complete.
    let mut meeting = desk.open();
    shoot(&mut meeting, ANA, CAMERAS[0], 12_000, 25);
    speak(&mut meeting, ANA, 12_000, 13_000);
    desk.complete(meeting);
    assert_eq!(brightness(&desk.path).len(), 249 + 25);
    assert_eq!(onsets(&desk.path), [0, 12_000]);
    assert_eq!(duration_s(&desk.path), 13.0);
}

#[tokio::test]
async fn a_browser_plays_a_film_whose_pictures_change_their_size() {
    let browser = Browser::open(false).await;
    for is_complete in [true, false] {
        for sound in [l16(), Some(SoundFormat::Opus { channels: 1 })] {
            let format = MeetingFormat { has_picture: true, sound };
            let desk = Desk { shows_screen: true, ..Desk::new(format) };
            let mut meeting = desk.open();
            shoot(&mut meeting, ANA, CAMERAS[0], 0, 50);
            shoot(&mut meeting, BO, SLIDE, 2_000, 50);
            for at_ms in (0..4_000).step_by(20) {
                let packet = match sound {
                    Some(SoundFormat::Opus { .. }) => {
                        packets(OPUS)[at_ms as usize / 20 % 40].clone()
                    }
                    _ => tone(),
                };
                meeting.write(Medium::Audio, ORIGIN_MS + at_ms, None, &packet).unwrap();
            }
            match is_complete {
                true => desk.complete(meeting),
                false => drop(meeting.finish().unwrap()),
            }
            let seen = watch(&browser, &desk.path).await;
            assert_eq!((&seen["error"], &seen["time"]), (&Value::Null, &json!(2.5)), "{seen}");
            if is_complete {
                assert_eq!((&seen["duration"], &seen["width"]), (&json!(4), &json!(640)), "{seen}");
            }
        }
    }
}
