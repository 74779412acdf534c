//! The request of a live consumer (pure), with the same fields in a query, in a first message and in a forward.

mod reader;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};
use thiserror::Error;

use self::reader::{Reader, wrong_field};
use crate::hub::{Kinds, Wants};
use crate::model::{
    AppName, AppScope, Cursor, EntryKind, MediaSet, Medium, Product, SessionId, SpeakerFilter,
};

/// All fields.
pub const NAMES: [&str; 12] = [
    "media",
    "kinds",
    "format",
    "from",
    "policy",
    "batch_ms",
    "user",
    "channel",
    "session",
    "product",
    "encoding",
    "sample_rate",
];

/// Why a request is rejected. Quotes no value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    #[error("{name} {problem}")]
    Value { name: &'static str, problem: &'static str },
    #[error(
        "unknown field {0:?}: use media, kinds, format, from, policy, batch_ms, user, channel, session, product, encoding and sample_rate"
    )]
    UnknownField(String),
}

/// The request of a live consumer.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// `None` for all sessions with streams on this daemon.
    pub session: Option<SessionId>,
    pub product: Option<Product>,
    /// Only sessions of these apps. Not a field of the request: the caller's token sets it.
    pub apps: AppScope,
    /// Only frames, transcript lines and chat messages of these speakers.
    pub speakers: SpeakerFilter,
    /// The media with frames to send.
    pub media: MediaSet,
    /// The kinds of entries to send.
    pub kinds: Kinds,
    pub format: Format,
    pub from: From,
    pub policy: Policy,
    /// The frames of this period are sent together. Zero: each at once.
    pub batch: Duration,
}

/// The format of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per message, with the payload in base64.
    Json,
    /// Frames as binary messages, everything else as in [`Format::Json`].
    Binary,
    /// Twilio Media Streams.
    Twilio(Sound),
}

/// The audio of `format=twilio`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sound {
    pub encoding: Encoding,
    pub rate_hz: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Mulaw,
    /// 16 bits, little-endian, as Zoom sends it.
    L16,
}

/// Where entries begin.
#[derive(Debug, Clone, PartialEq)]
pub enum From {
    Start,
    Now,
    /// After these cursors; sessions without one from their start.
    After(BTreeMap<SessionId, Cursor>),
}

/// What happens when a consumer is too slow for its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The oldest frames are dropped and their number is reported.
    Drop,
    Disconnect,
}

impl Request {
    /// Parses a request. `session` is that of the path, if the path has one.
    pub fn read(
        asked: &Map<String, Value>,
        session: Option<SessionId>,
    ) -> Result<Self, RequestError> {
        if let Some(name) = asked.keys().find(|name| !NAMES.contains(&name.as_str())) {
            // The client's own text comes back in the error, so it is bounded.
            return Err(RequestError::UnknownField(name.chars().take(64).collect()));
        }
        let read = Reader(asked);
        let named = read.value("session", "must be the id of a session", SessionId::parse)?;
        if session.is_some() && named.is_some() && named != session {
            return wrong_field("session", "must be the session of the path");
        }
        let session = session.or(named);
        let format = read.format()?;
        if session.is_none() && matches!(format, Format::Twilio(_)) {
            return wrong_field("format", "twilio needs a single session: name it");
        }
        let media = read.media(format)?;
        let kinds = read.value("kinds", Kinds::form(), Kinds::parse)?;
        let kinds = match format {
            // Needed only to know when to stop.
            Format::Twilio(_) => Kinds(vec![EntryKind::Ended]),
            Format::Json | Format::Binary => kinds.unwrap_or_else(|| kinds_of(media)),
        };
        let policy = "must be drop or disconnect";
        Ok(Self {
            session,
            product: read.value(
                "product",
                "must be meeting, webinar, video_sdk, contact_center or phone",
                Product::parse,
            )?,
            apps: AppScope::All,
            speakers: read.speakers()?,
            media: media.framed(),
            kinds,
            format,
            from: read.from(session)?,
            policy: read
                .value("policy", policy, |text| match text {
                    "drop" => Some(Policy::Drop),
                    "disconnect" => Some(Policy::Disconnect),
                    _ => None,
                })?
                .unwrap_or(Policy::Drop),
            batch: read.batch(format)?,
        })
    }

    /// Returns the request for sessions of these apps only.
    pub fn within(self, apps: &AppScope) -> Self {
        Self { apps: apps.clone(), ..self }
    }

    /// Whether a stream is of the requested product and apps.
    pub fn takes(&self, product: Product, app: &AppName) -> bool {
        self.product.is_none_or(|only| only == product) && self.apps.includes(app)
    }

    /// Returns the request with entries after a cursor.
    pub fn after(self, session: SessionId, cursor: Cursor) -> Self {
        Self { from: From::After(BTreeMap::from([(session, cursor)])), ..self }
    }

    /// The sessions with entries to send whether they run here or not.
    pub fn sessions(&self) -> Vec<SessionId> {
        match (self.session, &self.from) {
            (Some(session), _) => vec![session],
            (None, From::After(cursors)) => cursors.keys().copied().collect(),
            (None, From::Start | From::Now) => Vec::new(),
        }
    }

    /// How many sessions a request for all sessions names with a cursor.
    pub fn cursors(&self) -> usize {
        if self.session.is_some() { 0 } else { self.sessions().len() }
    }

    pub fn wants(&self) -> Wants {
        Wants {
            media: self.media,
            speakers: self.speakers.clone(),
            product: self.product,
            apps: self.apps.clone(),
            ..Wants::default()
        }
    }
}

/// The kinds of entries for the media: transcript and chat if requested, all other kinds always.
fn kinds_of(media: MediaSet) -> Kinds {
    let is_wanted = |kind: &EntryKind| match kind {
        EntryKind::Transcript => media.contains(Medium::Transcript),
        EntryKind::Chat | EntryKind::ChatGroup => media.contains(Medium::Chat),
        _ => true,
    };
    Kinds(EntryKind::ALL.into_iter().filter(is_wanted).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::reader::MAX_CURSORS;
    use super::*;

    const SESSION: SessionId = SessionId(Uuid::nil());

    fn read(asked: &Value, session: Option<SessionId>) -> Result<Request, RequestError> {
        Request::read(asked.as_object().unwrap(), session)
    }

    #[test]
    fn batches_are_at_most_a_second_long_and_twilio_has_none() {
        let batch = |asked: Value| read(&asked, Some(SESSION)).map(|request| request.batch);
        assert_eq!(batch(json!({})), Ok(Duration::ZERO));
        assert_eq!(batch(json!({"batch_ms": 100})), Ok(Duration::from_millis(100)));
        assert_eq!(
            batch(json!({"batch_ms": "1000", "format": "binary"})),
            Ok(Duration::from_secs(1))
        );
        for wrong in [json!(1001), json!(-1), json!("much"), json!(1.5)] {
            assert!(batch(json!({"batch_ms": wrong})).is_err(), "{wrong}");
        }
        assert!(batch(json!({"batch_ms": 20, "format": "twilio"})).is_err());
        assert_eq!(batch(json!({"batch_ms": 0, "format": "twilio"})), Ok(Duration::ZERO));
    }

    #[test]
    fn an_empty_request_gets_everything_as_json_from_the_start() {
        let request = read(&json!({}), Some(SESSION)).unwrap();
        assert_eq!((request.format, request.policy), (Format::Json, Policy::Drop));
        assert_eq!(request.from, From::Start);
        assert_eq!(
            request.media,
            [Medium::Audio, Medium::Video, Medium::Share].into_iter().collect()
        );
        assert_eq!(request.kinds.0.len(), EntryKind::ALL.len());
        assert_eq!(read(&json!({}), None).unwrap().from, From::Now);
    }

    #[test]
    fn a_list_is_a_text_or_an_array() {
        let texts = read(&json!({"media": "audio,transcript", "user": "7"}), None).unwrap();
        let lists = read(&json!({"media": ["audio", "transcript"], "user": 7}), None).unwrap();
        assert_eq!(texts, lists);
        assert_eq!(texts.speakers.user_id.as_deref(), Some("7"));
        assert!(texts.kinds.0.contains(&EntryKind::Transcript));
        assert!(texts.kinds.0.contains(&EntryKind::Gap));
        assert!(!texts.kinds.0.contains(&EntryKind::Chat));
    }

    #[test]
    fn entries_continue_after_a_cursor_of_the_session_or_of_each() {
        let mut cursor = Cursor::default();
        cursor.advance(1, 57);
        let one = read(&json!({"from": "1:57"}), Some(SESSION)).unwrap().from;
        let each = read(&json!({"from": {SESSION.to_string(): "1:57"}}), None).unwrap().from;
        assert_eq!(one, From::After(BTreeMap::from([(SESSION, cursor)])));
        assert_eq!(one, each);
    }

    #[test]
    fn a_request_that_cannot_be_served_is_refused_with_its_field() {
        let cursors = |number: u128| (Uuid::from_u128(number).to_string(), json!("1:1"));
        let too_many: Map<String, Value> = (0..=MAX_CURSORS as u128).map(cursors).collect();
        for (asked, name) in [
            (json!({"media": "sound"}), "media"),
            (json!({"media": {}}), "media"),
            (json!({"format": "xml"}), "format"),
            (json!({"format": "twilio"}), "format"),
            (json!({"from": "1:57"}), "from"),
            (json!({"from": {"x": "1:57"}}), "from"),
            (json!({"from": too_many}), "from"),
            (json!({"policy": "wait"}), "policy"),
            (json!({"user": ""}), "user"),
            (json!({"user": {}}), "user"),
            (json!({"channel": ""}), "channel"),
            (json!({"session": "x"}), "session"),
            (json!({"product": "phones"}), "product"),
            (json!({"kinds": "gaps"}), "kinds"),
            (json!({"encoding": "l16"}), "encoding"),
        ] {
            let error = read(&asked, None).unwrap_err();
            assert!(matches!(error, RequestError::Value { name: is, .. } if is == name), "{asked}");
        }
        assert!(matches!(
            read(&json!({"medium": "audio"}), None),
            Err(RequestError::UnknownField(_))
        ));
        let other = json!({"session": Uuid::max().to_string()});
        assert!(read(&other, Some(SESSION)).is_err());
    }

    #[test]
    fn twilio_is_audio_of_one_session() {
        let sound = |encoding, rate_hz| Format::Twilio(Sound { encoding, rate_hz });
        let format = |asked| read(&asked, Some(SESSION)).map(|request| request.format);
        assert_eq!(format(json!({"format": "twilio"})), Ok(sound(Encoding::Mulaw, 8_000)));
        let wide = json!({"format": "twilio", "encoding": "l16", "sample_rate": 16_000});
        assert_eq!(format(wide), Ok(sound(Encoding::L16, 16_000)));
        assert!(format(json!({"format": "twilio", "sample_rate": 16_000})).is_err());
        assert!(format(json!({"format": "twilio", "media": "video"})).is_err());
    }
}
