//! Fresh stores for cases that must hold on SQLite, on Postgres, and on Postgres behind a pooler.

use std::path::Path;

use rtmsd::secret::Secret;
use rtmsd::store::{Location, Store};
use sqlx::migrate::{Migrate, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tempfile::TempDir;

use super::{pgbouncer, postgres};

/// An open store on an empty database of its own.
pub(crate) struct TestStore {
    pub store: Store,
    pub location: Location,
    /// The database without the pooler.
    pub database: Location,
    /// Removed at the end.
    _folder: Option<TempDir>,
}

impl TestStore {
    pub(crate) async fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let location = Location::Sqlite(folder.path().join("data/rtmsd.db"));
        Self { _folder: Some(folder), ..Self::open(location.clone(), location).await }
    }

    pub(crate) async fn postgres() -> Self {
        let location = Location::Postgres(Secret::new(postgres::fresh_database().await));
        Self::open(location.clone(), location).await
    }

    /// A Postgres store behind a PgBouncer in transaction mode.
    pub(crate) async fn pooled() -> Self {
        let url = postgres::fresh_database().await;
        let pooled = pgbouncer::in_transaction_mode().url(&url);
        let (location, database) = (Secret::new(pooled), Secret::new(url));
        Self::open(Location::Postgres(location), Location::Postgres(database)).await
    }

    /// Another store on an empty database of the same kind.
    pub(crate) async fn fresh(&self) -> Self {
        match (&self.location, &self.database) {
            (Location::Sqlite(_), _) => Self::sqlite().await,
            (Location::Postgres(location), Location::Postgres(database))
                if location.expose() == database.expose() =>
            {
                Self::postgres().await
            }
            _ => Self::pooled().await,
        }
    }

    async fn open(location: Location, database: Location) -> Self {
        let store = Store::open(&location).await.unwrap();
        Self { store, location, database, _folder: None }
    }

    /// What another daemon, or this one after a restart, would use. On SQLite the first is closed.
    pub(crate) async fn reopened(&self) -> Store {
        if matches!(self.location, Location::Sqlite(_)) {
            self.store.close().await;
        }
        Store::open(&self.location).await.unwrap()
    }
}

/// Runs a case on an empty SQLite store and on empty Postgres stores without and with a pooler.
pub(crate) async fn on_both(case: impl AsyncFn(&TestStore)) {
    eprintln!("on SQLite:");
    case(&TestStore::sqlite().await).await;
    eprintln!("on Postgres:");
    case(&TestStore::postgres().await).await;
    eprintln!("on Postgres behind PgBouncer:");
    case(&TestStore::pooled().await).await;
}

/// Empty databases of both kinds, with the schema as it was at this version. SQLite's is in `folder`.
pub(crate) async fn at_schema(version: i64, folder: &Path) -> [Location; 2] {
    let file = folder.join("rtmsd.db");
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let mut sqlite = options.connect().await.unwrap();
    migrate_to(version, "sqlite", &mut sqlite).await;
    sqlite.close().await.unwrap();
    let url = postgres::copy_of(postgres::EMPTY).await;
    let mut postgres = PgConnection::connect(&url).await.unwrap();
    migrate_to(version, "postgres", &mut postgres).await;
    [Location::Sqlite(file), Location::Postgres(Secret::new(url))]
}

async fn migrate_to<C: Migrate>(version: i64, store: &str, connection: &mut C) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(store);
    let all = Migrator::new(folder).await.unwrap();
    let old = all.iter().filter(|migration| migration.version <= version).cloned().collect();
    Migrator::with_migrations(old).run_direct(None, connection, false).await.unwrap();
}
