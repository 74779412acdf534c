//! The meaning of the event numbers in a Contact Center engagement (rtms-protocol.md section 10.2).

use super::codes::event_type::{CONTACT_CENTER_FIRST, CONTACT_CENTER_LAST};
use super::reader::{Fields, Reader};
use crate::model::{ContactCenterEvent, ContactCenterParty, RawJson};

/// The names of the events from [`CONTACT_CENTER_FIRST`] to [`CONTACT_CENTER_LAST`].
const NAMES: [&str; 27] = [
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
    // Zoom documents which numbers are about IVR (flow entered or left, media played, digits collected), but not which
    // number is which (section 23.2). Consumers get the raw event.
    "ivr",
    "ivr",
    "ivr",
    "ivr",
    "ivr",
];
const _: () = assert!(NAMES.len() == (CONTACT_CENTER_LAST - CONTACT_CENTER_FIRST + 1) as usize);

/// The name of a Contact Center event: `None` for a number that means the same in all products, `Some(None)` for a
/// number that this version does not know.
pub(super) fn event_name(number: u16) -> Option<Option<&'static str>> {
    let place = number.checked_sub(CONTACT_CENTER_FIRST)?;
    Some(NAMES.get(usize::from(place)).copied())
}

pub(super) fn read_event(
    code: u16,
    name: Option<&'static str>,
    reader: &mut Reader,
    body: &Fields<'_>,
    raw: &str,
) -> ContactCenterEvent {
    ContactCenterEvent {
        code,
        name: name.map(Into::into),
        participant: read_party(reader, body),
        raw: RawJson::of(raw),
    }
}

/// Reads the event's party. An older copy of Zoom's docs misspells the field (rtms-protocol.md section 7).
fn read_party(reader: &mut Reader, body: &Fields<'_>) -> Option<ContactCenterParty> {
    let info = reader
        .object(body, "participant_info")
        .or_else(|| reader.object(body, "paticipant_info"))?;
    let mut text = |name| reader.name(&info, name);
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
