//! Whether a request comes from one of the daemon's own pages (pure).
//!
//! `SameSite=Strict` keeps the cookie from other sites, but not from a neighbour on the same site, such as another port
//! or subdomain.

use axum::http::{HeaderMap, header};
use url::Url;

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Whether a browser sent this request for a page of the daemon. `public_url` is one more address of the daemon than
/// the one in the header `host`.
///
/// Browsers set `sec-fetch-site` on https and on localhost only. Elsewhere the origin in `origin` or, for requests that
/// carry none, in `referer` must be the daemon's.
pub(super) fn is_same_origin(headers: &HeaderMap, public_url: &str) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin";
    }
    let origin = headers.get(header::ORIGIN).or_else(|| headers.get(header::REFERER));
    let origin = origin.and_then(|value| Url::parse(value.to_str().ok()?).ok());
    origin.is_some_and(|origin| is_own(&origin, headers, public_url))
}

fn is_own(origin: &Url, headers: &HeaderMap, public_url: &str) -> bool {
    if Url::parse(public_url).is_ok_and(|public| public.origin() == origin.origin()) {
        return true;
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    // With the scheme of the origin: a proxy may have ended TLS. The default port may be absent on either side.
    let own = host.and_then(|host| Url::parse(&format!("{}://{host}/", origin.scheme())).ok());
    own.is_some_and(|own| own.origin() == origin.origin() && own.origin().is_tuple())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn check(headers: &[(&'static str, &'static str)]) -> bool {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        is_same_origin(&headers.iter().map(pair).collect(), "https://rtms.example.com")
    }

    #[test]
    fn what_the_browser_says_of_the_site_decides() {
        assert!(check(&[("sec-fetch-site", "same-origin")]));
        for other in ["same-site", "cross-site", "none", ""] {
            let own = ("origin", "https://rtms.example.com");
            assert!(!check(&[("sec-fetch-site", other), own]), "{other}");
        }
    }

    #[test]
    fn without_it_the_origin_must_be_an_address_of_the_daemon() {
        let host = ("host", "10.0.0.5:3000");
        assert!(check(&[host, ("origin", "http://10.0.0.5:3000")]));
        assert!(check(&[host, ("origin", "https://rtms.example.com")]));
        assert!(check(&[("host", "a.example"), ("origin", "http://a.example:80")]));
        assert!(check(&[host, ("referer", "http://10.0.0.5:3000/dashboard/health?x=1")]));
        for other in ["http://10.0.0.5", "http://10.0.0.5:3001", "https://evil.example", "null", ""]
        {
            assert!(!check(&[host, ("origin", other)]), "{other}");
            let own = ("referer", "http://10.0.0.5:3000/");
            assert!(!check(&[host, ("origin", other), own]), "{other}: the origin counts first");
        }
        assert!(!check(&[host]), "a request without any proof");
        assert!(!check(&[("origin", "http://10.0.0.5:3000")]), "no host");
        assert!(!check(&[("host", "a"), ("origin", "file:///a")]));
    }
}
