//! What a capture says that Zoom did: the lives of each link, and the webhooks (pure).

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;

use serde_json::Value;

use crate::capture::body::Body;
use crate::capture::event::{Event, Header, Loss, Record};
use crate::capture::reader::{CaptureError, Reader};
use crate::model::Medium;
use crate::rtms::message::{msg_type, status};

/// The most bytes of messages in memory. A capture of an hour with video has less.
const MAX_PLAN_BYTES: usize = 1024 * 1024 * 1024;

/// Everything to play.
#[derive(Debug)]
pub(super) struct Plan {
    pub header: Header,
    /// The lives of each link, by its name: one for each dial.
    pub links: BTreeMap<String, Vec<Life>>,
    /// What Zoom announced, by time.
    pub webhooks: Vec<(Moment, Announced)>,
    /// The time of the last event.
    pub end: Moment,
    /// The events that the file says are missing.
    pub cut: u64,
    pub is_truncated: bool,
    bytes: usize,
}

/// Nanoseconds since the Unix epoch, by the clock of the daemon that made the file.
pub(super) type Moment = u64;

/// A webhook to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Announced {
    pub name: String,
    /// As Zoom sent it; `None` if the file does not have it.
    pub body: Option<Vec<u8>>,
}

/// One socket of a link, or a failed try to open one.
#[derive(Debug, Default)]
pub(super) struct Life {
    pub link: String,
    pub is_opened: bool,
    /// When Zoom answered the handshake.
    pub answered: Option<Moment>,
    /// Whether it accepted it.
    pub is_accepted: bool,
    pub sent: Vec<(Moment, Sent)>,
    pub end: Option<(Moment, Fault)>,
}

/// What Zoom sent.
#[derive(Debug)]
pub(super) enum Sent {
    /// The answer to the handshake.
    Answer(Body),
    Message(Body),
    /// A message that was too large; its first bytes.
    TooLarge(Body),
}

impl Sent {
    pub(super) fn body(&self) -> &Body {
        let (Self::Answer(body) | Self::Message(body) | Self::TooLarge(body)) = self;
        body
    }

    pub(super) fn is_answer(&self) -> bool {
        matches!(self, Self::Answer(_))
    }
}

/// How Zoom ended a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Close(Option<u16>),
    Drop,
}

impl Plan {
    /// Reads a whole capture.
    pub(super) fn read<R: Read>(reader: &mut Reader<R>) -> Result<Self, CaptureError> {
        let mut plan = Self {
            header: reader.header().clone(),
            links: BTreeMap::new(),
            webhooks: Vec::new(),
            end: 0,
            cut: 0,
            is_truncated: false,
            bytes: 0,
        };
        let mut clock = RecordClock::default();
        while let Some(record) = reader.next_record()? {
            let at = clock.moment(&record);
            plan.bytes += size_of::<(Moment, Sent)>() + message_bytes(&record.event);
            if plan.bytes > MAX_PLAN_BYTES {
                let problem = "the capture has too many messages to be replayed at once".to_owned();
                return Err(CaptureError::Line { line: reader.line_number(), problem });
            }
            plan.add(at, record.event);
        }
        plan.is_truncated = reader.is_truncated();
        plan.announce_unknown();
        plan.webhooks.sort_by_key(|(at, _)| *at);
        Ok(plan)
    }

    fn add(&mut self, at: Moment, event: Event) {
        match event {
            Event::Dial { link, .. } => {
                let life = Life { link: link.clone(), ..Life::default() };
                self.links.entry(link).or_default().push(life);
            }
            Event::Opened { link } => self.with_life(&link, |life| life.is_opened = true),
            Event::In { link, body } => self.send(at, &link, Sent::Message(body)),
            Event::TooLarge { link, body } => self.send(at, &link, Sent::TooLarge(body)),
            Event::Lost { link, how } => {
                let fault = match how {
                    Loss::Closed { code } => Fault::Close(code),
                    Loss::Dial { .. } | Loss::Dropped { .. } => Fault::Drop,
                };
                self.with_life(&link, |life| life.end = Some((at, fault)));
            }
            Event::Webhook { name, body, effect } if effect != "refused" => {
                let body = body.bytes().filter(|body| !body.is_empty());
                return self.webhooks.push((at, Announced { name, body }));
            }
            Event::Cut { events, .. } => self.cut += events,
            Event::Rest { .. } | Event::Webhook { .. } => return,
            _ => {}
        }
        self.end = self.end.max(at);
    }

    fn send(&mut self, at: Moment, link: &str, sent: Sent) {
        self.with_life(link, |life| {
            let sent = match sent {
                Sent::Message(body) if life.answered.is_none() && is_answer(&body) => {
                    life.answered = Some(at);
                    life.is_accepted = is_accepted(&body);
                    Sent::Answer(body)
                }
                sent => sent,
            };
            life.sent.push((at, sent));
        });
    }

    fn with_life(&mut self, link: &str, change: impl FnOnce(&mut Life)) {
        if let Some(life) = self.links.get_mut(link).and_then(|lives| lives.last_mut()) {
            change(life);
        }
    }

    /// Without the webhook of the start, which a killed daemon has not written, a client would not know of the stream.
    fn announce_unknown(&mut self) {
        if !self.webhooks.iter().any(|(_, webhook)| webhook.name.ends_with("rtms_started")) {
            let name = format!("{}.rtms_started", family(&self.header));
            self.webhooks.push((0, Announced { name, body: None }));
        }
    }

    /// When Zoom first answered a handshake: the time from which everything is counted.
    pub(super) fn start(&self) -> Moment {
        let lives = self.links.values().flatten();
        lives.filter_map(|life| life.answered).min().unwrap_or(self.end)
    }

    /// The handshakes that Zoom accepted, by time: when, the link, and the index of its life.
    pub(super) fn answers(&self) -> Vec<(Moment, &str, usize)> {
        let lives = self.links.iter().flat_map(|(link, lives)| {
            let lives = lives.iter().enumerate().filter(|(_, life)| life.is_accepted);
            lives.filter_map(move |(number, life)| Some((life.answered?, &**link, number)))
        });
        let mut answers: Vec<_> = lives.collect();
        answers.sort();
        answers
    }

    /// The life of a link, from 0.
    pub(super) fn life(&self, link: &str, number: usize) -> Option<&Life> {
        self.links.get(link)?.get(number)
    }
}

/// The first part of the names of events.
fn family(header: &Header) -> &'static str {
    use crate::model::Product;
    match header.product {
        Product::Meeting => "meeting",
        Product::Webinar => "webinar",
        Product::VideoSdk => "session",
        Product::ContactCenter => "contact_center.voice",
        Product::Phone => "phone",
    }
}

/// Turns both clocks of a record into one.
#[derive(Default)]
struct RecordClock {
    run: Option<(Moment, u64)>,
}

impl RecordClock {
    fn moment(&mut self, record: &Record) -> Moment {
        let wall = u64::try_from(record.at_ms).unwrap_or_default().saturating_mul(1_000_000);
        if matches!(record.event, Event::Run(_)) {
            self.run = Some((wall, record.t));
        }
        match (&record.event, self.run) {
            (Event::Webhook { .. } | Event::Rest { .. }, _) | (_, None) => wall,
            (_, Some((began, t))) => began.saturating_add(record.t.saturating_sub(t)),
        }
    }
}

fn message_bytes(event: &Event) -> usize {
    match event {
        Event::In { body, .. } | Event::TooLarge { body, .. } | Event::Webhook { body, .. } => {
            let text = body.text.as_ref().map_or(0, String::len);
            text + body.base64.as_ref().map_or(0, String::len)
        }
        _ => 0,
    }
}

/// The type of a message and its medium, as far as it can be read.
fn type_of(body: &Body) -> Option<u64> {
    let text = body.text.as_deref()?;
    // The type is one of the first fields, and a payload is long.
    let (_, rest) = text.split_once("\"msg_type\"")?;
    let digits = rest.trim_start_matches([':', ' ', '"']);
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn is_answer(body: &Body) -> bool {
    let number = type_of(body);
    [msg_type::SIGNALING_HAND_SHAKE_RESP, msg_type::DATA_HAND_SHAKE_RESP]
        .iter()
        .any(|answer| number == Some(u64::from(*answer)))
}

fn is_accepted(answer: &Body) -> bool {
    let text = answer.text.as_deref().unwrap_or_default();
    let answer: Value = serde_json::from_str(text).unwrap_or_default();
    answer["status_code"].as_i64() == Some(status::OK)
}

/// The medium of a message; none for those that belong to the link itself.
pub(super) fn medium_of(body: &Body) -> Option<Medium> {
    let number = type_of(body)?;
    Medium::ALL.into_iter().find(|medium| u64::from(medium.msg_type()) == number)
}

/// Replaces every URL of a server in a message: `url` gives the new one for the key that it has.
pub(super) fn with_urls(message: &[u8], url: impl Fn(&str) -> String) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(message) else { return message.to_vec() };
    let mut is_changed = false;
    replace_urls(&mut value, "", &url, &mut is_changed);
    if is_changed { value.to_string().into_bytes() } else { message.to_vec() }
}

fn replace_urls(
    value: &mut Value,
    key: &str,
    url: &impl Fn(&str) -> String,
    is_changed: &mut bool,
) {
    match value {
        Value::String(text) if ["wss://", "ws://"].iter().any(|start| text.starts_with(start)) => {
            *is_changed = true;
            *text = url(key);
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| replace_urls(item, key, url, is_changed));
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                replace_urls(field, key, url, is_changed);
            }
        }
        _ => {}
    }
}

/// Moves every time in a message that lies in `times` (Unix milliseconds) by `by_ms`. The message keeps everything else.
pub(super) fn with_times(message: &[u8], times: &Range<i64>, by_ms: i64) -> Vec<u8> {
    let mut moved = Vec::with_capacity(message.len());
    for run in message.chunk_by(|one, other| one.is_ascii_digit() == other.is_ascii_digit()) {
        let number = (run.len() == 13)
            .then(|| str::from_utf8(run).ok()?.parse::<i64>().ok())
            .flatten()
            .filter(|at_ms| times.contains(at_ms));
        match number {
            Some(at_ms) => moved.extend_from_slice((at_ms + by_ms).to_string().as_bytes()),
            None => moved.extend_from_slice(run),
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_urls_of_servers_are_replaced_by_their_keys() {
        let message = br#"{"media_server":{"server_urls":{"audio":"wss://a","all":["wss://b"]}}}"#;
        let replaced = with_urls(message, |key| format!("ws://here/{key}"));
        let expected = r#"{"media_server":{"server_urls":{"all":["ws://here/all"],"audio":"ws://here/audio"}}}"#;
        let value: Value = serde_json::from_slice(&replaced).unwrap();
        assert_eq!(value, serde_json::from_str::<Value>(expected).unwrap());
        assert_eq!(with_urls(b"{\"a\":  1}", |_| String::new()), b"{\"a\":  1}");
    }

    #[test]
    fn times_are_moved_and_other_numbers_are_not() {
        let message =
            br#"{"timestamp":1700000000500,"user_id":1700000000,"data":"x1800000000000y"}"#;
        let moved = with_times(message, &(1_700_000_000_000..1_700_000_001_000), 1_000);
        let expected =
            br#"{"timestamp":1700000001500,"user_id":1700000000,"data":"x1800000000000y"}"#;
        assert_eq!(moved, expected);
    }

    #[test]
    fn the_type_of_a_message_is_found_even_if_the_rest_cannot_be_read() {
        let of = |text: &str| medium_of(&Body::of(text.as_bytes()));
        assert_eq!(of(r#"{"msg_type":14,"content":{"#), Some(Medium::Audio));
        assert_eq!(of(r#"{"msg_type": "17"}"#), Some(Medium::Transcript));
        assert_eq!(of(r#"{"msg_type":12}"#), None);
        assert_eq!(of("no"), None);
    }
}
