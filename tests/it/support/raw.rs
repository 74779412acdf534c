//! The database behind a store.

use rtmsd::store::Location;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, SqlSafeStr, SqliteConnection};

/// Past the store, to the database itself.
pub enum Raw {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl Raw {
    pub async fn connect(location: &Location) -> Self {
        match location {
            Location::Postgres(url) => {
                Raw::Postgres(PgConnection::connect(url.expose()).await.unwrap())
            }
            Location::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                Raw::Sqlite(options.connect().await.unwrap())
            }
        }
    }

    pub async fn execute(&mut self, sql: &'static str) {
        match self {
            Raw::Postgres(connection) => drop(connection.execute(sql).await.unwrap()),
            Raw::Sqlite(connection) => drop(connection.execute(sql).await.unwrap()),
        }
    }

    /// The number that a statement answers.
    pub async fn count(&mut self, sql: &'static str) -> i64 {
        match self {
            Raw::Postgres(connection) => sqlx::query_scalar(sql).fetch_one(connection).await,
            Raw::Sqlite(connection) => sqlx::query_scalar(sql).fetch_one(connection).await,
        }
        .unwrap()
    }

    pub async fn prepare(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        let sql = sql.into_sql_str();
        match self {
            Raw::Postgres(connection) => connection.prepare(sql).await.map(drop),
            Raw::Sqlite(connection) => connection.prepare(sql).await.map(drop),
        }
    }
}
