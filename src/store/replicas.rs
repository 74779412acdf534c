//! The daemons that share the store: what each runs by its leases, and what each reports of itself.

use super::database::{Database, binds, row, transaction};
use super::{Store, StoreError, sql};
use crate::model::NodeId;

/// How long the row of a daemon that did not stop in order is kept.
const DEAD_FOR_MS: i64 = 60 * 60 * 1000;

row! {
    /// A daemon that is alive or has streams.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Replica {
        /// The daemon's id since its start.
        pub node: String,
        pub streams: i64,
        /// How many it runs at most, 0 while it takes none; `None` if it does not report itself (any longer).
        pub max_streams: Option<i64>,
        /// The share of its machine's CPU time that it uses, in thousandths.
        pub busy_permille: Option<i64>,
        /// When the oldest of its streams was announced, Unix milliseconds.
        pub oldest_ms: Option<i64>,
        /// Until when its leases last unless it renews them, by the database's clock.
        pub lease_until_ms: Option<i64>,
    }
}

row! {
    /// Another daemon that is alive, as of its last report.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct OtherDaemon {
        pub node: String,
        /// How many streams it runs at most; 0 while it takes none.
        pub max_streams: i64,
        /// The share of its machine's CPU time that it uses, in thousandths.
        pub busy_permille: i64,
        /// The streams that it has leased now.
        pub streams: i64,
    }
}

impl OtherDaemon {
    /// Whether it takes a further stream.
    pub fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// How many further streams it takes.
    pub fn room(&self) -> usize {
        usize::try_from(self.max_streams.saturating_sub(self.streams)).unwrap_or(0)
    }
}

/// What a daemon reports of itself.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat {
    pub node: NodeId,
    pub version: &'static str,
    /// How many streams it runs at most; 0 while it takes none.
    pub max_streams: usize,
    pub busy_permille: u32,
}

impl Store {
    /// Records that a daemon is alive, for `alive_ms` from now, and returns the others that are.
    pub async fn report_daemon(
        &self,
        heartbeat: Heartbeat,
        alive_ms: i64,
    ) -> Result<Vec<OtherDaemon>, StoreError> {
        let Heartbeat { node, version, max_streams, busy_permille } = heartbeat;
        let node = node.to_string();
        let max_streams = i64::try_from(max_streams).unwrap_or(i64::MAX);
        transaction!(self.database, |tx| {
            let now_ms = tx.now_ms().await?;
            let until_ms = now_ms.saturating_add(alive_ms);
            let values = binds![&*node, version, until_ms, max_streams, i64::from(busy_permille)];
            tx.execute(sql::REPORT_DAEMON, values).await?;
            let long_ago_ms = now_ms.saturating_sub(DEAD_FOR_MS);
            tx.execute(sql::FORGET_DEAD_DAEMONS, binds![long_ago_ms]).await?;
            tx.all(sql::OTHER_DAEMONS, binds![&*node, now_ms]).await?
        })
    }

    /// The other daemons that are alive.
    pub async fn other_daemons(&self, node: NodeId) -> Result<Vec<OtherDaemon>, StoreError> {
        let node = node.to_string();
        self.database
            .run(|| async {
                let mut reader = self.database.reader().await?;
                let mut connection = reader.connection();
                let now_ms = connection.now_ms().await?;
                connection.all(sql::OTHER_DAEMONS, binds![&*node, now_ms]).await
            })
            .await
    }

    /// Takes a daemon that stops off the list, so that no stream is left to it.
    pub async fn forget_daemon(&self, node: NodeId) -> Result<(), StoreError> {
        let node = node.to_string();
        self.database.execute(sql::FORGET_DAEMON, binds![&*node]).await.map(drop)
    }

    /// The daemons that are alive, and those that have streams.
    pub async fn replicas(&self) -> Result<Vec<Replica>, StoreError> {
        self.database
            .run(|| async {
                let mut reader = self.database.reader().await?;
                let mut connection = reader.connection();
                let now_ms = connection.now_ms().await?;
                connection.all(sql::REPLICAS, binds![now_ms]).await
            })
            .await
    }

    /// Whether other daemons can use the same store.
    pub fn is_shared(&self) -> bool {
        matches!(self.database, Database::Postgres { .. })
    }

    /// `postgres` or `sqlite`.
    pub fn kind(&self) -> &'static str {
        match self.database {
            Database::Postgres { .. } => "postgres",
            Database::Sqlite { .. } => "sqlite",
        }
    }
}
