//! Whether a pooler stands between this daemon and Postgres, and lends its server connections for one transaction only:
//! PgBouncer with `pool_mode = transaction`, and its kind.

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::time::timeout;

use super::StoreError;
use super::connect::ACQUIRE_TIMEOUT;

/// How often both connections are asked, twice each. A busy pooler gives out its server connections at random: with two of
/// them the chance of being taken for none is one in 30,000.
const ROUNDS: usize = 4;

/// How long a server connection is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PoolMode {
    /// As long as the connection: no pooler, or one that lends for a session.
    Session,
    /// For one transaction. What outlives a transaction (prepared statements, settings, session locks) is lost, or
    /// somebody else's; so there must be none.
    Transaction,
}

/// Asks two open connections which server process serves them. Without a pooler, or with one that lends for a session,
/// each has one of its own for as long as it is open. Each is asked twice before the other: a pooler that lends the
/// connection that came back last gives both the same, and one that hands them round gives one of them two.
pub(super) async fn detect(
    first: &mut PgConnection,
    options: &PgConnectOptions,
) -> Result<PoolMode, StoreError> {
    let mut second = connect(options).await?;
    // A pooler with one server connection for sessions lets the second wait.
    let mode = timeout(ACQUIRE_TIMEOUT, compare(first, &mut second));
    let mode = mode.await.unwrap_or(Ok(PoolMode::Session))?;
    // It is of no more use, however it ends.
    let _ = second.close().await;
    Ok(mode)
}

/// Connects in bounded time.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let connecting = PgConnection::connect_with(options);
    let connected = timeout(ACQUIRE_TIMEOUT, connecting).await;
    Ok(connected.map_err(|_| StoreError::timed_out())??)
}

async fn compare(
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

/// Unprepared: a prepared statement may be looked for on another server connection than it was made on.
async fn server_process(connection: &mut PgConnection) -> Result<i32, StoreError> {
    let row = sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await?;
    Ok(row.try_get(0)?)
}
