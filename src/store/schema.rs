//! The schema's migrations, built into the binary. A released migration is never edited: the next change is a new one.

use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection as _, Executor, PgConnection, SqlSafeStr, SqliteConnection};

use super::StoreError;

/// The newest version that this binary knows.
pub(super) const NEWEST: i64 = 28;

macro_rules! migrations {
    ($folder:literal) => {
        Migrator::with_migrations(vec![
            migration(
                1,
                "sessions streams entries",
                include_str!(concat!(
                    "../../migrations/",
                    $folder,
                    "/0001_sessions_streams_entries.sql"
                )),
            ),
            migration(
                2,
                "installations",
                include_str!(concat!("../../migrations/", $folder, "/0002_installations.sql")),
            ),
            migration(
                3,
                "control",
                include_str!(concat!("../../migrations/", $folder, "/0003_control.sql")),
            ),
            migration(
                4,
                "deletions",
                include_str!(concat!("../../migrations/", $folder, "/0004_deletions.sql")),
            ),
            migration(
                5,
                "products and media",
                include_str!(concat!("../../migrations/", $folder, "/0005_products_and_media.sql")),
            ),
            migration(
                6,
                "ledger",
                include_str!(concat!("../../migrations/", $folder, "/0006_ledger.sql")),
            ),
            migration(
                7,
                "relay",
                include_str!(concat!("../../migrations/", $folder, "/0007_relay.sql")),
            ),
            migration(
                8,
                "outgoing webhooks",
                include_str!(concat!("../../migrations/", $folder, "/0008_outgoing_webhooks.sql")),
            ),
            migration(
                9,
                "recordings",
                include_str!(concat!("../../migrations/", $folder, "/0009_recordings.sql")),
            ),
            migration(
                10,
                "retention",
                include_str!(concat!("../../migrations/", $folder, "/0010_retention.sql")),
            ),
            migration(
                11,
                "forwards",
                include_str!(concat!("../../migrations/", $folder, "/0011_forwards.sql")),
            ),
            migration(
                12,
                "told deletions",
                include_str!(concat!("../../migrations/", $folder, "/0012_told_deletions.sql")),
            ),
            migration(
                13,
                "open actions",
                include_str!(concat!("../../migrations/", $folder, "/0013_open_actions.sql")),
            ),
            migration(
                14,
                "deletions complete",
                include_str!(concat!("../../migrations/", $folder, "/0014_deletions_complete.sql")),
            ),
            migration(
                15,
                "spools",
                include_str!(concat!("../../migrations/", $folder, "/0015_spools.sql")),
            ),
            migration(
                16,
                "unreadable messages",
                include_str!(concat!(
                    "../../migrations/",
                    $folder,
                    "/0016_unreadable_messages.sql"
                )),
            ),
            migration(
                17,
                "speakers",
                include_str!(concat!("../../migrations/", $folder, "/0017_speakers.sql")),
            ),
            migration(
                18,
                "fences",
                include_str!(concat!("../../migrations/", $folder, "/0018_fences.sql")),
            ),
            migration(
                19,
                "tickets",
                include_str!(concat!("../../migrations/", $folder, "/0019_tickets.sql")),
            ),
            migration(
                21,
                "operators",
                include_str!(concat!("../../migrations/", $folder, "/0021_operators.sql")),
            ),
            migration(
                24,
                "audit addresses",
                include_str!(concat!("../../migrations/", $folder, "/0024_audit_addresses.sql")),
            ),
            migration(
                26,
                "retention of sessions",
                include_str!(concat!(
                    "../../migrations/",
                    $folder,
                    "/0026_retention_of_sessions.sql"
                )),
            ),
            migration(
                27,
                "deletion items",
                include_str!(concat!("../../migrations/", $folder, "/0027_deletion_items.sql")),
            ),
            migration(
                28,
                "recording targets",
                include_str!(concat!("../../migrations/", $folder, "/0028_recording_targets.sql")),
            ),
        ])
    };
}

fn migration(version: i64, description: &'static str, sql: &'static str) -> Migration {
    let kind = MigrationType::Simple;
    Migration::new(version, description.into(), kind, sql.into_sql_str(), false)
}

/// Waits for another node that may be migrating, in bounded time. The settings end with the transaction, because a
/// pooler may reassign the connection afterwards.
const BEGIN_MIGRATION: &str = "BEGIN; SET LOCAL lock_timeout = '60s'";
/// An arbitrary number.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7046029254386353131)";

/// Applies the missing migrations, all or none, while no other node does.
pub(super) async fn migrate_postgres(connection: &mut PgConnection) -> Result<(), StoreError> {
    let begun = connection.begin_with(BEGIN_MIGRATION).await;
    let mut transaction = begun.map_err(StoreError::of_begin)?;
    migrate(&migrations!("postgres"), &mut InTransaction(&mut transaction)).await?;
    Ok(transaction.commit().await?)
}

/// Applies the missing migrations. The caller has locked the folder.
pub(super) async fn migrate_sqlite(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    migrate(&migrations!("sqlite"), connection).await
}

async fn migrate<C: Migrate>(migrator: &Migrator, connection: &mut C) -> Result<(), StoreError> {
    migrator.run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) if version > NEWEST => {
            StoreError::SchemaTooNew(version)
        }
        MigrateError::Execute(error) => error.into(),
        other => StoreError::Migrate(other),
    })
}

/// A connection in a transaction, without prepared statements or session locks.
struct InTransaction<'c>(&'c mut PgConnection);

type Step<'e, T> = BoxFuture<'e, Result<T, MigrateError>>;

impl Migrate for InTransaction<'_> {
    fn create_schema_if_not_exists<'e>(&'e mut self, schema: &'e str) -> Step<'e, ()> {
        self.0.create_schema_if_not_exists(schema)
    }

    fn ensure_migrations_table<'e>(&'e mut self, table: &'e str) -> Step<'e, ()> {
        self.0.ensure_migrations_table(table)
    }

    fn dirty_version<'e>(&'e mut self, _: &'e str) -> Step<'e, Option<i64>> {
        // A transaction applies a version completely or not at all.
        Box::pin(async { Ok(None) })
    }

    fn list_applied_migrations<'e>(&'e mut self, _: &'e str) -> Step<'e, Vec<AppliedMigration>> {
        let listed =
            sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version");
        Box::pin(async {
            let rows: Vec<(i64, Vec<u8>)> =
                listed.persistent(false).fetch_all(&mut *self.0).await?;
            let applied = rows
                .into_iter()
                .map(|(version, checksum)| AppliedMigration { version, checksum: checksum.into() });
            Ok(applied.collect())
        })
    }

    fn lock(&mut self) -> Step<'_, ()> {
        Box::pin(async { Ok(self.0.execute(LOCK).await.map(drop)?) })
    }

    fn unlock(&mut self) -> Step<'_, ()> {
        // The lock ends with the transaction.
        Box::pin(async { Ok(()) })
    }

    fn apply<'e>(&'e mut self, _: &'e str, migration: &'e Migration) -> Step<'e, Duration> {
        let noted = sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES ($1, $2, TRUE, $3, 0)",
        );
        let noted = noted.bind(migration.version).bind(&*migration.description);
        let noted = noted.bind(&*migration.checksum).persistent(false);
        Box::pin(async move {
            let failed = |error| MigrateError::ExecuteMigration(error, migration.version);
            self.0.execute(migration.sql.clone()).await.map_err(failed)?;
            noted.execute(&mut *self.0).await?;
            // The duration is not used.
            Ok(Duration::ZERO)
        })
    }

    fn revert<'e>(&'e mut self, table: &'e str, migration: &'e Migration) -> Step<'e, Duration> {
        self.0.revert(table, migration)
    }
}
