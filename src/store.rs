//! Everything that outlives the process: deliveries, sessions, streams, entries, installations. The same SQL runs on
//! Postgres and SQLite.

mod actions;
mod api_tokens;
mod apps;
mod audit;
mod backup;
mod burst;
mod connect;
mod dashboard_sessions;
mod database;
mod deletions;
mod deliveries;
mod endpoints;
mod entries;
mod erase;
mod erase_events;
mod error;
mod event_sockets;
mod examine;
mod figures;
mod forwards;
mod group_commit;
mod handovers;
mod idempotency;
mod installations;
mod leases;
mod move_sessions;
mod oauth_states;
mod outgoing;
mod pool_mode;
mod received;
mod recordings;
mod relay_events;
mod relays;
mod replicas;
mod retention;
mod rows;
mod schema;
mod sessions;
mod sinks;
mod snapshots;
mod spools;
pub mod sql;
mod status_events;
mod stream_updates;
mod streams;
mod tickets;
mod transcript_lines;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::{
    AppScope, Entry, EntryBody, MediaParams, MediumAccount, Product, SessionId, SessionStatus,
    StreamId, StreamRecord, StreamStatus, Tally, UnknownMessages, UnreadableMessages,
};
use crate::secret::Secret;
pub use actions::{Begin, Begun};
pub use apps::{AppsVersion, StoredApp};
pub use audit::{AuditPage, Audited};
pub use backup::{BackupError, Copied, Restored, back_up, restore};
pub use dashboard_sessions::DashboardSession;
pub use database::TRANSACTION_TIMEOUT;
use database::{Database, binds};
pub use deletions::{Deleted, SessionDeletion};
pub use deliveries::{AccountNotice, DeliveryBrief, StreamWebhook};
pub use endpoints::{EndpointChange, NewEndpoint, SealedSecrets, StoredEndpoint};
pub use error::StoreError;
pub use event_sockets::{EventSocketClaim, EventSocketGap, EventSocketRow, EventSocketUp};
pub use examine::Examined;
pub use figures::{AppCount, StatusCount, StoreFigures};
use group_commit::Group;
pub use handovers::{Offer, OfferKey, Offered};
pub use idempotency::{IdempotencyKey, Kept, Taken};
pub use installations::{GrantedTo, SealedTokens, StoredGrant};
pub use leases::{LeasedStream, Orphan};
pub use outgoing::{Attempt, ClaimedDelivery, DeliveryStatus, LoggedDelivery, WEBHOOKS_SINK};
pub use received::{ReceivedPage, Validation};
pub use recordings::NewRecording;
pub use relay_events::{ClaimedRelayEvent, LoggedRelayEvent, NewRelayEvent, RelayAttempt};
pub use relays::{NewRelay, RelaySecrets, RelayStream, StoredRelay};
pub use replicas::{Heartbeat, OtherDaemon, Replica};
pub use sessions::{KnownSession, Made};
pub use sinks::{Relayed, SinkHold, SinkPage};
pub use streams::{Ending, OpenStream};
pub use tickets::{TicketUse, UsedTicket};

/// The location of the store.
#[derive(Debug, Clone)]
pub enum Location {
    /// `postgres://…`; may hold a password: never printed.
    Postgres(Secret<String>),
    /// A SQLite file; its folder is created.
    Sqlite(PathBuf),
}

/// The result of recording a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// These bytes were recorded before; nothing changed.
    Repeat,
    /// Recorded; no stream changed (unknown event, old start, stop of an ended stream).
    NoChange,
    /// Recorded; no stream changed: it is a start of a stream that has ended.
    AlreadyEnded,
    /// Recorded, and this stream's row changed: the supervisor should poll it.
    Changed { stream_id: StreamId, session_id: SessionId },
    /// Recorded, and this session's row changed: its meeting began or ended.
    Session(SessionId),
}

/// A stream that this node may run now, under the epoch in its record.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    pub stream: StreamRecord,
    /// The number of its last stored entry; 0 for none.
    pub last_seq: u64,
    /// Another node owned it and did not release it: that node may be alive and connected.
    pub is_taken_over: bool,
}

/// An entry to be written to its stream's log.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// The epoch of the claim that the stream is run under.
    pub epoch: i64,
    pub entry: Entry,
    /// The key under which another node that received it offered it.
    pub offer: Option<OfferKey>,
}

impl Append {
    /// Returns an entry with the same number and time and another body.
    pub fn with(&self, body: EntryBody) -> Self {
        let entry = Entry { stream_id: self.entry.stream_id.clone(), body, ..self.entry };
        Self { entry, ..*self }
    }
}

/// What has changed about a stream since the last write. `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct StreamUpdate {
    /// The epoch of the claim that the stream is run under.
    pub epoch: i64,
    /// Not [`StreamStatus::Ended`]: only [`Store::finish_stream`] ends a stream.
    pub status: Option<StreamStatus>,
    pub first_packet_ms: Option<i64>,
    pub tally: Option<Tally>,
    pub unknown_messages: Option<UnknownMessages>,
    pub unreadable_messages: Option<UnreadableMessages>,
    pub effective: Option<MediaParams>,
    pub ledger: Option<Vec<MediumAccount>>,
}

impl StreamUpdate {
    /// Merges a newer update into this one.
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
    /// The last id of the previous page.
    pub before: Option<SessionId>,
    pub limit: u32,
    /// Only sessions of these statuses; empty for all.
    pub statuses: Vec<SessionStatus>,
    pub product: Option<Product>,
    /// Only sessions with this text in an id, in the host or in the metadata, in any case of unaccented letters.
    pub search: Option<String>,
    /// Only sessions of these apps.
    pub apps: AppScope,
}

/// The store: cheap to clone, shared by all. Its methods are in `store/`, one file per subject.
///
/// Changes that belong together are one transaction. Every method may be repeated after an error:
/// [`StoreError::Unavailable`] can mean that the change was committed and the answer lost.
#[derive(Clone)]
pub struct Store {
    database: Database,
    group: Arc<Group>,
    /// Whether SQLite's files may still hold old copies of deleted rows. Initially true, because a killed process may
    /// have left some.
    is_unpurged: Arc<AtomicBool>,
}

impl Store {
    /// Connects and migrates the schema under a lock. Refuses a schema newer than this binary.
    pub async fn open(location: &Location) -> Result<Self, StoreError> {
        Ok(Self::over(Database::open(location).await?))
    }

    /// Connects beside a running daemon to work on single rows: takes no lock and no lease, and leaves the schema as it
    /// is. Refuses an older schema.
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

    /// Whether the store is reachable and migrated.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let row: Option<(Option<i64>,)> =
            self.database.optional(sql::SCHEMA_VERSION, binds![]).await?;
        match row {
            // A newer schema passes: during a rolling upgrade, this daemon runs beside one that has migrated already.
            Some((Some(version),)) if version >= schema::NEWEST => self.check_major().await,
            other => Err(StoreError::Row(format!("schema version {other:?}"))),
        }
    }

    /// Refuses a schema of a later major, which a newer daemon may have made while this one runs.
    async fn check_major(&self) -> Result<(), StoreError> {
        let found: Option<(i64, i64)> = self.database.optional(sql::SCHEMA, binds![]).await?;
        match found {
            Some((_, major)) if major > schema::MAJOR => Err(StoreError::SchemaTooNew(major)),
            _ => Ok(()),
        }
    }

    /// How many rows or columns this process could not read and skipped.
    pub fn passed_over(&self) -> u64 {
        rows::passed_over()
    }

    /// If rows were deleted since the last call: overwrites their old copies in SQLite's file and truncates the
    /// write-ahead log, which holds others. False if the file was in use: try again. Does nothing on Postgres.
    pub async fn purge(&self) -> Result<bool, StoreError> {
        // Reset first: a deletion during this call sets it for the next one.
        if !self.is_unpurged.swap(false, Ordering::AcqRel) {
            return Ok(true);
        }
        let done = self.database.truncate_log().await;
        if !matches!(done, Ok(true)) {
            self.note_deleted();
        }
        done
    }

    /// Call after a transaction that deleted data which must not be recoverable.
    fn note_deleted(&self) {
        self.is_unpurged.store(true, Ordering::Release);
    }

    /// Waits for running statements and closes the pools. A SQLite folder may then be opened again.
    pub async fn close(&self) {
        self.database.close().await;
    }
}
