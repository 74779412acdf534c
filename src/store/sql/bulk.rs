//! Statements that take any number of rows in one parameter.

/// A statement for any number of rows. `$1` is a JSON array with one object per row; the fields of an object are the columns.
// One text for any number of rows, so it is prepared once. Postgres and SQLite have different functions for reading a JSON
// array.
#[derive(Debug, Clone, Copy)]
pub struct BulkStatement {
    pub postgres: &'static str,
    pub sqlite: &'static str,
}

/// Builds both texts of a bulk statement, from one statement or one for each database. The rows of `$1` are a CTE with this
/// name.
macro_rules! bulk {
    ($name:literal ($($columns:tt)*) $statement:expr) => {
        bulk!($name ($($columns)*) postgres: $statement, sqlite: $statement)
    };
    ($name:literal ($($columns:tt)*) postgres: $postgres:expr, sqlite: $sqlite:expr) => {
        BulkStatement {
            // With `->>`, Postgres would parse a row once for each column. SQLite keeps the parsed row.
            postgres: concat!(
                "WITH ", $name, " AS (SELECT * FROM json_to_recordset(CAST($1 AS JSON)) AS rows (",
                stringify!($($columns)*), ")) ", $postgres
            ),
            // Materialized, because `json_each` rewrites a row's text for each column read.
            sqlite: concat!(
                "WITH rows AS MATERIALIZED (SELECT value FROM json_each($1)), ",
                $name, " AS (SELECT ", columns!($($columns)*), " FROM rows) ", $sqlite
            ),
        }
    };
}

/// The columns of a row in SQLite, each `TEXT` or `BIGINT`.
macro_rules! columns {
    ($first:ident $kind:ident $(, $name:ident $other:ident)*) => {
        concat!(
            "CAST(value ->> '", stringify!($first), "' AS ", stringify!($kind), ") AS ", stringify!($first)
            $(, ", CAST(value ->> '", stringify!($name), "' AS ", stringify!($other), ") AS ", stringify!($name))*
        )
    };
}

/// All bulk statements with their names.
pub const BULK_STATEMENTS: [(&str, BulkStatement); 11] = [
    ("CHANGED_SESSIONS", super::CHANGED_SESSIONS),
    ("FENCED", super::FENCED),
    ("INSERT_DELIVERIES", super::INSERT_DELIVERIES),
    ("INSERT_ENTRIES", super::INSERT_ENTRIES),
    ("INSERT_STREAMS", super::INSERT_STREAMS),
    ("ISOLATED_STARTS", super::ISOLATED_STARTS),
    ("MARK_DELIVERIES", super::MARK_DELIVERIES),
    ("MARK_REVIEWED", super::MARK_REVIEWED),
    ("REFRESH_SESSIONS", super::REFRESH_SESSIONS),
    ("UPDATE_STREAMS", super::UPDATE_STREAMS),
    ("UPSERT_SESSIONS", super::UPSERT_SESSIONS),
];
