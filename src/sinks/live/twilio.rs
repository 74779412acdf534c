//! The dialect of Twilio Media Streams (pure): one call with the session's mixed audio as its inbound track. Fields and
//! their types are as in Twilio's documentation of its WebSocket messages.

mod mixer;
mod mulaw;
mod resample;

use std::collections::HashMap;

use base64::Engine;
use serde_json::{Value, json};

use self::mixer::{CHUNK_MS, Chunk, MixPosition, Mixer};
use self::resample::Resampler;
use super::request::{Encoding, Sound};
use super::wire::BASE64;
use crate::hub::Frame;
use crate::model::params::{AudioCodec, AudioStreams, Channels, SampleRate};
use crate::model::{Medium, Session, SpeakerKey};
use crate::rtms::params::EffectiveAudio;

/// The most speakers that are tracked; Zoom sends at most three at a time (rtms-protocol.md section 8.1).
const MAX_SPEAKERS: usize = 64;
/// The longest message of a server that is parsed: a mark is short, speech is long.
const MAX_MARK_BYTES: usize = 4 * 1024;

/// 10 s of audio. More may be due after a change of the clock; it follows with the next tick.
const MAX_CHUNKS_AT_ONCE: usize = 500;

/// Zoom sends a codec other than L16.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotL16(pub &'static str);

/// The state of a connection in this dialect.
pub(super) struct Twilio {
    sound: Sound,
    mixer: Mixer,
    speakers: HashMap<Option<SpeakerKey>, SpeakerState>,
    /// The number of the connection's next message.
    sequence: u64,
    stream_sid: String,
    call_sid: String,
}

/// A speaker.
struct SpeakerState {
    rate_hz: u32,
    resampler: Resampler,
    position: MixPosition,
}

impl Twilio {
    pub(super) fn new(sound: Sound) -> Self {
        Self {
            sound,
            mixer: Mixer::new(sound.rate_hz),
            speakers: HashMap::new(),
            sequence: 0,
            stream_sid: String::new(),
            call_sid: String::new(),
        }
    }

    /// The messages `connected` and `start`.
    pub(super) fn hello(&mut self, session: Option<&Session>) -> Vec<String> {
        let id = session.map_or_else(String::new, |session| session.id.0.simple().to_string());
        (self.stream_sid, self.call_sid) = (format!("MZ{id}"), format!("CA{id}"));
        let about = session.map(|session| {
            json!({
                "session_id": session.id,
                "app": session.app,
                "product": session.instance.product,
                "instance_id": session.instance.id(),
                "meeting_id": session.meeting_id,
            })
        });
        let start = json!({
            "streamSid": self.stream_sid,
            "accountSid": account_sid(),
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "customParameters": about.unwrap_or_else(|| json!({})),
            "mediaFormat": {
                "encoding": self.encoding(),
                "sampleRate": self.sound.rate_hz,
                "channels": 1,
            },
        });
        let connected = json!({"event": "connected", "protocol": "Call", "version": "1.0.0"});
        vec![connected.to_string(), self.message("start", &start)]
    }

    /// The media messages due after a frame.
    pub(super) fn frame(&mut self, now_ms: i64, frame: &Frame) -> Result<Vec<String>, NotL16> {
        if frame.medium != Medium::Audio {
            return Ok(Vec::new());
        }
        let (rate_hz, channels) = audio_layout(frame.stream().effective.audio.as_ref())?;
        let audio = frame.stream().effective.audio.as_ref();
        let is_mixed = audio.and_then(|audio| audio.streams) == Some(AudioStreams::Mixed);
        // Contact Center sends each party's audio, whatever was requested.
        self.mixer.is_mixed(is_mixed && frame.speaker().is_none());
        let speaker = frame.speaker_key();
        if self.speakers.len() >= MAX_SPEAKERS && !self.speakers.contains_key(&speaker) {
            // Each voice only loses its resampler's history, which is a click and no gap.
            self.speakers.clear();
        }
        let new = || SpeakerState::new(rate_hz, self.sound.rate_hz);
        let state = self.speakers.entry(speaker).or_insert_with(new);
        if state.rate_hz != rate_hz {
            *state = SpeakerState::new(rate_hz, self.sound.rate_hz);
        }
        let samples = state.resampler.process(&mono_samples(&frame.payload, channels));
        self.mixer.add(now_ms, frame.at_ms, &samples, &mut state.position);
        Ok(self.tick(now_ms))
    }

    /// The media messages due now.
    pub(super) fn tick(&mut self, now_ms: i64) -> Vec<String> {
        let mut messages = Vec::new();
        while messages.len() < MAX_CHUNKS_AT_ONCE
            && let Some(chunk) = self.mixer.take(now_ms)
        {
            messages.push(self.media(&chunk));
        }
        messages
    }

    /// Returns a mark at once, because audio that a server sends is not played.
    pub(super) fn answer(&mut self, text: &str) -> Vec<String> {
        let message: Option<Value> =
            (text.len() <= MAX_MARK_BYTES).then(|| serde_json::from_str(text).ok()).flatten();
        match message {
            Some(message) if message["event"] == "mark" => {
                vec![self.message("mark", &json!({ "name": message["mark"]["name"] }))]
            }
            _ => Vec::new(),
        }
    }

    /// The remaining audio, and `stop`.
    pub(super) fn goodbye(&mut self) -> Vec<String> {
        let mut messages = Vec::new();
        while let Some(chunk) = self.mixer.take_rest() {
            messages.push(self.media(&chunk));
        }
        let stop = json!({"accountSid": account_sid(), "callSid": self.call_sid});
        messages.push(self.message("stop", &stop));
        messages
    }

    fn media(&mut self, chunk: &Chunk) -> String {
        let bytes: Vec<u8> = match self.sound.encoding {
            Encoding::Mulaw => chunk.samples.iter().copied().map(mulaw::encode_sample).collect(),
            Encoding::L16 => chunk.samples.iter().flat_map(|s| s.to_le_bytes()).collect(),
        };
        let media = json!({
            "track": "inbound",
            // Counts from 1, as text, like all of Twilio's numbers.
            "chunk": (chunk.index + 1).to_string(),
            "timestamp": (chunk.index * CHUNK_MS).to_string(),
            "payload": BASE64.encode(bytes),
        });
        self.message("media", &media)
    }

    fn message(&mut self, event: &str, body: &Value) -> String {
        self.sequence += 1;
        json!({
            "event": event,
            "sequenceNumber": self.sequence.to_string(),
            "streamSid": self.stream_sid,
            event: body,
        })
        .to_string()
    }

    fn encoding(&self) -> &'static str {
        match self.sound.encoding {
            Encoding::Mulaw => "audio/x-mulaw",
            Encoding::L16 => "audio/l16",
        }
    }
}

impl SpeakerState {
    fn new(rate_hz: u32, to_hz: u32) -> Self {
        let resampler = Resampler::new(rate_hz, to_hz);
        Self { rate_hz, resampler, position: MixPosition::default() }
    }
}

/// A placeholder account id, because servers expect one of this form.
fn account_sid() -> String {
    format!("AC{}", "0".repeat(32))
}

/// Sample rate and channels of Zoom's audio; the defaults if Zoom has not said.
fn audio_layout(audio: Option<&EffectiveAudio>) -> Result<(u32, usize), NotL16> {
    let Some(audio) = audio else { return Ok((SampleRate::Khz16.hz(), 1)) };
    if audio.codec != Some(AudioCodec::L16) {
        return Err(NotL16("format twilio needs AUDIO_CODEC=l16"));
    }
    let rate = audio.sample_rate.ok_or(NotL16("format twilio needs a known sample rate"))?;
    Ok((rate.hz(), if audio.channels == Some(Channels::Stereo) { 2 } else { 1 }))
}

/// L16 is little-endian here (section 8.1). Mixes two channels into one.
fn mono_samples(payload: &[u8], channels: usize) -> Vec<i16> {
    let (samples, _) = payload.as_chunks::<2>();
    // Half a sample at the end is dropped.
    let samples = samples.iter().map(|bytes| i16::from_le_bytes(*bytes));
    if channels == 1 {
        return samples.collect();
    }
    let samples: Vec<i16> = samples.collect();
    let (pairs, _) = samples.as_chunks::<2>();
    pairs.iter().map(|[left, right]| left.midpoint(*right)).collect()
}

#[cfg(test)]
mod tests;
