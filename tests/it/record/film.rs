//! Video recordings, decoded by FFmpeg and played by a browser.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use rtmsd::sinks::record::track::{Track, TrackKind};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::tools::{
    ORIGIN_MS, decode, film, picture_times, probe, probe_header, track, with_start_codes,
};
use crate::support::browser::Browser;

const CAMERA: &[u8] = include_bytes!("../../../src/simulator/picture/camera-0.h264");
const SLIDE: &[u8] = include_bytes!("../../../src/simulator/picture/slide.h264");

fn desk() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ana.mp4");
    (folder, path)
}

/// Writes this many pictures from a time on, 25 per second. Returns their times.
fn shoot(track: &mut Track, stream: &[u8], from_ms: i64, pictures: i64) -> Vec<i64> {
    let film: Vec<_> = film(stream).iter().map(|units| with_start_codes(units)).collect();
    let times = (0..pictures).map(|index| from_ms + 40 * index);
    for (frame, offset_ms) in film.iter().cycle().zip(times.clone()) {
        track.write(ORIGIN_MS + offset_ms, frame).unwrap();
    }
    times.collect()
}

#[test]
fn every_picture_decodes_at_the_time_of_its_frame() {
    let (_folder, path) = desk();
    let mut track = track(&path, TrackKind::Mp4);
    let mut times = shoot(&mut track, CAMERA, 0, 80);
    times.extend(shoot(&mut track, CAMERA, 20_000, 50));
    track.finish().unwrap();
    let probed = probe(&path);
    assert_eq!(picture_times(&probed), times);
    let keys = probed["frames"].as_array().unwrap().iter().filter(|f| f["key_frame"] == 1);
    assert_eq!(keys.count(), 4 + 2);
    let stream = &probed["streams"][0];
    assert_eq!(
        (&stream["codec_name"], &stream["codec_tag_string"]),
        (&json!("h264"), &json!("avc1"))
    );
    assert_eq!((&stream["width"], &stream["height"]), (&json!(320), &json!(180)));
    assert_eq!(probed["format"]["duration"], "22.000000");
    assert_eq!(decode(&path), (130, String::new()));
}

#[test]
fn a_camera_switched_on_later_has_its_first_picture_at_that_time() {
    let (_folder, path) = desk();
    let mut track = track(&path, TrackKind::Mp4);
    let times = shoot(&mut track, CAMERA, 90_000, 30);
    track.finish().unwrap();
    assert_eq!(picture_times(&probe(&path)), times);
}

#[test]
fn an_mp4_cut_anywhere_plays_up_to_its_last_whole_fragment() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let (_folder, path) = desk();
    let mut track = track(&path, TrackKind::Mp4);
    shoot(&mut track, CAMERA, 0, 250);
    track.sync().unwrap();
    std::mem::forget(track);
    let whole = fs::read(&path).unwrap();
    let named = |at: &usize| &whole[at + 4..at + 8] == b"moof";
    let mut ends: Vec<usize> = (0..whole.len() - 8).filter(named).collect();
    ends.push(whole.len());
    // A fragment before each key frame, and all pictures but the newest.
    assert_eq!((ends.len(), decode(&path).0), (11, 249));
    for _ in 0..8 {
        let fragment = dice.random_range(1..10);
        let length = dice.random_range(ends[fragment] + 9..ends[fragment + 1]);
        let mut cut = whole[..length].to_vec();
        // The first bytes of a fragment are written last.
        cut[ends[fragment]..ends[fragment] + 8].fill(0);
        fs::write(&path, cut).unwrap();
        assert_eq!(decode(&path), (25 * fragment, String::new()), "cut at {length}");
        goes_on(&path);
    }
}

/// A file cut off is continued, and is then valid.
fn goes_on(path: &Path) {
    let mut track = track(path, TrackKind::Mp4);
    let times = shoot(&mut track, CAMERA, 30_000, 50);
    track.finish().unwrap();
    let (pictures, complaints) = decode(path);
    assert_eq!(complaints, "");
    let all = picture_times(&probe(path));
    assert_eq!(all[all.len() - 50..], times);
    assert_eq!(all.len(), pictures);
}

#[test]
fn a_file_for_each_resolution() {
    let (_folder, path) = desk();
    let mut track = track(&path, TrackKind::Mp4);
    shoot(&mut track, CAMERA, 0, 30);
    shoot(&mut track, SLIDE, 1200, 30);
    let files = track.finish().unwrap().files;
    let size = |index: usize| {
        let stream = &probe_header(&files[index].path)["streams"][0];
        (stream["width"].as_i64().unwrap(), stream["height"].as_i64().unwrap())
    };
    assert_eq!((size(0), size(1)), ((320, 180), (640, 360)));
    assert!(files.iter().all(|file| decode(&file.path) == (30, String::new())));
}

#[test]
fn other_parameter_sets_of_the_same_size_stay_in_the_file_and_decode() {
    let (_folder, path) = desk();
    let mut track = track(&path, TrackKind::Mp4);
    shoot(&mut track, CAMERA, 0, 25);
    // An encoder that declares another level: the same pictures, another SPS.
    let mut other = CAMERA.to_vec();
    let sps = other.windows(5).position(|start| start == [0, 0, 0, 1, 0x67]).unwrap();
    other[sps + 7] += 1;
    shoot(&mut track, &other, 1000, 25);
    shoot(&mut track, CAMERA, 2000, 25);
    let files = track.finish().unwrap().files;
    assert_eq!(files.len(), 1);
    assert_eq!(decode(&path), (75, String::new()));
}

#[test]
fn frames_without_start_codes_decode_too() {
    let (_folder, path) = desk();
    let mut track = track(&path, TrackKind::Mp4);
    for (index, units) in film(CAMERA).iter().enumerate() {
        let with_length = |unit: &&[u8]| [&(unit.len() as u32).to_be_bytes(), *unit].concat();
        let frame: Bytes = units.iter().flat_map(with_length).collect();
        track.write(ORIGIN_MS + 40 * index as i64, &frame).unwrap();
    }
    track.finish().unwrap();
    assert_eq!(decode(&path), (25, String::new()));
}

/// The duration and size that a `<video>` element reports, and its position after a seek.
pub(super) async fn watch(browser: &Browser, path: &Path) -> Value {
    let page = path.with_extension("html");
    let name = path.file_name().unwrap().to_str().unwrap();
    fs::write(&page, format!("<video src=\"{name}\" muted></video>")).unwrap();
    browser.visit(&format!("file://{}", page.display())).await;
    let script = "
        const done = arguments[0];
        const video = document.querySelector('video');
        const say = () => done({
            error: video.error && video.error.message, duration: video.duration,
            width: video.videoWidth, time: video.currentTime,
        });
        video.addEventListener('error', say);
        video.addEventListener('seeked', say);
        const seek = () => { video.currentTime = 2.5; };
        if (video.error) return say();
        video.readyState >= 1 ? seek() : video.addEventListener('loadedmetadata', seek);
    ";
    browser.call(Method::POST, "/execute/async", json!({"script": script, "args": []})).await
}

#[tokio::test]
async fn a_browser_plays_a_finished_film_and_one_that_was_killed() {
    let (_folder, path) = desk();
    let browser = Browser::open(false).await;
    let mut track = track(&path, TrackKind::Mp4);
    shoot(&mut track, CAMERA, 0, 100);
    track.sync().unwrap();
    let killed = path.with_file_name("killed.mp4");
    let mut bytes = fs::read(&path).unwrap();
    // Killed while it wrote a fragment: its first bytes are written last.
    bytes.extend([[0; 8], *b"\0\0\0\x10mfhd"].concat());
    fs::write(&killed, bytes).unwrap();
    track.finish().unwrap();

    let seen = watch(&browser, &path).await;
    assert_eq!(seen, json!({"error": null, "duration": 4, "width": 320, "time": 2.5}));
    let seen = watch(&browser, &killed).await;
    assert_eq!((&seen["error"], &seen["time"]), (&Value::Null, &json!(2.5)), "{seen}");
}
