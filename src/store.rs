//! Everything that outlives the process: deliveries, sessions, streams, entries. Postgres or SQLite, one SQL text.

use std::path::PathBuf;

use thiserror::Error;

use crate::model::{
    Cursor, Delivery, Entry, EntryKind, NodeId, Outcome, Session, SessionId, SessionStatus,
    StreamId, StreamRecord, StreamStatus, Tally,
};

/// Where the store is.
#[derive(Debug, Clone)]
pub enum Location {
    /// `postgres://…`; may hold a password: never printed.
    Postgres(crate::secret::Secret<String>),
    /// A SQLite file; its folder is made.
    Sqlite(PathBuf),
}

/// What the store could not do. The text is for the log, never for a client.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("the store cannot be reached: {0}")]
    Unavailable(#[source] sqlx::Error),
    #[error("the store refused a statement: {0}")]
    Statement(#[source] sqlx::Error),
    #[error("the store holds a row that this version cannot read: {0}")]
    Row(String),
    #[error("the store's schema is newer than this rtmsd ({0}): run the newer binary")]
    SchemaTooNew(i64),
    #[error("the store's schema could not be brought up to date: {0}")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    #[error("another rtmsd uses this data folder")]
    Locked,
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
}

/// A stream that this node may run now, with the number of its last stored entry (0 for none).
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    pub stream: StreamRecord,
    pub last_seq: u64,
}

/// The news about a stream since it was last written. `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct StreamUpdate {
    pub status: Option<StreamStatus>,
    pub first_packet_ms: Option<i64>,
    pub tally: Option<Tally>,
}

/// One page of sessions, newest first.
#[derive(Debug, Clone, Default)]
pub struct SessionPage {
    /// The last id of the page before.
    pub before: Option<SessionId>,
    pub limit: u32,
    pub status: Option<SessionStatus>,
}

#[derive(Clone)]
pub struct Store {}

#[allow(unused_variables)]
impl Store {
    /// Connects, brings the schema up to date under a lock, refuses a schema newer than this binary.
    pub async fn open(location: &Location) -> Result<Self, StoreError> {
        todo!()
    }

    /// Reachable and migrated?
    pub async fn ping(&self) -> Result<(), StoreError> {
        todo!()
    }

    /// Records a delivery and its effect on sessions and streams in one transaction.
    pub async fn record_delivery(&self, delivery: &Delivery) -> Result<Recorded, StoreError> {
        todo!()
    }

    /// Leases one stream for `node`: none when it is unknown, ended, or another node's lease is still good.
    pub async fn claim_stream(
        &self,
        node: NodeId,
        stream: &StreamId,
        now_ms: i64,
        lease_ms: i64,
    ) -> Result<Option<Claim>, StoreError> {
        todo!()
    }

    /// Leases up to `limit` streams that have not ended and that nobody has a good lease of.
    pub async fn claim_orphans(
        &self,
        node: NodeId,
        now_ms: i64,
        lease_ms: i64,
        limit: u32,
    ) -> Result<Vec<Claim>, StoreError> {
        todo!()
    }

    /// Prolongs every lease of `node` and returns its streams that have not ended, as they now are.
    pub async fn renew_leases(
        &self,
        node: NodeId,
        now_ms: i64,
        lease_ms: i64,
    ) -> Result<Vec<StreamRecord>, StoreError> {
        todo!()
    }

    /// Gives every lease of `node` back, so that the next start takes the streams at once.
    pub async fn release_leases(&self, node: NodeId) -> Result<u64, StoreError> {
        todo!()
    }

    pub async fn stream(&self, stream: &StreamId) -> Result<Option<StreamRecord>, StoreError> {
        todo!()
    }

    /// Writes entries in multi-row statements, in one transaction. An entry that is there already is left alone.
    pub async fn write_entries(&self, entries: &[Entry]) -> Result<(), StoreError> {
        todo!()
    }

    /// Writes what is new about a stream, and its session's status with it.
    pub async fn update_stream(
        &self,
        stream: &StreamId,
        update: &StreamUpdate,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        todo!()
    }

    /// Ends a stream once: the first outcome stays. With stop reason 8 (revoked) its personal entries are deleted.
    pub async fn finish_stream(
        &self,
        stream: &StreamId,
        outcome: Outcome,
        stop_reason: Option<i64>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        todo!()
    }

    pub async fn sessions(&self, page: &SessionPage) -> Result<Vec<Session>, StoreError> {
        todo!()
    }

    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        todo!()
    }

    /// A session's streams, by ordinal.
    pub async fn streams_of(&self, id: SessionId) -> Result<Vec<StreamRecord>, StoreError> {
        todo!()
    }

    /// Up to `limit` entries of a session's streams after `cursor`, each stream's in order of their numbers.
    /// `kinds` empty: all of them.
    pub async fn entries_after(
        &self,
        id: SessionId,
        cursor: &Cursor,
        kinds: &[EntryKind],
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        todo!()
    }

    /// Forgets deliveries received before `before_ms`. Returns how many.
    pub async fn prune_deliveries(&self, before_ms: i64) -> Result<u64, StoreError> {
        todo!()
    }

    /// Waits for running statements and closes the pools.
    pub async fn close(&self) {
        todo!()
    }
}
