//! The data types that the other modules share: identifiers, sessions, streams, entries (pure).

mod a_law;
mod action;
mod announcement;
mod api_token;
mod app;
mod app_rooms;
mod audit;
mod belief;
mod choice;
mod contact_center;
mod cursor;
mod entry;
mod forward;
mod id;
mod installation;
mod ledger;
mod medium;
mod outgoing;
pub mod params;
mod readable;
mod received;
mod record_set;
mod recording;
mod relay;
mod retention;
mod session;
mod speaker;
mod stop_reason;
mod time;
mod unreadable;
mod view;
mod webhook_endpoint;

pub use a_law::from_a_law;
pub use action::{
    Action, ActionId, ActionRecord, ActionStatus, Answer, Planned, SessionSnapshot, ZoomAnswer,
};
pub use announcement::{
    Deauthorization, Delivery, MeetingChange, MeetingChanged, Notice, StreamInterrupted,
    StreamStarted, StreamStopped, WebhookEffect,
};
pub use api_token::{ApiTokenId, StoredToken};
pub use app::{AppName, AppNameError, AppScope};
pub use app_rooms::AppRooms;
pub use audit::AuditRow;
pub use belief::{TimeOf, believed, webhook_time};
pub use choice::{ChoiceReason, Chosen};
pub use contact_center::{ContactCenterEvent, ContactCenterParty};
pub use cursor::Cursor;
pub use entry::{
    ChatFile, ChatGroupChange, ChatGroupEvent, ChatGroupMember, ChatMessage, ChatSession, Entry,
    EntryBody, EntryKind, Participant, RawJson, TranscriptLine, UnknownEvent,
};
pub use forward::{Forward, ForwardId};
pub use id::{IdError, IdKey, Instance, NodeId, Product, SessionId, StreamId, UserId};
pub use installation::{Installation, InstallationId, InstallationStatus};
pub use ledger::{FrameCount, Gap, GapCause, MediumAccount, MediumLedger, Newest, OpenGap};
pub use medium::{MediaSet, Medium};
pub use outgoing::{Content, EventKind, OutgoingEvent};
pub use params::{MediaError, MediaPlan};
pub use readable::{escape_json, is_joiner, one_line};
pub use received::{DeliveryMethod, Received, Unprocessed, WebhookOutcome, WebhookReason};
pub use record_set::{MeetingPicture, RecordSet};
pub use recording::{CaptureMode, RecordedFile, Recording, RecordingId, RecordingStatus, SpoolId};
pub use relay::{Relay, RelayFilter, RelayGap, RelayGapCause, RelayId};
pub use retention::{Cutoffs, Keep, Retention};
pub use session::{
    MediaParams, MediumTally, Metadata, NewSession, Outcome, Session, SessionStatus, StreamRecord,
    StreamStatus, Tally, UnknownMessages,
};
pub use speaker::{
    ChannelId, Speaker, SpeakerFilter, SpeakerKey, SpeakerRef, SpeakerUserId, UserIdRef,
};
pub use stop_reason::StopReason;
pub use time::{between, ms, parse_time, rfc3339};
pub use unreadable::{Lost, Unreadable, UnreadableMessages};
pub use view::EntryView;
pub use webhook_endpoint::{EndpointId, EndpointSource, EndpointStatus, WebhookEndpoint};
