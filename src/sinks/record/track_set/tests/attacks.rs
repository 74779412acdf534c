//! Streams that try to exhaust memory or disk, or to overwrite other files.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::*;
use crate::sinks::record::leftovers::find_leftovers;

const DAY: i64 = 24 * HOUR;
/// A minute of 16 kHz mono audio.
const MINUTE_BYTES: u64 = 60_000 * 32;

/// A payload that counts the bytes that are still held.
struct Held(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.1.fetch_sub(self.0.len(), Ordering::Relaxed);
    }
}

fn held(at_ms: i64, who: u64, bytes: usize, all: &Arc<AtomicUsize>) -> Frame {
    all.fetch_add(bytes, Ordering::Relaxed);
    let payload = Bytes::from_owner(Held(vec![1; bytes], Arc::clone(all)));
    Frame { payload, ..voiced(None, at_ms, who) }
}

fn left_out(takes: &mut TrackSet) -> u64 {
    takes.take_left_out().into_iter().map(|span| span.count.frames).sum()
}

/// Each of them waits for its predecessors, in its voice's file and in the mix.
#[test]
fn what_waits_is_bounded_in_bytes_over_all_voices() {
    let (_root, mut takes) = takes();
    let (now, each) = (Arc::new(AtomicUsize::new(0)), 20_000);
    let (mut sent, mut most) = (0, 0);
    for who in 0..400 {
        for step in 0..4 {
            let frame = held(NOW + 3 * step, who, each, &now);
            sent += each;
            // Prevents a write because of elapsed time.
            takes.synced_at = Some(Instant::now());
            take(&mut takes, vec![frame], NOW);
            most = most.max(now.load(Ordering::Relaxed));
        }
    }
    println!("held: {most} of {sent} bytes");
    assert!(most <= MAX_HELD_BYTES, "{most} of {sent} bytes are held");
    takes.close_all().unwrap();
    assert_eq!(now.load(Ordering::Relaxed), 0);
    let counts = takes.meta.total();
    assert_eq!(counts.written + counts.late, 1_600, "{counts:?}");
}

/// Without this, 92 kB became 61.7 GB of silence, which took two minutes to hash.
#[test]
fn no_frame_is_believed_further_ahead_than_zoom_keeps() {
    let (_root, mut takes) = takes();
    take(&mut takes, vec![voiced(None, NOW, 1)], NOW);
    let attack = (0..144).map(|n| voiced(None, NOW + 35 * HOUR + 20 * n, n as u64));
    take(&mut takes, attack.collect(), NOW);
    assert_eq!((takes.meta.total().absurd, left_out(&mut takes)), (144, 144));
    let ahead = (0..15).map(|who| voiced(None, NOW + MINUTE, who));
    take(&mut takes, ahead.collect(), NOW);
    takes.close_all().unwrap();
    // A plausible minute of silence for each voice, and for the mix.
    let bytes = takes.bytes();
    println!("144 frames of 640 bytes, 35 hours ahead: {bytes} bytes with silence");
    assert!(bytes < 17 * MINUTE_BYTES, "{bytes}");
    assert_eq!(takes.meta.tracks.len(), 16, "a voice with implausible times has no track");
}

/// Voices that speak by turns, more than may be open, with pauses and older frames in between.
#[test]
fn the_size_is_known_after_every_frame() {
    let (_root, mut takes) = takes();
    for n in 0..80 {
        let (who, at_ms) = (n as u64 * 7 % 34, NOW + 20 * n + n % 3 * 5_000);
        take(&mut takes, vec![voiced(None, at_ms, who)], at_ms);
        match n {
            25 | 60 => takes.sync().unwrap(),
            30 => take(&mut takes, vec![voiced(None, NOW - 2 * MINUTE, who)], at_ms),
            _ => {}
        }
        let open: u64 = takes.open.tracks.values().map(OpenTrack::bytes).sum();
        assert_eq!(takes.bytes(), takes.closed_bytes + open, "frame {n}");
    }
    assert_eq!(takes.open.tracks.len(), MAX_OPEN);
    takes.close_all().unwrap();
    assert_eq!(takes.open.bytes, 0);
}

/// A voice that starts late in a long stream brings the silence before it.
#[test]
fn silence_counts_and_ends_at_the_streams_share() {
    let share = 20 * MINUTE_BYTES;
    let (_root, mut takes) = takes_of(share);
    take(&mut takes, vec![voiced(None, NOW, 1)], NOW);
    let later = NOW + 4 * MINUTE;
    let late = (2..1_000).map(|who| voiced(None, later, who));
    take(&mut takes, late.collect(), later);
    takes.close_all().unwrap();
    let lies = takes.spool.bytes(takes.meta.id);
    println!("998 frames of 640 bytes in the fourth minute: {lies} bytes with silence");
    // The last one may need more space than is left: for its voice's file and the mix.
    assert!((share..share + 10 * MINUTE_BYTES).contains(&lies), "{lies}");
    assert!(takes.bytes().abs_diff(lies) < 1 << 20, "{} and {lies}", takes.bytes());
    let counts = takes.meta.total();
    assert_eq!(counts.written + counts.beyond_limit, 999, "{counts:?}");
    assert_eq!(left_out(&mut takes), counts.beyond_limit);
    // A restart counts what is there.
    let (spool, layout) = (Arc::clone(&takes.spool), Arc::clone(&takes.layout));
    let meta = spool.meta(takes.meta.id).unwrap();
    let again = TrackSet::open(spool, layout, meta, share, Filming::default()).unwrap();
    assert_eq!(again.bytes(), lies);
}

#[test]
fn no_file_is_shifted_without_space_for_the_silence() {
    let (_root, mut takes) = takes_of(3 * MINUTE_BYTES);
    take(&mut takes, vec![voiced(None, NOW, 1), voiced(None, NOW, 2)], NOW);
    take(&mut takes, vec![voiced(None, NOW - 2 * MINUTE, 1), voiced(None, NOW + 20, 1)], NOW);
    takes.close_all().unwrap();
    assert_eq!(takes.meta.origin_ms, Some(NOW));
    let counts = takes.meta.total();
    assert_eq!((counts.written, counts.left_out()), (3, 1));
    let (spool, id) = (Arc::clone(&takes.spool), takes.meta.id);
    let (meta, _) = finish_tracks(&spool, id, Some(NOW - 6 * MINUTE), 3 * MINUTE_BYTES).unwrap();
    assert_eq!(meta.origin_ms, Some(NOW), "nor for an older line");
    let (meta, _) = finish_tracks(&spool, id, Some(NOW - 6 * MINUTE), u64::MAX).unwrap();
    assert_eq!(meta.origin_ms, Some(NOW - 6 * MINUTE));
}

#[test]
fn voices_beyond_the_limit_are_counted() {
    let (_root, mut takes) = takes();
    take(&mut takes, vec![voiced(None, NOW, 1)], NOW);
    let note = takes.meta.tracks[0].clone();
    while takes.meta.tracks.len() < MAX_TRACKS {
        let user_id = UserId(1_000_000 + takes.meta.tracks.len() as u64);
        let name = format!("audio-{user_id}.wav");
        let speaker = Speaker::participant(user_id, None);
        takes.meta.tracks.push(TrackNote { name, speaker, ..note.clone() });
    }
    for step in 1..4 {
        let said = (1..6).map(|who| voiced(None, NOW + 20 * step, who));
        take(&mut takes, said.collect(), NOW);
    }
    takes.close_all().unwrap();
    let meta = takes.spool.meta(takes.meta.id).unwrap();
    assert_eq!(meta.counts.voices_beyond_limit, 4);
    assert_eq!((meta.total().written, meta.total().beyond_limit), (4, 12));
    assert_eq!(left_out(&mut takes), 12, "the ledger has them, too");
}

/// Four hundred voices start in one batch: their notes are written once, not four hundred times.
#[test]
fn many_new_voices_are_noted_at_once_with_a_file_each() {
    let (_root, mut takes) = takes();
    let crowd = (0..100).map(|who| voiced(None, NOW, who));
    let frames: VecDeque<_> = crowd.collect();
    takes.now_ms = NOW;
    takes.note_new(&frames);
    assert_eq!(takes.spool.meta(takes.meta.id).unwrap().tracks.len(), 100);
    take(&mut takes, frames.into(), NOW);
    takes.close_all().unwrap();
    let meta = takes.spool.meta(takes.meta.id).unwrap();
    assert_eq!((meta.tracks.len(), meta.total().written), (101, 100));
}

#[test]
fn a_file_whose_header_a_power_cut_zeroed_is_kept() {
    let (_root, mut takes) = takes();
    take(&mut takes, speech(None, NOW, 50, 7), NOW + 1_000);
    takes.close_all().unwrap();
    let (spool, id) = (Arc::clone(&takes.spool), takes.meta.id);
    let folder = spool.files(id);
    let (path, sound) = (folder.join("audio-7.wav"), 50 * 640);
    let mut wav = std::fs::read(&path).unwrap();
    let header = wav.len() - sound;
    wav[..header].fill(0);
    std::fs::write(&path, &wav).unwrap();
    // The stream continues and ends.
    let meta = spool.meta(id).unwrap();
    let layout = Arc::clone(&takes.layout);
    let mut takes =
        TrackSet::open(Arc::clone(&spool), layout, meta, u64::MAX, Filming::default()).unwrap();
    take(&mut takes, speech(None, NOW + 1_000, 50, 7), NOW + 2_000);
    takes.close_all().unwrap();
    for _ in 0..2 {
        let (_, tracks) = finish_tracks(&spool, id, None, u64::MAX).unwrap();
        let names = tracks.iter().flat_map(|(_, finished)| &finished.files);
        let names: std::collections::HashSet<String> =
            names.map(|file| file.path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        assert!(names.contains("audio-7_2.wav") && !names.contains("audio-7.wav"), "{names:?}");
        let kept = find_leftovers(&folder, &names, id).unwrap();
        assert_eq!(kept, ["audio-7.wav.damaged"]);
    }
    assert_eq!(std::fs::read(folder.join("audio-7.wav.damaged")).unwrap(), wav);
    assert_eq!(std::fs::read(folder.join("audio-7_2.wav")).unwrap().len(), header + 2 * sound);
}

#[test]
fn a_day_of_silence_leaves_no_space_for_another() {
    let (_root, mut takes) = takes_of(DAY as u64 * 32);
    take(&mut takes, vec![voiced(None, NOW, 1)], NOW);
    take(&mut takes, vec![voiced(None, NOW + DAY, 1)], NOW + DAY);
    assert!(takes.bytes() >= DAY as u64 * 32);
    take(&mut takes, vec![voiced(None, NOW + DAY, 2)], NOW + DAY);
    assert_eq!((takes.meta.tracks.len(), left_out(&mut takes)), (2, 1));
}
