//! The sign-in to the dashboard, and what its cookie opens.

mod access;
mod kit;
mod sessions;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rtmsd::model::NodeId;
use rtmsd::seal::KeyRing;
use rtmsd::store::Heartbeat;
use uuid::Uuid;

use self::kit::{Browser, CSRF, HTML, LOCAL, form, sign_in, token_form};
use super::server::{LIMITS, NOW_S, Server, TOKENS, Wiring};
use crate::support::audit::trail;

const READER: &str = "read-token-of-tests";

#[tokio::test]
async fn a_token_becomes_a_cookie_that_scripts_and_other_sites_cannot_use() {
    let server = Server::start().await;
    let answer = sign_in(&server, READER, &[LOCAL]).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("rtmsd_session=") && !cookie.contains(READER), "{cookie}");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    let browser = Browser::open(&server, READER).await;
    let page = browser.get(&server, "/").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Sign out") && page.text().contains("reader"), "{}", page.text());
    let policy = page.header("content-security-policy").unwrap();
    assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
    // Without it, the same address asks for the token.
    let page = server.request("GET", "/", &[HTML]).await;
    assert!(page.text().contains("Sign in to the dashboard"), "{}", page.text());
}

#[tokio::test]
async fn every_sign_in_has_a_new_id_whatever_the_browser_sent() {
    let server = Server::start().await;
    let first = Browser::open(&server, READER).await;
    let again = sign_in(&server, READER, &[LOCAL, ("cookie", &first.cookie)]).await;
    let second = Browser::of(&again);
    assert_ne!(first.cookie, second.cookie);
    // An id that another person chose is never taken.
    let planted = format!("rtmsd_session={}", "A".repeat(86));
    let answer = sign_in(&server, READER, &[LOCAL, ("cookie", &planted)]).await;
    assert!(!answer.header("set-cookie").unwrap().contains("AAAAAAAA"));
    assert_eq!(Browser { cookie: planted }.sessions(&server).await, 401);
}

#[tokio::test]
async fn a_sign_in_from_another_site_is_refused() {
    let server = Server::start().await;
    for headers in [
        vec![("origin", "https://evil.example")],
        vec![("sec-fetch-site", "same-site"), LOCAL],
        vec![("sec-fetch-site", "cross-site"), LOCAL],
        vec![("origin", "null")],
        vec![],
    ] {
        let answer = sign_in(&server, READER, &headers).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (403, None), "{headers:?}");
    }
    assert_eq!(sign_in(&server, READER, &[("sec-fetch-site", "same-origin")]).await.status, 303);
}

#[tokio::test]
async fn wrong_tokens_are_refused_in_words_and_limited() {
    let server = Server::start().await;
    let answer = sign_in(&server, "wrong<b>token", &[LOCAL]).await;
    assert_eq!((answer.status, answer.header("set-cookie")), (401, None));
    assert!(answer.text().contains("This token is unknown") && !answer.text().contains("<b>"));
    let control_only = sign_in(&server, "control-token-of-tests", &[LOCAL]).await;
    assert_eq!(control_only.status, 403);
    assert!(control_only.text().contains("lacks the scope read"), "{}", control_only.text());
    let mut last = answer;
    for _ in 0..25 {
        last = sign_in(&server, "wrong-token-of-tests", &[LOCAL]).await;
    }
    assert_eq!(last.status, 429);
    assert!(last.text().contains("Too many wrong tokens") && last.header("retry-after").is_some());
    let right = sign_in(&server, "boss-token-of-tests", &[LOCAL]).await;
    assert_eq!(right.status, 429, "a guess reveals nothing");
    let rows = trail(&server.state.store, 50).await;
    let refused: Vec<_> = rows
        .iter()
        .filter(|row| row.action == "dashboard.sign_in")
        .map(|row| &row.outcome)
        .collect();
    assert!(refused.iter().any(|outcome| **outcome == "too_many_failures"), "{refused:?}");
    assert!(refused.iter().any(|outcome| **outcome == "unauthenticated"), "{refused:?}");
}

#[tokio::test]
async fn sign_in_and_sign_out_are_in_the_audit_trail() {
    let server = Server::start().await;
    let browser = Browser::open(&server, READER).await;
    assert_eq!(browser.sessions(&server).await, 200);
    let csrf = browser.csrf(&server).await;
    let headers = [("cookie", &*browser.cookie), LOCAL];
    let without = form(&server, "/dashboard/sign-out", "csrf=x", &headers).await;
    assert_eq!((without.status, browser.sessions(&server).await), (403, 200));
    let body = format!("csrf={csrf}");
    let elsewhere = [("cookie", &*browser.cookie), ("sec-fetch-site", "same-site")];
    assert_eq!(form(&server, "/dashboard/sign-out", &body, &elsewhere).await.status, 403);
    let answer = form(&server, "/dashboard/sign-out", &body, &headers).await;
    assert_eq!(answer.status, 303);
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    // A copy of the cookie is worthless, too.
    assert_eq!(browser.sessions(&server).await, 401);
    let rows = trail(&server.state.store, 20).await;
    let done =
        rows.iter().filter(|row| row.action.starts_with("dashboard.") && row.outcome == "ok");
    let seen: Vec<_> = done.map(|row| (&*row.action, &*row.actor, row.address.is_some())).collect();
    let expected = [("dashboard.sign_out", "reader", true), ("dashboard.sign_in", "reader", true)];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_and_at_its_longest() {
    static CLOCK_MS: AtomicI64 = AtomicI64::new(NOW_S * 1000);
    let now_ms = || CLOCK_MS.load(Ordering::Relaxed);
    let server = Server::wired(Wiring { now_ms, ..Wiring::default() }).await;
    let wait = |duration: Duration| {
        CLOCK_MS.fetch_add(duration.as_millis().try_into().unwrap(), Ordering::Relaxed)
    };
    let idle = Browser::open(&server, READER).await;
    let used = Browser::open(&server, READER).await;
    let step = LIMITS.idle - Duration::from_secs(1);
    for _ in 0..6 {
        wait(step);
        assert_eq!(used.sessions(&server).await, 200, "it is used");
    }
    assert_eq!(idle.sessions(&server).await, 401);
    wait(step);
    assert_eq!(used.sessions(&server).await, 401, "nothing lasts longer");
    let store = &server.state.store;
    assert_eq!(store.prune_dashboard_sessions(now_ms()).await.unwrap(), 2);
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let server = Server::start().await;
    let browser = Browser::open(&server, READER).await;
    let same = server.beside(TOKENS).await;
    assert_eq!(browser.sessions(&same).await, 200, "another daemon with the same store and keys");
    let removed = server.beside("other:other-token-of-tests").await;
    assert_eq!(browser.sessions(&removed).await, 401);
    let changed = server.beside("reader:new-read-token-of-tests:read").await;
    assert_eq!(browser.sessions(&changed).await, 401, "another value under the same name");
    let less = server.beside("reader:read-token-of-tests:control").await;
    assert_eq!(browser.sessions(&less).await, 403, "the scopes are those of now");
}

#[tokio::test]
async fn a_daemon_with_other_keys_does_not_know_the_cookie() {
    let server = Server::start().await;
    let browser = Browser::open(&server, READER).await;
    let ring = KeyRing::parse(&"08".repeat(32)).unwrap();
    let other = server.beside_wired(TOKENS, Wiring { ring, ..Wiring::default() }).await;
    assert_eq!(browser.sessions(&other).await, 401);
    let both = format!("{},{}", "08".repeat(32), "07".repeat(32));
    let ring = KeyRing::parse(&both).unwrap();
    let rotated = server.beside_wired(TOKENS, Wiring { ring, ..Wiring::default() }).await;
    assert_eq!(browser.sessions(&rotated).await, 200);
}

#[tokio::test]
async fn a_token_has_a_bounded_number_of_browsers() {
    static CLOCK_MS: AtomicI64 = AtomicI64::new(NOW_S * 1000);
    let now_ms = || CLOCK_MS.fetch_add(1, Ordering::Relaxed);
    let server = Server::wired(Wiring { now_ms, ..Wiring::default() }).await;
    let first = Browser::open(&server, READER).await;
    let second = Browser::open(&server, READER).await;
    let other = Browser::open(&server, "boss-token-of-tests").await;
    for _ in 0..99 {
        Browser::open(&server, READER).await;
    }
    let statuses = [&first, &second, &other].map(async |browser| browser.sessions(&server).await);
    assert_eq!(futures_util::future::join_all(statuses).await, [401, 200, 200]);
}

#[tokio::test]
async fn a_one_time_link_signs_in_once() {
    let server = Server::start().await;
    let codes = server.state.browsers.as_ref().unwrap().codes.clone();
    let code = codes.make("reader", std::time::Instant::now());
    let path = format!("/dashboard/enter?code={code}");
    // A preview of the link does not use it up.
    for method in ["HEAD", "GET", "GET"] {
        let answer = server.request(method, &path, &[HTML]).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (200, None), "{method}");
        assert_eq!(answer.text().contains(&format!("value=\"{code}\"")), method == "GET");
    }
    let body = format!("code={code}");
    let elsewhere = [("origin", "https://evil.example")];
    assert_eq!(form(&server, "/dashboard/enter", &body, &elsewhere).await.status, 403);
    let answer = form(&server, "/dashboard/enter", &body, &[LOCAL]).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    assert_eq!(Browser::of(&answer).sessions(&server).await, 200);
    let again = form(&server, "/dashboard/enter", &body, &[LOCAL]).await;
    assert_eq!((again.status, again.header("set-cookie")), (401, None));
    assert!(again.text().contains("was used or has expired"), "{}", again.text());
    let mut last = again;
    for _ in 0..25 {
        last = form(&server, "/dashboard/enter", "code=guess", &[LOCAL]).await;
    }
    assert_eq!(last.status, 429);
    let hostile = server.request("GET", "/dashboard/enter?code=%22%3E%3Cb%3E", &[HTML]).await;
    assert!(!hostile.text().contains("<b>"), "{}", hostile.text());
}

#[tokio::test]
async fn sign_ins_count_towards_the_rate_limit_of_their_token() {
    let server = Server::wired(Wiring { requests_per_s: 1, ..Wiring::default() }).await;
    let mut last = sign_in(&server, READER, &[LOCAL]).await;
    assert_eq!(last.status, 303);
    for _ in 0..50 {
        last = sign_in(&server, READER, &[LOCAL]).await;
        if last.status != 303 {
            break;
        }
    }
    assert_eq!((last.status, last.header("retry-after")), (429, Some("1")));
    assert!(last.text().contains("This token made too many requests"), "{}", last.text());
    assert_eq!(sign_in(&server, "boss-token-of-tests", &[LOCAL]).await.status, 303);
}

#[tokio::test]
async fn the_cookie_of_a_neighbour_on_the_same_host_does_not_sign_out() {
    let server = Server::start().await;
    let cookie = Browser::open(&server, READER).await.cookie;
    let planted = format!("rtmsd_session={}; rtmsd_session=x; {cookie}", "A".repeat(86));
    assert_eq!(Browser { cookie: planted }.sessions(&server).await, 200);
}

#[tokio::test]
async fn the_password_of_a_proxy_does_not_hide_the_cookie() {
    let server = Server::start().await;
    let browser = Browser::open(&server, READER).await;
    let password = ("authorization", "Basic YW5hOnNlY3JldA==");
    assert_eq!(browser.get_with(&server, "/api/v1/sdk/sessions", &[password]).await.status, 200);
    assert_eq!(server.request("GET", "/api/v1/sdk/sessions", &[password]).await.status, 401);
}

#[tokio::test]
async fn an_address_that_people_type_leads_to_a_page() {
    let server = Server::start().await;
    for path in ["/dashboard", "/dashboard/"] {
        let answer = server.request("GET", path, &[HTML]).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "{path}");
    }
    for path in ["/dashboard/nothing", "/dashboard/sessions/x/y", "/dashboard/health/"] {
        let answer = server.request("GET", path, &[HTML]).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains("There is nothing here"), "{}", answer.text());
        assert!(answer.header("content-security-policy").is_some(), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{path}");
    }
}

#[tokio::test]
async fn without_the_dashboard_there_is_the_start_page_and_no_cookie() {
    let server = Server::wired(Wiring { dashboard: None, ..Wiring::default() }).await;
    let page = server.request("GET", "/", &[HTML]).await;
    assert!(page.text().contains("Next steps") && !page.text().contains("Sign in"));
    for path in ["/dashboard/health", "/dashboard/sessions"] {
        assert_eq!(server.request("GET", path, &[HTML]).await.status, 404);
    }
    assert_eq!(
        form(&server, "/dashboard/sign-in", &token_form(READER), &[LOCAL]).await.status,
        404
    );
    let with = Server::start().await;
    let cookie = Browser::open(&with, READER).await;
    assert_eq!(cookie.sessions(&server).await, 401);
    assert_eq!(CSRF, rtmsd::http::auth::CSRF_HEADER);
}

#[tokio::test]
async fn the_page_of_the_health_shows_the_load_of_every_daemon() {
    let server = Server::start().await;
    for (n, max_streams) in [(2, 8), (3, 0)] {
        let node = NodeId(Uuid::from_u128(n));
        let heartbeat = Heartbeat { node, version: "0.1.0", max_streams, busy_permille: 426 };
        server.state.store.report_daemon(heartbeat, 60_000).await.unwrap();
        let stream = server.start_stream(&format!("m{n}=="), &format!("s{n}")).await;
        server.state.store.claim_streams(node, &[stream.stream_id], 60_000).await.unwrap();
    }
    let browser = Browser::open(&server, "boss-token-of-tests").await;
    let page = browser.get(&server, "/dashboard/health").await;
    for text in ["1 of 8", ">13 %<", ">43 %<", "1, takes none"] {
        assert!(page.text().contains(text), "{text}: {}", page.text());
    }
}
