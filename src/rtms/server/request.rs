//! The messages of a program after its handshake (rtms-protocol.md sections 6.5 to 6.19).

use serde_json::Value;

use crate::rtms::message::msg_type;

/// The most entries in one subscription.
const MAX_EVENTS: usize = 64;

/// A message of a program.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    /// 1: a second handshake on one socket.
    Handshake,
    /// 5: event types, and whether the program subscribes to them. Entries that cannot be read are counted.
    Subscribe { events: Vec<(u64, bool)>, malformed: usize },
    /// 7: media may be sent.
    Ready { stream: Value },
    /// 10: asks for the state of a session.
    SessionState { session: String },
    /// 13: the timestamp of the request that it answers.
    KeepAliveAnswer { timestamp: Value },
    /// 19: asks for the state of the stream.
    StreamState,
    /// 21: asks for the end of the stream.
    Close { stream: Value },
    /// 28: subscribes to the video of one participant, or unsubscribes; `None` for a field that cannot be read.
    Video { user_id: Value, subscribe: Option<bool> },
    /// Any other type.
    Unknown(u64),
}

impl Request {
    /// Parses a message.
    ///
    /// # Errors
    /// A text says what is wrong with the message.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        // Invalid JSON becomes null, which has no `msg_type`.
        let mut message: Value = serde_json::from_str(text).unwrap_or_default();
        let number = message["msg_type"].as_u64();
        let number = number.ok_or("a message that is not a JSON object with a msg_type")?;
        let mut take = |name: &str| message.get_mut(name).map(Value::take).unwrap_or_default();
        // 0 is UNDEFINED (section 10.1) and thus unknown.
        Ok(match u16::try_from(number).unwrap_or(0) {
            msg_type::SIGNALING_HAND_SHAKE_REQ => Self::Handshake,
            msg_type::EVENT_SUBSCRIPTION => return subscription(&take("events")),
            msg_type::CLIENT_READY_ACK => Self::Ready { stream: take("rtms_stream_id") },
            msg_type::SESSION_STATE_REQ => Self::SessionState {
                session: take("rtms_session_id").as_str().unwrap_or_default().to_owned(),
            },
            msg_type::KEEP_ALIVE_RESP => Self::KeepAliveAnswer { timestamp: take("timestamp") },
            msg_type::STREAM_STATE_REQ => Self::StreamState,
            msg_type::STREAM_CLOSE_REQ => Self::Close { stream: take("rtms_stream_id") },
            msg_type::VIDEO_SUBSCRIPTION_REQ => {
                Self::Video { user_id: take("user_id"), subscribe: take("subscribe").as_bool() }
            }
            _ => Self::Unknown(number),
        })
    }
}

fn subscription(events: &Value) -> Result<Request, &'static str> {
    let events = events.as_array().filter(|events| events.len() <= MAX_EVENTS);
    let events = events.ok_or("a subscription without a list of events")?;
    let read = |event: &Value| Some((event["event_type"].as_u64()?, event["subscribe"].as_bool()?));
    let sound: Vec<_> = events.iter().filter_map(read).collect();
    let malformed = events.len() - sound.len();
    Ok(Request::Subscribe { events: sound, malformed })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_is_read_as_far_as_it_can_be() {
        let parse = |message: Value| Request::parse(&message.to_string());
        let events = json!([{"event_type": 3, "subscribe": true}, {"event_type": "x"}, 7]);
        let subscribe = Request::Subscribe { events: vec![(3, true)], malformed: 2 };
        assert_eq!(parse(json!({"msg_type": 5, "events": events})), Ok(subscribe));
        let video = Request::Video { user_id: json!(7), subscribe: None };
        assert_eq!(parse(json!({"msg_type": 28, "user_id": 7, "subscribe": 1})), Ok(video));
        assert_eq!(parse(json!({"msg_type": 70_000})), Ok(Request::Unknown(70_000)));
        assert_eq!(parse(json!({"msg_type": 0})), Ok(Request::Unknown(0)));
    }

    #[test]
    fn what_says_nothing_is_an_error() {
        for text in ["", "{", "[]", "7", "{}", r#"{"msg_type":"5"}"#, r#"{"msg_type":5}"#] {
            assert!(Request::parse(text).is_err(), "{text}");
        }
        let many = vec![json!({"event_type": 1, "subscribe": true}); MAX_EVENTS + 1];
        assert!(Request::parse(&json!({"msg_type": 5, "events": many}).to_string()).is_err());
    }
}
