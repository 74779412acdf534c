//! Opus in Ogg.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::sinks::record::track::{Track, TrackKind};

const ORIGIN_MS: i64 = 1_763_600_000_000;
const KIND: TrackKind = TrackKind::Ogg { channels: 1 };

fn desk() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ana.ogg");
    (folder, path)
}

/// 20 ms of audio, marked by its first byte.
fn voice(mark: u8) -> Bytes {
    vec![0x78, mark, mark, mark].into()
}

fn write(track: &mut Track, frames: impl IntoIterator<Item = (i64, u8)>) {
    for (offset_ms, mark) in frames {
        track.write(ORIGIN_MS + offset_ms, &voice(mark)).unwrap();
    }
}

/// All packets, each with its first sample; checks that the pages are one whole stream with an end.
fn packets(file: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut rest = file;
    let mut packets = Vec::new();
    let (mut number, mut granule) = (0, 0);
    while !rest.is_empty() {
        let page = page::parse_page(rest).expect("a whole page");
        assert_eq!(page.number, number);
        let is_last = page.bytes == rest.len();
        assert_eq!(rest[5], if number == 0 { BEGINS } else { 0 } | if is_last { 4 } else { 0 });
        let mut body = &rest[page.body_at..page.bytes];
        let mut length = 0;
        for segment in &rest[27..page.body_at] {
            length += usize::from(*segment);
            if *segment < 255 {
                let (packet, after) = body.split_at(length);
                if number >= 2 {
                    packets.push((granule, packet.to_vec()));
                    granule += packet::packet_samples(packet).unwrap();
                }
                (body, length) = (after, 0);
            }
        }
        assert_eq!(page.granule, granule);
        rest = &rest[page.bytes..];
        number += 1;
    }
    packets
}

/// The marks of voices by their start in milliseconds.
fn voices(path: &Path) -> Vec<(u64, u8)> {
    let packets = packets(&fs::read(path).unwrap());
    let voices = packets.iter().filter(|(_, packet)| packet[0] == 0x78);
    voices.map(|(granule, packet)| (granule / 48, packet[1])).collect()
}

#[test]
fn packets_are_at_their_times_with_silence_between_them() {
    let (_folder, path) = desk();
    let mut track = Track::create(&path, KIND, ORIGIN_MS).unwrap();
    write(&mut track, [(100, 1), (120, 2), (160, 4), (140, 3), (160, 4), (60_000, 5), (60_019, 6)]);
    let finished = track.finish().unwrap();
    let expected = [(100, 1), (120, 2), (140, 3), (160, 4), (60_000, 5), (60_020, 6)];
    assert_eq!(voices(&path), expected);
    assert_eq!((finished.counts.written, finished.counts.repeated), (6, 1));
    assert_eq!(finished.files[0].last_ms, ORIGIN_MS + 60_040);
    assert_eq!(finished.files[0].bytes, fs::metadata(&path).unwrap().len());
}

#[test]
fn packets_whose_times_are_too_close_follow_each_other_and_those_beyond_the_lead_are_counted() {
    for step_ms in [1, 5, 10] {
        let (_folder, path) = desk();
        let mut track = Track::create(&path, KIND, ORIGIN_MS).unwrap();
        write(&mut track, (0..6).map(|n| (step_ms * n, n as u8)).chain([(400, 6)]));
        let expected = Counts { written: 7, ..Counts::default() };
        assert_eq!(track.finish().unwrap().counts, expected);
        let sent: Vec<_> = (0..6).map(|n| (20 * u64::from(n), n)).chain([(400, 6)]).collect();
        assert_eq!(voices(&path), sent);
    }
    let (_folder, path) = desk();
    let mut track = Track::create(&path, KIND, ORIGIN_MS).unwrap();
    write(&mut track, (0..250).map(|n| (n, n as u8)));
    let Counts { written, overlapped, .. } = track.finish().unwrap().counts;
    let in_file = voices(&path);
    assert_eq!((in_file.len() as u64, written + overlapped), (written, 250));
    assert!(overlapped > 0 && in_file.is_sorted());
}

#[test]
fn data_other_than_opus_is_dropped() {
    let (_folder, path) = desk();
    let mut track = Track::create(&path, KIND, ORIGIN_MS).unwrap();
    track.write(ORIGIN_MS, &Bytes::new()).unwrap();
    track.write(ORIGIN_MS, &Bytes::from_static(&[3, 0])).unwrap();
    track.write(ORIGIN_MS, &vec![0x78; 70_000].into()).unwrap();
    assert_eq!(track.finish().unwrap().counts.unreadable, 3);
}

#[test]
fn a_file_cut_anywhere_continues_as_the_same_stream() {
    let (_folder, path) = desk();
    let mut track = Track::create(&path, KIND, ORIGIN_MS).unwrap();
    write(&mut track, [(0, 1), (20, 2)]);
    track.sync().unwrap();
    write(&mut track, [(40, 3), (60, 4)]);
    track.finish().unwrap();
    let whole = fs::read(&path).unwrap();
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let mut track = Track::resume(&path, KIND, ORIGIN_MS).unwrap();
        write(&mut track, [(200, 9)]);
        assert_eq!(track.finish().unwrap().files.len(), 1, "cut at {length}");
        let kept = voices(&path);
        let (last, before) = kept.split_last().unwrap();
        assert_eq!(*last, (200, 9), "cut at {length}");
        assert_eq!(before, &[(0, 1), (20, 2), (40, 3), (60, 4)][..before.len()]);
        let is_whole = length == whole.len();
        assert_eq!(before.len() == 4, is_whole, "cut at {length}");
    }
}

#[test]
fn other_channels_begin_a_further_file_and_foreign_files_stay() {
    let (_folder, path) = desk();
    fs::write(&path, "precious").unwrap();
    let mut track = Track::resume(&path, KIND, ORIGIN_MS).unwrap();
    write(&mut track, [(0, 1)]);
    track.sync().unwrap();
    drop(track);
    let mut track = Track::resume(&path, TrackKind::Ogg { channels: 2 }, ORIGIN_MS).unwrap();
    write(&mut track, [(40, 2)]);
    let files = track.finish().unwrap().files;
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    assert_eq!(voices(&files[0].path), [(0, 1)]);
    assert_eq!(voices(&files[1].path), [(40, 2)]);
    assert!(files[1].path.ends_with("ana_3.ogg"));
}

#[test]
fn hours_of_silence_are_small() {
    let (_folder, path) = desk();
    let mut track = Track::create(&path, KIND, ORIGIN_MS).unwrap();
    write(&mut track, (0..5).map(|n| (10 * 3_600_000 + 20 * n, 1)));
    track.finish().unwrap();
    assert_eq!(voices(&path)[4].0, 36_000_080);
    assert!(fs::metadata(&path).unwrap().len() < 6_000_000);
}

#[test]
fn a_page_that_cannot_be_written_becomes_silence() {
    let (_folder, path) = desk();
    let mut track = OggTrack::open(&path, 1, ORIGIN_MS).unwrap();
    let write = |track: &mut OggTrack, offset_ms, mark| {
        track.write(ORIGIN_MS + offset_ms, &voice(mark)).unwrap();
    };
    write(&mut track, 0, 1);
    track.sync().unwrap();
    write(&mut track, 20, 2);
    let writable = std::mem::replace(&mut track.file.file, File::open(&path).unwrap());
    assert!(track.sync().is_err());
    track.file.file = writable;
    write(&mut track, 40, 3);
    Box::new(track).finish().unwrap();
    assert_eq!(voices(&path), [(0, 1), (40, 3)]);
}

#[test]
fn a_shifted_stream_is_the_same_stream_after_silence() {
    let (_folder, path) = desk();
    let later = path.with_file_name("later.ogg");
    let sound = |path: &Path, by: u64| {
        let packets = packets(&fs::read(path).unwrap());
        let voices = packets.into_iter().filter(|(_, packet)| packet[0] == 0x78);
        voices.map(|(at, packet)| (at + by, packet)).take(200).collect::<Vec<_>>()
    };
    let mut track = Track::create(&path, KIND, ORIGIN_MS).unwrap();
    write(&mut track, (0..200).map(|n| (1_000 + 20 * n, n as u8)));
    track.finish().unwrap();
    let before = sound(&path, 30_020 * SAMPLES_PER_MS);
    shift_file(&path, &later, 30_020).unwrap();
    let mut track = Track::resume(&later, KIND, ORIGIN_MS - 30_020).unwrap();
    track.write(ORIGIN_MS + 5_000, &voice(7)).unwrap();
    let finished = track.finish().unwrap();
    assert_eq!(finished.files[0].last_ms, ORIGIN_MS + 5_020);
    assert_eq!(sound(&later, 0), before);
}

#[test]
fn pages_behind_one_that_a_power_cut_zeroed_are_kept() {
    let (_folder, path) = desk();
    let mut track = Track::resume(&path, KIND, ORIGIN_MS).unwrap();
    for n in 0..5 {
        write(&mut track, [(20 * n, 1)]);
        track.sync().unwrap();
    }
    track.finish().unwrap();
    let mut whole = fs::read(&path).unwrap();
    let pages: Vec<usize> = whole
        .windows(4)
        .enumerate()
        .filter(|(_, four)| four == b"OggS")
        .map(|(at, _)| at)
        .collect();
    // Two of them are headers.
    assert_eq!(pages.len(), 7);
    whole[pages[3]..pages[4]].fill(0);
    fs::write(&path, &whole).unwrap();
    let track = Track::resume(&path, KIND, ORIGIN_MS).unwrap();
    track.finish().unwrap();
    assert_eq!(fs::read(&path).unwrap().len(), pages[3]);
    assert_eq!(fs::read(path.with_file_name("ana.ogg.damaged")).unwrap(), whole[pages[3]..]);
}
