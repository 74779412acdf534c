//! All SQL statements, by name: one text for Postgres and SQLite. A test prepares each against both schemas.
//!
//! A parameter that limits rows is written `LIMIT $1 + 0`. SQLite plans by the value of a plain `LIMIT $1`, so it prepares
//! the statement anew at every execution.

use super::database::Bind;

#[macro_use]
mod macros;
#[macro_use]
mod bulk;

mod actions;
mod api_tokens;
mod apps;
mod dashboard_sessions;
mod deletions;
mod deliveries;
mod entries;
mod event_sockets;
mod figures;
mod handovers;
mod installations;
mod outgoing;
mod received;
mod recordings;
mod relays;
mod replicas;
mod sessions;
mod sinks;
mod starts;
mod streams;
mod tickets;

pub use actions::*;
pub use api_tokens::*;
pub use apps::*;
pub use bulk::*;
pub use dashboard_sessions::*;
pub use deletions::*;
pub use deliveries::*;
pub use entries::*;
pub use event_sockets::*;
pub use figures::*;
pub use handovers::*;
pub use installations::*;
pub use outgoing::*;
pub use received::*;
pub use recordings::*;
pub use relays::*;
pub use replicas::*;
pub use sessions::*;
pub use sinks::*;
pub use starts::*;
pub use streams::*;
pub use tickets::*;

/// Formats names for the statements that search in them: each between commas, so that no name matches a part of another.
/// Without names it is empty.
pub(super) fn between_commas<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut list = String::new();
    for name in names {
        let comma = if list.is_empty() { "," } else { "" };
        list = list + comma + name + ",";
    }
    list
}

/// The number of ids in one statement.
const IDS_AT_ONCE: usize = 64;

/// Places for ids, from `$1`.
pub(super) fn id_places() -> String {
    id_places_after(0)
}

/// Places for ids after so many parameters.
fn id_places_after(others: usize) -> String {
    let places = (1..=IDS_AT_ONCE).map(|place| format!("${}", others + place));
    places.collect::<Vec<_>>().join(", ")
}

/// The ids in chunks for [`id_places`].
pub(super) fn padded_ids<I: ToString>(ids: &[I]) -> impl Iterator<Item = Vec<Bind<'static>>> {
    // Padded with the last id, so that the statement's text is always the same. A chunk is never empty.
    ids.chunks(IDS_AT_ONCE).map(|chunk| {
        let ids = (0..IDS_AT_ONCE).map(|index| chunk[index.min(chunk.len() - 1)].to_string());
        ids.map(Bind::from).collect()
    })
}

/// Locks the streams with the ids in [`id_places`] in the order of their ids. Postgres only: an UPDATE locks its rows in
/// whatever order it finds them, and two transactions with many streams each would wait for each other.
pub(super) fn lock_streams() -> String {
    format!(
        "SELECT stream_id FROM streams
          WHERE stream_id IN ({}) AND ended_at_ms IS NULL
          ORDER BY stream_id COLLATE \"C\" FOR NO KEY UPDATE",
        id_places()
    )
}

/// `$1` claims streams at `$3` until `$2`: its own, free ones, and those with an expired lease. Returns their ids.
pub(super) fn claim_streams() -> String {
    format!(
        "UPDATE streams
            SET owner = $1, lease_until_ms = $2, epoch = epoch + 1,
                taken_over = CASE WHEN owner = $1 THEN taken_over
                                  WHEN lease_until_ms IS NULL THEN 0 ELSE 1 END
          WHERE stream_id IN ({}) AND ended_at_ms IS NULL
            AND (owner IS NULL OR owner = $1 OR lease_until_ms <= $3)
         RETURNING stream_id",
        id_places_after(3)
    )
}

/// The streams with the ids in [`id_places`], by id.
pub(super) fn streams_by_id() -> String {
    let select = select_stream!("streams.stream_id IN (");
    format!("{select}{}) ORDER BY streams.stream_id", id_places())
}

/// How each of these streams was claimed last, and the number of its last entry, by id.
pub(super) fn claims_of_streams() -> String {
    format!(
        "SELECT taken_over,
                (SELECT COALESCE(MAX(seq), 0) FROM entries
                  WHERE entries.stream_id = streams.stream_id) AS last_seq
           FROM streams WHERE stream_id IN ({}) ORDER BY stream_id",
        id_places()
    )
}

/// Releases those of these streams that `$1` has.
pub(super) fn release_streams() -> String {
    format!(
        "UPDATE streams SET owner = NULL, lease_until_ms = NULL
          WHERE owner = $1 AND ended_at_ms IS NULL AND stream_id IN ({})",
        id_places_after(1)
    )
}

/// Those of these streams that no node has and that have not ended.
pub(super) fn free_streams() -> String {
    format!(
        "SELECT stream_id FROM streams
          WHERE owner IS NULL AND ended_at_ms IS NULL AND stream_id IN ({})",
        id_places()
    )
}

/// The streams of the sessions with the ids in [`id_places`].
pub(super) fn streams_of_sessions() -> String {
    let select = select_stream!("streams.session_id IN (");
    format!("{select}{}) ORDER BY streams.session_id, streams.ordinal", id_places())
}

/// All statements with their names.
pub fn all_statements() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let all = [
        actions::ALL,
        api_tokens::ALL,
        apps::ALL,
        dashboard_sessions::ALL,
        deletions::ALL,
        deliveries::ALL,
        entries::ALL,
        event_sockets::ALL,
        figures::ALL,
        handovers::ALL,
        installations::ALL,
        outgoing::ALL,
        received::ALL,
        recordings::ALL,
        relays::ALL,
        replicas::ALL,
        sessions::ALL,
        sinks::ALL,
        streams::ALL,
        tickets::ALL,
    ];
    all.into_iter().flatten()
}

/// Locks the streams of `$1` in the order of their ids. Postgres only: see [`lock_streams`].
pub const LOCK_STREAMS_OF_NODE: &str = "
    SELECT stream_id FROM streams WHERE owner = $1 AND ended_at_ms IS NULL
     ORDER BY stream_id COLLATE \"C\" FOR NO KEY UPDATE";

/// SQLite only.
pub const TRUNCATE_LOG: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// The database's clock in Unix milliseconds. Daemons have clocks of their own, so claims between them use this one.
// Not `now()`, which is the time of BEGIN: the transaction may have waited for a lock since.
pub const NOW_MS_POSTGRES: &str =
    "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";
pub const NOW_MS_SQLITE: &str = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)";

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

    use super::super::schema;
    use super::*;

    /// How SQLite finds the rows of a statement, in its own words.
    async fn plan(statement: &str) -> String {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        schema::migrate_sqlite(&mut connection).await.unwrap();
        let explained = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(explained).fetch_all(&mut connection).await.unwrap();
        rows.into_iter().map(|(_, _, _, detail)| detail + "\n").collect()
    }

    #[tokio::test]
    async fn sessions_of_one_status_are_found_by_its_index_in_their_order() {
        let plan = plan(SESSIONS_OF_STATUS).await;
        assert!(plan.contains("USING INDEX sessions_by_status (status=?"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }

    #[tokio::test]
    async fn a_timeline_reads_no_personal_entry() {
        for statement in [IMPERSONAL_ENTRIES_AFTER, JOINED_STREAMS] {
            let plan = plan(statement).await;
            assert!(
                plan.contains(
                    "USING COVERING INDEX entries_impersonal (personal=? AND stream_id=?"
                ),
                "{plan}"
            );
        }
    }

    #[tokio::test]
    async fn bulk_statements_use_indexes() {
        for (name, texts) in BULK_STATEMENTS {
            let plan = plan(texts.sqlite).await;
            for table in [
                "SCAN sessions",
                "SCAN streams",
                "SCAN deliveries",
                "SCAN actions",
                "SCAN known",
                "SCAN others",
            ] {
                assert!(!plan.contains(table), "{name}: {plan}");
            }
        }
    }

    #[test]
    fn no_limit_makes_sqlite_prepare_a_statement_at_every_execution() {
        for (name, sql) in all_statements() {
            for (_, limit) in sql.match_indices("LIMIT $").map(|(at, _)| sql.split_at(at)) {
                let end = limit["LIMIT $".len()..].trim_start_matches(|c: char| c.is_ascii_digit());
                assert!(end.starts_with(" + 0"), "{name}: {sql}");
            }
        }
    }
}
