//! The JSON of a script file (pure). Unknown fields are mistakes.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::simulator::control::Verb;
use crate::simulator::quirk::Quirk;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub title: String,
    #[serde(default = "default_product")]
    pub product: String,
    pub meeting_id: String,
    pub account_id: String,
    pub host: String,
    pub people: Vec<PersonItem>,
    pub timeline: Vec<Item>,
    pub end: Option<EndItem>,
    /// On from before the stream is announced; the `quirk` fault changes them later.
    #[serde(default)]
    pub quirks: Vec<Quirk>,
}

fn default_product() -> String {
    "meeting".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonItem {
    pub key: String,
    pub user_id: u32,
    pub name: String,
    /// Makes the person a Zoom user who can install the app; the host is one of them in any case.
    pub zoom_user_id: Option<String>,
    /// The id of the party's channel in a Contact Center engagement. Defaults to the key.
    pub channel_id: Option<String>,
}

/// One row of the timeline: a time and exactly one thing that happens then.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    pub at_ms: u32,
    pub join: Option<String>,
    pub leave: Option<String>,
    pub say: Option<SayItem>,
    pub chat: Option<ChatItem>,
    pub share_start: Option<String>,
    pub share_stop: Option<Empty>,
    pub video_on: Option<String>,
    pub video_off: Option<String>,
    pub pause: Option<Empty>,
    pub resume: Option<Empty>,
    pub fault: Option<Verb>,
    /// An event about a party of a Contact Center engagement, such as a pressed key.
    pub engagement: Option<EngagementItem>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EngagementItem {
    pub who: String,
    /// Zoom's event number (section 10.2).
    pub event_type: u16,
    /// Further fields of the event.
    #[serde(default)]
    pub fields: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SayItem {
    pub who: String,
    pub text: String,
    pub audio: Option<String>,
    pub duration_ms: u32,
    #[serde(default = "default_language")]
    pub language: i64,
}

fn default_language() -> i64 {
    9
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChatItem {
    pub who: String,
    pub text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndItem {
    pub at_ms: u32,
    #[serde(default = "meeting_ended")]
    pub stop_reason: u16,
}

fn meeting_ended() -> u16 {
    6
}
