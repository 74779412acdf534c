//! The cookie of a browser that is signed in to the dashboard (pure).

use axum::http::{HeaderMap, HeaderValue, header};

/// The values of the cookie in a request: a neighbour on the same host may have set one beside it.
pub(super) fn values_in(headers: &HeaderMap, is_https: bool) -> impl Iterator<Item = &str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs =
        cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(key, _)| *key == name(is_https)).map(|(_, value)| value)
}

/// Sets the cookie until the browser ends; how long it is valid, the store decides.
pub(super) fn set(value: &str, is_https: bool) -> HeaderValue {
    header(value, "", is_https)
}

/// Removes the cookie.
pub(super) fn remove(is_https: bool) -> HeaderValue {
    header("", "; Max-Age=0", is_https)
}

fn header(value: &str, age: &str, is_https: bool) -> HeaderValue {
    // Without `Domain`, and with `Path=/` and `Secure`, as the prefix `__Host-` demands (RFC 6265bis, section 4.1.3.2).
    let secure = if is_https { "; Secure" } else { "" };
    let name = name(is_https);
    let text = format!("{name}={value}; Path=/{age}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&text).expect("names and base64 are ASCII")
}

/// The prefix makes browsers reject the cookie from a neighbouring host or over plain HTTP.
fn name(is_https: bool) -> &'static str {
    if is_https { "__Host-rtmsd_session" } else { "rtmsd_session" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cookie: &str, is_https: bool) -> Option<String> {
        let headers =
            HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(cookie).unwrap())]);
        values_in(&headers, is_https).next().map(str::to_owned)
    }

    #[test]
    fn the_cookie_is_read_as_it_was_set() {
        for is_https in [false, true] {
            let set = set("abc", is_https);
            let (pair, attributes) = set.to_str().unwrap().split_once("; ").unwrap();
            assert_eq!(read(&format!("a=b; {pair}; c=d"), is_https).as_deref(), Some("abc"));
            assert!(attributes.contains("HttpOnly; SameSite=Strict"), "{attributes}");
            assert_eq!(attributes.contains("Secure"), is_https);
            assert!(!attributes.contains("Domain") && !attributes.contains("Max-Age"));
            assert!(remove(is_https).to_str().unwrap().contains("=; Path=/; Max-Age=0"));
        }
    }

    #[test]
    fn on_https_a_cookie_without_the_prefix_counts_as_none() {
        assert_eq!(read("rtmsd_session=abc", true), None);
        assert_eq!(read("xrtmsd_session=abc", false), None);
    }

    #[test]
    fn every_cookie_of_the_name_is_read() {
        let cookie = HeaderValue::from_static("rtmsd_session=a; b=c; rtmsd_session=d");
        let headers = HeaderMap::from_iter([(header::COOKIE, cookie)]);
        assert!(values_in(&headers, false).eq(["a", "d"]));
    }
}
