//! Everything that outlives the process: deliveries, sessions, streams, entries,
//! installations. Postgres or SQLite, one SQL text.

mod actions;
mod audit;
mod connect;
mod database;
mod deletions;
mod deliveries;
mod endpoints;
mod entries;
mod erase;
mod error;
mod forwards;
mod group_commit;
mod handovers;
mod idempotency;
mod installations;
mod leases;
mod oauth_states;
mod outgoing;
mod pool_mode;
mod recordings;
mod retention;
mod rows;
mod schema;
mod sessions;
mod sinks;
mod spools;
pub mod sql;
mod status_events;
mod streams;
mod tickets;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::{
    Account, Entry, EntryBody, MediaParams, SessionId, SessionStatus, StreamId, StreamRecord,
    StreamStatus, Tally, UnknownMessages, UnreadableMessages,
};
use crate::secret::Secret;
pub use actions::{Begin, Begun, DeliveryBrief};
pub use audit::{AuditPage, Audited};
pub use database::TRANSACTION_TIMEOUT;
use database::{Database, binds};
pub use deletions::{Deleted, SessionDeletion};
pub use deliveries::AccountNotice;
pub use endpoints::{EndpointChange, NewEndpoint, SealedSecrets, StoredEndpoint};
pub use error::StoreError;
use group_commit::Group;
pub use handovers::{Offer, OfferKey, Offered};
pub use idempotency::{IdempotencyKey, Kept, Taken};
pub use installations::{GrantedTo, SealedTokens, StoredGrant};
pub use outgoing::{Attempt, ClaimedDelivery, DeliveryStatus, LoggedDelivery};
pub use recordings::NewRecording;
pub use sessions::{KnownSession, Made};
pub use sinks::{Relayed, SinkHold, SinkPage};
pub use tickets::{TicketUse, UsedTicket};

/// Where the store is.
#[derive(Debug, Clone)]
pub enum Location {
    /// `postgres://…`; may hold a password: never printed.
    Postgres(Secret<String>),
    /// A SQLite file; its folder is made.
    Sqlite(PathBuf),
}

/// What a delivery turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// These bytes were recorded before; nothing changed.
    Repeat,
    /// Recorded; no stream changed (unknown event, stale start, stop of an ended stream).
    NoChange,
    /// Recorded, and this stream's row changed: whoever runs it should look.
    Changed(StreamId),
    /// Recorded, and this session's row changed: its meeting began or ended.
    Session(SessionId),
}

/// A stream that this node may run now, under the epoch in its record.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    pub stream: StreamRecord,
    /// The number of its last stored entry; 0 for none.
    pub last_seq: u64,
    /// Another node had it and did not give it back: that node may be alive, and connected.
    pub is_taken_over: bool,
}

/// An entry on its way into its stream's log.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// Of the claim that the stream is run under.
    pub epoch: i64,
    pub entry: Entry,
    /// Another node heard it, and offered it under this key.
    pub offer: Option<OfferKey>,
}

impl Append {
    /// The same number and time with another body.
    pub fn with(&self, body: EntryBody) -> Self {
        let entry = Entry { stream_id: self.entry.stream_id.clone(), body, ..self.entry };
        Self { entry, ..*self }
    }
}

/// The news about a stream since it was last written. `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct StreamUpdate {
    /// Of the claim that the stream is run under.
    pub epoch: i64,
    /// Not [`StreamStatus::Ended`]: only [`Store::finish_stream`] ends a stream.
    pub status: Option<StreamStatus>,
    pub first_packet_ms: Option<i64>,
    pub tally: Option<Tally>,
    pub unknown_messages: Option<UnknownMessages>,
    pub unreadable_messages: Option<UnreadableMessages>,
    pub effective: Option<MediaParams>,
    pub ledger: Option<Vec<Account>>,
}

impl StreamUpdate {
    /// Takes over what a newer update says.
    pub fn merge(&mut self, newer: Self) {
        self.status = newer.status.or(self.status);
        self.first_packet_ms = newer.first_packet_ms.or(self.first_packet_ms);
        self.tally = newer.tally.or(self.tally);
        self.effective = newer.effective.or(self.effective.take());
        self.unknown_messages = newer.unknown_messages.or(self.unknown_messages.take());
        self.unreadable_messages = newer.unreadable_messages.or(self.unreadable_messages.take());
        self.ledger = newer.ledger.or(self.ledger.take());
    }
}

/// One page of sessions, newest first.
#[derive(Debug, Clone, Default)]
pub struct SessionPage {
    /// The last id of the page before.
    pub before: Option<SessionId>,
    pub limit: u32,
    pub status: Option<SessionStatus>,
}

/// The store: cheap to clone, shared by all. Its verbs are in `store/`, one file per subject.
///
/// Every verb that changes several rows is one transaction that may be called again after an error:
/// [`StoreError::Unavailable`] can mean that the change was committed and the answer lost.
#[derive(Clone)]
pub struct Store {
    database: Database,
    group: Arc<Group>,
    /// Rows were deleted whose old copies may still be in SQLite's files. At first, of a process that was killed.
    is_unpurged: Arc<AtomicBool>,
}

impl Store {
    /// Connects, brings the schema up to date under a lock, refuses a schema newer than this binary.
    pub async fn open(location: &Location) -> Result<Self, StoreError> {
        Ok(Self::over(Database::open(location).await?))
    }

    /// Connects beside a daemon that may be running, to work on single rows: takes no lock and no lease, and leaves the
    /// schema as it is. An older schema is refused.
    pub async fn open_beside(location: &Location) -> Result<Self, StoreError> {
        let database = Database::open_beside(location).await?;
        let store = Self::over(database);
        store.ping().await?;
        Ok(store)
    }

    fn over(database: Database) -> Self {
        let is_unpurged = Arc::new(AtomicBool::new(true));
        Self { database, group: Arc::default(), is_unpurged }
    }

    /// Reachable and migrated?
    pub async fn ping(&self) -> Result<(), StoreError> {
        let row: Option<(Option<i64>,)> =
            self.database.optional(sql::SCHEMA_VERSION, binds![]).await?;
        match row {
            Some((Some(version),)) if version >= schema::NEWEST => Ok(()),
            other => Err(StoreError::Row(format!("schema version {other:?}"))),
        }
    }

    /// How many rows, or columns of rows, this process could not read and passed over.
    pub fn passed_over(&self) -> u64 {
        rows::passed_over()
    }

    /// Where rows were deleted since it was last called: overwrites their old copies in SQLite's file, and cuts the
    /// write-ahead log, which has others. False when somebody was using the file: try again. Nothing to do on Postgres.
    pub async fn purge(&self) -> Result<bool, StoreError> {
        // Taken first: what is deleted meanwhile asks for the next time.
        if !self.is_unpurged.swap(false, Ordering::AcqRel) {
            return Ok(true);
        }
        let done = self.database.truncate_log().await;
        if !matches!(done, Ok(true)) {
            self.note_deleted();
        }
        done
    }

    /// After a transaction that deleted what must not come back.
    fn note_deleted(&self) {
        self.is_unpurged.store(true, Ordering::Release);
    }

    /// Waits for running statements and closes the pools. A SQLite folder may then be opened again.
    pub async fn close(&self) {
        self.database.close().await;
    }
}
