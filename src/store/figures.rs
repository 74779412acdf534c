//! Counts over all daemons that share the store, for metrics.

use super::database::{binds, row};
use super::{Store, StoreError, WEBHOOKS_SINK, sql};

/// The most outgoing deliveries that are counted.
const MAX_COUNTED: i64 = 10_000;

/// A sink that no daemon has held for this long is not in use.
const UNUSED_AFTER_MS: i64 = 10 * 60 * 1000;

/// What the store counts. Apps are named as in their rows.
#[derive(Debug, Clone, Default)]
pub struct StoreFigures {
    /// Streams that no daemon runs, by app.
    pub unclaimed_streams: Vec<AppCount>,
    /// Planned starts that wait until a daemon has room, by app.
    pub waiting_starts: Vec<AppCount>,
    /// Recordings that are not stored, by app and status.
    pub recordings: Vec<StatusCount>,
    /// Installations, by app and status.
    pub installations: Vec<StatusCount>,
    /// Outgoing deliveries that wait, by app; of no app by the empty name.
    pub waiting_deliveries: Vec<Waiting>,
    /// Entries that a sink has not received, by sink.
    pub sink_lags: Vec<SinkLag>,
}

row! {
    /// A count of one app.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AppCount {
        pub app: String,
        pub count: i64,
    }
}

row! {
    /// A count of one app and status.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StatusCount {
        pub app: String,
        pub status: String,
        pub count: i64,
    }
}

row! {
    /// The outgoing deliveries of one app that wait.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Waiting {
        pub app: String,
        pub count: i64,
        /// When the oldest was made, Unix milliseconds.
        pub oldest_ms: i64,
    }
}

row! {
    /// The entries that a sink has not received.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SinkLag {
        pub sink: String,
        pub count: i64,
    }
}

impl Store {
    /// Counts what all daemons share, by the daemon's clock.
    pub async fn figures(&self, now_ms: i64) -> Result<StoreFigures, StoreError> {
        let database = &self.database;
        Ok(StoreFigures {
            unclaimed_streams: database.all(sql::UNCLAIMED_STREAMS, binds![now_ms]).await?,
            waiting_starts: database.all(sql::STARTS_THAT_WAIT, binds![]).await?,
            recordings: database.all(sql::RECORDINGS_BY_STATUS, binds![]).await?,
            installations: database.all(sql::INSTALLATIONS_BY_STATUS, binds![]).await?,
            waiting_deliveries: database.all(sql::WAITING_DELIVERIES, binds![MAX_COUNTED]).await?,
            // Outgoing webhooks have no position while nobody wants entries.
            sink_lags: database
                .all(sql::SINK_LAGS, binds![WEBHOOKS_SINK, now_ms - UNUSED_AFTER_MS])
                .await?,
        })
    }
}
