//! The daemons that share the store, by their leases.

use super::database::{Database, binds, row};
use super::{Store, StoreError, sql};

row! {
    /// A daemon that runs streams.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Replica {
        /// The daemon's id since its start.
        pub node: String,
        pub streams: i64,
        /// When the oldest of them was announced, Unix milliseconds.
        pub oldest_ms: i64,
        /// Until when its leases last unless it renews them, by the database's clock.
        pub lease_until_ms: i64,
    }
}

impl Store {
    /// The daemons that run streams.
    pub async fn replicas(&self) -> Result<Vec<Replica>, StoreError> {
        self.database.all(sql::REPLICAS, binds![]).await
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
