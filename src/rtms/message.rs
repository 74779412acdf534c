//! The wire's messages in both directions, and its enumerations (rtms-protocol.md sections 6, 7 and 10; pure).
//!
//! [`decode`] and [`encode`] are the codec: nothing else knows how a message is encoded.

mod answer;
mod bounded_text;
mod chat;
mod codec;
mod codes;
mod contact_center;
mod content;
mod event;
mod incoming;
mod outgoing;
mod reader;
mod speaker;
mod time;

pub use answer::HandshakeAnswer;
pub use codec::{decode, decode_head, encode};
pub use codes::{MEDIA_TYPE_ALL, event_type, msg_type, session_state, status, stream_state};
pub use content::MediaFrame;
pub use event::{Event, EventUpdate};
pub use incoming::{KeepAlive, Malformed, Message};
pub use outgoing::{Handshake, Outgoing};
pub use time::normalize_ms;

#[cfg(test)]
pub(super) mod tests;
