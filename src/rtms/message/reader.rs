//! Reads a message field by field, so that a malformed field costs only itself. Malformed values are counted, never
//! kept.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny,
    IntoDeserializer, MapAccess, Visitor,
};
use serde_json::Value;
use serde_json::value::RawValue;

use super::bounded_text::Short;
use super::content::KeyText;
use super::incoming::Malformed;
use super::time::normalize_ms;
use crate::json::{self, Number};
use crate::model::{Lost, Participant, Unreadable, UnreadableMessages, UserId};

/// The most fields read of one object; Zoom's objects have about ten.
const MAX_FIELDS: usize = 1024;

/// The fields of a JSON object, not parsed yet. A null field counts as absent; of two fields with one name the last
/// counts.
#[derive(Debug, Default)]
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads the fields; none when the text is not a JSON object.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let (fields, is_whole) = Self::read(text);
        is_whole.then_some(fields)
    }

    /// The fields found, and whether the text is one complete object. A truncated message still yields its `msg_type`.
    pub(super) fn read(text: &'a str) -> (Self, bool) {
        let mut fields = Self::default();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let read = Collect(&mut fields).deserialize(&mut deserializer);
        let is_whole = read.and_then(|()| deserializer.end()).is_ok();
        (fields, is_whole)
    }

    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        // From the end: of two fields with one name the last counts, as in `serde_json`'s maps.
        let (_, raw) = self.0.iter().rev().find(|(field, _)| field == name)?;
        (raw.get() != "null").then_some(*raw)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, raw)| (&**name, *raw))
    }
}

struct Collect<'f, 'a>(&'f mut Fields<'a>);

impl<'a> DeserializeSeed<'a> for Collect<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Collect<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let fields = &mut self.0.0;
        while let Some(KeyText(name)) = map.next_key()? {
            if fields.len() < MAX_FIELDS {
                fields.push((name, map.next_value()?));
            } else {
                // Read all the same, so that a message with too many fields still counts as complete JSON.
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Reads the fields of one message, or of one list member, and counts the malformed ones.
pub(super) struct Reader {
    msg_type: u16,
    odd: UnreadableMessages,
}

impl Reader {
    /// Reads a message and counts its malformed fields, or the message itself if `read` fails.
    pub(super) fn read<T>(
        msg_type: u16,
        unreadable: &mut UnreadableMessages,
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<T, Malformed> {
        let mut reader = Self::new(msg_type);
        let message = read(&mut reader);
        match &message {
            // A message that is lost as a whole counts once, without its fields.
            Ok(_) => unreadable.add_all(reader.odd),
            Err(malformed) => unreadable.add(malformed.kind.clone()),
        }
        message
    }

    pub(super) fn new(msg_type: u16) -> Self {
        Self { msg_type, odd: UnreadableMessages::default() }
    }

    /// The error for a message that means nothing without this field.
    pub(super) fn without(&self, field: &'static str) -> Malformed {
        Malformed { kind: Unreadable::new(self.msg_type, Lost::Message, field), at_ms: None }
    }

    fn lose(&mut self, lost: Lost, reason: &'static str) {
        self.odd.add(Unreadable::new(self.msg_type, lost, reason));
    }

    /// The result of `read` if it met no malformed field. For a text that may or may not be what `read` expects.
    pub(super) fn tried<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let mut own = Self::new(self.msg_type);
        let value = read(&mut own);
        // A lost list member is tolerable. A malformed field means that the text is something else.
        let is_sound = own.odd.kinds().all(|kind| kind.lost == Lost::Member);
        if is_sound {
            self.odd.add_all(own.odd);
        }
        is_sound.then_some(value)
    }

    pub(super) fn lose_field(&mut self, name: &'static str) {
        self.lose(Lost::Field, name);
    }

    pub(super) fn lose_member(&mut self, list: &'static str) {
        self.lose(Lost::Member, list);
    }

    /// Reads a list member; counts it as lost when a required field is missing.
    pub(super) fn member<T>(
        &mut self,
        list: &'static str,
        raw: &RawValue,
        read: impl FnOnce(&mut Self, &Fields<'_>) -> Option<T>,
    ) -> Option<T> {
        let mut own = Self::new(self.msg_type);
        // With its own count: a lost member counts once, without its fields.
        let member = Fields::of(raw.get()).and_then(|fields| read(&mut own, &fields));
        match &member {
            Some(_) => self.odd.add_all(own.odd),
            None => self.lose_member(list),
        }
        member
    }

    pub(super) fn field<T: DeserializeOwned>(
        &mut self,
        fields: &Fields<'_>,
        name: &'static str,
    ) -> Option<T> {
        let raw = fields.raw(name)?;
        let value = serde_json::from_str(raw.get()).ok();
        if value.is_none() {
            self.lose_field(name);
        }
        value
    }

    /// Reads a number. An empty text counts as absent (rtms-protocol.md section 23.5).
    fn number(&mut self, fields: &Fields<'_>, name: &'static str) -> Option<Number> {
        fields.raw(name).filter(|raw| raw.get() != r#""""#)?;
        self.field(fields, name)
    }

    /// An integer, such as a status or a type; a fraction counts as malformed.
    pub(super) fn code(&mut self, fields: &Fields<'_>, name: &'static str) -> Option<i64> {
        let code = self.number(fields, name)?.exact();
        if code.is_none() {
            self.lose_field(name);
        }
        code
    }

    /// Unix milliseconds (section 4).
    pub(super) fn time(&mut self, fields: &Fields<'_>, name: &'static str) -> Option<i64> {
        self.number(fields, name).map(|time| normalize_ms(time.cut()))
    }

    pub(super) fn size(&mut self, fields: &Fields<'_>, name: &'static str) -> Option<u64> {
        self.number(fields, name).and_then(|size| u64::try_from(size.cut()).ok())
    }

    /// A participant's number. A text is no meeting participant; engagements use texts (section 23.2).
    pub(super) fn user_id(&mut self, fields: &Fields<'_>, name: &'static str) -> Option<UserId> {
        self.field::<MaybeUser>(fields, name)?.0
    }

    /// A name or an identifier; a number counts as its digits.
    pub(super) fn text(&mut self, fields: &Fields<'_>, name: &'static str) -> Option<String> {
        self.field::<Text>(fields, name).map(|text| text.0)
    }

    /// The first of these fields that is present and not empty.
    pub(super) fn first_text(
        &mut self,
        fields: &Fields<'_>,
        names: &[&'static str],
    ) -> Option<String> {
        let name = names.iter().find(|name| fields.raw(name).is_some())?;
        self.text(fields, name).filter(|text| !text.is_empty())
    }

    /// Any JSON value, without the parts that cannot be read.
    pub(super) fn value(&mut self, fields: &Fields<'_>, name: &'static str) -> Value {
        let Some(raw) = fields.raw(name) else { return Value::Null };
        if serde_json::from_str::<Value>(raw.get()).is_err() {
            self.lose_field(name);
        }
        json::read_value(raw.get()).unwrap_or_default()
    }

    pub(super) fn object<'a>(
        &mut self,
        fields: &Fields<'a>,
        name: &'static str,
    ) -> Option<Fields<'a>> {
        let object = Fields::of(fields.raw(name)?.get());
        if object.is_none() {
            self.lose_field(name);
        }
        object
    }

    /// The members of a list, not parsed yet.
    pub(super) fn list<'a>(
        &mut self,
        fields: &Fields<'a>,
        name: &'static str,
    ) -> Option<Vec<&'a RawValue>> {
        let list = serde_json::from_str(fields.raw(name)?.get()).ok();
        if list.is_none() {
            self.lose_field(name);
        }
        list
    }

    /// Reads a member of a list of identifiers.
    pub(super) fn text_member(&mut self, list: &'static str, raw: &RawValue) -> Option<String> {
        let text = serde_json::from_str::<Text>(raw.get()).ok();
        if text.is_none() {
            self.lose_member(list);
        }
        text.map(|text| text.0)
    }

    /// A participant; none without a number.
    pub(super) fn person(&mut self, fields: &Fields<'_>) -> Option<Participant> {
        let user_id = self.user_id(fields, "user_id")?;
        Some(Participant { user_id, user_name: self.name(fields, "user_name") })
    }

    pub(super) fn name(&mut self, fields: &Fields<'_>, name: &'static str) -> Option<String> {
        self.text(fields, name).filter(|name| !name.is_empty())
    }
}

/// A name or an identifier.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => Ok(Self(number.to_string())),
            text => Short::deserialize(text).map(|text| Self(text.0)).map_err(D::Error::custom),
        }
    }
}

/// A participant's number; none for a text.
pub(super) struct MaybeUser(pub Option<UserId>);

impl<'de> Deserialize<'de> for MaybeUser {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = MaybeUser;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a user id (a number, or a text)")
            }
            fn visit_u64<E: Error>(self, id: u64) -> Result<MaybeUser, E> {
                Ok(MaybeUser(Some(UserId(id))))
            }
            fn visit_f64<E: Error>(self, id: f64) -> Result<MaybeUser, E> {
                UserId::deserialize(id.into_deserializer()).map(|id| MaybeUser(Some(id)))
            }
            fn visit_str<E: Error>(self, id: &str) -> Result<MaybeUser, E> {
                // A text that is no number is a party's id and no error (rtms-protocol.md section 23.2).
                Ok(MaybeUser(id.trim().parse().ok().map(UserId)))
            }
            fn visit_unit<E: Error>(self) -> Result<MaybeUser, E> {
                Ok(MaybeUser(None))
            }
        }
        deserializer.deserialize_any(Number)
    }
}
