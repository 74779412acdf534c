use tempfile::{TempDir, tempdir};
use uuid::Uuid;

use super::*;
use crate::hub::{Encoded, StreamInfo};
use crate::model::{IdKey, Instance, Product, RecordingId, SessionId, StreamId};
use crate::rtms::params::{
    AudioCodec, AudioContent, AudioStreams, Channels, Effective, EffectiveAudio, SampleRate,
};
use crate::sinks::record::spool::FrameCounts;

const NOW: i64 = 1_732_313_190_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn sound(first_packet_ms: Option<i64>, at_ms: i64) -> Arc<Frame> {
    let audio = EffectiveAudio {
        content_type: Some(AudioContent::Raw),
        codec: Some(AudioCodec::L16),
        sample_rate: Some(SampleRate::Khz16),
        channels: Some(Channels::Mono),
        streams: Some(AudioStreams::PerParticipant),
        send_rate_ms: Some(20),
    };
    let stream = StreamInfo {
        session_id: SessionId(Uuid::nil()),
        stream_id: StreamId::parse("s1").unwrap(),
        ordinal: 1,
        instance: Instance::new(Product::Meeting, IdKey::MeetingUuid, "m==").unwrap(),
        first_packet_ms,
        effective: Effective { audio: Some(audio), ..Effective::default() },
    };
    Arc::new(Frame {
        stream: Arc::new(stream),
        medium: Medium::Audio,
        seq: 1,
        at_ms,
        user_id: Some(UserId(7)),
        person: None,
        payload: vec![1; 640].into(),
        encoded: Encoded::default(),
    })
}

fn takes() -> (TempDir, Takes) {
    let root = tempdir().unwrap();
    let spool = Arc::new(Spool::open(root.path()).unwrap());
    let label = Label {
        id: RecordingId(Uuid::now_v7()),
        session_id: SessionId(Uuid::nil()),
        stream_id: StreamId::parse("s1").unwrap(),
        ordinal: 1,
        media: vec!["audio".into()],
        started_at_ms: NOW,
        origin_ms: None,
        tracks: Vec::new(),
        frames: FrameCounts::default(),
    };
    let layout = Arc::new(Layout::parse("{stream}").unwrap());
    (root, Takes::open(spool, layout, label).unwrap())
}

fn counts_of(batches: &[(i64, Vec<i64>)]) -> FrameCounts {
    let (_root, mut takes) = takes();
    for (now_ms, times_ms) in batches {
        let mut frames = times_ms.iter().map(|at_ms| sound(None, *at_ms)).collect();
        takes.take(&mut frames, *now_ms).unwrap();
    }
    takes.close_all().unwrap();
    takes.label().frames
}

#[test]
fn one_absurd_time_at_the_beginning_costs_its_own_frame_only() {
    for absurd in [0, -5, i64::MIN, i64::MAX, NOW - 40 * HOUR, NOW + 40 * HOUR] {
        let counts = counts_of(&[(NOW, vec![absurd, NOW, NOW + 20]), (NOW, vec![NOW + 40])]);
        assert_eq!((counts.written, counts.absurd), (3, 1), "{absurd}");
    }
}

#[test]
fn a_batch_of_absurd_times_only_leaves_the_clock_as_the_origin() {
    let counts = counts_of(&[(NOW, vec![0]), (NOW, vec![NOW + 20, NOW + 40])]);
    assert_eq!((counts.written, counts.absurd), (2, 1));
}

#[test]
fn who_speaks_shortly_after_a_long_silence_is_recorded() {
    let later = NOW + 50 * MINUTE;
    let counts = counts_of(&[(NOW, vec![NOW, NOW + 20]), (later, vec![later, later + 20])]);
    assert_eq!((counts.written, counts.absurd), (4, 0));
}

#[test]
fn the_first_packet_is_the_origin_also_hours_later_but_not_when_it_cannot_be() {
    assert_eq!(origin_ms(Some(NOW - 5 * HOUR), &[NOW], NOW), Some(NOW - 5 * HOUR));
    assert_eq!(origin_ms(Some(NOW), &[NOW - 500, NOW - HOUR], NOW), Some(NOW - 500));
    for absurd in [0, i64::MIN, i64::MAX, NOW + 3 * HOUR] {
        assert_eq!(origin_ms(Some(absurd), &[NOW], NOW), Some(NOW), "{absurd}");
    }
}
