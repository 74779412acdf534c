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
    pub(crate) async fn count(&mut self, sql: impl Into<String>) -> i64 {
        let sql = AssertSqlSafe(sql.into());
        match self {
            Raw::Postgres(connection) => sqlx::query_scalar(sql).fetch_one(connection).await,
            Raw::Sqlite(connection) => sqlx::query_scalar(sql).fetch_one(connection).await,
        }
        .unwrap()
    }

    /// The single-column text rows of a statement.
    pub(crate) async fn texts(&mut self, sql: impl Into<String>) -> Vec<String> {
        let sql = AssertSqlSafe(sql.into());
        match self {
            Raw::Postgres(connection) => sqlx::query_scalar(sql).fetch_all(connection).await,
            Raw::Sqlite(connection) => sqlx::query_scalar(sql).fetch_all(connection).await,
        }
        .unwrap()
    }

    /// The names of all tables.
    pub(crate) async fn tables(&mut self) -> Vec<String> {
        let tables = match self {
            Raw::Postgres(_) => "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'",
            Raw::Sqlite(_) => "SELECT name FROM sqlite_schema WHERE type = 'table'",
        };
        self.texts(tables).await
    }

    /// The names of a table's columns, in order.
    pub(crate) async fn columns(&mut self, table: &str) -> Vec<String> {
        let columns = match self {
            Raw::Postgres(_) => format!(
                "SELECT column_name::text FROM information_schema.columns
                  WHERE table_name = '{table}' ORDER BY ordinal_position"
            ),
            Raw::Sqlite(_) => format!("SELECT name FROM pragma_table_info('{table}')"),
        };
        self.texts(columns).await
    }

    /// These columns of every row of a table, as sorted texts.
    pub(crate) async fn rows(&mut self, table: &str, columns: &[String]) -> Vec<String> {
        let text = |name: &String| match self {
            Raw::Postgres(_) => format!("COALESCE(CAST(\"{name}\" AS TEXT), 'null')"),
            Raw::Sqlite(_) => format!(
                "CASE typeof(\"{name}\") WHEN 'blob' THEN hex(\"{name}\") ELSE COALESCE(\"{name}\", 'null') END"
            ),
        };
        let row = columns.iter().map(text).collect::<Vec<_>>().join(" || '|' || ");
        // Cast once more: SQLite does not make a text of a single number.
        let mut rows = self.texts(format!("SELECT CAST({row} AS TEXT) FROM \"{table}\"")).await;
        rows.sort();
        rows
    }

    /// The names of the indexes that are no constraints.
    pub(crate) async fn indexes(&mut self) -> Vec<String> {
        let indexes = match self {
            Raw::Postgres(_) => {
                "SELECT indexname::text FROM pg_indexes WHERE schemaname = 'public'
                    AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = indexname)"
            }
            Raw::Sqlite(_) => {
                "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
            }
        };
        self.texts(indexes).await
    }

    /// Every row of every table as text, prefixed with the table's name.
    pub(crate) async fn dump(&mut self) -> Vec<String> {
        let mut rows = Vec::new();
        for table in self.tables().await {
            let columns = self.columns(&table).await;
            let found = self.rows(&table, &columns).await;
            rows.extend(found.into_iter().map(|row| format!("{table}: {row}")));
        }
        rows
    }

    pub(crate) async fn prepare(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        let sql = sql.into_sql_str();
        match self {
            Raw::Postgres(connection) => connection.prepare(sql).await.map(drop),
            Raw::Sqlite(connection) => connection.prepare(sql).await.map(drop),
        }
    }
}
