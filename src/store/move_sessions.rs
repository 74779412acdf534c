//! Moves the sessions of a product from one app to another, in bounded parts.

use super::database::{binds, transaction};
use super::{Store, StoreError, sql};
use crate::model::{AppName, Product};

/// The most sessions in one transaction, which must end within the store's limit however many there are.
const SESSIONS_PER_PART: u32 = 200;
/// The most audit rows examined in one statement.
const AUDIT_ROWS_PER_PART: u32 = 5_000;

/// Which sessions move, and where.
struct Move<'a> {
    product: &'a str,
    from: &'a AppName,
    to: &'a AppName,
}

impl Store {
    /// Moves the sessions of a product from one app to another, with their webhooks, events, recordings and audit rows. Those whose
    /// conversation the other app has already stay. Returns how many were moved. After an error, some are moved and the
    /// next call continues.
    pub async fn move_product_sessions(
        &self,
        product: Product,
        from: &AppName,
        to: &AppName,
    ) -> Result<u64, StoreError> {
        let moving = Move { product: product.as_str(), from, to };
        let (mut moved, mut after) = (0, String::new());
        while let Some(last) = self.last_to_move(&moving, &after).await? {
            // Before the first session moves, because the rows are found by sessions that can still move. Without a
            // session to move, the audit trail is not searched.
            if after.is_empty() {
                self.move_audit_rows(&moving).await?;
            }
            moved += self.move_part(&moving, &after, &last).await?;
            after = last;
        }
        Ok(moved)
    }

    /// The last conversation of the next part.
    async fn last_to_move(
        &self,
        Move { product, from, to }: &Move<'_>,
        after: &str,
    ) -> Result<Option<String>, StoreError> {
        let values = binds![*product, *from, *to, after, i64::from(SESSIONS_PER_PART)];
        let row: Option<(String,)> = self.database.optional(sql::LAST_TO_MOVE, values).await?;
        Ok(row.map(|(instance_id,)| instance_id))
    }

    async fn move_part(
        &self,
        Move { product, from, to }: &Move<'_>,
        after: &str,
        last: &str,
    ) -> Result<u64, StoreError> {
        let values = binds![*product, *from, *to, after, last];
        transaction!(self.database, |tx| {
            tx.execute(sql::MOVE_DELIVERIES, values).await?;
            tx.execute(sql::MOVE_DELIVERIES_OF_STREAMS, values).await?;
            tx.execute(sql::MOVE_EVENTS, values).await?;
            tx.execute(sql::MOVE_RECORDINGS, values).await?;
            tx.execute(sql::MOVE_SESSIONS, values).await?
        })
    }

    async fn move_audit_rows(
        &self,
        Move { product, from, to }: &Move<'_>,
    ) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let values = binds![&*after, i64::from(AUDIT_ROWS_PER_PART)];
            let row: Option<(String,)> =
                self.database.optional(sql::LAST_AUDIT_ROW, values).await?;
            let Some((last,)) = row else { return Ok(()) };
            let values = binds![*product, *from, *to, &*after, &*last];
            self.database.execute(sql::MOVE_AUDIT, values).await?;
            after = last;
        }
    }
}
