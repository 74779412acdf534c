//! The schema's migrations, built into the binary. A released migration is never edited: the next change is a new one.

use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection as _, Executor, PgConnection, SqlSafeStr, SqliteConnection};

use super::{StoreError, sql};

/// A migration, in the SQL of each database.
struct Step {
    version: i64,
    description: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

macro_rules! steps {
    ($($version:literal $description:literal $file:literal,)+) => {
        &[$(Step {
            version: $version,
            description: $description,
            postgres: include_str!(concat!("../../migrations/postgres/", $file)),
            sqlite: include_str!(concat!("../../migrations/sqlite/", $file)),
        }),+]
    };
}

/// In order. Some numbers were never used.
const STEPS: &[Step] = steps! {
    1 "sessions streams entries" "0001_sessions_streams_entries.sql",
    2 "installations" "0002_installations.sql",
    3 "control" "0003_control.sql",
    4 "deletions" "0004_deletions.sql",
    5 "products and media" "0005_products_and_media.sql",
    6 "ledger" "0006_ledger.sql",
    7 "relay" "0007_relay.sql",
    8 "outgoing webhooks" "0008_outgoing_webhooks.sql",
    9 "recordings" "0009_recordings.sql",
    10 "retention" "0010_retention.sql",
    11 "forwards" "0011_forwards.sql",
    12 "told deletions" "0012_told_deletions.sql",
    13 "open actions" "0013_open_actions.sql",
    14 "deletions complete" "0014_deletions_complete.sql",
    15 "spools" "0015_spools.sql",
    16 "unreadable messages" "0016_unreadable_messages.sql",
    17 "speakers" "0017_speakers.sql",
    18 "fences" "0018_fences.sql",
    19 "tickets" "0019_tickets.sql",
    21 "operators" "0021_operators.sql",
    24 "audit addresses" "0024_audit_addresses.sql",
    26 "retention of sessions" "0026_retention_of_sessions.sql",
    27 "deletion items" "0027_deletion_items.sql",
    28 "recording targets" "0028_recording_targets.sql",
    29 "apps" "0029_apps.sql",
    30 "stored apps" "0030_stored_apps.sql",
    31 "api tokens" "0031_api_tokens.sql",
    32 "retention by app" "0032_retention_by_app.sql",
    33 "dashboard sessions" "0033_dashboard_sessions.sql",
    34 "webhook log" "0034_webhook_log.sql",
    35 "waiting deliveries" "0035_waiting_deliveries.sql",
    36 "event sockets" "0036_event_sockets.sql",
    37 "relays" "0037_relays.sql",
    40 "impersonal entries" "0040_impersonal_entries.sql",
    43 "daemons" "0043_daemons.sql",
    45 "relay programs" "0045_relay_programs.sql",
    46 "open sessions by number" "0046_open_sessions_by_number.sql",
    47 "relay events by stream" "0047_relay_events_by_stream.sql",
};

/// The newest version that this binary knows.
pub(super) const NEWEST: i64 = STEPS[STEPS.len() - 1].version;

/// The major version that this binary knows. A store of the same major may have migrations that this binary lacks: they
/// only add tables, indexes and columns with a default, so that daemons of both versions use the store at the same time.
pub(super) const MAJOR: i64 = 1;

fn migrator(sql: impl Fn(&Step) -> &'static str) -> Migrator {
    let migration = |step: &Step| {
        let (kind, sql) = (MigrationType::Simple, sql(step).into_sql_str());
        // `false`: not outside a transaction.
        Migration::new(step.version, step.description.into(), kind, sql, false)
    };
    let mut migrator = Migrator::with_migrations(STEPS.iter().map(migration).collect());
    // A newer daemon has applied what this binary lacks; `check_major` refuses what it cannot use.
    migrator.set_ignore_missing(true);
    migrator
}

/// Waits for another node that may be migrating, in bounded time. The settings end with the transaction, because a
/// pooler may reassign the connection afterwards.
const BEGIN_MIGRATION: &str = "BEGIN; SET LOCAL lock_timeout = '60s'";
/// Takes an advisory lock. Its key is arbitrary, but must never change: it excludes other versions of the daemon.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7046029254386353131)";

/// Applies the missing migrations, all or none, while no other node does.
pub(super) async fn migrate_postgres(connection: &mut PgConnection) -> Result<(), StoreError> {
    let begun = connection.begin_with(BEGIN_MIGRATION).await;
    let mut transaction = begun.map_err(StoreError::of_begin)?;
    run_migrations(&migrator(|step| step.postgres), &mut InTransaction(&mut transaction)).await?;
    // Not kept prepared: a pooler gives this server connection to other clients afterwards.
    let found = sqlx::query_as(sql::SCHEMA).persistent(false).fetch_one(&mut *transaction).await?;
    check_major(found)?;
    Ok(transaction.commit().await?)
}

/// Applies the missing migrations, all or none. The caller has locked the folder.
///
/// A migration may copy a table into one with other constraints, which SQLite cannot change: foreign keys are not
/// enforced meanwhile, and dropping the old table leaves the rows that refer to it. They are checked before the commit.
pub(super) async fn migrate_sqlite(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    // Outside the transaction, in which SQLite ignores this setting.
    connection.execute("PRAGMA foreign_keys = OFF").await?;
    let migrated = migrate_in_transaction(connection).await;
    connection.execute("PRAGMA foreign_keys = ON").await?;
    migrated
}

async fn migrate_in_transaction(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let rows_before = changed_rows(&mut transaction).await?;
    // Each migration is a savepoint in this transaction.
    run_migrations(&migrator(|step| step.sqlite), &mut *transaction).await?;
    // Only after a migration, because it reads the whole database.
    if changed_rows(&mut transaction).await? != rows_before {
        check_references(&mut transaction).await?;
    }
    check_major(sqlx::query_as(sql::SCHEMA).fetch_one(&mut *transaction).await?)?;
    Ok(transaction.commit().await?)
}

/// How many rows the connection has changed. Every migration changes one at least: its own.
async fn changed_rows(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("SELECT total_changes()").fetch_one(connection).await?)
}

async fn check_references(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let broken = sqlx::query_as("SELECT \"table\", parent FROM pragma_foreign_key_check LIMIT 1");
    let broken: Option<(String, String)> = broken.fetch_optional(connection).await?;
    broken.map_or(Ok(()), |(table, parent)| Err(StoreError::BrokenReference { table, parent }))
}

async fn run_migrations<C: Migrate>(
    migrator: &Migrator,
    connection: &mut C,
) -> Result<(), StoreError> {
    migrator.run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::Execute(error) => error.into(),
        other => StoreError::Migrate(other),
    })
}

/// Refuses a schema of a later major than this binary's. `found` is the newest migration and the major.
fn check_major((version, major): (i64, i64)) -> Result<(), StoreError> {
    if major > MAJOR {
        return Err(StoreError::SchemaTooNew(major));
    }
    if version > NEWEST {
        tracing::info!(version, "a newer rtmsd has migrated the store; this one uses it beside it");
    }
    Ok(())
}

/// A connection in a transaction, without prepared statements or session locks.
struct InTransaction<'c>(&'c mut PgConnection);

type Pending<'e, T> = BoxFuture<'e, Result<T, MigrateError>>;

impl Migrate for InTransaction<'_> {
    fn create_schema_if_not_exists<'e>(&'e mut self, schema: &'e str) -> Pending<'e, ()> {
        self.0.create_schema_if_not_exists(schema)
    }

    fn ensure_migrations_table<'e>(&'e mut self, table: &'e str) -> Pending<'e, ()> {
        self.0.ensure_migrations_table(table)
    }

    fn dirty_version<'e>(&'e mut self, _: &'e str) -> Pending<'e, Option<i64>> {
        // A transaction applies a version completely or not at all.
        Box::pin(async { Ok(None) })
    }

    fn list_applied_migrations<'e>(&'e mut self, _: &'e str) -> Pending<'e, Vec<AppliedMigration>> {
        let listed =
            sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version");
        Box::pin(async {
            let rows: Vec<(i64, Vec<u8>)> =
                // Not kept prepared: a pooler gives this server connection to other clients afterwards.
                listed.persistent(false).fetch_all(&mut *self.0).await?;
            let applied = rows
                .into_iter()
                .map(|(version, checksum)| AppliedMigration { version, checksum: checksum.into() });
            Ok(applied.collect())
        })
    }

    fn lock(&mut self) -> Pending<'_, ()> {
        Box::pin(async { Ok(self.0.execute(LOCK).await.map(drop)?) })
    }

    fn unlock(&mut self) -> Pending<'_, ()> {
        // The lock ends with the transaction.
        Box::pin(async { Ok(()) })
    }

    fn apply<'e>(&'e mut self, _: &'e str, migration: &'e Migration) -> Pending<'e, Duration> {
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

    fn revert<'e>(&'e mut self, table: &'e str, migration: &'e Migration) -> Pending<'e, Duration> {
        self.0.revert(table, migration)
    }
}
