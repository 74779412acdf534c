//! Follows a list from page to page.

use serde_json::{Value, json};

use super::daemon::{Daemon, Request};
use super::failure::Failure;

/// The rows of the API's longest page.
const MAX_PAGE: usize = 200;
/// More rows than anybody reads. A list with more of them says how it goes on.
const MAX_ROWS: usize = 100_000;

/// The rows of a list.
#[derive(Debug)]
pub(super) struct Rows {
    pub rows: Vec<Value>,
    /// The `before` of the rows that were left out.
    pub next: Option<String>,
}

/// Reads the rows in the array `name`, page by page, until there are `limit` of them.
pub(super) async fn read_rows(
    daemon: &Daemon,
    request: &Request,
    name: &str,
    limit: Option<usize>,
) -> Result<Rows, Failure> {
    let limit = limit.unwrap_or(MAX_ROWS).min(MAX_ROWS);
    let mut read = Rows { rows: Vec::new(), next: None };
    loop {
        let page = page_request(request, limit - read.rows.len(), read.next.take());
        let mut data = daemon.call(&page).await?.data;
        let Some(Value::Array(rows)) = data.get_mut(name).map(Value::take) else {
            return Ok(read);
        };
        // A page without rows would be followed by itself.
        let is_empty = rows.is_empty();
        read.rows.extend(rows);
        read.next = data["next"].as_str().map(str::to_owned).filter(|_| !is_empty);
        // A list that has no pages brings all at once.
        read.rows.truncate(limit);
        if read.next.is_none() || read.rows.len() >= limit {
            return Ok(read);
        }
    }
}

fn page_request(request: &Request, wanted: usize, before: Option<String>) -> Request {
    let mut page = request.clone();
    page.query.push(("limit".to_owned(), wanted.min(MAX_PAGE).to_string()));
    if let Some(before) = before {
        page.query.retain(|(name, _)| name != "before");
        page.query.push(("before".to_owned(), before));
    }
    page
}

impl Rows {
    /// As the API would answer, if its pages were that long.
    pub(super) fn to_data(&self, name: &str) -> Value {
        json!({ name: self.rows, "next": self.next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_asks_for_what_is_missing_behind_the_last_row() {
        let first = Request { query: vec![("before".into(), "a".into())], ..Request::default() };
        let query = |wanted, before: Option<&str>| {
            let page = page_request(&first, wanted, before.map(str::to_owned));
            page.query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(query(50, None), ["before=a", "limit=50"]);
        assert_eq!(query(1_000, Some("b")), ["limit=200", "before=b"]);
    }
}
