//! Scripts: who takes part in a meeting, what they say and when, and which faults occur (pure, except `read`).

mod file;
mod format;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::control::MeetingAction;
use super::quirk::Quirk;
use super::settings::User;
use crate::model::Product;

/// The longest script text, in bytes.
const MAX_SCRIPT_BYTES: usize = 4 << 20;
/// The longest audio file: 8 MiB of A-law is 17 minutes.
const MAX_CLIP_BYTES: usize = 8 << 20;

/// Why a script cannot be played, and where in it the mistake is.
#[derive(Debug, Error)]
pub enum ScriptError {
    #[error("cannot read {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("the script is longer than {MAX_SCRIPT_BYTES} bytes")]
    TooLong,
    #[error("not a script: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{place}: {problem}")]
    Invalid { place: String, problem: String },
}

/// A checked script, with its cues in order of time.
#[derive(Debug, Clone)]
pub struct Script {
    pub(super) title: String,
    pub(super) product: Product,
    /// The number of the first meeting; each further meeting adds one.
    pub(super) meeting_id: u64,
    pub(super) account_id: String,
    /// The Zoom user id of the host, who by default is the operator of the streams.
    pub(super) host: String,
    pub(super) people: Arc<[Person]>,
    pub(super) utterances: Arc<[Utterance]>,
    pub(super) chats: Arc<[Chat]>,
    pub(super) engagements: Arc<[EngagementEvent]>,
    /// Script times in milliseconds and what happens at them, in order of time.
    pub(super) cues: Arc<[(u32, Cue)]>,
    pub(super) ending: Ending,
    pub(super) quirks: Vec<Quirk>,
}

/// A participant of a meeting, or a party of a Contact Center engagement.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub user_id: u32,
    pub name: String,
    /// The speaker fields of a frame as JSON with a trailing comma, formatted once for all frames.
    pub frame_fields: String,
    /// The Zoom user id of a signed-in participant. In an engagement only agents have one.
    pub zoom_user_id: Option<String>,
    /// The audio channel of a party of an engagement.
    pub channel_id: Option<String>,
}

/// Something that a person says: audio while it lasts, and a transcript line at its end.
#[derive(Debug, Clone)]
pub(super) struct Utterance {
    pub who: usize,
    pub text: String,
    pub start_ms: u32,
    pub duration_ms: u32,
    pub language: i64,
    pub voice: Voice,
}

/// Where the samples of an utterance come from.
#[derive(Debug, Clone)]
pub(super) enum Voice {
    /// A quiet tone. Its frequency is a multiple of 50 Hz, so a frame of 20 ms holds whole periods.
    Tone { hz: u32 },
    /// G.711 A-law, 8 kHz, mono.
    Clip(Arc<[u8]>),
    /// Each frame starts with the value of this clock (`u64`, little-endian); the rest is zero.
    Timestamp(fn() -> u64),
}

/// A chat message.
#[derive(Debug, Clone)]
pub(super) struct Chat {
    pub who: usize,
    pub text: String,
}

/// An event about one party of an engagement.
#[derive(Debug, Clone)]
pub(super) struct EngagementEvent {
    pub who: usize,
    pub event_type: u64,
    pub fields: Map<String, Value>,
}

/// Something that happens at a point of the timeline. Numbers are indexes into the script's tables.
#[derive(Debug, Clone)]
pub(super) enum Cue {
    Join(usize),
    Leave(usize),
    /// An utterance begins.
    Speak(usize),
    /// An utterance ends: its transcript line.
    Line(usize),
    Chat(usize),
    ShareStart(usize),
    ShareStop,
    VideoOn(usize),
    VideoOff(usize),
    /// An engagement event, by index.
    Engagement(usize),
    /// An action or fault, as over the simulator's API.
    Action(MeetingAction),
}

/// What happens at the end of the timeline.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    /// The meeting ends.
    At { at_ms: u32, stop_reason: u16 },
    /// The timeline starts again. `length_ms` is the length of one round.
    Again { length_ms: u32 },
}

/// The `stop_reason` of a meeting that ends without another reason (section 10.6).
pub(super) fn end_reason(product: Product) -> u16 {
    const MEETING_ENDED: u16 = 6;
    const CUSTOMER_DISCONNECTED: u16 = 21;
    match product {
        Product::ContactCenter => CUSTOMER_DISCONNECTED,
        Product::Meeting | Product::Webinar | Product::VideoSdk | Product::Phone => MEETING_ENDED,
    }
}

impl Script {
    /// Parses a script. Audio files that it names are not read; tones take their place.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        format::parse_script(text, &|_| Ok(None))
    }

    /// Reads a script file and the audio files in its folder.
    pub fn read(path: &Path) -> Result<Self, ScriptError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let text = read_file(path, MAX_SCRIPT_BYTES)?;
        let text = String::from_utf8(text).map_err(|_| ScriptError::Invalid {
            place: path.display().to_string(),
            problem: "is not UTF-8 text".to_owned(),
        })?;
        format::parse_script(&text, &|name| read_file(&folder.join(name), MAX_CLIP_BYTES).map(Some))
    }

    /// The built-in script with its recorded voices, which `rtmsd demo` plays.
    pub fn built_in() -> Self {
        let clip = |name: &str| Ok(super::demo::voice_clip(name).map(<[u8]>::to_vec));
        format::parse_script(super::demo::SCRIPT, &clip).expect("a test plays the built-in script")
    }

    /// Replaces the sound of every utterance: each frame starts with the value of `clock` when the frame is created (`u64`,
    /// little-endian), so that a receiver can measure latency. No effect with Opus; mixed utterances are silent.
    pub fn with_timestamps(mut self, clock: fn() -> u64) -> Self {
        let voice = Voice::Timestamp(clock);
        let stamped =
            |utterance: &Utterance| Utterance { voice: voice.clone(), ..utterance.clone() };
        self.utterances = self.utterances.iter().map(stamped).collect();
        self
    }

    /// Whether this is a Contact Center engagement, which identifies its parties by channel.
    pub(super) fn is_engagement(&self) -> bool {
        self.product.names_channels()
    }

    /// The people of the script who are Zoom users.
    pub(super) fn users(&self) -> Vec<User> {
        let user = |person: &Person| Some(User::new(person.zoom_user_id.as_ref()?, &person.name));
        self.people.iter().filter_map(user).collect()
    }

    /// A script for load tests: one person talks for this many seconds, with a transcript line every second.
    pub fn load(seconds: u32) -> Self {
        const SECOND_MS: u32 = 1000;
        let end_ms = seconds.saturating_mul(SECOND_MS);
        let utterance = |second: u32| Utterance {
            who: 0,
            text: format!("This is line number {second} of the load script."),
            start_ms: second * SECOND_MS,
            duration_ms: SECOND_MS,
            language: 9,
            voice: Voice::Tone { hz: 200 },
        };
        let utterances: Arc<[_]> = (0..seconds.min(u32::MAX / SECOND_MS)).map(utterance).collect();
        let mut cues = vec![(0, Cue::Join(0))];
        for (index, utterance) in utterances.iter().enumerate() {
            cues.push((utterance.start_ms, Cue::Speak(index)));
            cues.push((utterance.start_ms + SECOND_MS, Cue::Line(index)));
        }
        Self {
            title: "Load".to_owned(),
            product: Product::Meeting,
            meeting_id: 90_000_000_000,
            account_id: "acc-load".to_owned(),
            host: "u-load".to_owned(),
            people: Arc::new([Person::new(16_778_240, "Load Speaker")]),
            utterances,
            chats: Arc::new([]),
            engagements: Arc::new([]),
            cues: cues.into(),
            ending: Ending::At { at_ms: end_ms, stop_reason: end_reason(Product::Meeting) },
            quirks: Vec::new(),
        }
    }
}

impl Person {
    pub(super) fn new(user_id: u32, name: &str) -> Self {
        let name_json = Value::from(name);
        let frame_fields = format!(r#""user_id":{user_id},"user_name":{name_json},"#);
        let name = name.to_owned();
        Self { user_id, name, frame_fields, zoom_user_id: None, channel_id: None }
    }

    /// Makes this person a party of an engagement: frames and lines identify it only by channel (section 23.2).
    pub(super) fn on_channel(self, channel_id: &str) -> Self {
        let frame_fields = format!(r#""channel_id":{},"#, Value::from(channel_id));
        Self { frame_fields, channel_id: Some(channel_id.to_owned()), ..self }
    }

    /// The fields that identify a participant in events.
    pub(super) fn with_name(&self) -> Value {
        json!({"user_id": self.user_id, "user_name": self.name})
    }

    /// `participant_info` of the events about a party of an engagement (section 7).
    pub(super) fn party(&self) -> Value {
        let agent = self.zoom_user_id.as_deref();
        let mut party = json!({
            "channel_id": self.channel_id,
            "participant_mode": if agent.is_some() { "callee" } else { "caller" },
            "user_id": agent.unwrap_or("customer-contact-id"),
            "queue_id": "queue-1", "queue_name": "Support",
        });
        if !self.name.is_empty() {
            party["display_name"] = self.name.clone().into();
        }
        party
    }
}

impl Utterance {
    pub(super) fn end_ms(&self) -> u32 {
        self.start_ms + self.duration_ms
    }
}

fn read_file(path: &Path, limit: usize) -> Result<Vec<u8>, ScriptError> {
    use std::io::Read;
    let error = |source| ScriptError::Read { path: path.display().to_string(), source };
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(error)?;
    // One byte more than allowed shows that a file is too long, without reading all of it.
    file.take(limit as u64 + 1).read_to_end(&mut content).map_err(error)?;
    if content.len() > limit {
        return Err(ScriptError::Invalid {
            place: path.display().to_string(),
            problem: format!("is longer than {limit} bytes"),
        });
    }
    Ok(content)
}
