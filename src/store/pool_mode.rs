//! Detects a pooler between the daemon and Postgres that assigns server connections per transaction, such as PgBouncer
//! with `pool_mode = transaction`.

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::time::timeout;

use super::StoreError;
use super::connect::ACQUIRE_TIMEOUT;

/// How often both connections are queried, twice each. A busy pooler assigns server connections at random: with two of
/// them, the chance to miss it is one in 30,000.
const ROUNDS: usize = 4;

/// How long a server connection stays with the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PoolMode {
    /// For the life of the connection: no pooler, or one in session mode.
    Session,
    /// For one transaction. State that outlives a transaction (prepared statements, settings, session locks) is lost or
    /// shared with others, so there must be none.
    Transaction,
}

/// Asks two open connections which server process serves them. Without a pooler, or with one in session mode, each has
/// its own process as long as it is open. Each is asked twice before the other: a pooler that reuses the last
/// connection gives both the same process, and one that rotates gives one of them two.
pub(super) async fn detect_mode(
    first: &mut PgConnection,
    options: &PgConnectOptions,
) -> Result<PoolMode, StoreError> {
    let mut second = connect_bounded(options).await?;
    // A pooler in session mode with a single server connection makes the second wait.
    let mode = timeout(ACQUIRE_TIMEOUT, compare_backends(first, &mut second));
    let mode = mode.await.unwrap_or(Ok(PoolMode::Session))?;
    // Ignore the error: this connection has served its purpose.
    let _ = second.close().await;
    Ok(mode)
}

/// Connects in bounded time.
pub(super) async fn connect_bounded(
    options: &PgConnectOptions,
) -> Result<PgConnection, StoreError> {
    let connecting = PgConnection::connect_with(options);
    let connected = timeout(ACQUIRE_TIMEOUT, connecting).await;
    Ok(connected.map_err(|_| StoreError::timed_out())??)
}

async fn compare_backends(
    first: &mut PgConnection,
    second: &mut PgConnection,
) -> Result<PoolMode, StoreError> {
    let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for _ in 0..2 {
            firsts.push(server_process(first).await?);
        }
        for _ in 0..2 {
            seconds.push(server_process(second).await?);
        }
    }
    let is_one = |processes: &[i32]| processes.iter().all(|process| *process == processes[0]);
    let are_own = is_one(&firsts) && is_one(&seconds) && firsts[0] != seconds[0];
    Ok(if are_own { PoolMode::Session } else { PoolMode::Transaction })
}

/// Unprepared, because a prepared statement might be looked up on another server connection.
async fn server_process(connection: &mut PgConnection) -> Result<i32, StoreError> {
    let row = sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await?;
    Ok(row.try_get(0)?)
}
