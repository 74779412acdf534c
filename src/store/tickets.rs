//! Tickets that were used: each works once, or a recording's for a while, in whichever daemon it arrives.

use super::database::binds;
use super::{Store, StoreError, sql};

/// Tickets deleted in one statement.
const PRUNE_ROWS: u32 = 500;

/// A ticket that comes, with its signature checked.
#[derive(Debug, Clone, Copy)]
pub struct UsedTicket<'a> {
    pub id: &'a str,
    /// The name of the API token that made it.
    pub token: &'a str,
    /// Until then it may come again; 0 for a ticket that works once.
    pub until_ms: i64,
    /// Until then it is remembered: long enough that it has expired by the clock of every daemon.
    pub keep_ms: i64,
}

/// What the store says of a ticket that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketUse {
    First,
    /// It came before, and may come again.
    Again,
    Spent,
    /// Its token has as many of them as it may.
    TooMany,
}

impl Store {
    /// Notes that a ticket comes. Of several at once one is the first. A token has `limit` of them at most.
    pub async fn use_ticket(
        &self,
        ticket: &UsedTicket<'_>,
        limit: u32,
        now_ms: i64,
    ) -> Result<TicketUse, StoreError> {
        let UsedTicket { id, token, until_ms, keep_ms } = *ticket;
        let values = binds![id, token, until_ms, keep_ms, now_ms, i64::from(limit)];
        if self.database.execute(sql::USE_TICKET, values).await? == 1 {
            return Ok(TicketUse::First);
        }
        self.used_ticket(id, now_ms).await.map(|used| used.unwrap_or(TicketUse::TooMany))
    }

    /// What is known of a ticket that is too old to come for the first time; none when it never came.
    pub async fn used_ticket(
        &self,
        id: &str,
        now_ms: i64,
    ) -> Result<Option<TicketUse>, StoreError> {
        let row: Option<(i64,)> = self.database.optional(sql::TICKET, binds![id]).await?;
        let of = |(until_ms,)| if until_ms > now_ms { TicketUse::Again } else { TicketUse::Spent };
        Ok(row.map(of))
    }

    /// Forgets tickets that are remembered no longer. Returns how many.
    pub async fn prune_tickets(&self, now_ms: i64) -> Result<u64, StoreError> {
        let mut pruned = 0;
        loop {
            let values = binds![now_ms, i64::from(PRUNE_ROWS)];
            let rows = self.database.execute(sql::PRUNE_TICKETS, values).await?;
            pruned += rows;
            if rows < u64::from(PRUNE_ROWS) {
                return Ok(pruned);
            }
        }
    }
}
