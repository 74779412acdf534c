//! CORS: pages of other origins.

use super::server::{READER, Server, Wiring};
use crate::support::client::Answer;

const APP: &str = "https://app.example.com";
const SESSIONS: &str = "/api/v1/sdk/sessions";

async fn server() -> Server {
    let origins = format!("{APP},http://localhost:5173");
    Server::wired(Wiring { origins, ..Wiring::default() }).await
}

async fn preflight(server: &Server, path: &str, origin: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization, content-type"),
    ];
    server.request("OPTIONS", path, &headers).await
}

#[tokio::test]
async fn a_preflight_of_a_listed_origin_is_answered_without_a_token() {
    let server = server().await;
    for path in [SESSIONS, "/api/v1/tickets", "/api/v1/webhooks/endpoints/x", "/nothing"] {
        let answer = preflight(&server, path, APP).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0));
        assert_eq!(answer.header("access-control-allow-origin"), Some(APP));
        for method in ["GET", "POST", "PATCH", "DELETE"] {
            assert!(answer.header("access-control-allow-methods").unwrap().contains(method));
        }
        for name in ["authorization", "content-type", "idempotency-key", "last-event-id", "range"] {
            assert!(
                answer.header("access-control-allow-headers").unwrap().contains(name),
                "{name}"
            );
        }
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert_eq!(answer.header("vary"), Some("origin"));
    }
}

#[tokio::test]
async fn a_listed_origin_may_read_answers_and_errors() {
    let server = server().await;
    for (path, headers, status) in [
        (SESSIONS, [READER, ("origin", APP)], 200),
        (SESSIONS, [("x", "y"), ("origin", APP)], 401),
        ("/api/v1/sdk/sessions/x", [READER, ("origin", APP)], 404),
        ("/nothing", [READER, ("origin", "http://localhost:5173")], 404),
    ] {
        let answer = server.request("GET", path, &headers).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some(headers[1].1));
        let readable = answer.header("access-control-expose-headers").unwrap();
        for name in ["x-request-id", "content-range", "retry-after", "etag"] {
            assert!(readable.contains(name), "{name}");
        }
        assert!(answer.header("x-request-id").is_some());
    }
}

#[tokio::test]
async fn any_other_origin_gets_no_such_header_and_no_preflight() {
    let listed = server().await;
    let unset = Server::start().await;
    let close = [
        "https://app.example.com:8443",
        "http://app.example.com",
        "https://app.example.com.evil.example",
    ];
    for origin in close.into_iter().chain(["null", "*", "https://evil.example", ""]) {
        for server in [&listed, &unset] {
            let answer = server.request("GET", SESSIONS, &[READER, ("origin", origin)]).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
            let answer = preflight(server, SESSIONS, origin).await;
            assert_eq!(answer.status, 405, "{origin}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
    assert_eq!(preflight(&unset, SESSIONS, APP).await.status, 405);
    // A preflight is answered; any other OPTIONS is refused as an unsupported method.
    let options = listed.request("OPTIONS", SESSIONS, &[READER, ("origin", APP)]).await;
    assert_eq!(options.status, 405);
}
