//! What a cookie opens: as much as its token, and only for pages of the daemon.

use serde_json::json;

use super::kit::{Browser, CSRF, HTML, LOCAL};
use crate::http::server::{Server, Wiring};
use crate::http::tickets::{record, session_path};
use crate::support::client::{Answer, SseClient};
use crate::support::websocket::WebSocket;

const OPERATOR: &str = "operator-token-of-tests";
const READER: &str = "read-token-of-tests";
const SESSIONS: &str = "/api/v1/sdk/sessions";

async fn create(server: &Server, browser: &Browser, headers: &[(&str, &str)]) -> Answer {
    let body =
        json!({ "platform": "zoom", "meeting_id": "91234567890", "app": "default" }).to_string();
    let headers = [&[("cookie", &*browser.cookie)], headers].concat();
    server.post_to(SESSIONS, body.as_bytes(), &headers).await
}

#[tokio::test]
async fn a_change_by_cookie_needs_the_origin_and_the_value_of_its_session() {
    let server = Server::start().await;
    let browser = Browser::open(&server, OPERATOR).await;
    let csrf = browser.csrf(&server).await;
    let other = Browser::open(&server, OPERATOR).await.csrf(&server).await;
    for (headers, code) in [
        (vec![(CSRF, &*csrf)], "cross_origin"),
        (vec![(CSRF, &*csrf), ("origin", "https://evil.example")], "cross_origin"),
        (vec![(CSRF, &*csrf), ("sec-fetch-site", "same-site"), LOCAL], "cross_origin"),
        (vec![LOCAL], "csrf_missing"),
        (vec![LOCAL, (CSRF, "x")], "csrf_missing"),
        (vec![LOCAL, (CSRF, &*other)], "csrf_missing"),
    ] {
        let answer = create(&server, &browser, &headers).await;
        assert_eq!((answer.status, &*answer.code()), (403, code), "{headers:?}");
    }
    assert_eq!(create(&server, &browser, &[LOCAL, (CSRF, &csrf)]).await.status, 201);
    let ours = [("sec-fetch-site", "same-origin"), (CSRF, &*csrf)];
    assert_eq!(create(&server, &browser, &ours).await.status, 200);
}

#[tokio::test]
async fn a_cookie_opens_what_its_token_may() {
    let server = Server::start().await;
    let reader = Browser::open(&server, READER).await;
    let csrf = reader.csrf(&server).await;
    let refused = create(&server, &reader, &[LOCAL, (CSRF, &csrf)]).await;
    assert_eq!((refused.status, &*refused.code()), (403, "forbidden"));
    for (path, status) in [("/dashboard/webhooks", 200), ("/dashboard/endpoints", 403)] {
        let page = reader.get(&server, path).await;
        assert_eq!(page.status, status, "{path}");
        assert!(page.header("content-type").unwrap().starts_with("text/html"), "{path}");
    }
    let boss = Browser::open(&server, "boss-token-of-tests").await;
    assert_eq!(boss.get(&server, "/dashboard/endpoints").await.status, 200);
    // A token in the headers takes precedence, and a wrong one is not hidden by the cookie.
    let wrong = [("authorization", "Bearer wrong-token-of-tests")];
    assert_eq!(boss.get_with(&server, SESSIONS, &wrong).await.status, 401);
}

#[tokio::test]
async fn a_session_of_another_app_is_answered_like_an_unknown_one() {
    let server = Server::start().await;
    let stream = server.start_stream("m1==", "s1").await;
    let acme = Browser::open(&server, "acme-token-of-tests").await;
    let own = Browser::open(&server, "default-token-of-tests").await;
    for part in ["", "/status", "/ledger", "/timeline", "/recordings"] {
        let path = format!("/dashboard/sessions/{}{part}", stream.session_id);
        assert_eq!(own.get(&server, &path).await.status, 200, "{part}");
        let foreign = acme.get(&server, &path).await;
        let unknown = format!("/dashboard/sessions/{}{part}", uuid::Uuid::now_v7());
        let unknown = acme.get(&server, &unknown).await;
        assert_eq!((foreign.status, foreign.text()), (404, unknown.text()), "{part}");
    }
}

#[tokio::test]
async fn a_socket_and_an_event_stream_open_by_cookie_only_for_our_pages() {
    let server = Server::start().await;
    let stream = server.start_stream("m1==", "s1").await;
    let browser = Browser::open(&server, READER).await;
    let cookie = ("cookie", &*browser.cookie);
    let live = format!("{}?media=audio", session_path(&stream, "live"));
    let events = session_path(&stream, "events");
    let file = record(&server, &stream, b"0123456789", 1000).await;
    for foreign in [
        vec![cookie],
        vec![cookie, ("origin", "https://evil.example")],
        vec![cookie, LOCAL, ("sec-fetch-site", "same-site")],
        vec![cookie, ("sec-fetch-site", "cross-site")],
    ] {
        let Err(answer) = WebSocket::open(server.address, &live, &foreign).await else { panic!() };
        assert_eq!((answer.status, foreign.len()), (403, foreign.len()));
        for path in [&events, &file] {
            let answer = server.request("GET", path, &foreign).await;
            assert_eq!((answer.status, &*answer.code()), (403, "cross_origin"), "{path}");
        }
    }
    for ours in [LOCAL, ("sec-fetch-site", "same-origin"), ("referer", "http://localhost/x")] {
        let headers = [cookie, ours];
        let Ok(mut socket) = WebSocket::open(server.address, &live, &headers).await else {
            panic!("{ours:?}")
        };
        assert_eq!(socket.text().await["type"], "hello");
        let (status, _events) = SseClient::open(server.address, &events, &headers).await;
        assert_eq!(status, 200);
        assert_eq!(server.request("GET", &file, &headers).await.status, 200);
    }
}

#[tokio::test]
async fn cors_never_allows_the_cookie() {
    let origins = "https://app.example.com".to_owned();
    let server = Server::wired(Wiring { origins, ..Wiring::default() }).await;
    let browser = Browser::open(&server, OPERATOR).await;
    let csrf = browser.csrf(&server).await;
    let listed = [("origin", "https://app.example.com"), (CSRF, &*csrf)];
    let answer = create(&server, &browser, &listed).await;
    assert_eq!((answer.status, &*answer.code()), (403, "cross_origin"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}

#[tokio::test]
async fn a_page_without_a_session_leads_to_the_sign_in_and_back() {
    let server = Server::start().await;
    let asked = "/dashboard/health?a=1";
    let answer = server.request("GET", asked, &[HTML]).await;
    let to = "/?to=%2Fdashboard%2Fhealth%3Fa%3D1";
    assert_eq!((answer.status, answer.header("location")), (303, Some(to)));
    let page = server.request("GET", to, &[HTML]).await;
    assert!(page.text().contains("value=\"/dashboard/health?a=1\""), "{}", page.text());
    for (target, expected) in [("%2Fdashboard%2Fhealth", "/dashboard/health"), ("//evil", "/")] {
        let body = format!("{}&to={target}", super::token_form(READER));
        let answer = super::form(&server, "/dashboard/sign-in", &body, &[LOCAL]).await;
        assert_eq!(answer.header("location"), Some(expected));
    }
    // A script of a page is sent there, too.
    let part = server.request("GET", asked, &[HTML, ("hx-request", "true")]).await;
    assert_eq!((part.status, part.header("hx-redirect")), (401, Some("/")));
    // A link on another site brings no cookie: the page asks again from here.
    let link = [HTML, ("sec-fetch-site", "cross-site")];
    let page = server.request("GET", asked, &link).await;
    assert!(page.text().contains("content=\"0; url=/dashboard/health?a=1\""), "{}", page.text());
}

#[tokio::test]
async fn files_of_pages_are_kept_by_the_browser_until_they_change() {
    let server = Server::start().await;
    let page = server.request("GET", "/", &[HTML]).await;
    let (_, rest) = page.text().split_once("href=\"/assets/").unwrap();
    let path = format!("/assets/{}", rest.split('"').next().unwrap());
    let file = server.request("GET", &path, &[]).await;
    let caching = "public, max-age=31536000, immutable";
    assert_eq!((file.status, file.header("cache-control")), (200, Some(caching)));
    let name = path.rsplit('/').next().unwrap();
    let other = server.request("GET", &format!("/assets/0123/{name}"), &[]).await;
    assert_eq!((other.status, other.header("cache-control")), (200, Some("no-store")));
    assert_eq!(server.request("GET", "/assets/0123/none.js", &[]).await.status, 404);
    assert_eq!(page.header("cache-control"), Some("no-store"));
}
