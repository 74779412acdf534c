//! The values of a statement's placeholders, in the form of either database.

use std::borrow::Cow;

use serde::Serialize;
use sqlx::{Arguments, Encode, Type};

use crate::model::{AppName, StopReason};

/// A value for a placeholder such as `$1`, or for a column of a row in [`BulkStatement`](crate::store::sql::BulkStatement).
#[derive(Clone, Serialize)]
#[serde(untagged)]
pub(in crate::store) enum Bind<'a> {
    Text(Option<Cow<'a, str>>),
    Integer(Option<i64>),
}

/// Converts values to [`Bind`]s.
macro_rules! binds {
    ($($value:expr),* $(,)?) => { &[$($crate::store::database::Bind::from($value)),*] };
}
pub(in crate::store) use binds;

pub(super) fn bind_arguments<DB>(binds: &[Bind<'_>]) -> Result<DB::Arguments, sqlx::Error>
where
    DB: sqlx::Database,
    Option<i64>: for<'q> Encode<'q, DB> + Type<DB>,
    for<'q> Option<&'q str>: Encode<'q, DB> + Type<DB>,
{
    let mut arguments = DB::Arguments::default();
    for bind in binds {
        match bind {
            Bind::Text(text) => arguments.add(text.as_deref()),
            Bind::Integer(number) => arguments.add(*number),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// Replaces NUL characters with U+FFFD: Postgres cannot store them, and would reject the whole row.
fn without_nul(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{FFFD}").into() } else { text }
}

impl<'a> From<&'a str> for Bind<'a> {
    fn from(text: &'a str) -> Self {
        Bind::Text(Some(without_nul(text.into())))
    }
}

impl<'a> From<&'a AppName> for Bind<'a> {
    fn from(app: &'a AppName) -> Self {
        app.as_str().into()
    }
}

impl From<String> for Bind<'_> {
    fn from(text: String) -> Self {
        Bind::Text(Some(without_nul(text.into())))
    }
}

impl<'a> From<Option<&'a str>> for Bind<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Bind::Text(text.map(|text| without_nul(text.into())))
    }
}

impl From<Option<String>> for Bind<'_> {
    fn from(text: Option<String>) -> Self {
        Bind::Text(text.map(|text| without_nul(text.into())))
    }
}

impl From<i64> for Bind<'_> {
    fn from(number: i64) -> Self {
        Bind::Integer(Some(number))
    }
}

impl From<Option<StopReason>> for Bind<'_> {
    fn from(reason: Option<StopReason>) -> Self {
        reason.map(|reason| reason.0).into()
    }
}

impl From<Option<i64>> for Bind<'_> {
    fn from(number: Option<i64>) -> Self {
        Bind::Integer(number)
    }
}
