//! The lines of a capture: a header, and then one event a line, in the order in which the daemon handled them (pure).

use serde::{Deserialize, Serialize};

use super::body::Body;
use crate::model::params::MediaPlan;
use crate::model::{
    AppName, CaptureMode, IdKey, MediumAccount, Outcome, Product, SessionId, StopReason, StreamId,
    StreamStatus, Tally, UnreadableMessages, UserId,
};
use crate::rtms::endpoint::Policy;
use crate::rtms::stream::{LossReason, Timings};

/// The version of the format. A reader refuses any other.
pub const VERSION: u32 = 1;
/// What the header says of filler and of what was removed.
const NOTE: &str = "secrets and signatures are replaced by as many '*'. With the mode 'signaling' every text about \
                    people is replaced by as many '*' or 'A', and the payloads of media are filler of the same size \
                    ('A'). 'filler' says where a line leaves 'A's out, and how many";

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// See [`VERSION`].
    pub rtmsd_capture: u32,
    /// The version of the daemon that made the file.
    pub rtmsd: String,
    /// What the file holds.
    pub mode: CaptureMode,
    /// What was removed, for people.
    pub note: String,
    /// The session of the stream.
    pub session_id: SessionId,
    /// Zoom's id of the stream.
    pub stream_id: StreamId,
    /// Which stream of its session this is, from 1.
    pub ordinal: u32,
    /// The app of the session.
    pub app: AppName,
    /// Zoom's product.
    pub product: Product,
    /// The key of the conversation's id.
    pub id_key: IdKey,
    /// The conversation's id.
    pub instance_id: String,
    /// The most bytes of the file.
    pub max_bytes: u64,
}

/// What the header says of the stream.
#[derive(Debug, Clone)]
pub struct Subject {
    /// See [`Header`], here and below.
    pub session_id: SessionId,
    pub stream_id: StreamId,
    pub ordinal: u32,
    pub app: AppName,
    pub product: Product,
    pub id_key: IdKey,
    pub instance_id: String,
}

impl Header {
    /// The header of a new file.
    pub fn new(of: &Subject, mode: CaptureMode, max_bytes: u64) -> Self {
        let of = of.clone();
        Self {
            rtmsd_capture: VERSION,
            rtmsd: env!("CARGO_PKG_VERSION").to_owned(),
            mode,
            note: NOTE.to_owned(),
            session_id: of.session_id,
            stream_id: of.stream_id,
            ordinal: of.ordinal,
            app: of.app,
            product: of.product,
            id_key: of.id_key,
            instance_id: of.instance_id,
            max_bytes,
        }
    }
}

/// A line after the header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Nanoseconds since the last `run`, of a monotonic clock. 0 where only the wall clock's time is known.
    pub t: u64,
    /// The wall clock's time, Unix milliseconds.
    pub at_ms: i64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened. In JSON an object with the name as `event`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A daemon begins to run the stream, for the first time or again. The clock of `t` begins.
    Run(Box<Run>),
    /// Another daemon may still have the stream.
    Contested {},
    /// The daemon dials a link.
    Dial {
        /// `signaling`, `all`, or a medium.
        link: String,
        /// Without its query.
        url: String,
    },
    /// The link's socket is open.
    Opened {
        /// See [`Event::Dial`].
        link: String,
    },
    /// Zoom sent a message.
    In {
        /// See [`Event::Dial`].
        link: String,
        /// The message.
        #[serde(flatten)]
        body: Body,
    },
    /// Zoom sent a message that is too large to be read; its first bytes.
    TooLarge {
        /// See [`Event::Dial`].
        link: String,
        /// The first bytes.
        #[serde(flatten)]
        body: Body,
    },
    /// The daemon sent a message.
    Out {
        /// See [`Event::Dial`].
        link: String,
        /// The message.
        #[serde(flatten)]
        body: Body,
    },
    /// A socket ended, or a dial failed.
    Lost {
        /// See [`Event::Dial`].
        link: String,
        /// How.
        #[serde(flatten)]
        how: Loss,
    },
    /// The daemon dropped a socket.
    HangUp {
        /// See [`Event::Dial`].
        link: String,
        /// Whether with a Close frame.
        politely: bool,
    },
    /// A timeout expired.
    Timer {},
    /// Zoom announced the stream again.
    Moved {
        /// The new signaling URL, without its query.
        url: String,
    },
    /// A webhook said that Zoom lost the signaling link.
    Interrupted {},
    /// A webhook said that the stream has ended.
    Stopped {
        /// Zoom's reason (rtms-protocol.md section 10.6).
        reason: Option<StopReason>,
    },
    /// A program chose a participant's video.
    PinVideo {
        /// The participant.
        user_id: UserId,
    },
    /// The daemon was asked to end the stream.
    Close {},
    /// The daemon wrote the stream's figures, which settles what the ledger knows.
    Figures {},
    /// The daemon leaves the stream to another one, or to its next start.
    Left {},
    /// The stream is over; the last entries are written.
    Finished {},
    /// The end was recorded.
    Ended {
        /// How the stream ended.
        outcome: Outcome,
        /// Zoom's reason, if there is one.
        stop_reason: Option<StopReason>,
        /// The detail in the last entry.
        detail: Option<String>,
    },
    /// Events are missing here.
    Cut {
        /// How many.
        events: u64,
        /// The size of their messages.
        bytes: u64,
        /// `queue`: the disk was too slow; `size`: the file has its full size (`CAPTURE_BYTES`); `disk`: the disk is full
        /// or failed.
        why: CutReason,
    },
    /// Zoom sent a webhook about the stream.
    Webhook {
        /// Its event, such as `meeting.rtms_started`.
        name: String,
        /// Its body.
        #[serde(flatten)]
        body: Body,
        /// Its effect.
        effect: String,
    },
    /// The daemon asked Zoom's REST API to start, stop, pause or resume.
    Rest {
        /// What was asked.
        action: String,
        /// Who asked.
        asked_by: String,
        /// When Zoom had answered, Unix milliseconds.
        answered_at_ms: Option<i64>,
        /// Zoom's answer: HTTP status, code, message and tracking id.
        answer: Option<serde_json::Value>,
    },
}

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutReason {
    /// The queue to the file was full.
    Queue,
    /// The file has its full size.
    Size,
    /// The disk is full or failed.
    Disk,
}

/// The state at the beginning of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The seed of the waits between dials.
    pub seed: u64,
    /// The first signaling URL, without its query.
    pub url: String,
    /// Whether the stream was claimed from a daemon that did not release it.
    pub is_taken_over: bool,
    /// The number of the last stored entry.
    pub last_seq: u64,
    /// The requested media.
    pub media: MediaPlan,
    /// Which URLs may be dialled.
    pub policy: Policy,
    /// The timeouts.
    pub timings: Timings,
    /// What the store knew of the stream.
    pub stored: Stored,
}

/// What the store knew of a stream when a run began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// `event_ts` of the start webhook.
    pub event_ts_ms: i64,
    /// When the stream was first announced.
    pub created_at_ms: i64,
    /// The stored status.
    pub status: StreamStatus,
    /// Zoom's time of the first packet.
    pub first_packet_ms: Option<i64>,
    /// What was received before.
    pub tally: Tally,
    /// Messages of unknown types before: the type, and how many.
    // Not a map: its keys would be text, and serde does not read numbers from them inside a tagged enum.
    pub unknown_messages: Vec<(u16, u64)>,
    /// Unreadable parts before.
    pub unreadable_messages: UnreadableMessages,
    /// The ledger before.
    pub ledger: Vec<MediumAccount>,
}

/// How a socket ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Loss {
    /// It could not be opened.
    Dial {
        /// The system's error.
        cause: String,
    },
    /// The other side closed it.
    Closed {
        /// The code of the Close frame.
        code: Option<u16>,
    },
    /// It ended without a Close frame.
    Dropped {
        /// The system's error.
        cause: String,
    },
}

impl Loss {
    /// A loss that a socket reports. The others are the state machine's own.
    pub fn of(reason: &LossReason) -> Self {
        match reason {
            LossReason::Dial(cause) => Self::Dial { cause: cause.clone() },
            LossReason::Closed(code) => Self::Closed { code: *code },
            LossReason::Dropped(cause) => Self::Dropped { cause: cause.clone() },
            other => Self::Dropped { cause: other.to_string() },
        }
    }

    /// The state machine's reason.
    pub fn reason(&self) -> LossReason {
        match self {
            Self::Dial { cause } => LossReason::Dial(cause.clone()),
            Self::Closed { code } => LossReason::Closed(*code),
            Self::Dropped { cause } => LossReason::Dropped(cause.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_event_and_reads_back_the_same() {
        let body = Body::of(br#"{"msg_type":12}"#);
        let event = Event::In { link: "audio".to_owned(), body };
        let record = Record { t: 7, at_ms: 8, event };
        let line = serde_json::to_string(&record).unwrap();
        let expected =
            r#"{"t":7,"at_ms":8,"event":"in","link":"audio","text":"{\"msg_type\":12}"}"#;
        assert_eq!(line, expected);
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
    }
}
