//! The speaker of a frame or line: `user_id` and `channel_id` in every form that Zoom sends (rtms-protocol.md sections
//! 6.12, 23.2).

use std::borrow::Cow;

use super::reader::{Fields, Reader};
use crate::json;
use crate::model::{Product, SpeakerRef, UserId, UserIdRef};

/// The JSON of both ids. Their meaning depends on the product, which only the stream knows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tokens<'a> {
    pub user_id: Option<&'a str>,
    pub channel_id: Option<&'a str>,
}

impl<'a> Tokens<'a> {
    /// Reads both ids and leaves out a malformed one.
    pub(super) fn read(reader: &mut Reader, content: &Fields<'a>) -> Self {
        let mut token = |name, is_sound: fn(&str) -> bool| {
            let token = content.raw(name)?.get();
            if !is_sound(token) {
                reader.lose_field(name);
            }
            is_sound(token).then_some(token)
        };
        Self {
            user_id: token("user_id", is_user_id),
            channel_id: token("channel_id", is_channel_id),
        }
    }

    /// The speaker that the ids identify. Digits in quotes are a participant's number (rtms-protocol.md section
    /// 7), except in products with user ids that are texts. 0 stands for the mixed stream and identifies no
    /// participant.
    pub(super) fn speaker(self, product: Product) -> SpeakerRef<'a> {
        let channel_id = self.channel_id.and_then(token_text);
        SpeakerRef { user_id: self.user_id.and_then(|token| user_id(token, product)), channel_id }
    }
}

/// Whether the JSON is a valid user id: a number, a text, or null.
pub(super) fn is_user_id(token: &str) -> bool {
    is_digits(token) || is_text(token) || serde_json::from_str::<Option<UserId>>(token).is_ok()
}

/// Whether the JSON is a valid channel id: a text, null, or a non-negative integer.
pub(super) fn is_channel_id(token: &str) -> bool {
    is_digits(token) || is_text(token) || token == "null"
}

fn is_digits(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_text(token: &str) -> bool {
    token.starts_with('"')
}

fn user_id(token: &str, product: Product) -> Option<UserIdRef<'_>> {
    if !is_text(token) {
        // Reads `7.0`, too, which some senders write (rtms-protocol.md section 23.5).
        let number = serde_json::from_str::<Option<UserId>>(token).ok()??;
        return (number.0 != 0).then_some(UserIdRef::Number(number));
    }
    let id = token_text(token)?;
    match id.trim().parse() {
        Ok(0) => None,
        Ok(number) if !product.names_channels() => Some(UserIdRef::Number(UserId(number))),
        _ => Some(UserIdRef::Text(id)),
    }
}

/// The text of a JSON string, or a number as written; none when empty.
fn token_text(token: &str) -> Option<Cow<'_, str>> {
    let plain = token.strip_prefix('"').and_then(|token| token.strip_suffix('"'));
    let text = match plain {
        // Audio has 50 frames a second and speaker: the usual id is not copied.
        Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
        Some(_) => Cow::Owned(serde_json::from_str(&json::mend_text(token)).ok()?),
        None if token != "null" => Cow::Borrowed(token),
        None => return None,
    };
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(token: &str, product: Product) -> Option<UserIdRef<'_>> {
        assert!(is_user_id(token), "{token}");
        Tokens { user_id: Some(token), channel_id: None }.speaker(product).user_id
    }

    fn text_id(text: &str) -> Option<UserIdRef<'_>> {
        Some(UserIdRef::Text(Cow::Borrowed(text)))
    }

    #[test]
    fn a_number_in_quotes_is_a_participant_in_a_meeting_and_a_text_in_contact_center() {
        let seven = Some(UserIdRef::Number(UserId(7)));
        for number in ["7", "7.0"] {
            assert_eq!(user(number, Product::Meeting), seven, "{number}");
            assert_eq!(user(number, Product::ContactCenter), seven, "{number}");
        }
        assert_eq!(user("\"7\"", Product::Meeting), seven);
        assert_eq!(user("\"7\"", Product::ContactCenter), text_id("7"));
        for product in Product::ALL {
            assert_eq!(user("\"customer-contact-id\"", product), text_id("customer-contact-id"));
        }
    }

    #[test]
    fn an_empty_id_names_nobody_and_a_malformed_id_is_counted() {
        for token in ["0", "\"0\"", "null", "\"\""] {
            for product in [Product::Meeting, Product::ContactCenter] {
                assert_eq!(user(token, product), None, "{token}");
            }
        }
        for odd in ["-1", "7.5", "[]", "{\"a\":\"1\"}", "true", "1e300"] {
            assert!(!is_user_id(odd), "{odd}");
        }
    }

    #[test]
    fn a_channel_is_a_text_a_number_or_nothing() {
        let channel = |token| {
            assert!(is_channel_id(token), "{token}");
            Tokens { user_id: None, channel_id: Some(token) }.speaker(Product::Meeting).channel_id
        };
        for (token, id) in [
            ("\"123abc\"", Some("123abc")),
            ("5", Some("5")),
            (r#""a\u0062""#, Some("ab")),
            (r#""a\ud83d""#, Some("a\u{fffd}")),
            ("\"\"", None),
            ("null", None),
        ] {
            assert_eq!(channel(token).as_deref(), id, "{token}");
        }
        for odd in ["[1]", "-1", "{}", "false"] {
            assert!(!is_channel_id(odd), "{odd}");
        }
    }
}
