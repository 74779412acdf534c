//! The database behind a store.

use rtmsd::store::Location;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, SqlSafeStr, SqliteConnection,
};

/// Past the store, to the database itself.
pub(crate) enum Raw {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl Raw {
    pub(crate) async fn connect(location: &Location) -> Self {
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

    pub(crate) async fn execute(&mut self, sql: impl Into<String>) {
        let sql = AssertSqlSafe(sql.into());
        match self {
            Raw::Postgres(connection) => drop(connection.execute(sql).await.unwrap()),
            Raw::Sqlite(connection) => drop(connection.execute(sql).await.unwrap()),
        }
    }

    /// The number that a statement answers.
    pub(crate) async fn count(&mut self, sql: &'static str) -> i64 {
        match self {
            Raw::Postgres(connection) => sqlx::query_scalar(sql).fetch_one(connection).await,
            Raw::Sqlite(connection) => sqlx::query_scalar(sql).fetch_one(connection).await,
        }
        .unwrap()
    }

    /// The single-column text rows of a statement.
    async fn texts(&mut self, sql: String) -> Vec<String> {
        let sql = AssertSqlSafe(sql);
        match self {
            Raw::Postgres(connection) => sqlx::query_scalar(sql).fetch_all(connection).await,
            Raw::Sqlite(connection) => sqlx::query_scalar(sql).fetch_all(connection).await,
        }
        .unwrap()
    }

    /// Every row of every table as text, prefixed with the table's name.
    pub(crate) async fn dump(&mut self) -> Vec<String> {
        let tables = match self {
            Raw::Postgres(_) => "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'",
            Raw::Sqlite(_) => "SELECT name FROM sqlite_schema WHERE type = 'table'",
        };
        let mut rows = Vec::new();
        for table in self.texts(tables.to_owned()).await {
            let found = match self {
                Raw::Postgres(_) => self.texts(format!("SELECT t::text FROM {table} AS t")).await,
                Raw::Sqlite(_) => self.rows_of(&table).await,
            };
            rows.extend(found.into_iter().map(|row| format!("{table}: {row}")));
        }
        rows
    }

    async fn rows_of(&mut self, table: &str) -> Vec<String> {
        let columns = format!("SELECT name FROM pragma_table_info('{table}')");
        let columns = self.texts(columns).await;
        let text = |column: &String| {
            format!(
                "CASE typeof(\"{column}\") WHEN 'blob' THEN hex(\"{column}\") ELSE COALESCE(\"{column}\", '') END"
            )
        };
        let columns: Vec<String> = columns.iter().map(text).collect();
        self.texts(format!("SELECT {} FROM \"{table}\"", columns.join(" || ',' || "))).await
    }

    pub(crate) async fn prepare(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        let sql = sql.into_sql_str();
        match self {
            Raw::Postgres(connection) => connection.prepare(sql).await.map(drop),
            Raw::Sqlite(connection) => connection.prepare(sql).await.map(drop),
        }
    }
}
