//! Parses the first message of a socket: 1 on signaling, 3 on media (rtms-protocol.md sections 6.1 and 6.3).

use serde_json::Value;

use super::refusal::Refusal;
use crate::model::{IdKey, Medium};
use crate::rtms::message::{MEDIA_TYPE_ALL, msg_type};

/// The kind of URL at which a client opened a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// The signaling URL of the server with this number.
    Signaling(u32),
    /// The URL of one medium, or with `None` of all media.
    Media(Option<Medium>),
    /// A bare host and port. The first message decides what the socket is.
    Any,
}

/// A well-formed handshake. Its values are not checked yet.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub route: Route,
    pub instance_id: String,
    pub stream_id: String,
    pub signature: String,
    /// The message type of the answer: 2 or 4.
    pub answer: u16,
    pub kind: HandshakeKind,
}

/// What the client asks the socket to be.
#[derive(Debug)]
pub(crate) enum HandshakeKind {
    Signaling { buffer_data: bool },
    Media { media_type: i64, media_params: Value },
}

/// The refusal of a first message that is not a valid handshake.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub answer: u16,
    pub refusal: Refusal,
}

impl Handshake {
    /// Refuses this handshake.
    pub(crate) fn refuse(&self, refusal: Refusal) -> Rejection {
        Rejection { answer: self.answer, refusal }
    }
}

/// Parses the first message of a socket that was opened at `route`. Fails with refusal 1 or 4.
pub(crate) fn parse_handshake(route: Route, text: &str) -> Result<Handshake, Rejection> {
    let message: Value = serde_json::from_str(text).unwrap_or_default();
    let msg_type = message["msg_type"].as_u64();
    let answer = answer_type(route, msg_type);
    let reject = |refusal| Rejection { answer, refusal };
    if !message.is_object() {
        return Err(reject(Refusal::PAYLOAD));
    }
    // Each answer's number follows that of its request: 1 and 2, 3 and 4.
    let expected = u64::from(answer - 1);
    if msg_type != Some(expected) {
        return Err(reject(Refusal::MESSAGE_TYPE));
    }
    parse_fields(route, answer, &message).ok_or_else(|| reject(Refusal::PAYLOAD))
}

/// The type of the answer. A bare host serves both sockets, so there the message type decides.
fn answer_type(route: Route, msg_type: Option<u64>) -> u16 {
    let media = match route {
        Route::Signaling(_) => false,
        Route::Media(_) => true,
        Route::Any => msg_type == Some(u64::from(msg_type::DATA_HAND_SHAKE_REQ)),
    };
    if media { msg_type::DATA_HAND_SHAKE_RESP } else { msg_type::SIGNALING_HAND_SHAKE_RESP }
}

fn parse_fields(route: Route, answer: u16, message: &Value) -> Option<Handshake> {
    let text = |name: &str| message.get(name)?.as_str().map(str::to_owned);
    // Any product's key is accepted: Zoom's own client sends every id as `meeting_uuid` (section 22).
    let instance_id = IdKey::ANNOUNCED.iter().find_map(|key| text(key.as_str()))?;
    // Absence is accepted, as by Zoom (conflict 19.6).
    let version = message.get("protocol_version");
    if version.is_some_and(|version| !version.is_u64()) {
        return None;
    }
    let kind = if answer == msg_type::DATA_HAND_SHAKE_RESP {
        HandshakeKind::Media {
            media_type: message.get("media_type")?.as_i64()?,
            media_params: message["media_params"].clone(),
        }
    } else {
        HandshakeKind::Signaling { buffer_data: optional_flag(message, "buffer_data", true)? }
    };
    Some(Handshake {
        route,
        instance_id,
        stream_id: text("rtms_stream_id")?,
        signature: text("signature")?,
        answer,
        kind,
    })
}

fn optional_flag(message: &Value, name: &str, default: bool) -> Option<bool> {
    match message.get(name) {
        None | Some(Value::Null) => Some(default),
        Some(value) => value.as_bool(),
    }
}

/// The media that a socket carries: those of `media_type`, if the route and the app's scopes allow them.
pub(crate) fn requested_media(
    route: Route,
    media_type: i64,
    scopes: &[Medium],
) -> Result<Vec<Medium>, Refusal> {
    if media_type == i64::from(MEDIA_TYPE_ALL) {
        // "All" silently leaves out media without scope (section 3.3).
        let open = matches!(route, Route::Media(None) | Route::Any);
        return if open { Ok(scopes.to_vec()) } else { Err(Refusal::MEDIA_TYPE) };
    }
    // Only single bits: a combined mask is not described by Zoom (section 3.3).
    let medium =
        Medium::ALL.into_iter().find(|medium| i64::from(medium.media_type()) == media_type);
    let medium = medium.ok_or(Refusal::MEDIA_TYPE)?;
    if matches!(route, Route::Media(Some(other)) if other != medium) {
        return Err(Refusal::MEDIA_TYPE);
    }
    if scopes.contains(&medium) { Ok(vec![medium]) } else { Err(missing_scope_refusal(medium)) }
}

fn missing_scope_refusal(medium: Medium) -> Refusal {
    match medium {
        Medium::Audio => Refusal::NO_AUDIO_SCOPE,
        Medium::Video => Refusal::NO_VIDEO_SCOPE,
        Medium::Share => Refusal::NO_SHARE_SCOPE,
        Medium::Transcript => Refusal::NO_TRANSCRIPT_SCOPE,
        Medium::Chat => Refusal::NO_CHAT_SCOPE,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn signaling() -> Value {
        json!({"msg_type": 1, "meeting_uuid": "u", "rtms_stream_id": "s", "signature": "x"})
    }

    fn refused(route: Route, message: &Value) -> (u16, i64) {
        let rejection = parse_handshake(route, &message.to_string()).unwrap_err();
        (rejection.answer, rejection.refusal.code)
    }

    #[test]
    fn a_handshake_needs_neither_version_nor_sequence() {
        let handshake = parse_handshake(Route::Signaling(1), &signaling().to_string()).unwrap();
        assert!(matches!(handshake.kind, HandshakeKind::Signaling { buffer_data: true }));
    }

    #[test]
    fn the_id_key_of_every_product_is_accepted() {
        for key in IdKey::ANNOUNCED {
            let mut message = signaling();
            message.as_object_mut().unwrap().remove("meeting_uuid");
            message[key.as_str()] = "id".into();
            assert_eq!(
                parse_handshake(Route::Any, &message.to_string()).unwrap().instance_id,
                "id"
            );
        }
    }

    #[test]
    fn an_invalid_first_message_is_refused_by_cause() {
        let route = Route::Signaling(1);
        assert_eq!(refused(route, &json!({"msg_type": 3})), (2, 1));
        assert_eq!(refused(route, &json!([1])), (2, 4));
        assert_eq!(refused(route, &json!({"msg_type": 1})), (2, 4));
        let mut wrong_type = signaling();
        wrong_type["signature"] = 5.into();
        assert_eq!(refused(route, &wrong_type), (2, 4));
        assert_eq!(refused(Route::Media(None), &signaling()), (4, 1));
        assert_eq!(parse_handshake(route, "{").unwrap_err().refusal.code, 4);
    }

    #[test]
    fn combined_masks_and_media_that_the_url_does_not_serve_are_refused() {
        let all = Medium::ALL;
        for mask in [0, 9, 33, 64, -1] {
            assert_eq!(requested_media(Route::Media(None), mask, &all), Err(Refusal::MEDIA_TYPE));
        }
        let audio = Route::Media(Some(Medium::Audio));
        assert_eq!(requested_media(audio, 1, &all), Ok(vec![Medium::Audio]));
        assert_eq!(requested_media(audio, 8, &all), Err(Refusal::MEDIA_TYPE));
        assert_eq!(requested_media(audio, 32, &all), Err(Refusal::MEDIA_TYPE));
        assert_eq!(requested_media(Route::Media(None), 32, &all).unwrap().len(), 5);
    }

    #[test]
    fn a_medium_without_scope_is_refused_with_its_own_code() {
        for (medium, code) in Medium::ALL.into_iter().zip(9..) {
            let refusal =
                requested_media(Route::Any, i64::from(medium.media_type()), &[]).unwrap_err();
            assert_eq!(refusal.code, code);
        }
    }
}
