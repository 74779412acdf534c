//! What is stored of a stream, past the daemons.

use serde_json::Value;
use sqlx::PgConnection;

use super::zoom::Problem;

/// The entries of a stream as they are stored, and their numbers.
///
/// # Errors
/// When a number is missing.
pub(crate) async fn entries_of(
    database: &mut PgConnection,
    stream_id: &str,
) -> Result<Vec<Value>, Problem> {
    let query = "SELECT seq, body FROM entries WHERE stream_id = $1 ORDER BY seq";
    let rows: Vec<(i64, String)> =
        sqlx::query_as(query).bind(stream_id).fetch_all(database).await?;
    let mut entries = Vec::with_capacity(rows.len());
    for (expected, (seq, body)) in (1..).zip(rows) {
        if seq != expected {
            return Err(format!("number {expected} is not stored").into());
        }
        let mut entry: Value = serde_json::from_str(&body)?;
        entry["seq"] = seq.into();
        entries.push(entry);
    }
    Ok(entries)
}
