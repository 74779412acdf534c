//! The store: reached, migrated, fast, and without a pooler in the way.

use std::io::ErrorKind;

use super::{fault, sentence};
use crate::doctor::report::Check;
use crate::model::ms;
use crate::store::{Examined, StoreError};

pub(in crate::doctor) const IDS: [&str; 4] = [REACHABLE, SCHEMA, LATENCY, POOLER];

const REACHABLE: &str = "store.reachable";
const SCHEMA: &str = "store.schema";
const LATENCY: &str = "store.latency";
const POOLER: &str = "store.pooler";

pub(in crate::doctor) fn store(examined: &Result<Examined, StoreError>) -> Vec<Check> {
    match examined {
        Ok(examined) => vec![
            Check::ok(REACHABLE, format!("{} answers", examined.kind)),
            schema(examined.schema, examined.newest),
            latency(examined),
            pooler(examined),
        ],
        Err(error) => {
            let first = unreachable(error);
            let rest = IDS.into_iter().filter(|id| *id != first.id);
            let rest: Vec<_> = rest.map(|id| Check::skipped(id, "the store is not open")).collect();
            [vec![first], rest].concat()
        }
    }
}

fn unreachable(error: &StoreError) -> Check {
    let todo = match error {
        StoreError::File { path, source } if source.kind() == ErrorKind::NotFound => {
            let seen = format!("{} does not exist yet: the first start makes it", path.display());
            return Check::skipped(REACHABLE, seen);
        }
        StoreError::File { .. } => {
            "Run this as the user of the daemon, and see that DATA_DIR belongs to that user."
        }
        StoreError::StatementMode => {
            return Check::fail(POOLER, sentence(error), "Set its pool_mode, then start rtmsd.");
        }
        StoreError::Address(_) => "Correct DATABASE_URL.",
        _ => "See that the database runs, and that DATABASE_URL or the disk of DATA_DIR is right.",
    };
    Check::fail(REACHABLE, sentence(error), todo)
}

fn schema(version: Option<i64>, newest: i64) -> Check {
    match version {
        None => {
            let todo = "Run rtmsd migrate, or start the daemon, which does the same.";
            Check::fail(SCHEMA, "The store has no tables of rtmsd.", todo)
        }
        Some(version) if version < newest => {
            let seen = format!("The schema has version {version}, and this rtmsd needs {newest}.");
            let todo = "Run rtmsd migrate, or start the daemon, which does the same.";
            Check::fail(SCHEMA, seen, todo)
        }
        Some(version) if version > newest => {
            let seen = format!("The schema has version {version}, and this rtmsd knows {newest}.");
            Check::warn(SCHEMA, seen, "Update this rtmsd: a newer one has migrated the store.")
        }
        Some(version) => Check::ok(SCHEMA, format!("version {version}, the newest")),
    }
}

fn latency(examined: &Examined) -> Check {
    let latency_ms = ms(examined.latency);
    let fault = fault::store_latency(latency_ms.unsigned_abs());
    Check::of_fault(LATENCY, fault, format!("{latency_ms} ms"))
}

fn pooler(examined: &Examined) -> Check {
    if examined.kind == "sqlite" {
        return Check::skipped(POOLER, "SQLite has none");
    }
    if !examined.is_pooled {
        return Check::ok(POOLER, "none, or one that leaves a connection to its client");
    }
    let seen = "A pooler in transaction mode is in front of Postgres: rtmsd keeps no statement prepared, and every read \
                takes one more round trip.";
    let todo = "Nothing, if that is fast enough. Otherwise connect to Postgres itself, or use session mode.";
    Check::warn(POOLER, seen, todo)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::doctor::report::Status;

    fn examined() -> Examined {
        let latency = Duration::from_millis(3);
        Examined { kind: "postgres", latency, schema: Some(40), newest: 40, is_pooled: false }
    }

    fn statuses(examined: Result<Examined, StoreError>) -> Vec<(&'static str, Status)> {
        store(&examined).iter().map(|check| (check.id, check.status)).collect()
    }

    #[test]
    fn a_good_store_passes_every_check() {
        let all_ok = IDS.map(|id| (id, Status::Ok));
        assert_eq!(statuses(Ok(examined())), all_ok);
    }

    #[test]
    fn each_weakness_of_a_store_is_one_finding() {
        let of = |examined| {
            let found = statuses(Ok(examined)).into_iter();
            found.filter(|(_, status)| *status != Status::Ok).collect::<Vec<_>>()
        };
        assert_eq!(of(Examined { schema: None, ..examined() }), [(SCHEMA, Status::Fail)]);
        assert_eq!(of(Examined { schema: Some(39), ..examined() }), [(SCHEMA, Status::Fail)]);
        assert_eq!(of(Examined { schema: Some(41), ..examined() }), [(SCHEMA, Status::Warn)]);
        assert_eq!(of(Examined { is_pooled: true, ..examined() }), [(POOLER, Status::Warn)]);
        let slow = Examined { latency: Duration::from_secs(1), ..examined() };
        assert_eq!(of(slow), [(LATENCY, Status::Warn)]);
    }

    #[test]
    fn a_store_that_is_not_open_is_reported_once() {
        let file = |kind: ErrorKind| StoreError::File {
            path: PathBuf::from("data/rtmsd.db"),
            source: kind.into(),
        };
        for (error, first) in [
            (StoreError::timed_out(), (REACHABLE, Status::Fail)),
            (file(ErrorKind::NotFound), (REACHABLE, Status::Skipped)),
            (file(ErrorKind::PermissionDenied), (REACHABLE, Status::Fail)),
            (StoreError::StatementMode, (POOLER, Status::Fail)),
        ] {
            let found = statuses(Err(error));
            assert_eq!(found[0], first);
            assert_eq!(found.len(), IDS.len(), "each once: {found:?}");
            assert!(found[1..].iter().all(|(_, status)| *status == Status::Skipped), "{found:?}");
        }
    }
}
