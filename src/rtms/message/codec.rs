//! The codec of the wire: the bytes of a WebSocket message to a [`Message`], and an [`Outgoing`] to text. The encoding is
//! JSON with payloads in base64 (rtms-protocol.md section 6); another encoding is another file like this one.

use std::borrow::Cow;

use bytes::Bytes;

use super::incoming::{self, Malformed, Message};
use super::outgoing::Outgoing;
use crate::model::UnreadableMessages;

/// Reads one message. A frame keeps `bytes` and copies nothing. Bytes that are not UTF-8 become U+FFFD. `unreadable`
/// counts what cannot be read: a field, a list member, or the whole message.
///
/// # Errors
/// The message means nothing without the part that cannot be read.
pub fn decode(bytes: Bytes, unreadable: &mut UnreadableMessages) -> Result<Message, Malformed> {
    let text = text(&bytes);
    let mut message = incoming::parse_message(&text, unreadable);
    let repaired = match text {
        Cow::Borrowed(_) => None,
        Cow::Owned(text) => Some(text),
    };
    if let Ok(Message::Frame(frame)) = &mut message {
        frame.text = repaired.map_or(bytes, Bytes::from);
    }
    message
}

/// Counts a message that is too large to be read. Its first bytes, `head`, may still have its type.
pub fn decode_head(head: &[u8], unreadable: &mut UnreadableMessages) -> Malformed {
    incoming::too_large(&text(head), unreadable)
}

/// The text of a message that is sent at `now_ms`, Unix milliseconds.
pub fn encode(mut message: Outgoing, now_ms: i64) -> String {
    message.stamp(now_ms);
    message.to_json()
}

/// Returns the text; invalid UTF-8 becomes U+FFFD. `from_utf8_lossy` alone takes several times as long on valid
/// text.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_is_not_utf_8_keeps_its_payload() {
        let mut message =
            br#"{"msg_type":14,"content":{"user_name":"Jos?","data":"AAEC"}}"#.to_vec();
        let name = message.iter().position(|byte| *byte == b'?').unwrap();
        message[name] = 0xe9;
        let decoded = decode(message.into(), &mut UnreadableMessages::default());
        let Ok(Message::Frame(frame)) = decoded else { panic!("not a frame: {decoded:?}") };
        assert_eq!(frame.payload().unwrap(), [0, 1, 2][..]);
    }
}
