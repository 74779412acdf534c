//! The dialect of Twilio Media Streams.

use std::sync::Arc;

use super::*;
use crate::hub::{FrameSource, StreamInfo, stream_info};
use crate::model::params::AudioContent;
use crate::rtms::params::Effective;

const AT: i64 = 1_732_313_190_000;

fn audio(codec: AudioCodec, rate: SampleRate, channels: Channels) -> EffectiveAudio {
    EffectiveAudio {
        content_type: Some(AudioContent::Raw),
        codec: Some(codec),
        sample_rate: Some(rate),
        channels: Some(channels),
        streams: Some(AudioStreams::Mixed),
        send_rate_ms: Some(20),
    }
}

fn frame(audio: EffectiveAudio, step: i64, payload: Vec<u8>) -> Frame {
    let effective = Effective { audio: Some(audio), ..Effective::default() };
    let stream = StreamInfo { effective, ..stream_info() };
    let source = FrameSource { stream: Arc::new(stream), speaker: None, active_speaker: None };
    Frame {
        source: Arc::new(source),
        medium: Medium::Audio,
        seq: 1,
        at_ms: AT + step * 20,
        payload: payload.into(),
        encoded: None,
    }
}

fn sound(encoding: Encoding, rate_hz: u32) -> Twilio {
    Twilio::new(Sound { encoding, rate_hz })
}

fn parsed(messages: Vec<String>) -> Vec<Value> {
    messages.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

#[test]
fn a_conversation_begins_with_connected_and_start() {
    let messages = parsed(sound(Encoding::Mulaw, 8_000).hello(None));
    assert_eq!(messages[0], json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}));
    assert_eq!(
        (&messages[1]["event"], &messages[1]["sequenceNumber"]),
        (&json!("start"), &json!("1"))
    );
    let format = json!({"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1});
    assert_eq!(messages[1]["start"]["mediaFormat"], format);
    assert_eq!(messages[1]["start"]["tracks"], json!(["inbound"]));
}

#[test]
fn numbers_are_texts_and_a_chunk_has_160_bytes_from_every_rate() {
    for rate in [SampleRate::Khz8, SampleRate::Khz16, SampleRate::Khz32, SampleRate::Khz48] {
        let mut twilio = sound(Encoding::Mulaw, 8_000);
        let audio = audio(AudioCodec::L16, rate, Channels::Mono);
        let payload = vec![0; rate.hz() as usize / 50 * 2];
        let mut messages = Vec::new();
        for step in 0..3 {
            messages.extend(twilio.frame(AT, &frame(audio, step, payload.clone())).unwrap());
        }
        let messages = parsed(messages);
        assert_eq!(messages.len(), 3);
        let last = &messages[2];
        assert_eq!(last["event"], "media");
        assert_eq!(last["media"]["chunk"], "3");
        assert_eq!(last["media"]["timestamp"], "40");
        assert_eq!(last["media"]["track"], "inbound");
        let bytes = BASE64.decode(last["media"]["payload"].as_str().unwrap()).unwrap();
        assert_eq!(bytes, [0xff; 160]);
    }
}

#[test]
fn l16_at_its_own_rate_is_passed_through() {
    let mut twilio = sound(Encoding::L16, 16_000);
    let audio = audio(AudioCodec::L16, SampleRate::Khz16, Channels::Mono);
    let payload: Vec<u8> = (0..640).map(|byte| byte as u8).collect();
    let messages = parsed(twilio.frame(AT, &frame(audio, 0, payload.clone())).unwrap());
    let bytes = BASE64.decode(messages[0]["media"]["payload"].as_str().unwrap()).unwrap();
    assert_eq!(bytes, payload);
}

#[test]
fn two_channels_become_one() {
    assert_eq!(mono_samples(&[2, 0, 4, 0, 0xfe, 0xff, 0, 0], 2), [3, -1]);
}

#[test]
fn codecs_other_than_l16_are_refused() {
    let opus = audio(AudioCodec::Opus, SampleRate::Khz48, Channels::Mono);
    assert!(sound(Encoding::Mulaw, 8_000).frame(AT, &frame(opus, 0, vec![1])).is_err());
}

#[test]
fn a_mark_is_returned_and_other_messages_are_ignored() {
    let mut twilio = sound(Encoding::Mulaw, 8_000);
    let mark = json!({"event": "mark", "streamSid": "MZ", "mark": {"name": "end of turn"}});
    let messages = parsed(twilio.answer(&mark.to_string()));
    assert_eq!(messages[0]["mark"], json!({"name": "end of turn"}));
    for other in [json!({"event": "clear"}), json!({"event": "media"}), json!(7)] {
        assert!(twilio.answer(&other.to_string()).is_empty());
    }
    assert!(twilio.answer("no json").is_empty());
}

#[test]
fn a_changed_clock_or_an_absurd_time_causes_no_flood() {
    for at_ms in [i64::MIN, 0, AT, i64::MAX] {
        let mut twilio = sound(Encoding::Mulaw, 8_000);
        let audio = audio(AudioCodec::L16, SampleRate::Khz8, Channels::Mono);
        for at_ms in [AT, at_ms, i64::MAX, i64::MIN, at_ms] {
            let frame = Frame { at_ms, ..frame(audio, 0, vec![0; 320]) };
            assert!(twilio.frame(AT, &frame).unwrap().len() <= MAX_CHUNKS_AT_ONCE);
        }
        assert!(twilio.tick(AT + 86_400_000).len() <= MAX_CHUNKS_AT_ONCE);
    }
}

#[test]
fn a_conversation_ends_with_the_rest_and_stop() {
    let mut twilio = sound(Encoding::Mulaw, 8_000);
    let mut audio = audio(AudioCodec::L16, SampleRate::Khz8, Channels::Mono);
    audio.streams = Some(AudioStreams::PerParticipant);
    assert!(twilio.frame(AT, &frame(audio, 0, vec![0; 320])).unwrap().is_empty());
    let messages = parsed(twilio.goodbye());
    let events: Vec<_> =
        messages.iter().map(|message| message["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["media", "stop"]);
}
