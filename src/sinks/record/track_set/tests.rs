//! The files of a running recording.

mod attacks;
mod shifts;

use tempfile::{TempDir, tempdir};
use uuid::Uuid;

use super::*;
use crate::hub::{FrameSource, LeftOut, Person, StreamInfo, stream_info};
use crate::model::params::{AudioCodec, AudioContent, AudioStreams, Channels, SampleRate};
use crate::model::{ChannelId, FrameCount, SessionId, Speaker, StreamId, UserId};
use crate::rtms::params::{Effective, EffectiveAudio};
use crate::sinks::record::recording_meta::TrackNote;
use crate::sinks::record::track::{Counts, Finished, shift};

const NOW: i64 = 1_732_313_190_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn sound(first_packet_ms: Option<i64>, at_ms: i64) -> Frame {
    said(Some(Speaker::participant(UserId(7), None)), first_packet_ms, at_ms)
}

fn said(speaker: Option<Speaker>, first_packet_ms: Option<i64>, at_ms: i64) -> Frame {
    let audio = EffectiveAudio {
        content_type: Some(AudioContent::Raw),
        codec: Some(AudioCodec::L16),
        sample_rate: Some(SampleRate::Khz16),
        channels: Some(Channels::Mono),
        streams: Some(AudioStreams::PerParticipant),
        send_rate_ms: Some(20),
    };
    let effective = Effective { audio: Some(audio), ..Effective::default() };
    let stream = StreamInfo { first_packet_ms, effective, ..stream_info() };
    let source = FrameSource {
        stream: Arc::new(stream),
        speaker: speaker.map(|speaker| Arc::new(Person::of(speaker))),
        active_speaker: None,
    };
    Frame {
        source: Arc::new(source),
        medium: Medium::Audio,
        seq: 1,
        at_ms,
        payload: vec![1; 640].into(),
        encoded: None,
    }
}

fn takes() -> (TempDir, TrackSet) {
    takes_of(u64::MAX)
}

/// With this much space.
fn takes_of(max_bytes: u64) -> (TempDir, TrackSet) {
    let root = tempdir().unwrap();
    let spool = Arc::new(Spool::open(root.path()).unwrap());
    let stream_id = StreamId::parse("s1").unwrap();
    let meta = RecordingMeta {
        media: Medium::Audio.into(),
        ..RecordingMeta::new(SessionId(Uuid::nil()), stream_id, 1, NOW)
    };
    let layout = Arc::new(Layout::parse("{stream}").unwrap());
    (root, TrackSet::open(spool, layout, meta, max_bytes, Filming::default()).unwrap())
}

fn counts_of(batches: &[(i64, Vec<i64>)]) -> Counts {
    let (_root, mut takes) = takes();
    for (now_ms, times_ms) in batches {
        let mut frames = times_ms.iter().map(|at_ms| sound(None, *at_ms)).collect();
        takes.take(&mut frames, *now_ms).unwrap();
    }
    takes.close_all().unwrap();
    takes.meta().total()
}

/// Audio of one voice that is not uniform.
fn voiced(first_packet_ms: Option<i64>, at_ms: i64, user_id: u64) -> Frame {
    let speaker = Speaker::participant(UserId(user_id), None);
    let payload = [(at_ms / 20 % 100) as u8 + 1; 640].to_vec().into();
    Frame { payload, ..said(Some(speaker), first_packet_ms, at_ms) }
}

/// Frames of 20 ms, from a time on.
fn speech(first_packet_ms: Option<i64>, from_ms: i64, count: i64, who: u64) -> Vec<Frame> {
    (0..count).map(|n| voiced(first_packet_ms, from_ms + 20 * n, who)).collect()
}

fn take(takes: &mut TrackSet, frames: Vec<Frame>, now_ms: i64) {
    let mut frames = VecDeque::from(frames);
    takes.take(&mut frames, now_ms).unwrap();
    assert!(frames.is_empty());
}

/// Ends a recording. Returns the number of audio frames in each file, by name, and the span of the file.
fn ended(takes: TrackSet) -> Vec<(String, usize, i64, i64)> {
    let (spool, id) = (Arc::clone(&takes.spool), takes.meta.id);
    drop(takes);
    let (meta, tracks) = finish_tracks(&spool, id, None, u64::MAX).unwrap();
    let track = |(note, finished): &(TrackNote, Finished)| {
        let [file] = &finished.files[..] else { panic!("{:?}", finished.files) };
        assert_eq!(Some(file.first_ms), meta.origin_ms);
        let wav = std::fs::read(&file.path).unwrap();
        let data = wav.windows(4).position(|name| name == b"data").expect("a data chunk") + 8;
        let frames = wav[data..].chunks(640).filter(|frame| frame.iter().any(|byte| *byte != 0));
        (note.name.clone(), frames.count(), file.first_ms, file.last_ms)
    };
    tracks.iter().map(track).collect()
}

#[test]
fn sound_that_zoom_kept_before_the_first_packet_is_recorded() {
    let (_root, mut takes) = takes();
    take(&mut takes, speech(Some(NOW), NOW - 30_000, 1_500, 7), NOW);
    take(&mut takes, speech(Some(NOW), NOW, 50, 7), NOW + 1_000);
    takes.close_all().unwrap();
    assert_eq!(
        takes.meta.counts.media[&Medium::Audio],
        Counts { written: 1_550, ..Counts::default() }
    );
    let span = (1_550, NOW - 30_000, NOW + 1_000);
    let files = ended(takes);
    assert_eq!(files.len(), 2, "a voice and the mix");
    assert!(files.iter().all(|file| (file.1, file.2, file.3) == span), "{files:?}");
}

#[test]
fn what_is_older_than_the_files_moves_them_and_nothing_is_lost() {
    let (_root, mut takes) = takes();
    take(&mut takes, speech(None, NOW, 50, 7), NOW + 1_000);
    // Of another voice, and then of the same.
    take(&mut takes, speech(None, NOW - 20_010, 1_000, 8), NOW + 1_000);
    take(&mut takes, speech(None, NOW - 30_000, 500, 7), NOW + 1_000);
    take(&mut takes, speech(None, NOW + 1_000, 50, 7), NOW + 2_000);
    takes.close_all().unwrap();
    let frames = takes.meta.total();
    assert_eq!((frames.written, frames.late, frames.absurd), (1_600, 0, 0));
    let files = ended(takes);
    let of = |who: &str| files.iter().find(|file| file.0.contains(who)).unwrap();
    assert_eq!(of("-7"), &("audio-7.wav".to_owned(), 600, NOW - 30_000, NOW + 2_000));
    assert_eq!((of("-8").1, of("-8").2), (1_000, NOW - 30_000));
    // Somebody speaks all the time: one, the other, and the first again.
    let spoken = (500 + 1_000 + 100) as usize;
    assert!((spoken - 2..=spoken).contains(&of("mix").1), "{files:?}");
}

/// A killed process leaves its files before the shift, half shifted, or shifted.
#[test]
fn a_kill_while_files_are_moved_costs_nothing() {
    for step in 0..4 {
        let (_root, mut killed) = takes();
        take(&mut killed, speech(None, NOW, 50, 7), NOW + 1_000);
        killed.close_all().unwrap();
        let mut meta = killed.meta.clone();
        let to_ms = shift::origin_for(NOW, NOW - 10_000);
        let path = killed.spool.files(meta.id).join(&meta.tracks[0].name);
        if step > 0 {
            meta.begin_at(to_ms);
            killed.spool.save(&mut meta).unwrap();
        }
        if step > 1 {
            shift::prepare_copies(&path, meta.tracks[0].kind, NOW, to_ms).unwrap();
        }
        if step > 2 {
            meta.tracks[0].origin_ms = Some(to_ms);
            killed.spool.save(&mut meta).unwrap();
        }
        let (spool, layout) = (Arc::clone(&killed.spool), Arc::clone(&killed.layout));
        let meta = spool.meta(meta.id).unwrap();
        let mut resumed =
            TrackSet::open(spool, layout, meta, u64::MAX, Filming::default()).unwrap();
        take(&mut resumed, speech(None, NOW - 10_000, 500, 7), NOW + 2_000);
        resumed.close_all().unwrap();
        // A killed mix does not know its content by voice: it accepts nothing that may be in it.
        for (name, frames, first_ms, last_ms) in ended(resumed) {
            assert_eq!((first_ms, last_ms), (to_ms, NOW + 1_000), "{name} {step}");
            assert!(frames == 550 || name.contains("mix"), "{name} {step}: {frames}");
        }
    }
}

#[test]
fn an_absurd_time_shifts_no_file_and_is_counted() {
    for absurd in [0, -5, i64::MIN, i64::MAX, NOW - 40 * HOUR, NOW + 2 * MINUTE] {
        let counts =
            counts_of(&[(NOW, vec![absurd, NOW, NOW + 20]), (NOW, vec![absurd, NOW + 40])]);
        assert_eq!((counts.written, counts.absurd), (3, 2), "{absurd}");
    }
}

#[test]
fn a_short_utterance_after_a_long_silence_is_recorded() {
    let later = NOW + 50 * MINUTE;
    let counts = counts_of(&[(NOW, vec![NOW, NOW + 20]), (later, vec![later, later + 20])]);
    assert_eq!((counts.written, counts.absurd), (4, 0));
}

#[test]
fn the_first_packet_is_the_origin_even_hours_later() {
    let (_root, mut takes) = takes();
    take(&mut takes, speech(Some(NOW - 5 * HOUR), NOW, 1, 7), NOW);
    assert_eq!(takes.meta.origin_ms, Some(NOW - 5 * HOUR));
}

fn channel(id: &str, name: Option<&str>) -> Option<Speaker> {
    let (channel_id, name) = (ChannelId::new(id), name.map(ToOwned::to_owned));
    Some(Speaker { channel_id, name, user_id: None })
}

fn both(one: &Option<Speaker>, other: &Option<Speaker>) -> VecDeque<Frame> {
    let at = |speaker: &Option<Speaker>, at_ms| said(speaker.clone(), Some(NOW), at_ms);
    (0..50).flat_map(|step| [at(one, NOW + 20 * step), at(other, NOW + 20 * step)]).collect()
}

#[test]
fn both_parties_of_an_engagement_with_the_same_times_have_whole_tracks() {
    let (_root, mut takes) = takes();
    let mut frames = both(&channel("c1", Some("Ana")), &channel("c2", Some("Consumer")));
    takes.take(&mut frames, NOW).unwrap();
    takes.close_all().unwrap();
    let frames = takes.meta().total();
    assert_eq!((frames.written, frames.late), (100, 0));
    let whole = |name: &str| (name.to_owned(), 50, NOW, NOW + 1_000);
    let [ana, consumer] = ["audio-channel-c1-Ana.wav", "audio-channel-c2-Consumer.wav"];
    assert_eq!(ended(takes), [ana, consumer, "audio-mix.wav"].map(whole));
}

#[test]
fn channels_with_equal_path_names_have_separate_files_even_after_a_restart() {
    let (_root, mut takes) = takes();
    let (one, other) = (channel("a/b", None), channel("a.b", None));
    for _ in 0..2 {
        takes.take(&mut both(&one, &other), NOW).unwrap();
        takes.close_all().unwrap();
        let (spool, layout) = (Arc::clone(&takes.spool), Arc::clone(&takes.layout));
        let meta = takes.spool.meta(takes.meta.id).unwrap();
        takes = TrackSet::open(spool, layout, meta, u64::MAX, Filming::default()).unwrap();
    }
    let names: Vec<&str> = takes.meta().tracks.iter().map(|note| &*note.name).collect();
    let expected = ["audio-channel-a_b.wav", "audio-channel-a_b-speaker1.wav", "audio-mix.wav"];
    assert_eq!(names, expected);
}

#[test]
fn a_name_that_arrives_after_the_first_frame_is_noted() {
    let (_root, mut takes) = takes();
    for (name, step) in [(None, 0), (Some("Ana"), 1), (Some("Ana"), 2)] {
        let frame = said(channel("c1", name), Some(NOW), NOW + 20 * step);
        takes.take(&mut [frame].into(), NOW).unwrap();
    }
    let note = &takes.spool.meta(takes.meta.id).unwrap().tracks[0];
    assert_eq!((&*note.name, note.speaker.name.as_deref()), ("audio-channel-c1.wav", Some("Ana")));
}

#[test]
fn dropped_frames_are_reported_with_their_time_and_counted_by_medium() {
    let (_root, mut takes) = takes();
    let mut rtp = voiced(None, NOW + 40, 7);
    let stream = Arc::make_mut(&mut Arc::make_mut(&mut rtp.source).stream);
    stream.effective.audio.as_mut().unwrap().content_type = Some(AudioContent::Rtp);
    let good = || voiced(None, NOW, 7);
    let other = Frame { payload: vec![99; 640].into(), ..good() };
    take(&mut takes, vec![good(), good(), other, voiced(None, NOW + 20, 7), rtp], NOW);
    takes.close_all().unwrap();
    let counts = takes.meta.counts.media[&Medium::Audio];
    let expected = Counts { written: 2, repeated: 1, late: 1, unreadable: 1, ..Counts::default() };
    assert_eq!(counts, expected);
    let spans: Vec<LeftOut> = takes.take_left_out().into_iter().collect();
    let count = FrameCount { frames: 2, bytes: 1_280 };
    let (medium, first_ms, last_ms) = (Medium::Audio, NOW, NOW + 40);
    assert_eq!(spans, [LeftOut { medium, first_ms, last_ms, count }]);
    // A restart continues the counts.
    let meta = takes.spool.meta(takes.meta.id).unwrap();
    assert_eq!(meta.total(), expected);
}

/// Sound of 20 ms for every millisecond, and frames that end within a sample.
#[test]
fn sound_that_has_no_place_is_counted_and_said() {
    let (_root, mut takes) = takes();
    let mut frames = Vec::new();
    for n in 0..300u16 {
        let bytes = if n % 10 == 0 { 641 } else { 640 };
        let payload = n.to_le_bytes().into_iter().cycle().take(bytes).collect::<Vec<_>>().into();
        frames.push(Frame { payload, ..voiced(None, NOW + i64::from(n), 7) });
    }
    take(&mut takes, frames, NOW + 1_000);
    takes.close_all().unwrap();
    let counts = takes.meta.counts.media[&Medium::Audio];
    let Counts { written, truncated, overlapped, .. } = counts;
    assert_eq!(written + truncated + overlapped, 300, "{counts:?}");
    assert!(written > 0 && truncated > 0 && overlapped > 0, "{counts:?}");
    assert_eq!(takes.meta.counts.mix, counts);
    let left_out: u64 = takes.take_left_out().into_iter().map(|span| span.count.frames).sum();
    assert_eq!(left_out, truncated + overlapped);
}

#[test]
fn frames_that_the_disk_rejects_are_lost_and_reported() {
    let (_root, mut takes) = takes();
    take(&mut takes, speech(None, NOW, 50, 7), NOW + 1_000);
    takes.sync().unwrap();
    take(&mut takes, speech(None, NOW + 1_000, 5, 7), NOW + 1_100);
    // The file cannot be created.
    std::fs::create_dir(takes.spool.files(takes.meta.id).join("audio-8.wav")).unwrap();
    let mut frames = VecDeque::from(speech(None, NOW + 1_000, 5, 8));
    assert!(takes.take(&mut frames, NOW + 1_100).is_err());
    takes.give_up(frames);
    let counts = takes.meta.counts.media[&Medium::Audio];
    // Unsynced frames of the first, and all frames of the second.
    assert_eq!(counts, Counts { written: 50, lost: 10, ..Counts::default() });
    let left_out: u64 = takes.take_left_out().into_iter().map(|span| span.count.frames).sum();
    assert_eq!(left_out, counts.lost);
}

#[test]
fn the_metadata_is_written_at_the_end_although_the_last_frames_are_lost() {
    let (_root, mut takes) = takes();
    take(&mut takes, speech(None, NOW, 50, 7), NOW + 1_000);
    takes.sync().unwrap();
    std::fs::create_dir(takes.spool.files(takes.meta.id).join("audio-8.wav")).unwrap();
    let mut frames = VecDeque::from(speech(None, NOW + 1_000, 5, 8));
    assert!(takes.take_last(&mut frames, NOW + 1_100).is_err());
    assert!(frames.is_empty() && takes.is_synced());
    let meta = takes.spool.meta(takes.meta.id).unwrap();
    assert_eq!(meta.total(), Counts { written: 50, lost: 5, ..Counts::default() });
    let left_out: u64 = takes.take_left_out().into_iter().map(|span| span.count.frames).sum();
    assert_eq!(left_out, 5);
}

/// A killed process continues with what is on the disk.
#[test]
fn a_note_that_could_not_be_written_is_written_with_the_next_sync() {
    let (_root, mut takes) = takes();
    take(&mut takes, speech(None, NOW, 50, 7), NOW + 1_000);
    let obstacle = takes.spool.files(takes.meta.id).with_file_name("label.json.new");
    std::fs::create_dir(&obstacle).unwrap();
    take(&mut takes, speech(None, NOW + 1_000, 50, 8), NOW + 2_000);
    assert_eq!(takes.spool.meta(takes.meta.id).unwrap().tracks.len(), 2);
    std::fs::remove_dir(&obstacle).unwrap();
    takes.sync().unwrap();
    assert_eq!(takes.spool.meta(takes.meta.id).unwrap(), takes.meta);
    take(&mut takes, speech(None, NOW + 2_000, 50, 8), NOW + 3_000);
    takes.is_meta_old = true;
    takes.sync().unwrap();
    assert_eq!(takes.spool.meta(takes.meta.id).unwrap(), takes.meta);
}

#[test]
fn a_failure_to_save_counts_does_not_stop_a_recording() {
    let (_root, mut takes) = takes();
    let obstacle = takes.spool.files(takes.meta.id).with_file_name("counts.json");
    std::fs::create_dir(&obstacle).unwrap();
    take(&mut takes, speech(None, NOW, 50, 7), NOW + 1_000);
    for is_saved in [true, false] {
        (takes.is_meta_old, takes.is_saved) = (true, is_saved);
        takes.sync().unwrap();
        assert!(takes.is_synced());
        std::fs::create_dir_all(obstacle.with_file_name("label.json.new")).unwrap();
    }
    assert!(takes.close_all().is_err(), "in the end it is an error");
    std::fs::remove_dir(obstacle.with_file_name("label.json.new")).unwrap();
    takes.close_all().unwrap();
    assert_eq!(takes.spool.meta(takes.meta.id).unwrap().total().written, 50);
}
