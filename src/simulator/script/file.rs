//! The JSON format of a script file (pure). Unknown fields are errors, so that a typo does not go unnoticed.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::simulator::control::MeetingAction;
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
    /// Quirks that are active from the start of the meeting; the fault `quirk` changes them later.
    #[serde(default)]
    pub quirks: Vec<Quirk>,
}

fn default_product() -> String {
    "meeting".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonItem {
    /// The name by which the timeline refers to this person.
    pub key: String,
    pub user_id: u32,
    pub name: String,
    /// Makes the person a Zoom user, who can install the app. The host is a user in any case.
    pub zoom_user_id: Option<String>,
    /// The channel id of this party of a Contact Center engagement. Defaults to the key.
    pub channel_id: Option<String>,
}

/// One row of the timeline: a time and exactly one event.
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
    pub fault: Option<MeetingAction>,
    /// An event of a Contact Center engagement, such as a pressed key.
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
    /// The name of an A-law file in the script's folder. Without one the voice is a tone.
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

/// `{}`: an event without fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndItem {
    pub at_ms: u32,
    pub stop_reason: Option<u16>,
}
