//! H.264 in fragmented MP4.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::sinks::record::track::{Track, TrackKind};

const ORIGIN_MS: i64 = 1_763_600_000_000;
const CAMERA: &[u8] = include_bytes!("../../../../simulator/picture/camera-0.h264");
const SLIDE: &[u8] = include_bytes!("../../../../simulator/picture/slide.h264");

fn desk() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ana.mp4");
    (folder, path)
}

/// The frames of a film: each ends with its only slice.
fn film(stream: &[u8]) -> Vec<Bytes> {
    let mut frames = Vec::new();
    let mut frame = Vec::new();
    for unit in annexb::nal_units(stream) {
        frame.extend([0, 0, 0, 1]);
        frame.extend_from_slice(unit);
        if [annexb::SLICE, annexb::IDR].contains(&annexb::unit_type(unit)) {
            frames.push(Bytes::from(std::mem::take(&mut frame)));
        }
    }
    assert_eq!(frames.len(), 25);
    frames
}

fn write<'a>(track: &mut Track, frames: impl IntoIterator<Item = (i64, &'a Bytes)>) {
    for (offset_ms, frame) in frames {
        track.write(ORIGIN_MS + offset_ms, frame).unwrap();
    }
}

/// A film from a time on, with 25 pictures a second.
fn from(offset_ms: i64, film: &[Bytes]) -> impl Iterator<Item = (i64, &Bytes)> {
    film.iter().enumerate().map(move |(index, frame)| (offset_ms + 40 * index as i64, frame))
}

/// The time and duration of each picture of a file, and whether it is a key frame; checks that fragments are
/// consecutive and match their headers.
fn pictures(path: &Path) -> Vec<(u64, u32, bool)> {
    let file = fs::read(path).unwrap();
    let number = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
    let mut at = 0;
    let mut pictures = Vec::new();
    let mut sequence = 0;
    while at < file.len() {
        let bytes = number(at) as usize;
        if &file[at + 4..at + 8] == b"moof" {
            let info = boxes::read_moof(&file[at..at + bytes]).unwrap();
            sequence += 1;
            assert_eq!(info.sequence, sequence);
            assert_eq!(u64::from(number(at + bytes)), info.data_bytes + 8);
            let mut time_ms = info.at;
            for sample in (at + 88..at + bytes).step_by(12) {
                pictures.push((time_ms, number(sample), number(sample + 8) == 0x0200_0000));
                time_ms += u64::from(number(sample));
            }
        }
        at += bytes;
    }
    assert_eq!(at, file.len());
    pictures
}

#[test]
fn a_shifted_film_is_the_same_film_later() {
    let (_folder, path) = desk();
    let (camera, later) = (film(CAMERA), path.with_file_name("later.mp4"));
    let mut track = Track::create(&path, TrackKind::Mp4, ORIGIN_MS).unwrap();
    write(&mut track, from(0, &camera).chain(from(5_000, &camera)));
    track.finish().unwrap();
    shift_file(&path, &later, 30_000).unwrap();
    let moved: Vec<_> = pictures(&path).iter().map(|one| (one.0 + 30_000, one.1, one.2)).collect();
    assert_eq!(pictures(&later), moved);
    let track = Track::resume(&later, TrackKind::Mp4, ORIGIN_MS - 30_000).unwrap();
    let finished = track.finish().unwrap();
    assert_eq!(
        (finished.files[0].first_ms, finished.files[0].last_ms),
        (ORIGIN_MS, ORIGIN_MS + 6_000)
    );
}

#[test]
fn the_sets_hold_the_size_of_the_pictures() {
    let size = |stream: &[u8]| {
        let picture = sps::parse_sps(annexb::nal_units(stream)[0]).unwrap();
        (picture.width, picture.height)
    };
    assert_eq!((size(CAMERA), size(SLIDE)), ((320, 180), (640, 360)));
}

#[test]
fn pictures_have_the_times_of_their_frames_and_the_last_one_spans_a_gap() {
    let (_folder, path) = desk();
    let film = film(CAMERA);
    let mut track = Track::create(&path, TrackKind::Mp4, ORIGIN_MS).unwrap();
    write(&mut track, from(500, &film));
    write(&mut track, from(10_000, &film));
    let finished = track.finish().unwrap();
    let expected = (0..50).map(|n| match n {
        24 => (1460, 8540, false),
        0..25 => (500 + 40 * n, 40, n == 0),
        _ => (9_000 + 40 * n, 40, n == 25),
    });
    assert_eq!(pictures(&path), expected.collect::<Vec<_>>());
    assert_eq!(finished.counts, Counts { written: 50, ..Counts::default() });
    let file = &finished.files[0];
    assert_eq!((file.first_ms, file.last_ms), (ORIGIN_MS + 500, ORIGIN_MS + 11_000));
    assert_eq!(file.bytes, fs::metadata(&path).unwrap().len());
}

#[test]
fn nothing_is_written_before_the_first_key_frame() {
    let (_folder, path) = desk();
    let film = film(CAMERA);
    let mut track = Track::create(&path, TrackKind::Mp4, ORIGIN_MS).unwrap();
    write(&mut track, from(0, &film[1..]));
    track.write(ORIGIN_MS + 980, &Bytes::from_static(b"\xff\xd8 a picture")).unwrap();
    track.sync().unwrap();
    assert!(!path.exists());
    write(&mut track, from(1000, &film));
    let finished = track.finish().unwrap();
    assert_eq!((finished.counts.written, finished.counts.unreadable), (25, 25));
    assert_eq!(pictures(&path)[0], (1000, 40, true));
}

#[test]
fn a_track_without_a_picture_leaves_no_file() {
    let (_folder, path) = desk();
    let track = Track::create(&path, TrackKind::Mp4, ORIGIN_MS).unwrap();
    assert_eq!(track.finish().unwrap().files, []);
}

#[test]
fn another_resolution_begins_a_further_file() {
    let (_folder, path) = desk();
    let (camera, slide) = (film(CAMERA), film(SLIDE));
    let mut track = Track::create(&path, TrackKind::Mp4, ORIGIN_MS).unwrap();
    write(&mut track, from(0, &camera).chain(from(1000, &slide)).chain(from(2000, &camera)));
    let files = track.finish().unwrap().files;
    let names: Vec<_> = files.iter().map(|file| file.path.file_name().unwrap()).collect();
    assert_eq!(names, ["ana.mp4", "ana_2.mp4", "ana_3.mp4"]);
    assert_eq!(files[1].first_ms, ORIGIN_MS + 1000);
    let again = Track::resume(&path, TrackKind::Mp4, ORIGIN_MS).unwrap().finish().unwrap();
    assert_eq!(again.files, files);
}

#[test]
fn times_that_do_not_increase_are_moved_behind_their_predecessors() {
    let (_folder, path) = desk();
    let film = film(CAMERA);
    let mut track = Track::create(&path, TrackKind::Mp4, ORIGIN_MS).unwrap();
    write(&mut track, [0, 40, 40, 30, 80].into_iter().zip(&film));
    track.finish().unwrap();
    let times: Vec<_> = pictures(&path).iter().map(|picture| picture.0).collect();
    assert_eq!(times, [0, 40, 41, 42, 80]);
}

#[test]
fn length_prefixes_and_start_codes_make_the_same_file() {
    let (_folder, path) = desk();
    let film = film(CAMERA);
    let with_lengths = film.iter().map(|frame| {
        let units = annexb::nal_units(frame).into_iter();
        let with_length = |unit: &[u8]| [&(unit.len() as u32).to_be_bytes(), unit].concat();
        Bytes::from(units.flat_map(with_length).collect::<Vec<_>>())
    });
    let files = [film.clone(), with_lengths.collect()].map(|film| {
        let mut track = Track::create(&path, TrackKind::Mp4, ORIGIN_MS).unwrap();
        write(&mut track, from(0, &film));
        track.finish().unwrap();
        let file = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        file
    });
    assert_eq!(files[0], files[1]);
}

#[test]
fn a_synced_file_holds_all_pictures_but_the_newest() {
    let (_folder, path) = desk();
    let film = film(CAMERA);
    let mut track = Track::create(&path, TrackKind::Mp4, ORIGIN_MS).unwrap();
    write(&mut track, from(0, &film[..10]));
    track.sync().unwrap();
    assert_eq!(pictures(&path).len(), 9);
}

#[test]
fn a_file_cut_anywhere_continues_with_the_next_key_frame() {
    let (_folder, path) = desk();
    let film = film(CAMERA);
    let mut track = Track::create(&path, TrackKind::Mp4, ORIGIN_MS).unwrap();
    for index in (0..25).step_by(5) {
        write(&mut track, from(40 * index as i64, &film[index..index + 5]));
        track.sync().unwrap();
    }
    track.finish().unwrap();
    let whole = fs::read(&path).unwrap();
    let before = pictures(&path);
    let boundaries = whole.windows(4).enumerate().filter(|(_, name)| {
        [&b"ftyp"[..], b"moov", b"mehd", b"moof", b"trun", b"mdat"].contains(name)
    });
    let mut cuts: Vec<usize> =
        boundaries.flat_map(|(at, _)| at.saturating_sub(5)..at + 5).collect();
    cuts.extend((0..whole.len()).step_by(101));
    cuts.push(whole.len());
    for length in cuts {
        fs::write(&path, &whole[..length]).unwrap();
        let mut track = Track::resume(&path, TrackKind::Mp4, ORIGIN_MS).unwrap();
        write(&mut track, from(3000, &film[20..]).chain(from(4000, &film)));
        let finished = track.finish().unwrap();
        assert_eq!((finished.files.len(), finished.counts.unreadable), (1, 5), "cut at {length}");
        let after = pictures(&path);
        let kept = after.len() - 25;
        assert_eq!(after[..kept], before[..kept], "cut at {length}");
        assert_eq!(after[kept], (4000, 40, true), "cut at {length}");
    }
}

#[test]
fn a_foreign_file_stays_as_it_is() {
    let (_folder, path) = desk();
    fs::write(&path, b"\0\0\0\x18ftypmp42 precious").unwrap();
    let mut track = Track::resume(&path, TrackKind::Mp4, ORIGIN_MS).unwrap();
    write(&mut track, from(0, &film(CAMERA)));
    let files = track.finish().unwrap().files;
    assert!(files[0].path.ends_with("ana_2.mp4"));
    assert!(fs::read(&path).unwrap().ends_with(b"precious"));
}

/// A key frame without sets of its own.
fn bare_key(film: &[Bytes]) -> Bytes {
    let idr =
        annexb::nal_units(&film[0]).into_iter().find(|unit| annexb::unit_type(unit) == annexb::IDR);
    [&[0, 0, 0, 1], idr.unwrap()].concat().into()
}

/// The sets of a film, with a PPS of this length that no other has.
fn sets(film: &[Bytes], bytes: usize) -> Bytes {
    let units = annexb::nal_units(&film[0]);
    let of = |kind| units.iter().find(|unit| annexb::unit_type(unit) == kind).unwrap();
    let pps = [of(annexb::PPS), &b"said once"[..], &vec![0xaa; bytes]].concat();
    [&[0, 0, 0, 1], *of(annexb::SPS), &[0, 0, 0, 1], &pps].concat().into()
}

fn times_said(path: &Path) -> usize {
    fs::read(path).unwrap().windows(9).filter(|bytes| bytes == b"said once").count()
}

/// Without this, 11.5 MB became a gigabyte.
#[test]
fn sets_that_are_said_once_are_written_once() {
    let (_folder, path) = desk();
    let film = film(CAMERA);
    let mut track = Track::create(&path, TrackKind::Mp4, ORIGIN_MS).unwrap();
    let key = bare_key(&film);
    write(&mut track, [(0, &film[0]), (40, &sets(&film, 20_000))]);
    write(&mut track, (2..500).map(|n| (40 * n, &key)));
    // A repetition is written again.
    write(&mut track, [(20_000, &sets(&film, 20_000)), (20_040, &key), (20_080, &key)]);
    let received = film[0].len() + 2 * 20_000 + 500 * key.len();
    track.finish().unwrap();
    let bytes = fs::metadata(&path).unwrap().len() as usize;
    println!("{received} bytes became {bytes}");
    assert_eq!(times_said(&path), 2);
    assert!(bytes < received + 500 * 64 + 4_096, "{received} bytes became {bytes}");
}

#[test]
fn sets_in_other_pictures_stay_there_and_are_not_repeated() {
    let (_folder, path) = desk();
    let film = film(CAMERA);
    let mut track = Track::create(&path, TrackKind::Mp4, ORIGIN_MS).unwrap();
    let with_sets = Bytes::from([sets(&film, 10), film[1].clone()].concat());
    let key = bare_key(&film);
    write(&mut track, [(0, &film[0]), (40, &with_sets), (80, &key), (120, &key)]);
    assert_eq!(track.finish().unwrap().counts.written, 4);
    assert_eq!(times_said(&path), 1);
}

#[test]
fn sets_too_large_for_a_file_are_dropped_and_counted() {
    let (_folder, path) = desk();
    let film = film(CAMERA);
    let mut track = Track::create(&path, TrackKind::Mp4, ORIGIN_MS).unwrap();
    let key = bare_key(&film);
    write(&mut track, [(0, &sets(&film, 11_500_000)), (40, &key), (80, &film[0]), (120, &film[1])]);
    let finished = track.finish().unwrap();
    assert_eq!((finished.counts.written, finished.counts.unreadable), (3, 1));
    assert!(finished.files[0].bytes < 100_000, "{}", finished.files[0].bytes);
}

/// From earlier versions. Such a file was mistaken for one that was hardly begun, and deleted.
#[test]
fn a_file_with_more_than_a_megabyte_of_sets_goes_on() {
    let (_folder, path) = desk();
    let film = film(CAMERA);
    let picture = sps::parse_sps(annexb::nal_units(&film[0])[0]).unwrap();
    let sps = annexb::nal_units(&film[0])[0].to_vec();
    let pps = vec![[&[0x68][..], &[0xaa; 60_000]].concat(); 40];
    let mut part = Part::create(&path, ParameterSets { sps, pps }, picture).unwrap();
    for at_ms in [0, 40] {
        let data = sample_data(&annexb::nal_units(&film[0]), true, None);
        part.push(Sample { at: at_ms, duration: 0, is_key: true, data }).unwrap();
    }
    part.close(ORIGIN_MS).unwrap();
    let whole = fs::read(&path).unwrap();
    assert!(whole.len() > 2 << 20);
    let files = Track::resume(&path, TrackKind::Mp4, ORIGIN_MS).unwrap().finish().unwrap().files;
    assert_eq!((files.len(), files[0].bytes), (1, whole.len() as u64));
    assert_eq!(fs::read(&path).unwrap(), whole);
    assert_eq!(pictures(&path).len(), 2);
}

#[test]
fn pictures_behind_a_fragment_that_a_power_cut_zeroed_are_kept() {
    let (_folder, path) = desk();
    let film = film(CAMERA);
    let mut track = Track::create(&path, TrackKind::Mp4, ORIGIN_MS).unwrap();
    write(&mut track, from(0, &film).chain(from(3_000, &film)).chain(from(6_000, &film)));
    track.finish().unwrap();
    let mut whole = fs::read(&path).unwrap();
    let starts: Vec<usize> = whole
        .windows(4)
        .enumerate()
        .filter(|(_, name)| name == b"moof")
        .map(|(at, _)| at - 4)
        .collect();
    assert!(starts.len() >= 3, "{starts:?}");
    whole[starts[1]..starts[2]].fill(0);
    fs::write(&path, &whole).unwrap();
    Track::resume(&path, TrackKind::Mp4, ORIGIN_MS).unwrap().finish().unwrap();
    assert_eq!(fs::read(&path).unwrap().len(), starts[1]);
    let kept = fs::read(path.with_file_name("ana.mp4.damaged")).unwrap();
    assert_eq!(kept, whole[starts[1]..]);
}
