//! Postgres behind PgBouncer.

use rtmsd::secret::Secret;
use rtmsd::store::{Location, Store, StoreError};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection, Row};
use tokio::task::JoinSet;

use super::webhooks::*;
use crate::support::pgbouncer::{PgBouncer, in_transaction_mode};
use crate::support::postgres;

fn location(url: String) -> Location {
    Location::Postgres(Secret::new(url))
}

/// The single value of a statement, queried without preparing it.
async fn ask(connection: &mut PgConnection, sql: &'static str) -> String {
    sqlx::raw_sql(sql).fetch_one(connection).await.unwrap().get::<String, _>(0)
}

#[tokio::test]
async fn daemons_that_open_an_empty_database_behind_a_pooler_at_once_all_get_the_schema() {
    let url = in_transaction_mode().url(&postgres::copy_of(postgres::EMPTY).await);
    let mut tasks = JoinSet::new();
    for n in 0..5 {
        let location = location(url.clone());
        tasks.spawn(async move {
            announce(&Store::open(&location).await.unwrap(), &format!("s{n}")).await
        });
    }
    tasks.join_all().await;
}

/// Sixty callers share three server connections, and two daemons share the pooler.
#[tokio::test]
async fn many_callers_of_two_daemons_share_the_server_connections_of_a_pooler() {
    let location = location(in_transaction_mode().url(&postgres::fresh_database().await));
    let stores = [Store::open(&location).await.unwrap(), Store::open(&location).await.unwrap()];
    let mut tasks = JoinSet::new();
    for caller in 0..60 {
        let store = stores[caller % 2].clone();
        tasks.spawn(async move {
            let stream = format!("s{caller}");
            announce(&store, &stream).await;
            for _ in 0..5 {
                assert_eq!(read(&store, &stream).await.stream_id.as_str(), stream);
            }
        });
    }
    tasks.join_all().await;
}

/// When two connections asked in turn, a pooler that rotated two server connections always gave each the same one.
#[tokio::test]
async fn a_pooler_is_detected_with_any_number_of_open_server_connections() {
    let url = in_transaction_mode().url(&postgres::fresh_database().await);
    let location = location(url.clone());
    for open in 1..=3 {
        let mut clients = Vec::new();
        for _ in 0..open {
            let options: PgConnectOptions = url.parse().unwrap();
            let options = options.extra_float_digits(None);
            let mut client = PgConnection::connect_with(&options).await.unwrap();
            client.execute("BEGIN; SELECT 1").await.unwrap();
            clients.push(client);
        }
        for client in &mut clients {
            client.execute("ROLLBACK").await.unwrap();
        }
        let store = Store::open(&location).await.unwrap();
        let mut readers = JoinSet::new();
        for n in 0..30 {
            let store = store.clone();
            readers.spawn(async move { announce(&store, &format!("s{open}-{n}")).await });
        }
        readers.join_all().await;
    }
}

#[tokio::test]
async fn nothing_of_ours_stays_on_a_server_connection_that_others_get() {
    let url = in_transaction_mode().url(&postgres::fresh_database().await);
    let store = Store::open(&location(url.clone())).await.unwrap();
    for stream in ["a", "b", "c", "d"] {
        announce(&store, stream).await;
        read(&store, stream).await;
    }
    let options: PgConnectOptions = url.parse().unwrap();
    let mut connection =
        PgConnection::connect_with(&options.extra_float_digits(None)).await.unwrap();
    // The pooler rotates its connections: each is met.
    for _ in 0..6 {
        let prepared = "SELECT count(*)::text FROM pg_prepared_statements";
        assert_eq!(ask(&mut connection, prepared).await, "0");
        assert_eq!(ask(&mut connection, "SHOW statement_timeout").await, "0");
        assert_eq!(ask(&mut connection, "SHOW lock_timeout").await, "0");
        // Only of this database, because other tests migrate theirs.
        let locks = "SELECT count(*)::text FROM pg_locks JOIN pg_database ON oid = database
                      WHERE locktype = 'advisory' AND datname = current_database()";
        assert_eq!(ask(&mut connection, locks).await, "0");
    }
}

#[tokio::test]
async fn a_store_behind_a_pooler_in_session_mode_works() {
    let pooler = PgBouncer::start("session");
    let url = postgres::fresh_database().await;
    let store = Store::open(&location(pooler.url(&url))).await.unwrap();
    announce(&store, "s").await;
    let stream = read(&store, "s").await;
    store.close().await;
    let direct = Store::open(&location(url)).await.unwrap();
    assert_eq!(read(&direct, "s").await, stream);
}

#[tokio::test]
async fn a_pooler_in_statement_mode_is_refused_with_what_to_do() {
    let pooler = PgBouncer::start("statement");
    let url = pooler.url(&postgres::fresh_database().await);
    let Err(error) = Store::open(&location(url)).await else { panic!("the store opened") };
    assert!(matches!(error, StoreError::StatementMode), "{error}");
    assert!(error.to_string().contains("pool_mode"), "{error}");
}
