//! Formats server-sent events (pure).

use crate::model::{Entry, EntryView, SessionId};

/// The first text sent: how long a browser waits before it reconnects, in milliseconds.
pub(super) const RETRY: &str = "retry: 1000\n\n";
/// A comment that keeps a silent connection from being mistaken for a dead one.
pub(super) const KEEP_ALIVE: &str = ": keep-alive\n\n";

/// Formats one entry; `cursor` is the reader's position after it.
pub(super) fn entry_event(cursor: &str, entry: &Entry) -> String {
    let data = serde_json::to_string(&EntryView::of(entry))
        .expect("an entry has no map with other keys than text");
    // serde_json writes no line break, which would end the field.
    format!("id: {cursor}\nevent: {}\ndata: {data}\n\n", entry.body.kind().as_str())
}

/// The last event: the session has ended and everything was sent.
pub(super) fn end_event(cursor: &str, session_id: SessionId) -> String {
    format!("id: {cursor}\nevent: end\ndata: {{\"session_id\":\"{session_id}\"}}\n\n")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;
    use crate::model::{EntryBody, Speaker, StreamId, TranscriptLine, UserId};

    #[test]
    fn an_entry_is_one_event_whatever_its_text() {
        let said = TranscriptLine {
            speaker: Speaker::participant(UserId(7), Some("Ana\n\nevent: end".into())),
            text: "a\r\n\ndata: forged\u{2028}".into(),
            start_ms: 1,
            end_ms: 2,
            language: None,
            attribute: None,
        };
        let spoken = Entry {
            session_id: SessionId(Uuid::nil()),
            stream_id: StreamId::parse("s").unwrap(),
            stream_ordinal: 2,
            seq: 3,
            at_ms: 1_732_313_171_881,
            body: EntryBody::Transcript(said.clone()),
        };
        let text = entry_event("1:57,2:3", &spoken);
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(lines[..2], ["id: 1:57,2:3", "event: transcript"]);
        assert_eq!(lines[3..], ["", ""]);
        let data: Value = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["text"], said.text);
        assert_eq!(data["kind"], "transcript");
        assert_eq!((&data["ordinal"], &data["seq"]), (&2.into(), &3.into()));
        assert_eq!(data["stream"], data["ordinal"], "the deprecated name");
        assert_eq!(data["at"], "2024-11-22T22:06:11.881Z");
    }
}
