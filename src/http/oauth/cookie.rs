//! The cookie that binds an install to the browser that started it.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::seal::random_bytes;
use crate::zoom::state::STATE_LIFE_MS;

const ID_BYTES: usize = 16;

/// A browser, by the id in its cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Browser {
    id: String,
    is_https: bool,
}

impl Browser {
    /// The browser of this request, or a new one. Concurrent installs in one browser share its id.
    pub(super) fn of(headers: &HeaderMap, is_https: bool) -> Self {
        Self::known(headers, is_https)
            .unwrap_or_else(|| Self { id: hex::encode(random_bytes::<ID_BYTES>()), is_https })
    }

    /// The browser of this request, if it sent the cookie.
    pub(super) fn known(headers: &HeaderMap, is_https: bool) -> Option<Self> {
        let cookies =
            headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs =
            cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.split_once('='));
        let (_, id) = pairs
            .map(|(name, value)| (name.trim(), value.trim()))
            .find(|(key, id)| *key == cookie_name(is_https) && is_id(id))?;
        Some(Self { id: id.to_owned(), is_https })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// `SameSite=Lax`, because the callback is a navigation from another site.
    pub(super) fn set_cookie(&self) -> HeaderValue {
        let (name, id, age_s) = (cookie_name(self.is_https), &self.id, STATE_LIFE_MS / 1000);
        // Without `Domain`, and with `Path=/` and `Secure`, as the prefix `__Host-` demands (RFC 6265bis, section
        // 4.1.3.2).
        let secure = if self.is_https { "; Secure" } else { "" };
        let text = format!("{name}={id}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::from_str(&text).expect("names and hex digits are ASCII")
    }
}

/// The prefix makes browsers reject the cookie from a neighbouring host or over plain HTTP.
fn cookie_name(is_https: bool) -> &'static str {
    if is_https { "__Host-rtmsd_install" } else { "rtmsd_install" }
}

fn is_id(text: &str) -> bool {
    text.len() == 2 * ID_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(cookie: &str, is_https: bool) -> Option<Browser> {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        Browser::known(&headers, is_https)
    }

    #[test]
    fn a_browser_keeps_its_id() {
        for is_https in [false, true] {
            let browser = Browser::of(&HeaderMap::new(), is_https);
            let set = browser.set_cookie();
            let (pair, attributes) = set.to_str().unwrap().split_once("; ").unwrap();
            assert_eq!(known(&format!("a=b; {pair}; c=d"), is_https), Some(browser));
            assert!(attributes.contains("HttpOnly") && attributes.contains("SameSite=Lax"));
            assert_eq!(attributes.contains("Secure"), is_https);
        }
    }

    #[test]
    fn two_browsers_are_never_the_same() {
        let browser = || Browser::of(&HeaderMap::new(), true);
        assert_ne!(browser(), browser());
    }

    #[test]
    fn a_foreign_cookie_counts_as_none() {
        let id = "0".repeat(32);
        for other in ["rtmsd_install=", "rtmsd_install=x", "rtmsd_install", &format!("x={id}")] {
            assert_eq!(known(other, false), None, "{other}");
        }
        assert!(known(&format!("rtmsd_install={id}"), true).is_none(), "set over plain HTTP");
    }
}
