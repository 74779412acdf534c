//! Events of a Contact Center engagement and the parties they are about (rtms-protocol.md sections 7 and 10.2).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{ChannelId, RawJson, Speaker, SpeakerUserId};

/// An event of an engagement, with the fields that rtmsd knows and the whole event as Zoom sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactCenterEvent {
    /// Zoom's event number (section 10.2).
    pub code: u16,
    /// Zoom's name for the number, in lower case; none for a number that this version does not know.
    pub name: Option<Cow<'static, str>>,
    /// The party that the event is about.
    pub participant: Option<ContactCenterParty>,
    /// The event's JSON as Zoom sent it.
    pub raw: RawJson,
}

/// One party of an engagement. In Zoom's terms the "user" is the agent and the "consumer" the customer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactCenterParty {
    /// Zoom's id of the party's channel in the call.
    pub channel_id: Option<String>,
    /// `caller` or `callee`.
    pub mode: Option<String>,
    /// A text, unlike a meeting participant's number.
    pub user_id: Option<String>,
    /// The party's name as shown in Zoom.
    pub display_name: Option<String>,
    /// The party's phone number as Zoom sent it.
    pub phone_number: Option<String>,
    /// The id of the queue.
    pub queue_id: Option<String>,
    /// The name of the queue.
    pub queue_name: Option<String>,
}

impl ContactCenterParty {
    fn text_bytes(&self) -> usize {
        let texts = [
            &self.channel_id,
            &self.mode,
            &self.user_id,
            &self.display_name,
            &self.phone_number,
            &self.queue_id,
            &self.queue_name,
        ];
        texts.into_iter().flatten().map(String::len).sum()
    }
}

impl ContactCenterEvent {
    /// The size of its texts in bytes.
    pub(super) fn text_bytes(&self) -> usize {
        self.participant.as_ref().map_or(0, ContactCenterParty::text_bytes) + self.raw.bytes()
    }

    /// The event's party as a speaker, named by display name or else by role; none when it has neither channel nor
    /// user.
    pub fn speaker(&self) -> Option<Speaker> {
        let party = self.participant.as_ref()?;
        let user_id = party.user_id.as_deref().and_then(SpeakerUserId::text);
        let channel_id = party.channel_id.as_deref().and_then(ChannelId::new);
        let name = party.display_name.clone().or_else(|| self.role().map(str::to_owned));
        let speaker = Speaker { user_id, name, channel_id };
        speaker.key().is_some().then_some(speaker)
    }

    /// Whether [`Self::speaker`] is named by a display name, not by a role.
    pub fn has_display_name(&self) -> bool {
        self.participant.as_ref().is_some_and(|party| party.display_name.is_some())
    }

    /// The party's role. Zoom calls the agent "user" and the customer "consumer".
    fn role(&self) -> Option<&'static str> {
        // The event's name says more than the mode: an agent who calls is still the agent.
        let name = self.name.as_deref().unwrap_or_default();
        let mode = self.participant.as_ref().and_then(|party| party.mode.as_deref());
        match (name.split_once('_').map(|(who, _)| who), mode) {
            (Some("user"), _) => Some("Agent"),
            (Some("consumer"), _) => Some("Consumer"),
            (_, Some("caller")) => Some("Caller"),
            (_, Some("callee")) => Some("Callee"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &'static str, party: ContactCenterParty) -> ContactCenterEvent {
        let (participant, raw) = (Some(party), RawJson::default());
        ContactCenterEvent { code: 8, name: Some(name.into()), participant, raw }
    }

    #[test]
    fn a_party_is_named_by_its_display_name_or_else_by_its_role() {
        let on = |display_name: Option<&str>, mode: &str| ContactCenterParty {
            channel_id: Some("c1".into()),
            mode: Some(mode.into()),
            display_name: display_name.map(Into::into),
            ..ContactCenterParty::default()
        };
        for (name, party, called) in [
            ("user_answered", on(Some("Ana"), "callee"), Some("Ana")),
            ("user_hold", on(None, "callee"), Some("Agent")),
            ("consumer_answered", on(None, "caller"), Some("Consumer")),
            ("transfer_initiated", on(None, "caller"), Some("Caller")),
            ("monitor_started", on(None, "callee"), Some("Callee")),
            ("monitor_started", on(None, "listener"), None),
        ] {
            let speaker = event(name, party).speaker().unwrap();
            assert_eq!(speaker.name.as_deref(), called, "{name}");
            assert_eq!(speaker.channel_id, ChannelId::new("c1"));
        }
    }

    #[test]
    fn an_event_without_channel_and_user_has_no_speaker() {
        let mode = Some("caller".to_owned());
        let party = ContactCenterParty { mode, ..ContactCenterParty::default() };
        assert_eq!(event("consumer_answered", party).speaker(), None);
    }
}
