//! The schema's versions, built into the binary. A released migration is never edited: the next change is a new one.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};

use super::StoreError;

/// The newest version that this binary knows.
pub(super) const NEWEST: i64 = 19;

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
                17,
                "speakers",
                include_str!(concat!("../../migrations/", $folder, "/0017_speakers.sql")),
            ),
            migration(
                19,
                "tickets",
                include_str!(concat!("../../migrations/", $folder, "/0019_tickets.sql")),
            ),
        ])
    };
}

pub(super) fn postgres() -> Migrator {
    migrations!("postgres")
}

pub(super) fn sqlite() -> Migrator {
    migrations!("sqlite")
}

fn migration(version: i64, description: &'static str, sql: &'static str) -> Migration {
    let kind = MigrationType::Simple;
    Migration::new(version, description.into(), kind, sql.into_sql_str(), false)
}

/// Applies what is missing, under the lock that sqlx takes.
pub(super) async fn migrate<C: Migrate>(
    migrator: &Migrator,
    connection: &mut C,
) -> Result<(), StoreError> {
    migrator.run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) if version > NEWEST => {
            StoreError::SchemaTooNew(version)
        }
        MigrateError::Execute(error) => error.into(),
        other => StoreError::Migrate(other),
    })
}
