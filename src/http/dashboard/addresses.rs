//! Addresses of lists: the filters of the form and the place in the list.

use url::form_urlencoded::Serializer;

use crate::http::extract::Params;

/// The parameter of the next page.
const BEFORE: &str = "before";

/// The address of a list with the filters of this request, after the row `before`.
pub(super) fn address(
    path: &str,
    filters: &[&str],
    params: &Params,
    before: Option<&str>,
) -> String {
    let mut query = Serializer::new(String::new());
    for name in filters {
        if let Some(value) = params.filled(name) {
            query.append_pair(name, value);
        }
    }
    if let Some(before) = before {
        query.append_pair(BEFORE, before);
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The addresses around a page of a list.
pub(super) struct Addresses {
    /// The next page.
    pub older: Option<String>,
    /// The first page, on the others.
    pub newest: Option<String>,
    /// The same page in the API.
    pub raw: String,
}

impl Addresses {
    pub(super) fn of(
        page: &str,
        api: &str,
        filters: &[&str],
        params: &Params,
        next: Option<&str>,
    ) -> Self {
        let before = params.filled(BEFORE);
        Self {
            older: next.map(|next| address(page, filters, params, Some(next))),
            newest: before.map(|_| address(page, filters, params, None)),
            raw: address(api, filters, params, before),
        }
    }
}

/// The value of a filter, for the form.
pub(super) fn filter(params: &Params, name: &str) -> String {
    params.filled(name).unwrap_or_default().to_owned()
}
