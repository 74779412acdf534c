//! Aggregates refused requests for the audit trail, so that a flood of them writes a bounded number of rows.
//!
//! The first refusal of a kind in a minute is written at once. Later ones of the same minute are counted and written as
//! one row.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};

use serde_json::json;

use crate::model::AuditRow;
use crate::rate::network_of;
use crate::store::{Store, StoreError};

/// The most kinds of refusals per minute. Further ones are counted as one kind without an address.
const MAX_KINDS: usize = 50;

/// The refusals since the last [`Refusals::flush`].
#[derive(Debug, Default)]
pub struct Refusals(Mutex<HashMap<Kind, Repeats>>);

/// What refusals that share a row have in common: network, actor, action and outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    network: Option<IpAddr>,
    actor: String,
    action: &'static str,
    outcome: String,
}

#[derive(Debug)]
struct Repeats {
    first: AuditRow,
    /// Not counting the first one.
    count: u64,
    last_ms: i64,
}

impl Refusals {
    /// Counts a refusal. Returns its row if it is the first of its kind and must be written now.
    pub fn admit(&self, row: AuditRow) -> Option<AuditRow> {
        let mut kinds = self.lock();
        let mut kind = Kind::of(&row);
        let mut row = row;
        // A kind that is already counted stays exact during a flood.
        if kinds.len() >= MAX_KINDS && !kinds.contains_key(&kind) {
            row = AuditRow {
                address: None,
                outcome: "other".to_owned(),
                ..AuditRow::new(row.at_ms, "", "api.refused", "")
            };
            kind = Kind::of(&row);
        }
        if let Some(repeats) = kinds.get_mut(&kind) {
            repeats.count += 1;
            repeats.last_ms = row.at_ms;
            return None;
        }
        kinds.insert(kind, Repeats { first: row.clone(), count: 0, last_ms: row.at_ms });
        Some(row)
    }

    /// Writes the counts, one row for each kind, and resets them. Called every minute and at shutdown.
    ///
    /// # Errors
    /// When the store fails; what was not written is kept for the next call.
    pub async fn flush(&self, store: &Store, now_ms: i64) -> Result<(), StoreError> {
        let mut repeated = self.take().into_iter();
        while let Some((kind, repeats)) = repeated.next() {
            if let Err(error) = store.audit(&repeats.row(now_ms)).await {
                self.put_back(std::iter::once((kind, repeats)).chain(repeated));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes the counts. They are written without the lock: a slow store must not block requests.
    fn take(&self) -> Vec<(Kind, Repeats)> {
        let kinds = std::mem::take(&mut *self.lock());
        kinds.into_iter().filter(|(_, repeats)| repeats.count > 0).collect()
    }

    /// At most twice the kinds of a minute are kept: while there are so many, new ones are counted as one.
    fn put_back(&self, unwritten: impl Iterator<Item = (Kind, Repeats)>) {
        let mut kinds = self.lock();
        for (kind, earlier) in unwritten {
            match kinds.get_mut(&kind) {
                // The first of the later ones has its row.
                Some(later) => {
                    later.count += earlier.count;
                    later.first = earlier.first;
                }
                None => drop(kinds.insert(kind, earlier)),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Kind, Repeats>> {
        self.0.lock().expect("nothing panics while holding the refusals")
    }
}

impl Kind {
    fn of(row: &AuditRow) -> Self {
        Self {
            network: row.address.map(network_of),
            actor: row.actor.clone(),
            action: row.action,
            outcome: row.outcome.clone(),
        }
    }
}

impl Repeats {
    fn row(&self, now_ms: i64) -> AuditRow {
        let Self { first, count, last_ms } = self;
        let detail = json!({ "repeated": count, "since_ms": first.at_ms, "until_ms": last_ms });
        AuditRow { at_ms: now_ms, detail, ..first.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn refusal(address: u32, code: &str, at_ms: i64) -> AuditRow {
        AuditRow {
            address: Some(Ipv4Addr::from(address).into()),
            outcome: code.to_owned(),
            ..AuditRow::new(at_ms, "anonymous", "api.refused", "GET /")
        }
    }

    fn rows(refusals: &Refusals, now_ms: i64) -> Vec<AuditRow> {
        refusals.take().iter().map(|(_, repeats)| repeats.row(now_ms)).collect()
    }

    #[test]
    fn the_first_refusal_is_written_and_the_others_are_counted_in_one_row() {
        let refusals = Refusals::default();
        let written = (0..1000).filter_map(|at| refusals.admit(refusal(1, "unauthenticated", at)));
        assert_eq!(written.count(), 1);
        assert!(refusals.admit(refusal(1, "forbidden", 5)).is_some());
        let rows = rows(&refusals, 60_000);
        assert_eq!(rows.len(), 1, "a single refusal has its row");
        let detail = json!({ "repeated": 999, "since_ms": 0, "until_ms": 999 });
        assert_eq!((&rows[0].detail, rows[0].at_ms), (&detail, 60_000));
        assert!(refusals.admit(refusal(1, "unauthenticated", 60_001)).is_some());
    }

    #[test]
    fn a_flood_from_many_addresses_is_a_bounded_number_of_rows() {
        let refusals = Refusals::default();
        let flood = (0..20_000).filter_map(|address| refusals.admit(refusal(address, "x", 1)));
        assert_eq!(flood.count(), MAX_KINDS + 1);
        let rows = rows(&refusals, 2);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].address, None);
        assert_eq!(rows[0].detail["repeated"], 20_000 - MAX_KINDS - 1);
    }
}
