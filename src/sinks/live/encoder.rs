//! Encodes a consumer's items as WebSocket messages, in the requested format.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::request::Format;
use super::source::{Item, Source};
use super::twilio::{NotL16, Twilio};
use super::wire::{self, Hello};
use crate::clock;
use crate::hub::{Followed, Frame};

/// The encoder of each format.
pub(super) enum Encoder {
    Json,
    Binary,
    Twilio(Box<Twilio>),
}

impl Encoder {
    pub(super) fn new(source: &Source) -> Self {
        match source.request().format {
            Format::Json => Self::Json,
            Format::Binary => Self::Binary,
            Format::Twilio(sound) => Self::Twilio(Box::new(Twilio::new(sound))),
        }
    }

    /// The first messages.
    pub(super) fn hello(&mut self, hello: &Hello) -> Vec<Message> {
        match self {
            Self::Json => vec![Message::text(wire::hello_message("json", hello))],
            Self::Binary => vec![Message::text(wire::hello_message("binary", hello))],
            Self::Twilio(twilio) => text_messages(twilio.hello(hello.session.as_ref())),
        }
    }

    /// Adds the messages for an item.
    pub(super) fn encode(&mut self, item: &Item, out: &mut Vec<Message>) -> Result<(), NotL16> {
        match self {
            Self::Twilio(twilio) => {
                if let Item::Frame(frame) = item {
                    out.extend(text_messages(twilio.frame(clock::now_ms(), frame)?));
                }
            }
            Self::Json => {
                out.extend(plain_message(item, |frame| text_message(wire::json_frame(frame))))
            }
            Self::Binary => {
                out.extend(plain_message(item, |frame| Message::Binary(wire::binary_frame(frame))));
            }
        }
        Ok(())
    }

    /// Whether it produces messages by time alone: in Twilio's dialect, silence is sent as audio.
    pub(super) fn is_ticking(&self) -> bool {
        matches!(self, Self::Twilio(_))
    }

    pub(super) fn tick(&mut self, out: &mut Vec<Message>) {
        if let Self::Twilio(twilio) = self {
            out.extend(text_messages(twilio.tick(clock::now_ms())));
        }
    }

    /// Adds the answer to a consumer's message.
    pub(super) fn answer(&mut self, text: &str, out: &mut Vec<Message>) {
        if let Self::Twilio(twilio) = self {
            out.extend(text_messages(twilio.answer(text)));
        }
    }

    /// The last messages.
    pub(super) fn goodbye(&mut self, out: &mut Vec<Message>) {
        if let Self::Twilio(twilio) = self {
            out.extend(text_messages(twilio.goodbye()));
        }
    }
}

fn plain_message(item: &Item, frame: impl Fn(&Frame) -> Message) -> Option<Message> {
    Some(match item {
        Item::Frame(one) => frame(one),
        Item::Dropped(medium, count) => Message::text(wire::dropped_message(*medium, *count)),
        Item::Running(stream) => Message::text(wire::stream_message(stream, false)),
        Item::Over(stream) => Message::text(wire::stream_message(stream, true)),
        Item::Entry(Followed::Entry { cursor, entry }, _) => {
            Message::text(wire::entry_message(cursor, entry))
        }
        Item::Entry(Followed::End { cursor }, session) => {
            Message::text(wire::end_message(*session, cursor))
        }
        Item::Failed => return None,
    })
}

fn text_message(bytes: Bytes) -> Message {
    Message::Text(Utf8Bytes::try_from(bytes).expect("JSON is UTF-8"))
}

fn text_messages(texts: Vec<String>) -> Vec<Message> {
    texts.into_iter().map(Message::text).collect()
}
