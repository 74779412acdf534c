//! Reads the fields of a live consumer's request.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{Encoding, Format, From, RequestError, Sound};
use crate::model::{ChannelId, MediaSet, Medium, SessionId, SpeakerFilter, SpeakerUserId};

/// The longest batch. A stream's `over` and a `dropped` message are delayed by at most this.
const MAX_BATCH_MS: u64 = 1000;
/// The most sessions that one consumer may name with a cursor.
pub(super) const MAX_CURSORS: usize = 1024;

/// Values are text, as in a query; a list may also be an array of texts, and a number a JSON number.
pub(super) struct Reader<'a>(pub &'a Map<String, Value>);

impl Reader<'_> {
    pub(super) fn value<T>(
        &self,
        name: &'static str,
        problem: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, RequestError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        parse(&text).map_or_else(|| wrong_field(name, problem), |value| Ok(Some(value)))
    }

    pub(super) fn speakers(&self) -> Result<SpeakerFilter, RequestError> {
        let user = "must be a participant's number or a user id";
        let channel = "must be the id of a channel";
        let text = |text: &str| SpeakerUserId::text(text).map(|_| text.into());
        Ok(SpeakerFilter {
            user_id: self.value("user", user, text)?,
            channel_id: self.value("channel", channel, ChannelId::new)?,
        })
    }

    pub(super) fn media(&self, format: Format) -> Result<MediaSet, RequestError> {
        static PROBLEM: LazyLock<String> =
            LazyLock::new(|| format!("must be some of {}", MediaSet::ALL));
        let media = self.value("media", &PROBLEM, MediaSet::parse)?;
        match (format, media) {
            (Format::Twilio(_), Some(media)) if media != Medium::Audio.into() => {
                wrong_field("media", "must be audio with format twilio")
            }
            (Format::Twilio(_), _) => Ok(Medium::Audio.into()),
            (_, media) => Ok(media.unwrap_or(MediaSet::ALL)),
        }
    }

    pub(super) fn format(&self) -> Result<Format, RequestError> {
        let encoding = self.value("encoding", "must be mulaw or l16", |text| match text {
            "mulaw" => Some(Encoding::Mulaw),
            "l16" => Some(Encoding::L16),
            _ => None,
        })?;
        let rate_hz = self.value("sample_rate", "must be 8000 or 16000", |text| {
            text.parse().ok().filter(|rate_hz| [8_000, 16_000].contains(rate_hz))
        })?;
        let sound = Sound {
            encoding: encoding.unwrap_or(Encoding::Mulaw),
            rate_hz: rate_hz.unwrap_or(8_000),
        };
        let format = self.value("format", "must be json, binary or twilio", |text| match text {
            "json" => Some(Format::Json),
            "binary" => Some(Format::Binary),
            "twilio" => Some(Format::Twilio(sound)),
            _ => None,
        })?;
        let format = format.unwrap_or(Format::Json);
        match format {
            Format::Twilio(Sound { encoding: Encoding::Mulaw, rate_hz: 16_000 }) => {
                wrong_field("sample_rate", "must be 8000 with mulaw")
            }
            Format::Json | Format::Binary if encoding.is_some() || rate_hz.is_some() => {
                wrong_field("encoding", "and sample_rate need format twilio")
            }
            format => Ok(format),
        }
    }

    pub(super) fn batch(&self, format: Format) -> Result<Duration, RequestError> {
        let batch_ms = self.value("batch_ms", "must be a whole number from 0 to 1000", |text| {
            text.parse().ok().filter(|batch_ms| *batch_ms <= MAX_BATCH_MS)
        })?;
        let batch = Duration::from_millis(batch_ms.unwrap_or(0));
        if !batch.is_zero() && matches!(format, Format::Twilio(_)) {
            return wrong_field("batch_ms", "must be 0 with format twilio, which is in real time");
        }
        Ok(batch)
    }

    pub(super) fn from(&self, session: Option<SessionId>) -> Result<From, RequestError> {
        const PROBLEM: &str = "must be start, now, or a cursor such as 1:57,2:3";
        if let Some(Value::Object(cursors)) = self.0.get("from") {
            if cursors.len() > MAX_CURSORS {
                return wrong_field("from", "must name at most 1024 sessions");
            }
            let cursor = |(id, cursor): (&String, &Value)| {
                Some((SessionId::parse(id)?, cursor.as_str()?.parse().ok()?))
            };
            let cursors = cursors.iter().map(cursor).collect::<Option<_>>();
            return cursors.map_or_else(
                || wrong_field("from", "must map each session id to a cursor"),
                |cursors| Ok(From::After(cursors)),
            );
        }
        let from = match (self.text("from")?.as_deref(), session) {
            // One session from its start, but all sessions from now: their history may be long.
            (Some("now"), _) | (None, None) => Some(From::Now),
            (Some("start"), _) | (None, Some(_)) => Some(From::Start),
            (Some(text), Some(session)) => {
                text.parse().ok().map(|cursor| From::After(BTreeMap::from([(session, cursor)])))
            }
            (Some(_), None) => None,
        };
        from.map_or_else(|| wrong_field("from", PROBLEM), Ok)
    }

    fn text(&self, name: &'static str) -> Result<Option<String>, RequestError> {
        let texts = |list: &Vec<Value>| {
            let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            texts.map(|texts| texts.join(","))
        };
        let text = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(Value::Array(list)) => texts(list),
            Some(_) => None,
        };
        text.map_or_else(|| wrong_field(name, "must be a string"), |text| Ok(Some(text)))
    }
}

pub(super) fn wrong_field<T>(name: &'static str, problem: &'static str) -> Result<T, RequestError> {
    Err(RequestError::Value { name, problem })
}
