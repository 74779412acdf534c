//! More sound than time: what comes in order is in the file whole, or it is counted.

use super::*;
use crate::sinks::record::track::order::MAX_LEAD_MS;

/// Times in milliseconds of frames that are 20 ms long.
const TIMES: [&[i64]; 4] = [
    &[0, 20, 40, 60, 80, 100],
    &[0, 10, 20, 30, 40, 50],
    &[0, 5, 10, 60, 65, 70],
    &[0, 1, 2, 3, 4, 100, 101, 102, 103, 104],
];

#[test]
fn sound_whose_times_are_too_close_is_in_the_file_whole_and_in_order() {
    for (times, syncs) in TIMES.iter().flat_map(|times| [(times, false), (times, true)]) {
        let (desk, mixed) = (Desk::new(), Desk::new());
        let (mut track, mut mix) = (desk.track(L16), mixed.mix());
        for (at_ms, value) in times.iter().zip(1..) {
            write(&mut track, [(*at_ms, value)]);
            say(&mut mix, 1, [*at_ms], value);
            if syncs {
                track.sync().unwrap();
                mix.sync().unwrap();
            }
        }
        let expected = Counts { written: times.len() as u64, ..Counts::default() };
        assert_eq!(track.finish().unwrap().counts, expected, "{times:?}");
        assert_eq!(mix.finish().unwrap().counts, expected, "{times:?}");
        let sent: Vec<i16> = (1..=times.len() as i16).collect();
        assert_eq!(values(&desk.samples()), sent, "{times:?}");
        assert_eq!(values(&mixed.samples()), sent, "{times:?}");
    }
}

#[test]
fn the_next_pause_brings_the_file_back_to_the_clock() {
    let desk = Desk::new();
    let mut track = desk.track(L16);
    write(&mut track, (0..10).map(|n| (10 * n, 1)).chain([(400, 2)]));
    track.finish().unwrap();
    let values = values(&desk.samples());
    assert_eq!(
        (&values[..10], &values[10..20], &values[20..]),
        (&[1; 10][..], &[0; 10][..], &[2][..])
    );
}

#[test]
fn sound_beyond_the_lead_that_a_file_may_have_is_left_out_and_counted() {
    let (desk, mixed) = (Desk::new(), Desk::new());
    let (mut track, mut mix) = (desk.track(L16), mixed.mix());
    write(&mut track, (0..300).map(|n| (n, n as i16)));
    (0..300).for_each(|n| say(&mut mix, 1, [n], n as i16));
    let (track, mix) = (track.finish().unwrap(), mix.finish().unwrap());
    assert_eq!(track.counts, mix.counts);
    let Counts { written, overlapped, .. } = track.counts;
    assert_eq!((written + overlapped, desk.samples()), (300, mixed.samples()));
    assert_eq!(values(&desk.samples()).len() as u64, written);
    let last_ms = (track.files[0].last_ms - ORIGIN_MS) as u64;
    assert!((MAX_LEAD_MS..=299 + MAX_LEAD_MS + 20).contains(&last_ms), "{last_ms}");
}

#[test]
fn a_frame_without_its_last_byte_is_counted_as_truncated() {
    let (desk, mixed) = (Desk::new(), Desk::new());
    let (mut track, mut mix) = (desk.track(L16), mixed.mix());
    let who = SpeakerKey::User(SpeakerUserId::Number(UserId(1)));
    for at_ms in [ORIGIN_MS, ORIGIN_MS + 20, ORIGIN_MS + 40] {
        let frame = Bytes::from(vec![1; FRAME + 1]);
        track.write(at_ms, &frame).unwrap();
        mix.write(at_ms, &who, &frame).unwrap();
    }
    mix.write(ORIGIN_MS + 60, &who, &Bytes::from_static(&[1])).unwrap();
    let expected = Counts { truncated: 3, ..Counts::default() };
    assert_eq!((track.finish().unwrap().counts, expected.left_out()), (expected, 3));
    assert_eq!(mix.finish().unwrap().counts, Counts { unreadable: 1, ..expected });
    assert_eq!(desk.samples(), [0x0101; 3 * 320]);
    assert_eq!(mixed.samples(), [0x0101; 3 * 320]);
}

#[test]
fn what_comes_again_after_a_restart_is_repeated_and_what_is_older_fills_silence() {
    let desk = Desk::new();
    let mut track = desk.track(L16);
    write(&mut track, (50..60).map(|n| (20 * n, n as i16)));
    track.finish().unwrap();
    let mut track = desk.track(L16);
    // Older sound whose times shiver, the newest again, other sound at its time, and what follows.
    write(&mut track, [(900, 1), (915, 2), (943, 3), (1_160, 58), (1_180, 7), (1_200, 60)]);
    let expected = Counts { written: 4, repeated: 1, late: 1, ..Counts::default() };
    assert_eq!(track.finish().unwrap().counts, expected);
    let sent: Vec<i16> = [0; 45].into_iter().chain([1, 2, 3, 0, 0]).chain(50..=60).collect();
    assert_eq!(values(&desk.samples()), sent);
}

/// The file ends within the jitter of the next frame, which is long.
#[test]
fn a_voice_is_not_added_onto_itself_where_a_mix_goes_on() {
    let desk = Desk::new();
    let mut mix = desk.mix();
    say(&mut mix, 1, [0], 1);
    mix.finish().unwrap();
    let mut mix = desk.mix();
    let who = SpeakerKey::User(SpeakerUserId::Number(UserId(1)));
    mix.write(ORIGIN_MS + 40, &who, &sound_of(2, 4 * FRAME)).unwrap();
    assert_eq!(mix.finish().unwrap().counts.written, 1);
    assert_eq!(values(&desk.samples()), [1, 2, 2, 2, 2]);
}

#[test]
fn a_voice_that_comes_back_to_a_crowd_is_not_added_onto_itself() {
    let desk = Desk::new();
    let mut mix = desk.mix();
    say(&mut mix, 0, [0, 5, 10], 1);
    say(&mut mix, 1, [0], 1);
    // With these there is one voice more than are known at a time: the two that are silent make room.
    (2..=1_000).for_each(|who| say(&mut mix, who, [20_000], 1));
    say(&mut mix, 0, [15, 80], 1);
    let counts = mix.finish().unwrap().counts;
    assert_eq!((counts.written, counts.late), (1_004, 1), "{counts:?}");
    let values = values(&desk.samples());
    assert_eq!((&values[..5], values[1_000]), (&[2, 1, 1, 0, 1][..], 999));
}

/// A frame: its time since the origin, its value, its length in bytes.
type Sent = (i64, u8, usize);

/// Frames with times that jump, stand still and come in the wrong order.
fn any_frames(dice: &mut StdRng) -> Vec<Sent> {
    let most_ms = [3, 20, 25, 60][dice.random_range(0..4)];
    let mut at_ms = 0;
    let frame = |value| {
        at_ms += dice.random_range(0..=most_ms);
        at_ms += if dice.random_ratio(1, 30) { dice.random_range(0..4_000) } else { 0 };
        let back_ms = if dice.random_ratio(1, 10) { dice.random_range(0..500) } else { 0 };
        let usual = dice.random_ratio(2, 3);
        let bytes = if usual { FRAME } else { dice.random_range(1..2_500) };
        ((at_ms - back_ms).max(0), value, bytes)
    };
    (1..=120).map(frame).collect()
}

/// How many samples of each value there are. `of`: the part of a sample that is one voice's.
fn by_value(samples: &[i16], of: impl Fn(i16) -> u8) -> [usize; 256] {
    let mut counted = [0; 256];
    samples.iter().for_each(|sample| counted[usize::from(of(*sample))] += 1);
    counted
}

/// Every frame is in the file as far as it is whole samples, or it is counted; and none twice.
fn check(sent: &[Sent], found: &[usize; 256], written: &mut Counts) {
    for (_, value, bytes) in sent {
        match found[usize::from(*value)] {
            0 => {}
            samples => {
                assert_eq!(samples, bytes / 2, "frame {value}");
                written.count_written(bytes % 2 == 0);
            }
        }
    }
}

fn check_counts(sent: usize, found: Counts, said: Counts) {
    assert_eq!((found.written, found.truncated), (said.written, said.truncated), "{said:?}");
    let in_file = said.written + said.truncated;
    let absent = said.repeated + said.late + said.overlapped + said.unreadable;
    assert_eq!(in_file + absent, sent as u64, "{said:?}");
}

fn sound_of(value: i16, bytes: usize) -> Bytes {
    value.to_le_bytes().into_iter().cycle().take(bytes).collect::<Vec<_>>().into()
}

#[test]
fn samples_in_the_file_and_samples_that_are_counted_are_what_was_sent() {
    for seed in 0..40 {
        println!("seed {seed}");
        let mut dice = StdRng::seed_from_u64(seed);
        let sent = any_frames(&mut dice);
        let desk = Desk::new();
        let (mut track, mut said) = (desk.track(L16), Counts::default());
        for (at_ms, value, bytes) in &sent {
            track.write(ORIGIN_MS + at_ms, &sound_of((*value).into(), *bytes)).unwrap();
            if dice.random_ratio(1, 15) {
                track.sync().unwrap();
            }
            if dice.random_ratio(1, 30) {
                said.add(&track.finish().unwrap().counts);
                track = desk.track(L16);
            }
        }
        said.add(&track.finish().unwrap().counts);
        let mut found = Counts::default();
        check(&sent, &by_value(&desk.samples(), |sample| sample as u8), &mut found);
        check_counts(sent.len(), found, said);
    }
}

/// One voice is the low byte of a sample, the other the high one.
#[test]
fn samples_of_two_voices_in_the_mix_and_samples_that_are_counted_are_what_was_sent() {
    for seed in 0..40 {
        println!("seed {seed}");
        let mut dice = StdRng::seed_from_u64(seed);
        let voices = [any_frames(&mut dice), any_frames(&mut dice)];
        let desk = Desk::new();
        let (mut mix, mut said) = (desk.mix(), Counts::default());
        for n in 0..voices[0].len() {
            for (voice, who) in voices.iter().zip(0..) {
                let (at_ms, value, bytes) = voice[n];
                let key = SpeakerKey::User(SpeakerUserId::Number(UserId(who)));
                let sound = sound_of(i16::from(value) << (8 * who), bytes);
                mix.write(ORIGIN_MS + at_ms, &key, &sound).unwrap();
            }
            if dice.random_ratio(1, 15) {
                mix.sync().unwrap();
            }
            if dice.random_ratio(1, 30) {
                said.add(&mix.finish().unwrap().counts);
                mix = desk.mix();
            }
        }
        said.add(&mix.finish().unwrap().counts);
        let (samples, mut found) = (desk.samples(), Counts::default());
        check(&voices[0], &by_value(&samples, |sample| sample as u8), &mut found);
        check(&voices[1], &by_value(&samples, |sample| (sample >> 8) as u8), &mut found);
        check_counts(2 * voices[0].len(), found, said);
    }
}
