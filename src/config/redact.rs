//! What people may see of a setting's value (pure).

use super::variables::{Secrecy, Variable};

/// What stands for a secret.
pub(super) const REDACTED: &str = "***";

/// The value without its secrets.
pub(super) fn redact(variable: &Variable, value: &str) -> String {
    match variable.secrecy {
        Secrecy::All => value.to_owned(),
        Secrecy::UrlOnly => redact_url(value),
        Secrecy::Nothing => REDACTED.to_owned(),
    }
}

/// A URL without user, password and query. Where their ends cannot be found for sure, more is left out.
fn redact_url(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (format!("{scheme}://"), rest),
        Some(_) => return REDACTED.to_owned(),
        None => (String::new(), text),
    };
    // The last one: a password that is not encoded may have one, too.
    let user_end = rest.rfind('@');
    let query = rest.find(['?', '#']);
    match (user_end, query) {
        // Either a password with a ? or a query with an @.
        (Some(end), Some(query)) if query < end => format!("{scheme}{REDACTED}"),
        _ => {
            let user = user_end.map_or(String::new(), |_| format!("{REDACTED}@"));
            let host = &rest[user_end.map_or(0, |end| end + 1)..query.unwrap_or(rest.len())];
            let query = query.map_or(String::new(), |_| format!("?{REDACTED}"));
            format!("{scheme}{user}{host}{query}")
        }
    }
}

fn is_scheme(text: &str) -> bool {
    text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_lowercase() || b"+-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_shows_where_it_leads_and_not_who_goes_there() {
        for (url, shown) in [
            ("postgres://rtmsd:s3cret@db:5432/rtmsd", "postgres://***@db:5432/rtmsd"),
            ("postgres://u:p@ss/w@db/x", "postgres://***@db/x"),
            ("postgres://db/x?password=s3cret", "postgres://db/x?***"),
            ("postgres://u:pa?ss@db/x", "postgres://***"),
            ("postgres://db/x?password=s3@cret", "postgres://***"),
            ("nats://token@one,nats://token@two", "nats://***@two"),
            ("wss://ws.zoom.us/ws?subscriptionId=abc", "wss://ws.zoom.us/ws?***"),
            ("proxy.example.com:3128", "proxy.example.com:3128"),
            ("ana:s3cret@proxy:3128", "***@proxy:3128"),
            ("./recordings", "./recordings"),
            ("S3CRET://x", "***"),
        ] {
            assert_eq!(redact_url(url), shown, "{url}");
        }
    }
}
