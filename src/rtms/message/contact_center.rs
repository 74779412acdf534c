//! What the event numbers mean in a Contact Center engagement (section 10.2).

use serde_json::Value;

use super::codes::event_type::{CONTACT_CENTER_FIRST, CONTACT_CENTER_LAST};
use super::event::read;
use super::short::Short;
use crate::model::{ContactCenterEvent, ContactCenterParty, RawJson};

/// From [`CONTACT_CENTER_FIRST`] to [`CONTACT_CENTER_LAST`].
const NAMES: [&str; 22] = [
    "consumer_answered",
    "consumer_end",
    "user_answered",
    "user_end",
    "user_hold",
    "user_unhold",
    "monitor_started",
    "monitor_transitioned",
    "monitor_ended",
    "takeover_started",
    "transfer_initiated",
    "transfer_canceled",
    "transfer_accepted",
    "transfer_completed",
    "transfer_rejected",
    "transfer_timeout",
    "conference_canceled",
    "conference_participant_canceled",
    "conference_participant_invited",
    "conference_participant_rejected",
    "conference_participant_timeout",
    "conference_participant_left",
];
const _: () = assert!(NAMES.len() == (CONTACT_CENTER_LAST - CONTACT_CENTER_FIRST + 1) as usize);

pub(super) fn event(number: u16, raw: &str) -> Option<ContactCenterEvent> {
    let place = number.checked_sub(CONTACT_CENTER_FIRST)?;
    let body: Value = serde_json::from_str(raw).ok()?;
    Some(ContactCenterEvent {
        code: number,
        name: NAMES.get(usize::from(place)).map(|name| (*name).into()),
        participant: party(&body),
        raw: RawJson::of(raw),
    })
}

/// An older copy of Zoom's docs misspells the field (section 7).
fn party(body: &Value) -> Option<ContactCenterParty> {
    let info = ["participant_info", "paticipant_info"].iter().find_map(|key| body.get(*key))?;
    let text = |key: &str| match info.get(key)? {
        Value::Number(number) => Some(number.to_string()),
        value => read::<Short>(value).map(|text| text.0).filter(|text| !text.is_empty()),
    };
    Some(ContactCenterParty {
        channel_id: text("channel_id"),
        mode: text("participant_mode"),
        user_id: text("user_id"),
        display_name: text("display_name"),
        phone_number: text("phone_number"),
        queue_id: text("queue_id"),
        queue_name: text("queue_name"),
    })
}
