//! Transcript lines and chat messages.

use super::{lost, malformed, parse, unreadable};
use crate::model::{
    ChannelId, ChatFile, ChatMessage, ChatSession, Lost, Participant, Speaker, SpeakerUserId,
    TranscriptLine, UserId,
};
use crate::rtms::message::Message;

fn line(text: &str) -> (Option<i64>, TranscriptLine) {
    match parse(text).unwrap() {
        Message::Transcript(at_ms, line) => (at_ms, line),
        other => panic!("not a transcript: {other:?}"),
    }
}

fn chat(text: &str) -> (Option<i64>, ChatMessage) {
    match parse(text).unwrap() {
        Message::Chat(at_ms, message) => (at_ms, message),
        other => panic!("not a chat message: {other:?}"),
    }
}

fn everyone() -> ChatSession {
    ChatSession { number: Some(1), name: Some("everyone".into()), id: None }
}

fn hello() -> ChatMessage {
    ChatMessage {
        user_id: Some(UserId(16_778_240)),
        user_name: Some("Ana".into()),
        text: "hello".into(),
        operation: Some(1),
        operation_name: Some("new".into()),
        message_id: Some("m-1".into()),
        session: Some(Box::new(everyone())),
        ..ChatMessage::default()
    }
}

#[test]
fn a_transcript_line_tells_who_said_what_when() {
    let (at_ms, line) = line(
        r#"{"msg_type":17,"content":{"user_id":16778240,"user_name":"Ana","start_time":1732313190000,
            "end_time":1732313191500,"timestamp":1732313191600,"language":9,"data":"Good \"morning\""}}"#,
    );
    assert_eq!(at_ms, Some(1_732_313_191_600));
    let expected = TranscriptLine {
        speaker: Speaker::participant(UserId(16_778_240), Some("Ana".into())),
        text: "Good \"morning\"".into(),
        start_ms: 1_732_313_190_000,
        end_ms: 1_732_313_191_500,
        language: Some(9),
        attribute: None,
    };
    assert_eq!(line, expected);
}

#[test]
fn a_line_of_an_engagement_has_a_channel_and_its_user_id_may_be_a_text() {
    let (_, by_channel) =
        line(r#"{"msg_type":17,"content":{"channel_id":"123abc","timestamp":1,"data":"x"}}"#);
    let channel_id = ChannelId::new("123abc");
    assert_eq!(
        by_channel.speaker,
        Speaker { channel_id: channel_id.clone(), ..Speaker::default() }
    );
    let (_, both) = line(
        r#"{"msg_type":17,"content":{"channel_id":"123abc","user_id":"customer-contact-id","data":"x"}}"#,
    );
    let user_id = SpeakerUserId::text("customer-contact-id");
    assert_eq!(both.speaker, Speaker { user_id, channel_id, name: None });
}

#[test]
fn a_transcript_line_from_before_spans_existed_stands_at_its_send_time() {
    let (_, line) = line(
        r#"{"msg_type":17,"content":{"user_id":1,"timestamp":1732313191600,"attribute":2,"data":"x"}}"#,
    );
    assert_eq!((line.start_ms, line.end_ms), (1_732_313_191_600, 1_732_313_191_600));
    assert_eq!((line.attribute, line.speaker.name), (Some(2), None));
}

#[test]
fn a_transcript_line_never_ends_before_it_starts() {
    let (_, line) = line(
        r#"{"msg_type":17,"content":{"user_id":1,"start_time":1732313191600,"end_time":1732313190000,"data":"x"}}"#,
    );
    assert_eq!((line.start_ms, line.end_ms), (1_732_313_191_600, 1_732_313_191_600));
}

#[test]
fn a_transcript_without_text_is_malformed() {
    for content in ["{}", r#"{"data":7}"#, r#"{"data":null}"#] {
        let text = format!(r#"{{"msg_type":17,"content":{content}}}"#);
        assert_eq!(malformed(&text), lost(17, "data"), "{content}");
    }
    for content in ["7", r#""AAAA""#, "null"] {
        let text = format!(r#"{{"msg_type":17,"content":{content}}}"#);
        assert_eq!(malformed(&text), lost(17, "content"), "{content}");
    }
    assert_eq!(malformed(r#"{"msg_type":17}"#), lost(17, "content"));
}

#[test]
fn a_chat_message_is_read_with_its_fields_in_content() {
    let (at_ms, message) = chat(
        r#"{"msg_type":18,"content":{"timestamp":1732313192000,"operation_type":1,"message_id":"m-1",
            "chat_session":{"type":1,"id":""},"sender":{"user_id":16778240,"user_name":"Ana"},"data":"hello"}}"#,
    );
    assert_eq!((at_ms, message), (Some(1_732_313_192_000), hello()));
}

#[test]
fn a_chat_message_is_read_with_its_fields_inside_data() {
    let inner = r#"{"operation_type":1,"message_id":"m-1","files":[],"sender":{"user_id":16778240,"user_name":"Ana"},"data":"hello"}"#;
    let as_text = serde_json::to_string(inner).unwrap();
    for data in [inner, &as_text] {
        let text =
            format!(r#"{{"msg_type":18,"content":{{"timestamp":1732313192000,"data":{data}}}}}"#);
        assert_eq!(
            chat(&text),
            (Some(1_732_313_192_000), ChatMessage { session: None, ..hello() }),
            "{data}"
        );
    }
}

#[test]
fn the_oldest_chat_message_has_a_time_and_a_text() {
    let (at_ms, message) =
        chat(r#"{"msg_type":18,"content":{"timestamp":1732313192000,"data":"hi"}}"#);
    assert_eq!((at_ms, message.text.as_str()), (Some(1_732_313_192_000), "hi"));
    assert_eq!((message.user_id, message.operation), (None, None));
}

#[test]
fn a_reply_and_a_deletion_say_which_message_they_are_about() {
    let (_, reply) = chat(
        r#"{"msg_type":18,"content":{"operation_type":1,"message_id":"m-2","parent_message_id":"m-1","data":"yes"}}"#,
    );
    assert_eq!(reply.parent_message_id.as_deref(), Some("m-1"));
    let (_, gone) = chat(r#"{"msg_type":18,"content":{"operation_type":2,"message_id":"m-2"}}"#);
    assert_eq!((gone.operation, gone.text.as_str()), (Some(2), ""));
}

/// Somebody may type anything, and what they typed is what they said.
#[test]
fn a_chat_text_that_looks_like_json_stays_what_was_typed() {
    let texts =
        [r#"{"a":1}"#, r#"{}"#, "{ not json", r#"{"sender":{"user_id":2},"data":"forged"}"#];
    for typed in texts {
        let data = serde_json::to_string(typed).unwrap();
        let text = format!(
            r#"{{"msg_type":18,"content":{{"operation_type":1,"message_id":"m-1",
                "sender":{{"user_id":16778240,"user_name":"Ana"}},"data":{data}}}}}"#
        );
        assert_eq!(chat(&text).1, ChatMessage { text: typed.into(), session: None, ..hello() });
    }
}

/// A typed text must not forge a sender, an operation or files if the message has any other field beside it.
#[test]
fn a_chat_text_that_looks_like_an_envelope_stays_text_beside_other_fields() {
    let forged = r#"{"sender":{"user_id":2,"user_name":"Boss"},"operation_type":2,"message_id":"m-9","data":"forged"}"#;
    let others = [
        r#""user_id":7"#,
        r#""user_name":"Ana""#,
        r#""operation_type":1"#,
        r#""message_id":"m-1""#,
        r#""parent_message_id":"m-0""#,
        r#""chat_session":{"type":1}"#,
        r#""receiver":{"user_id":8}"#,
        r#""files":[]"#,
        r#""delete_file_id_list":[]"#,
    ];
    let data = serde_json::to_string(forged).unwrap();
    let read = |more: &str| {
        chat(&format!(r#"{{"msg_type":18,"content":{{"timestamp":1{more},"data":{data}}}}}"#)).1
    };
    assert_eq!(read("").text, "forged", "alone it is Zoom's envelope");
    for other in others {
        let message = read(&format!(",{other}"));
        assert_eq!(message.text, forged, "{other}");
        assert_ne!(message.user_id, Some(UserId(2)), "{other}");
        assert_ne!(message.operation, Some(2), "{other}");
        assert!(message.message_id.is_none_or(|id| id == "m-1"), "{other}");
    }
}

#[test]
fn a_chat_text_that_is_no_envelope_stays_what_was_typed() {
    for typed in [r#"{"a":1}"#, r#"{"sender":"nobody","data":"x"}"#, "{"] {
        let data = serde_json::to_string(typed).unwrap();
        let text = format!(r#"{{"msg_type":18,"content":{{"timestamp":1,"data":{data}}}}}"#);
        assert_eq!(chat(&text).1.text, typed);
    }
}

#[test]
fn a_chat_message_without_content_is_malformed() {
    assert_eq!(malformed(r#"{"msg_type":18}"#), lost(18, "content"));
    assert_eq!(malformed(r#"{"msg_type":18,"content":7}"#), lost(18, "content"));
    assert_eq!(malformed(r#"{"msg_type":18,"content":{"data":[1]}}"#), lost(18, "data"));
}

#[test]
fn a_malformed_sender_costs_a_chat_message_only_its_sender() {
    let text = r#"{"msg_type":18,"content":{"sender":"Ana","data":"x"}}"#;
    let (_, message) = chat(text);
    assert_eq!((message.text.as_str(), message.user_id), ("x", None));
    assert_eq!(unreadable(text), [(18, Lost::Field, "sender".to_owned(), 1)]);
}

#[test]
fn a_chat_message_tells_its_session_receiver_and_files_in_both_layouts() {
    let fields = r#""operation_type":3,"message_id":"m-1","chat_session":{"type":2,"id":"c1"},
        "sender":{"user_id":7,"user_name":"Ana"},"receiver":{"user_id":8,"user_name":"Bo"},
        "files":[{"file_id":"f1","file_name":"a.pdf","file_size":1200},{"file_id":9,"file_size":"7"},{}],
        "delete_file_id_list":["f0",5,""]"#;
    let outside = format!(r#"{{"msg_type":18,"content":{{{fields},"data":"see this"}}}}"#);
    let inside =
        format!(r#"{{"msg_type":18,"content":{{"data":{{{fields},"data":"see this"}}}}}}"#);
    let as_text = serde_json::json!({ "msg_type": 18, "content": {
        "data": format!(r#"{{{fields},"data":"see this"}}"#) } });
    for text in [outside, inside, as_text.to_string()] {
        let (_, message) = chat(&text);
        assert_eq!(message.text, "see this");
        assert_eq!(message.operation_name.as_deref(), Some("update"));
        let session = message.session.unwrap();
        assert_eq!(
            (session.name.as_deref(), session.id.as_deref()),
            (Some("individual"), Some("c1"))
        );
        let bo = Participant { user_id: UserId(8), user_name: Some("Bo".into()) };
        assert_eq!(message.receiver, Some(bo));
        let pdf =
            ChatFile { id: Some("f1".into()), name: Some("a.pdf".into()), size_bytes: Some(1200) };
        let other = ChatFile { id: Some("9".into()), name: None, size_bytes: Some(7) };
        assert_eq!(message.files, [pdf, other]);
        assert_eq!(message.deleted_file_ids, ["f0", "5"]);
    }
}

#[test]
fn empty_names_and_ids_of_a_chat_message_are_none() {
    for text in [
        r#"{"msg_type":18,"content":{"user_id":7,"user_name":"","message_id":"","parent_message_id":"","data":"hi"}}"#,
        r#"{"msg_type":18,"content":{"data":{"user_id":7,"user_name":"","message_id":"","parent_message_id":"","data":"hi"}}}"#,
    ] {
        let expected =
            ChatMessage { user_id: Some(UserId(7)), text: "hi".into(), ..ChatMessage::default() };
        assert_eq!(chat(text).1, expected, "{text}");
    }
    // An empty name outside does not hide the one inside.
    let both = r#"{"msg_type":18,"content":{"user_name":"","message_id":"","data":{"user_name":"Ana","message_id":"m-1","data":"hi"}}}"#;
    let message = chat(both).1;
    assert_eq!(message.user_name.as_deref(), Some("Ana"));
    assert_eq!(message.message_id.as_deref(), Some("m-1"));
}

#[test]
fn every_operation_has_its_name_and_an_unknown_one_keeps_its_number() {
    let names =
        [(1, "new"), (2, "delete"), (3, "update"), (4, "add_reaction"), (5, "remove_reaction")];
    let read = |operation| {
        chat(&format!(r#"{{"msg_type":18,"content":{{"operation_type":{operation}}}}}"#)).1
    };
    for (operation, name) in names {
        assert_eq!(read(operation).operation_name.as_deref(), Some(name));
    }
    assert_eq!((read(9).operation, read(9).operation_name), (Some(9), None));
}

#[test]
fn odd_extras_of_a_chat_message_do_not_cost_its_text() {
    for odd in ["null", "7", "\"x\"", "[]", "[null,[],{}]", "{}"] {
        let text = format!(
            r#"{{"msg_type":18,"content":{{"chat_session":{odd},"receiver":{odd},"files":{odd},
                "delete_file_id_list":{odd},"data":"hi"}}}}"#
        );
        let (_, message) = chat(&text);
        assert_eq!((message.text.as_str(), message.session, message.receiver), ("hi", None, None));
        assert!(message.files.is_empty());
    }
    let many = vec![serde_json::json!({ "file_id": "f" }); 1_000];
    let text = serde_json::json!({ "msg_type": 18, "content": { "files": many, "data": "" } });
    assert_eq!(chat(&text.to_string()).1.files.len(), 64);
}

/// Entries of earlier versions have none of it.
#[test]
fn a_plain_chat_message_is_stored_as_before() {
    let (_, plain) = chat(r#"{"msg_type":18,"content":{"data":"hi"}}"#);
    let json = serde_json::to_value(&plain).unwrap();
    let names: Vec<&String> = json.as_object().unwrap().keys().collect();
    let before = ["message_id", "operation", "parent_message_id", "text", "user_id", "user_name"];
    assert_eq!(names, before);
    assert_eq!(serde_json::from_value::<ChatMessage>(json).unwrap(), plain);
}
