//! Migrations of a store with rows in every table: no row is lost, and a migration that fails changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use rtmsd::model::{AppName, AppScope, EndpointId, InstallationId};
use rtmsd::store::{AuditPage, Location, SessionPage, Store, StoreError};
use tempfile::TempDir;

use super::webhooks::*;
use crate::support::raw::Raw;
use crate::support::stores::at_schema;

const ROWS: &str = include_str!("migration/rows_of_schema_28.sql");
/// The migrations that ran: sqlx's own table.
const MIGRATIONS: &str = "_sqlx_migrations";

type Tables = BTreeMap<String, (Vec<String>, Vec<String>)>;

/// Both databases with schema 28 and rows in every table.
async fn filled(folder: &TempDir) -> [Location; 2] {
    let locations = at_schema(28, folder.path()).await;
    for location in &locations {
        Raw::connect(location).await.execute(ROWS).await;
    }
    locations
}

/// The columns of every table, and the rows.
async fn tables(location: &Location) -> Tables {
    let mut raw = Raw::connect(location).await;
    let mut tables = BTreeMap::new();
    for table in raw.tables().await {
        let columns = raw.columns(&table).await;
        let rows = raw.rows(&table, &columns).await;
        tables.insert(table, (columns, rows));
    }
    tables
}

#[tokio::test]
async fn every_row_of_schema_28_is_there_after_the_migration() {
    let folder = TempDir::new().unwrap();
    for location in filled(&folder).await {
        let mut before = tables(&location).await;
        before.remove(MIGRATIONS);
        let indexes = Raw::connect(&location).await.indexes().await;
        Store::open(&location).await.unwrap().close().await;
        let mut raw = Raw::connect(&location).await;
        for (table, (columns, rows)) in &before {
            assert!(!rows.is_empty(), "the fixture has no row in {table}");
            assert_eq!(&raw.rows(table, columns).await, rows, "{table}");
        }
        let now = raw.indexes().await;
        let lost: Vec<_> = indexes.iter().filter(|index| !now.contains(index)).collect();
        assert_eq!(lost, Vec::<&String>::new());
    }
}

#[tokio::test]
async fn rows_of_schema_28_belong_to_the_default_app_and_are_used_as_before() {
    let folder = TempDir::new().unwrap();
    for location in filled(&folder).await {
        let store = Store::open(&location).await.unwrap();
        let page = SessionPage { limit: 9, ..SessionPage::default() };
        let sessions = store.sessions(&page).await.unwrap();
        let [over, live] = &sessions[..] else { panic!("{sessions:?}") };
        assert!(over.app.is_default() && live.app.is_default());
        assert!(read(&store, "s1").await.app.is_default());
        let installation = InstallationId::parse("01932b5e-0000-7000-8000-0000000000a1").unwrap();
        assert!(store.grant(installation).await.unwrap().unwrap().installation.app.is_default());
        let endpoint = EndpointId::parse("01932b5e-0000-7000-8000-000000000101").unwrap();
        let endpoint = store.endpoint(endpoint).await.unwrap().unwrap().endpoint;
        assert_eq!(endpoint.apps, AppScope::All);
        let rows = store.audit_page(&AuditPage { limit: 9, ..AuditPage::default() }).await.unwrap();
        let apps: Vec<_> =
            rows.iter().map(|row| (row.action.as_str(), row.app.as_deref())).collect();
        assert_eq!(apps, [("api.refused", None), ("session.create", Some("default"))]);

        assert_eq!(record(&store, stopped("s1", 9, Some(6))).await, changed("s1"));
        announce(&store, "s3").await;
        assert_eq!(read(&store, "s3").await.session_id, live.id, "its meeting is the one of s1");
        let acme = AppName::parse("acme").unwrap();
        record(&store, signed_by(&acme, started("s4", 1, URL))).await;
        assert_ne!(read(&store, "s4").await.session_id, live.id);
        store.close().await;
    }
}

#[tokio::test]
async fn a_migration_that_fails_at_its_end_leaves_the_schema_and_the_rows_as_they_were() {
    let folder = TempDir::new().unwrap();
    for location in filled(&folder).await {
        // The last table that migration 29 changes.
        Raw::connect(&location).await.execute("ALTER TABLE audit ADD COLUMN app TEXT").await;
        let before = tables(&location).await;
        let refused = Store::open(&location).await.map(drop).unwrap_err();
        assert!(matches!(refused, StoreError::Migrate(_)), "{refused}");
        assert_eq!(tables(&location).await, before);
        Raw::connect(&location).await.execute("ALTER TABLE audit DROP COLUMN app").await;
        let store = Store::open(&location).await.unwrap();
        assert!(read(&store, "s1").await.app.is_default());
        store.close().await;
    }
}

#[tokio::test]
async fn a_row_without_the_row_that_it_refers_to_stops_the_migration_of_sqlite() {
    let folder = TempDir::new().unwrap();
    let [sqlite, _] = filled(&folder).await;
    let lost = "PRAGMA foreign_keys = OFF; DELETE FROM streams WHERE stream_id = 's1'";
    Raw::connect(&sqlite).await.execute(lost).await;
    let before = tables(&sqlite).await;
    let refused = Store::open(&sqlite).await.map(drop).unwrap_err().to_string();
    assert!(refused.contains("refers to a row of streams"), "{refused}");
    assert_eq!(tables(&sqlite).await, before);
}

/// The last migration of the versions before the schema had a major version.
const BEFORE_MAJORS: u32 = 40;
/// What a migration must not do to the tables of older daemons that go on using them.
const NOT_ADDITIVE: [&str; 5] =
    ["DROP ", "RENAME ", "ALTER COLUMN", "ADD CONSTRAINT", "SET NOT NULL"];

#[test]
fn migrations_only_add_unless_they_raise_the_major_version() {
    for store in ["postgres", "sqlite"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(store);
        for file in folder.read_dir().unwrap().flatten() {
            let name = file.file_name().into_string().unwrap();
            let number: u32 = name.split('_').next().unwrap().parse().unwrap();
            let sql = std::fs::read_to_string(file.path()).unwrap();
            let statements: Vec<_> = sql.lines().filter(|line| !line.starts_with("--")).collect();
            let statements = statements.join("\n").to_uppercase();
            if number <= BEFORE_MAJORS || statements.contains("UPDATE SCHEMA_MAJOR") {
                continue;
            }
            for change in NOT_ADDITIVE {
                assert!(!statements.contains(change), "{store}/{name} has {change:?}");
            }
            for column in statements.split(';').filter(|it| it.contains("ADD COLUMN")) {
                let has_default = !column.contains("NOT NULL") || column.contains("DEFAULT");
                assert!(has_default, "{store}/{name}: {column}");
            }
        }
    }
}
