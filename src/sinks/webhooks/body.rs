//! The body of a webhook: `{"type", "app", "timestamp", "data"}` (pure).

use serde::Serialize;

use crate::model::{AppName, Entry, EntryView, EventKind, OutgoingEvent, rfc3339};

#[derive(Serialize)]
struct Body<'a, T> {
    #[serde(rename = "type")]
    kind: EventKind,
    /// The Zoom app that it is about; null if it is about no single one.
    app: Option<&'a AppName>,
    /// When it happened; the headers have the time of sending.
    timestamp: Option<String>,
    data: T,
}

/// The body of an event about an entry.
pub(super) fn of_entry(event: &OutgoingEvent, entry: &Entry) -> Vec<u8> {
    event_body(event, EntryView::of(entry))
}

/// Deterministic: the same event and data give the same bytes.
pub(super) fn event_body(event: &OutgoingEvent, data: impl Serialize) -> Vec<u8> {
    let app = event.app.as_ref();
    let body = Body { kind: event.kind, app, timestamp: rfc3339(event.at_ms), data };
    serde_json::to_vec(&body).expect("what comes from JSON and from entries becomes JSON")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::model::{EntryBody, SessionId, Speaker, StreamId, TranscriptLine, UserId};

    #[test]
    fn an_entry_has_the_form_of_the_api() {
        let line = TranscriptLine {
            speaker: Speaker::participant(UserId(7), Some("Ana".into())),
            text: "Good morning".into(),
            start_ms: 1_732_313_171_000,
            end_ms: 1_732_313_171_881,
            language: None,
            attribute: None,
        };
        let entry = Entry {
            session_id: SessionId(Uuid::nil()),
            stream_id: StreamId::parse("s").unwrap(),
            stream_ordinal: 2,
            seq: 3,
            at_ms: 1_732_313_171_881,
            body: EntryBody::Transcript(line),
        };
        let event = OutgoingEvent::of_entry(&entry, &AppName::default()).unwrap();
        let body: Value = serde_json::from_slice(&of_entry(&event, &entry)).unwrap();
        let expected = json!({
            "type": "transcript.line",
            "app": "default",
            "timestamp": "2024-11-22T22:06:11.881Z",
            "data": {
                "session_id": "00000000-0000-0000-0000-000000000000", "stream_id": "s",
                "ordinal": 2, "stream": 2,
                "seq": 3, "at_ms": 1_732_313_171_881_i64, "at": "2024-11-22T22:06:11.881Z",
                "kind": "transcript", "user_id": 7, "user_name": "Ana", "text": "Good morning",
                "start_ms": 1_732_313_171_000_i64, "end_ms": 1_732_313_171_881_i64, "language": null,
            },
        });
        assert_eq!(body, expected);
    }
}
