//! Both stores, fresh, for cases that must hold on either.

use rtmsd::secret::Secret;
use rtmsd::store::{Location, Store};
use tempfile::TempDir;

use super::postgres;

/// An open store on an empty database of its own.
pub struct TestStore {
    pub store: Store,
    pub location: Location,
    /// Removed at the end.
    _folder: Option<TempDir>,
}

impl TestStore {
    pub async fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let location = Location::Sqlite(folder.path().join("data/rtmsd.db"));
        Self::open(location, Some(folder)).await
    }

    pub async fn postgres() -> Self {
        Self::open(Location::Postgres(Secret::new(postgres::fresh_database().await)), None).await
    }

    async fn open(location: Location, folder: Option<TempDir>) -> Self {
        let store = Store::open(&location).await.unwrap();
        Self { store, location, _folder: folder }
    }

    /// What another daemon, or this one after a restart, would use. On SQLite the first is closed.
    pub async fn reopened(&self) -> Store {
        if matches!(self.location, Location::Sqlite(_)) {
            self.store.close().await;
        }
        Store::open(&self.location).await.unwrap()
    }
}

/// Runs a case on an empty SQLite store and on an empty Postgres store.
pub async fn on_both(case: impl AsyncFn(&TestStore)) {
    eprintln!("on SQLite:");
    case(&TestStore::sqlite().await).await;
    eprintln!("on Postgres:");
    case(&TestStore::postgres().await).await;
}
