//! Used tickets: each works once, or a recording's for a while, in any daemon.

use super::database::binds;
use super::{Store, StoreError, sql};

/// A presented ticket, with its signature checked.
#[derive(Debug, Clone, Copy)]
pub struct UsedTicket<'a> {
    pub id: &'a str,
    /// The name of the API token that created it.
    pub token: &'a str,
    /// It may be reused until this time; 0 for a single use.
    pub until_ms: i64,
    /// It is remembered until this time, when it has expired by the clock of every daemon.
    pub keep_ms: i64,
}

/// The store's decision about a presented ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketUse {
    First,
    /// Used before, and may be reused.
    Again,
    Spent,
    /// Its token has reached its limit of tickets.
    TooMany,
}

impl Store {
    /// Records the use of a ticket. Of concurrent uses, one is the first. A token has at most `limit` of them.
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
        // Without a row, only the token's limit can have prevented the insert.
        self.used_ticket(id, now_ms).await.map(|used| used.unwrap_or(TicketUse::TooMany))
    }

    /// The record of a ticket that is too old for a first use; `None` if it was never used.
    pub async fn used_ticket(
        &self,
        id: &str,
        now_ms: i64,
    ) -> Result<Option<TicketUse>, StoreError> {
        let row: Option<(i64,)> = self.database.optional(sql::TICKET, binds![id]).await?;
        let of = |(until_ms,)| if until_ms > now_ms { TicketUse::Again } else { TicketUse::Spent };
        Ok(row.map(of))
    }

    /// Deletes tickets that need not be remembered. Returns how many.
    pub async fn prune_tickets(&self, now_ms: i64) -> Result<u64, StoreError> {
        self.delete_before(sql::PRUNE_TICKETS, now_ms, &[]).await
    }
}
