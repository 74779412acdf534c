//! What is kept for a time only: the log of a stream, since its end.

use super::database::binds;
use super::erase::delete_some_entries;
use super::outgoing::blank_some_answers;
use super::{Store, StoreError, sql};

/// What goes when its time is over.
const DOOMED: &str = sql::DELETE_SOME_EARLIER_ENTRIES;

impl Store {
    /// Deletes a bounded part of the logs of streams that ended before `before_ms`. False when there is none.
    pub async fn expire_entries(&self, before_ms: i64, now_ms: i64) -> Result<bool, StoreError> {
        let oldest: Option<(String,)> =
            self.database.optional(sql::STREAM_TO_EXPIRE, binds![before_ms]).await?;
        let Some((stream,)) = oldest else { return Ok(false) };
        self.database
            .run(|| async {
                let mut tx = self.database.begin().await?;
                let mut connection = tx.connection();
                let (_, is_empty) = delete_some_entries(&mut connection, &stream, DOOMED).await?;
                if is_empty && !blank_some_answers(&mut connection, &stream).await? {
                    connection.execute(sql::MARK_EMPTIED, binds![&*stream, now_ms]).await?;
                }
                tx.commit().await
            })
            .await?;
        self.note_deleted();
        Ok(true)
    }
}
