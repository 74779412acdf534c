//! One value of a query, for the paths that read a single parameter and answer a malformed query as they answer none.

use url::form_urlencoded;

/// The first value of this parameter.
pub(super) fn first_value(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::first_value;

    #[test]
    fn the_first_value_of_a_repeated_parameter_counts_and_it_is_decoded() {
        let value = |query| first_value(query, "app");
        assert_eq!(value(Some("x=1&app=a%2Db&app=c")).as_deref(), Some("a-b"));
        assert_eq!(value(Some("app")).as_deref(), Some(""));
        assert_eq!((value(Some("apps=1")), value(Some("")), value(None)), (None, None, None));
    }
}
