//! Opening the store: schemas, locks, permissions, an unavailable database.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rtmsd::model::{AppRooms, Cursor, Cutoffs, NodeId, Outcome, SessionId};
use rtmsd::secret::Secret;
use rtmsd::store::{Location, SessionPage, Store, StoreError, StreamUpdate, sql};
use tempfile::TempDir;
use uuid::Uuid;

use super::webhooks::*;
use crate::support::postgres;
use crate::support::proxy::Proxy;
use crate::support::raw::Raw;
use crate::support::stores::{TestStore, on_both};

async fn error_of_open(location: &Location) -> StoreError {
    match Store::open(location).await {
        Ok(_) => panic!("the store opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn every_statement_fits_both_schemas() {
    on_both(async |test| {
        let mut raw = Raw::connect(&test.database).await;
        for (name, sql) in sql::all_statements() {
            raw.prepare(sql).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        for (name, texts) in sql::BULK_STATEMENTS {
            let text = if test.store.is_shared() { texts.postgres } else { texts.sqlite };
            raw.prepare(text).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    })
    .await;
}

#[tokio::test]
async fn opening_again_keeps_what_was_stored() {
    on_both(async |test| {
        test.store.ping().await.unwrap();
        announce(&test.store, "s").await;
        let stream = read(&test.store, "s").await;
        let store = test.reopened().await;
        store.ping().await.unwrap();
        assert_eq!(read(&store, "s").await, stream);
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn nodes_that_open_an_empty_postgres_at_the_same_time_all_get_the_schema() {
    let url = postgres::copy_of(postgres::EMPTY).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..5 {
        let location = Location::Postgres(Secret::new(url.clone()));
        tasks.spawn(async move {
            announce(&Store::open(&location).await.unwrap(), &format!("s{n}")).await
        });
    }
    tasks.join_all().await;
}

/// What a newer version does to the store: a migration that this one does not know.
async fn migrate_further(raw: &mut Raw, sql: &str) {
    raw.execute(sql).await;
    raw.execute(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         SELECT 999, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
    )
    .await;
}

#[tokio::test]
async fn a_schema_to_which_a_newer_version_only_added_is_used() {
    on_both(async |test| {
        let mut raw = Raw::connect(&test.database).await;
        let later = "ALTER TABLE streams ADD COLUMN later TEXT NOT NULL DEFAULT 'x';
                     CREATE TABLE later (id BIGINT NOT NULL PRIMARY KEY)";
        migrate_further(&mut raw, later).await;
        test.store.ping().await.unwrap();
        let store = test.reopened().await;
        store.ping().await.unwrap();
        announce(&store, "s").await;
        let claimed = claim_stream(&store, NodeId(Uuid::nil()), &stream_id("s"), 60_000).await;
        assert!(claimed.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn a_schema_of_a_later_major_is_refused_at_the_start_and_by_a_daemon_that_runs() {
    on_both(async |test| {
        let mut raw = Raw::connect(&test.database).await;
        migrate_further(&mut raw, "UPDATE schema_major SET major = 2").await;
        let error = test.store.ping().await.unwrap_err();
        assert!(matches!(error, StoreError::SchemaTooNew(2)), "{error}");
        test.store.close().await;
        let error = error_of_open(&test.location).await;
        assert!(matches!(error, StoreError::SchemaTooNew(2)), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_migration_that_was_edited_after_it_ran_is_refused() {
    on_both(async |test| {
        let mut raw = Raw::connect(&test.database).await;
        raw.execute("UPDATE _sqlx_migrations SET checksum = checksum || checksum").await;
        test.store.close().await;
        let error = error_of_open(&test.location).await;
        assert!(matches!(error, StoreError::Migrate(_)), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_second_daemon_on_the_same_data_folder_is_refused_until_the_first_ends() {
    let test = TestStore::sqlite().await;
    let error = error_of_open(&test.location).await;
    let Location::Sqlite(path) = &test.location else { panic!("a file") };
    let folder = path.parent().unwrap().display().to_string();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&folder), "{error}");
    test.store.close().await;
    Store::open(&test.location).await.unwrap();
}

#[tokio::test]
async fn only_the_owner_can_read_the_data_folder() {
    let test = TestStore::sqlite().await;
    announce(&test.store, "s").await;
    let Location::Sqlite(path) = &test.location else { panic!("it is SQLite") };
    let folder = path.parent().unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700);
    for file in folder.read_dir().unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_created_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = error_of_open(&Location::Sqlite(file.join("data/rtmsd.db"))).await;
    assert!(error.to_string().contains("file/data"), "{error}");
}

#[tokio::test]
async fn a_malformed_address_is_refused_without_being_printed() {
    let address = "postgres://user:hunter2@[bad/db".to_owned();
    let error = error_of_open(&Location::Postgres(Secret::new(address))).await;
    assert!(matches!(error, StoreError::Address(_)), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_dead_postgres_is_unavailable_soon_and_used_again_when_it_is_back() {
    let url = postgres::fresh_database().await;
    let mut proxy = Proxy::open().await;
    let location = Location::Postgres(Secret::new(proxy.url(&url)));
    let store = Store::open(&location).await.unwrap();
    announce(&store, "s").await;

    proxy.shut().await;
    // Well above the store's own limit, far below a socket's.
    let soon = Duration::from_secs(20);
    let pinged = tokio::time::timeout(soon, store.ping()).await.unwrap();
    assert!(matches!(pinged, Err(StoreError::Unavailable(_))), "{pinged:?}");
    let delivery = stopped("s", 2, Some(6));
    let recorded = tokio::time::timeout(soon, store.record_delivery(&delivery)).await.unwrap();
    assert!(matches!(recorded, Err(StoreError::Unavailable(_))), "{recorded:?}");
    let opened = tokio::time::timeout(soon, error_of_open(&location)).await.unwrap();
    assert!(matches!(opened, StoreError::Unavailable(_)), "{opened}");

    proxy.reopen().await;
    assert_eq!(record(&store, delivery).await, changed("s"));
}

#[tokio::test]
async fn a_silent_postgres_is_unavailable_soon_too() {
    let url = postgres::fresh_database().await;
    let mut proxy = Proxy::open().await;
    let location = Location::Postgres(Secret::new(proxy.url(&url)));
    let store = Store::open(&location).await.unwrap();
    announce(&store, "s").await;

    proxy.stall();
    let soon = Duration::from_secs(20);
    let pinged = tokio::time::timeout(soon, store.ping()).await.unwrap();
    assert!(matches!(pinged, Err(StoreError::Unavailable(_))), "{pinged:?}");
    let opened = tokio::time::timeout(soon, error_of_open(&location)).await.unwrap();
    assert!(matches!(opened, StoreError::Unavailable(_)), "{opened}");

    proxy.shut().await;
    proxy.reopen().await;
    store.ping().await.unwrap();
}

/// A method with a future that stays on its thread would not compile here.
#[tokio::test]
async fn every_method_can_be_awaited_in_a_task() {
    fn is_send(_: impl Send) {}
    let test = TestStore::sqlite().await;
    let (store, s) = (&test.store, stream_id("s"));
    let (node, id) = (NodeId(Uuid::nil()), SessionId(Uuid::nil()));
    is_send(Store::open(&test.location));
    is_send(store.ping());
    is_send(store.record_delivery(&other(1)));
    is_send(store.prune_deliveries(&Cutoffs::all(1)));
    is_send(store.claim_streams(node, std::slice::from_ref(&s), 1));
    is_send(store.orphans(node, 1, &AppRooms::default()));
    is_send(store.other_daemons(node));
    is_send(store.forget_daemon(node));
    is_send(store.renew_leases(node, 1));
    is_send(store.release_leases(node));
    is_send(store.give_back(&s, 1, 1));
    is_send(store.stream(&s));
    is_send(store.streams_of(id));
    is_send(store.write_entries(&unclaimed(&[])));
    is_send(store.entries_after(id, &Cursor::default(), &[], 1));
    is_send(store.update_streams(&[(s.clone(), StreamUpdate::default().clone())], 1));
    is_send(store.finish_stream(&s, 0, 1, Outcome::Closed, None, 1));
    is_send(store.sessions(&SessionPage::default()));
    is_send(store.session(id));
    is_send(store.close());
}

#[tokio::test]
async fn a_closed_store_is_unavailable() {
    on_both(async |test| {
        test.store.close().await;
        let pinged = test.store.ping().await;
        assert!(matches!(pinged, Err(StoreError::Unavailable(_))), "{pinged:?}");
    })
    .await;
}
