//! The speaker of a frame or transcript line: a meeting's participant, or one party of a call.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Product, UserId};

/// The longest user id or channel id that is kept, in bytes; longer ones are cut.
const MAX_ID_BYTES: usize = 256;

/// The speaker of a frame or line. A meeting identifies participants by number, Contact Center the parties of
/// an engagement by channel (rtms-protocol.md sections 6.12, 6.15 and 23.2). Mixed audio has none of the three
/// fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Speaker {
    /// Zoom's id of the user; none if Zoom named no user.
    #[serde(deserialize_with = "stored_user_id")]
    pub user_id: Option<SpeakerUserId>,
    /// The name shown in Zoom.
    #[serde(rename = "user_name")]
    pub name: Option<String>,
    /// The channel of the speaker's party in a Contact Center call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<ChannelId>,
}

/// Zoom's id of a user: a participant's number in a meeting, any text in Contact Center.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum SpeakerUserId {
    /// A participant's number in a meeting.
    Number(UserId),
    /// A text, as in Contact Center.
    Text(Arc<str>),
}

/// The id of one party's channel in a call, as Zoom sent it: possibly unprintable, at most 256 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelId(Arc<str>);

/// Identifies a speaker within a stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SpeakerKey {
    /// A party of a call, by its channel.
    Channel(ChannelId),
    /// A user, by id.
    User(SpeakerUserId),
}

/// A [`Speaker`], borrowed from its message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpeakerRef<'a> {
    /// Zoom's id of the user, if the message has one.
    pub user_id: Option<UserIdRef<'a>>,
    /// The id of the party's channel, if the message has one.
    pub channel_id: Option<Cow<'a, str>>,
}

/// A [`SpeakerUserId`], borrowed from a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserIdRef<'a> {
    /// A participant's number in a meeting.
    Number(UserId),
    /// A text, as in Contact Center.
    Text(Cow<'a, str>),
}

/// Selects speakers for a consumer. A speaker must match every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpeakerFilter {
    /// A participant's number, or a text id.
    pub user_id: Option<Arc<str>>,
    /// The channel of one party of a call.
    pub channel_id: Option<ChannelId>,
}

impl Speaker {
    /// A participant of a meeting. Number 0 stands for mixed audio and yields no user id (section 6.12).
    pub fn participant(user_id: UserId, name: Option<String>) -> Self {
        Self { user_id: SpeakerUserId::number(user_id), name, channel_id: None }
    }

    /// The key of this speaker; none if it has no id. The channel takes precedence, because one user can be on
    /// two channels.
    pub fn key(&self) -> Option<SpeakerKey> {
        let channel = self.channel_id.clone().map(SpeakerKey::Channel);
        channel.or_else(|| self.user_id.clone().map(SpeakerKey::User))
    }

    /// Borrows this speaker.
    pub fn by_ref(&self) -> SpeakerRef<'_> {
        let user_id = self.user_id.as_ref().map(|user_id| match user_id {
            SpeakerUserId::Number(number) => UserIdRef::Number(*number),
            SpeakerUserId::Text(text) => UserIdRef::Text(Cow::Borrowed(text)),
        });
        let channel_id = self.channel_id.as_ref().map(|id| Cow::Borrowed(id.as_str()));
        SpeakerRef { user_id, channel_id }
    }

    /// The number of a participant who has no channel.
    pub fn number(&self) -> Option<UserId> {
        match (&self.user_id, &self.channel_id) {
            (Some(SpeakerUserId::Number(user_id)), None) => Some(*user_id),
            _ => None,
        }
    }

    /// Interprets a user id that came as a text: digits are a participant's number, except in products with user ids
    /// that are texts.
    pub fn in_product(mut self, product: Product) -> Self {
        if let Some(SpeakerUserId::Text(text)) = &self.user_id
            && !product.names_channels()
            && let Ok(number) = text.trim().parse()
        {
            self.user_id = SpeakerUserId::number(UserId(number));
        }
        self
    }

    /// The label of a speaker without a name.
    pub fn placeholder(&self) -> String {
        match (&self.channel_id, &self.user_id) {
            (Some(channel_id), _) => format!("Channel {channel_id}"),
            (None, Some(user_id)) => format!("Participant {user_id}"),
            (None, None) => "Unknown speaker".to_owned(),
        }
    }

    /// The size of the speaker's texts in bytes.
    pub fn text_bytes(&self) -> usize {
        let user_id = match &self.user_id {
            Some(SpeakerUserId::Text(text)) => text.len(),
            _ => 0,
        };
        let channel_id = self.channel_id.as_ref().map_or(0, |id| id.as_str().len());
        user_id + channel_id + self.name.as_ref().map_or(0, String::len)
    }
}

impl SpeakerUserId {
    /// A participant's number; none for 0, which stands for mixed audio.
    fn number(user_id: UserId) -> Option<Self> {
        (user_id.0 != 0).then_some(Self::Number(user_id))
    }

    /// Creates an id from a text; none for an empty text.
    pub fn text(text: &str) -> Option<Self> {
        bounded_id(text).map(|text| Self::Text(text.into()))
    }
}

impl fmt::Display for SpeakerUserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Reads a stored user id. Older versions stored 0 for a line without a user.
pub(super) fn stored_user_id<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SpeakerUserId>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Number(u64),
        Text(String),
    }
    Ok(match Option::deserialize(deserializer)? {
        Some(Stored::Number(number)) => SpeakerUserId::number(UserId(number)),
        Some(Stored::Text(text)) => SpeakerUserId::text(&text),
        None => None,
    })
}

impl ChannelId {
    /// Creates an id from a text; none for an empty text.
    pub fn new(text: &str) -> Option<Self> {
        bounded_id(text).map(|text| Self(text.into()))
    }

    /// The id as Zoom sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SpeakerRef<'_> {
    /// Whether both are the same speaker, compared by channel if both have one, else by user.
    pub fn is(&self, speaker: &Speaker) -> bool {
        if let (Some(one), Some(other)) = (&self.channel_id, &speaker.channel_id) {
            // The stored id is cut; compare like with like.
            return bounded_id(one) == Some(other.as_str());
        }
        match (&self.user_id, &speaker.user_id) {
            (Some(UserIdRef::Number(one)), Some(SpeakerUserId::Number(other))) => one == other,
            (Some(UserIdRef::Text(one)), Some(SpeakerUserId::Text(other))) => {
                bounded_id(one) == Some(other)
            }
            _ => false,
        }
    }

    /// Copies the ids out of the message.
    pub fn to_speaker(&self) -> Speaker {
        let user_id = match &self.user_id {
            Some(UserIdRef::Number(number)) => SpeakerUserId::number(*number),
            Some(UserIdRef::Text(text)) => SpeakerUserId::text(text),
            None => None,
        };
        let channel_id = self.channel_id.as_deref().and_then(ChannelId::new);
        Speaker { user_id, name: None, channel_id }
    }
}

impl SpeakerFilter {
    /// Whether the speaker matches every field that is set. No speaker matches only a filter without fields.
    pub fn takes(&self, speaker: Option<&Speaker>) -> bool {
        // Reads the speaker only if a field is set: this runs for every frame, and the speaker is often out of the CPU's
        // cache.
        let is_user = |wanted: &Arc<str>| match speaker.and_then(|speaker| speaker.user_id.as_ref())
        {
            Some(SpeakerUserId::Number(number)) => wanted.parse() == Ok(number.0),
            Some(SpeakerUserId::Text(text)) => wanted == text,
            None => false,
        };
        let is_channel =
            |wanted| speaker.and_then(|speaker| speaker.channel_id.as_ref()) == Some(wanted);
        self.user_id.as_ref().is_none_or(is_user) && self.channel_id.as_ref().is_none_or(is_channel)
    }
}

fn bounded_id(id: &str) -> Option<&str> {
    // Cut, not refused: a frame with an odd id still has its payload.
    let id = &id[..id.floor_char_boundary(MAX_ID_BYTES)];
    (!id.is_empty()).then_some(id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(text: &str) -> Option<SpeakerUserId> {
        SpeakerUserId::text(text)
    }

    fn party(channel_id: &str) -> Speaker {
        Speaker { channel_id: ChannelId::new(channel_id), ..Speaker::default() }
    }

    #[test]
    fn a_participant_in_json_has_no_channel_field_and_a_party_has_one() {
        let ana = Speaker::participant(UserId(7), Some("Ana".into()));
        let in_json = json!({"user_id": 7, "user_name": "Ana"});
        assert_eq!(serde_json::to_value(&ana).unwrap(), in_json);
        assert_eq!(serde_json::from_value::<Speaker>(in_json).unwrap(), ana);
        let agent = Speaker { user_id: text("KDcu"), ..party("c1") };
        let in_json = json!({"user_id": "KDcu", "user_name": null, "channel_id": "c1"});
        assert_eq!(serde_json::to_value(&agent).unwrap(), in_json);
        assert_eq!(serde_json::from_value::<Speaker>(in_json).unwrap(), agent);
    }

    #[test]
    fn a_stored_user_id_of_0_names_nobody() {
        for nobody in [json!({"user_id": 0, "user_name": null}), json!({}), json!({"user_id": ""})]
        {
            let read: Speaker = serde_json::from_value(nobody).unwrap();
            assert_eq!((read.key(), read.placeholder()), (None, "Unknown speaker".to_owned()));
        }
    }

    #[test]
    fn digits_in_a_text_are_a_number_in_meetings_only() {
        let came = Speaker { user_id: text("16778240"), ..Speaker::default() };
        let number = Some(SpeakerUserId::Number(UserId(16_778_240)));
        assert_eq!(came.clone().in_product(Product::Meeting).user_id, number);
        let spaced = Speaker { user_id: text(" 16778240 "), ..Speaker::default() };
        assert_eq!(spaced.in_product(Product::Meeting).user_id, number, "as in a frame");
        assert_eq!(came.clone().in_product(Product::ContactCenter), came);
        let named = Speaker { user_id: text("customer-contact-id"), ..Speaker::default() };
        assert_eq!(named.clone().in_product(Product::Meeting), named);
    }

    #[test]
    fn speakers_are_compared_by_channel_and_then_by_user() {
        let agent = Speaker { user_id: text("u1"), ..party("c1") };
        let by_channel = |id| SpeakerRef { channel_id: Some(Cow::Borrowed(id)), user_id: None };
        assert!(by_channel("c1").is(&agent) && !by_channel("c2").is(&agent));
        let by_user =
            |id| SpeakerRef { user_id: Some(UserIdRef::Text(Cow::Borrowed(id))), channel_id: None };
        assert!(by_user("u1").is(&agent) && !by_user("u2").is(&agent));
        let moved = SpeakerRef { channel_id: Some(Cow::Borrowed("c2")), ..by_user("u1") };
        assert!(!moved.is(&agent), "one user on two channels counts as two speakers");
        assert_ne!(moved.to_speaker().key(), agent.key());
    }

    #[test]
    fn a_cut_id_still_identifies_the_same_speaker() {
        let long = "ü".repeat(1_000);
        let who = SpeakerRef { channel_id: Some(Cow::Borrowed(&long)), user_id: None };
        let speaker = who.to_speaker();
        assert!(speaker.text_bytes() <= MAX_ID_BYTES && who.is(&speaker));
    }

    #[test]
    fn a_filter_takes_speakers_that_match_every_field() {
        let ana = Speaker::participant(UserId(7), None);
        let agent = Speaker { user_id: text("7"), ..party("c1") };
        let filter = |user: Option<&str>, channel: Option<&str>| SpeakerFilter {
            user_id: user.map(Into::into),
            channel_id: channel.and_then(ChannelId::new),
        };
        for (filter, takes) in [
            (filter(None, None), [true, true, true]),
            (filter(Some("7"), None), [false, true, true]),
            (filter(None, Some("c1")), [false, false, true]),
            (filter(Some("8"), Some("c1")), [false, false, false]),
        ] {
            let taken = [None, Some(&ana), Some(&agent)].map(|speaker| filter.takes(speaker));
            assert_eq!(taken, takes, "{filter:?}");
        }
    }
}
