//! The events of outgoing webhooks.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    AppName, Entry, EntryKind, Installation, Outcome, Session, SessionId, StopReason, StreamId,
    StreamRecord,
};
use crate::named::named;

/// The length of an event's id in bytes: the start of a hash.
const ID_BYTES: usize = 16;
const ID_PREFIX: &str = "evt_";

named! {
    /// The type of an event.
    #[derive(Hash)]
    pub enum EventKind {
        /// A session became live.
        SessionStarted: "session.started",
        /// A session ended.
        SessionEnded: "session.ended",
        /// A stream started.
        StreamStarted: "stream.started",
        /// A stream was interrupted.
        StreamInterrupted: "stream.interrupted",
        /// A stream was paused.
        StreamPaused: "stream.paused",
        /// A paused stream was resumed.
        StreamResumed: "stream.resumed",
        /// A stream ended.
        StreamEnded: "stream.ended",
        /// A transcript line arrived.
        TranscriptLine: "transcript.line",
        /// A chat message arrived.
        ChatMessage: "chat.message",
        /// A participant joined.
        ParticipantJoined: "participant.joined",
        /// A participant left.
        ParticipantLeft: "participant.left",
        /// All files of a recording are stored.
        RecordingReady: "recording.ready",
        /// A gap ended and was recorded.
        GapRecorded: "gap.recorded",
        /// The tokens of an installation can no longer be used.
        InstallationNeedsReconnect: "installation.needs_reconnect",
        /// Stored data was deleted.
        DataDeleted: "data.deleted",
        /// An endpoint was disabled.
        EndpointDisabled: "endpoint.disabled",
        /// Sent only on request, to test an endpoint.
        Test: "test",
    }
}

impl EventKind {
    /// The event that reports an entry of this kind; none if no event reports it.
    pub fn of_entry(kind: EntryKind) -> Option<Self> {
        match kind {
            EntryKind::Transcript => Some(Self::TranscriptLine),
            EntryKind::Chat => Some(Self::ChatMessage),
            EntryKind::ParticipantJoined => Some(Self::ParticipantJoined),
            EntryKind::ParticipantLeft => Some(Self::ParticipantLeft),
            EntryKind::Gap => Some(Self::GapRecorded),
            _ => None,
        }
    }

    /// Whether events of this kind report entries.
    pub fn reports_entries(self) -> bool {
        EntryKind::ALL.into_iter().any(|kind| Self::of_entry(kind) == Some(self))
    }
}

/// An event to deliver.
#[derive(Debug, Clone, PartialEq)]
pub struct OutgoingEvent {
    /// Derived from the event's content, so that the same event has the same id however often it is emitted.
    pub id: String,
    /// What happened.
    pub kind: EventKind,
    /// When it happened, Unix milliseconds.
    pub at_ms: i64,
    /// The app that it is about; none if it is about no app or several. It is sent to endpoints of that app only, and
    /// without an app to those of all apps.
    pub app: Option<AppName>,
    /// The session that it is about.
    pub session_id: Option<SessionId>,
    /// The stream that it is about.
    pub stream_id: Option<StreamId>,
    /// Where its `data` comes from.
    pub content: Content,
}

/// Where an event's `data` comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// The stream's entry with this number, read at delivery: a deleted entry is not sent.
    Entry {
        /// The number of the entry.
        seq: u64,
    },
    /// A JSON object without meeting content.
    Data(Value),
}

impl OutgoingEvent {
    /// An event about the object with the id `subject`. Two events with the same kind, subject and time are the same.
    pub fn new(kind: EventKind, subject: &str, at_ms: i64, data: Value) -> Self {
        Self {
            id: event_id(kind, subject, at_ms),
            kind,
            at_ms,
            app: None,
            session_id: None,
            stream_id: None,
            content: Content::Data(data),
        }
    }

    /// Sets the app that the event is about.
    pub fn of_app(self, app: &AppName) -> Self {
        Self { app: Some(app.clone()), ..self }
    }

    /// Sets the session that the event is about.
    pub fn in_session(self, id: SessionId) -> Self {
        Self { session_id: Some(id), ..self }
    }

    /// Sets the stream that the event is about.
    pub fn in_stream(self, id: &StreamId) -> Self {
        Self { stream_id: Some(id.clone()), ..self }
    }

    /// The event that reports this entry of a session of `app`; none if its kind is not reported.
    pub fn of_entry(entry: &Entry, app: &AppName) -> Option<Self> {
        let kind = EventKind::of_entry(entry.body.kind())?;
        // Never cut in practice: the stores number entries with signed integers.
        let seq = i64::try_from(entry.seq).unwrap_or(i64::MAX);
        Some(Self {
            // From the number, not the time: two entries of a stream may share a time.
            id: event_id(kind, entry.stream_id.as_str(), seq),
            kind,
            at_ms: entry.at_ms,
            app: Some(app.clone()),
            session_id: Some(entry.session_id),
            stream_id: Some(entry.stream_id.clone()),
            content: Content::Entry { seq: entry.seq },
        })
    }

    /// An event about a session, with its id, product and conversation as data.
    pub fn of_session(kind: EventKind, session: &Session, at_ms: i64) -> Self {
        let data = json!({
            "session_id": session.id,
            "product": session.instance.product,
            "instance_id": session.instance.id(),
            "meeting_id": session.meeting_id,
            "account_id": session.account_id,
            "operator_id": session.operator_id,
            "host_id": session.host_id,
            "metadata": session.metadata,
        });
        Self::new(kind, &session.id.to_string(), at_ms, data)
            .of_app(&session.app)
            .in_session(session.id)
    }

    /// An event about a stream. `end` holds outcome and stop reason of an ended stream.
    pub fn of_stream(
        kind: EventKind,
        stream: &StreamRecord,
        end: Option<(Outcome, Option<StopReason>)>,
        at_ms: i64,
    ) -> Self {
        let mut data = json!({
            "session_id": stream.session_id,
            "stream_id": stream.stream_id,
            "ordinal": stream.ordinal,
            // Deprecated: the former name of `ordinal`, sent for one more release.
            "stream": stream.ordinal,
        });
        if let Some((outcome, stop_reason)) = end {
            data["outcome"] = json!(outcome);
            data["stop_reason"] = json!(stop_reason);
        }
        Self::new(kind, stream.stream_id.as_str(), at_ms, data)
            .of_app(&stream.app)
            .in_session(stream.session_id)
            .in_stream(&stream.stream_id)
    }

    /// `installation.needs_reconnect`: the user must install the app again.
    pub fn needs_reconnect(installation: &Installation, at_ms: i64) -> Self {
        let id = installation.id.to_string();
        let data = json!({
            "installation_id": id,
            "account_id": installation.account_id,
            "user_id": installation.user_id,
        });
        Self::new(EventKind::InstallationNeedsReconnect, &id, at_ms, data).of_app(&installation.app)
    }
}

/// Hashes the parts with separators, so that different parts never run together to the same text.
fn event_id(kind: EventKind, subject: &str, number: i64) -> String {
    let hash = Sha256::new()
        .chain_update(kind.as_str())
        .chain_update([0])
        .chain_update(subject)
        .chain_update([0])
        .chain_update(number.to_be_bytes());
    format!("{ID_PREFIX}{}", hex::encode(&hash.finalize()[..ID_BYTES]))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::{EntryBody, Medium};

    fn entry(stream: &str, seq: u64, body: EntryBody) -> Entry {
        Entry {
            session_id: SessionId(Uuid::nil()),
            stream_id: StreamId::parse(stream).unwrap(),
            stream_ordinal: 1,
            seq,
            at_ms: 7,
            body,
        }
    }

    fn gap() -> EntryBody {
        let cause = crate::model::GapCause::LinkLost;
        EntryBody::Gap { medium: Medium::Audio, start_ms: 1, end_ms: 2, cause }
    }

    #[test]
    fn the_id_of_an_entrys_event_follows_from_the_entry_and_is_no_other_entrys() {
        let app = AppName::default();
        let id =
            |stream, seq| OutgoingEvent::of_entry(&entry(stream, seq, gap()), &app).unwrap().id;
        assert_eq!(id("s", 3), id("s", 3));
        let others = [id("s", 3), id("s", 4), id("t", 3), id("s3", 3)];
        let distinct: std::collections::BTreeSet<_> = others.iter().collect();
        assert_eq!(distinct.len(), others.len());
        assert!(!id("s", 3).contains('.'), "a full stop separates the parts that are signed");
    }

    #[test]
    fn an_entry_without_an_event_of_its_own_is_not_told() {
        let app = AppName::default();
        assert_eq!(OutgoingEvent::of_entry(&entry("s", 1, EntryBody::Moved {}), &app), None);
    }

    #[test]
    fn every_kind_is_read_back_from_its_name() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(EventKind::parse("session"), None);
    }
}
