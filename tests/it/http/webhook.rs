//! Zoom's webhooks: signatures, copies, sizes, and the Video SDK app's own path.

use rtmsd::secret::Secret;
use rtmsd::zoom::signature::{PlainToken, WebhookKey};
use serde_json::{Value, json};

use super::server::{NOW_S, Server, key, signed_at};
use crate::support::client::{Answer, exchange};

const DOCUMENTED_BODY: &[u8] = br#"{"event":"meeting.rtms_started","event_ts":1732313171881,"payload":{"meeting_uuid":"4444AAAiAAAAAiAiAiiAii==","rtms_stream_id":"e1f2a3b4-0000-4000-8000-00000000abcd","server_urls":"wss://127.0.0.1:9443"}}"#;
const DOCUMENTED_SIGNATURE: (&str, &str) =
    ("x-zm-signature", "v0=fa782ed606982c1a883f27cb4b18bd6a421c6482e66e034a34863b421382c011");

fn start(stream: &str, nested: bool) -> Vec<u8> {
    let fields =
        json!({"meeting_uuid": "m1==", "rtms_stream_id": stream, "server_urls": "wss://a"});
    let payload = if nested { json!({ "object": fields }) } else { fields };
    json!({"event": "meeting.rtms_started", "event_ts": 1_732_313_171_881_i64, "payload": payload})
        .to_string()
        .into_bytes()
}

fn counted(server: &Server, event: &str, outcome: &str) -> u64 {
    server.state.metrics.webhooks.get(["default", event, outcome])
}

#[tokio::test]
async fn the_documented_webhook_is_recorded_and_its_stream_notified() {
    let mut server = Server::start().await;
    let answer =
        server.post(DOCUMENTED_BODY, &[signed_at("1732313172"), DOCUMENTED_SIGNATURE]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"status": true, "message": "recorded"}));
    assert_eq!(
        server.changes.recv().await.unwrap().as_str(),
        "e1f2a3b4-0000-4000-8000-00000000abcd"
    );
    server.stopped().await;
}

#[tokio::test]
async fn a_repeated_delivery_is_answered_and_changes_nothing() {
    let mut server = Server::start().await;
    for _ in 0..3 {
        assert_eq!(server.webhook(&start("s1", false)).await.status, 200);
    }
    let count = |outcome| counted(&server, "meeting.rtms_started", outcome);
    assert_eq!((count("changed"), count("repeated"), count("refused")), (1, 2, 0));
    assert_eq!(server.changes.recv().await.unwrap().as_str(), "s1");
    assert!(server.changes.try_recv().is_err());
}

#[tokio::test]
async fn flat_and_nested_payloads_are_equivalent() {
    let mut server = Server::start().await;
    assert_eq!(server.webhook(&start("flat", false)).await.status, 200);
    assert_eq!(server.webhook(&start("nested", true)).await.status, 200);
    assert_eq!(server.changes.recv().await.unwrap().as_str(), "flat");
    assert_eq!(server.changes.recv().await.unwrap().as_str(), "nested");
}

#[tokio::test]
async fn a_webhook_is_answered_while_its_notifications_are_not_consumed() {
    let server = Server::start().await;
    // More than the channel holds.
    for n in 0..40 {
        assert_eq!(server.webhook(&start(&format!("s{n}"), false)).await.status, 200);
    }
    assert_eq!(server.changes.len(), server.changes.max_capacity());
}

#[tokio::test]
async fn an_unsigned_webhook_is_refused_and_not_recorded() {
    let mut server = Server::start().await;
    let body = start("s1", false);
    let now = NOW_S.to_string();
    let good = key().sign(NOW_S, &body);
    let other = key().sign(NOW_S, b"another body");
    let refused: [&[(&str, &str)]; 5] = [
        &[],
        &[signed_at(&now)],
        &[("x-zm-signature", &good)],
        &[signed_at(&now), ("x-zm-signature", &other)],
        &[signed_at("soon"), ("x-zm-signature", &good)],
    ];
    for headers in refused {
        let answer = server.post(&body, headers).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "signature_invalid"));
    }
    assert_eq!(counted(&server, "", "refused"), 5);
    assert!(server.changes.try_recv().is_err());
}

#[tokio::test]
async fn a_timestamp_out_of_the_window_is_refused_in_both_directions() {
    let server = Server::start().await;
    let body = start("s1", false);
    for (offset_s, status) in [(-301, 401), (-300, 200), (300, 200), (301, 401)] {
        let at = NOW_S + offset_s;
        let signature = key().sign(at, &body);
        let headers = [signed_at(&at.to_string()), ("x-zm-signature", &signature)].map(own);
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let answer = server.post(&body, &headers).await;
        assert_eq!(answer.status, status, "{offset_s}");
        if status == 401 {
            assert_eq!(answer.code(), "timestamp_out_of_window");
        }
    }
}

fn own<'a>((name, value): (&'a str, &str)) -> (&'a str, String) {
    (name, value.to_owned())
}

#[tokio::test]
async fn a_url_validation_is_answered_only_when_signed() {
    let server = Server::start().await;
    let body = br#"{"payload":{"plainToken":"plainTokenDemo0123456A"},"event_ts":1732313171881,"event":"endpoint.url_validation"}"#;
    let answer = server.webhook(body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let expected = json!({
        "plainToken": "plainTokenDemo0123456A",
        "encryptedToken": "c0517cd75da436f8f3982245d597a8b8e3f53c64cc3b3e805fb74c67f1309ea5",
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(server.post(body, &[]).await.status, 401);
}

#[tokio::test]
async fn a_url_validation_does_not_sign_a_forged_webhook() {
    let server = Server::start().await;
    let forged = format!("v0:{NOW_S}:{}", String::from_utf8(start("forged", false)).unwrap());
    for token in [Value::from(forged), json!(""), json!(7), json!(null), json!("x".repeat(129))] {
        let body = json!({"event": "endpoint.url_validation", "payload": {"plainToken": token}});
        let answer = server.webhook(body.to_string().as_bytes()).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"));
        assert!(!answer.text().contains("v0:"));
    }
}

#[tokio::test]
async fn a_malformed_event_is_a_400_that_names_the_field() {
    let server = Server::start().await;
    let answer =
        server.webhook(br#"{"event":"meeting.rtms_stopped","event_ts":1,"payload":{}}"#).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"));
    let envelope = answer.json();
    assert_eq!(envelope["status"], false);
    assert!(envelope["error"]["detail"].as_str().unwrap().contains("payload.rtms_stream_id"));
    assert_eq!(envelope["error"]["retryable"], false);
    assert_eq!(envelope["error"]["request_id"], answer.header("x-request-id").unwrap());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_a_413_however_it_is_sent() {
    let server = Server::start().await;
    let large = vec![b' '; 256 * 1024 + 1];
    let answer = server.webhook(&large).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"));
    let answer = server.webhook(&vec![b' '; 4 * 1024 * 1024]).await;
    assert_eq!(answer.status, 413);
    let mut chunked = b"POST /webhook HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
        transfer-encoding: chunked\r\n\r\n40001\r\n"
        .to_vec();
    chunked.extend_from_slice(&large);
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    let answer = exchange(server.address, &chunked).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"));
    // Just small enough to be accepted.
    assert_eq!(server.webhook(&large[1..]).await.status, 400);
}

#[tokio::test]
async fn another_method_is_a_405_that_names_the_allowed_ones() {
    let server = Server::start().await;
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let answer = server.request(method, "/webhook", &[]).await;
        assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"));
        assert_eq!(answer.header("allow"), Some("POST"));
    }
}

#[tokio::test]
async fn while_the_store_is_away_zoom_is_asked_to_try_again() {
    let server = Server::start().await;
    server.state.store.close().await;
    let answer = server.webhook(&start("s1", false)).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"));
    assert_eq!(answer.json()["error"]["retryable"], true);
    assert!(answer.header("retry-after").is_some());
    // Requests that need no store still work.
    assert_eq!(server.post(b"{}", &[]).await.status, 401);
}

#[tokio::test]
async fn the_video_sdk_app_has_its_own_path_and_its_own_signature() {
    let mut server = Server::start().await;
    let body = json!({"event": "session.rtms_started", "event_ts": NOW_S * 1000, "payload":
        {"session_id": "v==", "rtms_stream_id": "s1", "server_urls": "wss://a"}});
    let body = body.to_string().into_bytes();
    let video = WebhookKey::new(&Secret::new("demoVideoToken01".into()));
    let time = NOW_S.to_string();
    let (ours, theirs) = (key().sign(NOW_S, &body), video.sign(NOW_S, &body));
    for (path, signature, status) in [
        ("/webhook/video", &ours, 401),
        ("/webhook", &theirs, 401),
        ("/webhook", &ours, 403),
        ("/webhook/video", &theirs, 200),
    ] {
        let headers = [signed_at(&time), ("x-zm-signature", signature.as_str())];
        assert_eq!(server.post_to(path, &body, &headers).await.status, status, "{path}");
    }
    assert_eq!(server.changes.recv().await.unwrap().as_str(), "s1");
}

#[tokio::test]
async fn the_video_sdk_apps_url_is_validated_with_its_own_secret() {
    let server = Server::start().await;
    let body =
        br#"{"event":"endpoint.url_validation","payload":{"plainToken":"abc"},"event_ts":1}"#;
    let video = WebhookKey::new(&Secret::new("demoVideoToken01".into()));
    let (time, signature) = (NOW_S.to_string(), video.sign(NOW_S, body));
    let headers = [signed_at(&time), ("x-zm-signature", signature.as_str())];
    let answer = server.post_to("/webhook/video", body, &headers).await.json();
    let token = PlainToken::parse("abc").unwrap();
    assert_eq!(answer["encryptedToken"], video.encrypted_token(&token));
}

/// Signs a body as the Video SDK app does and sends it to that app's path.
async fn video_webhook(server: &Server, body: &Value) -> Answer {
    let (body, time) = (body.to_string().into_bytes(), NOW_S.to_string());
    let signature = WebhookKey::new(&Secret::new("demoVideoToken01".into())).sign(NOW_S, &body);
    let headers = [signed_at(&time), ("x-zm-signature", signature.as_str())];
    server.post_to("/webhook/video", &body, &headers).await
}

#[tokio::test]
async fn the_video_sdk_apps_key_signs_nothing_about_meetings_and_users() {
    let server = Server::start().await;
    let stream = server.start_stream("m1==", "s1").await;
    for event in ["app_deauthorized", "meeting.rtms_stopped", "meeting.ended", "anything"] {
        let body = json!({"event": event, "event_ts": NOW_S * 1000, "payload":
            {"meeting_uuid": "m1==", "rtms_stream_id": "s1", "user_id": "u1", "object": {"uuid": "m1=="}}});
        let refused = video_webhook(&server, &body).await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "other_app"), "{event}");
    }
    let near_limit = json!({"event": "rtms.concurrency_near_limit", "event_ts": 1, "payload": {}});
    assert_eq!(video_webhook(&server, &near_limit).await.status, 200);
    assert_eq!(server.stream("s1").await, stream);
}

#[tokio::test]
async fn the_video_sdk_apps_key_moves_and_stops_no_stream_of_a_meeting() {
    let server = Server::start().await;
    let stream = server.start_stream("m1==", "s1").await;
    for event in ["session.rtms_started", "session.rtms_interrupted", "session.rtms_stopped"] {
        let body = json!({"event": event, "event_ts": NOW_S * 1000 + 1, "payload":
            {"session_id": "v==", "rtms_stream_id": "s1", "server_urls": "wss://b", "stop_reason": 8}});
        assert_eq!(video_webhook(&server, &body).await.status, 200, "{event}");
        assert_eq!(server.stream("s1").await, stream, "{event}");
    }
}

/// Signs a body with this secret token and sends it to a path.
async fn signed_to(server: &Server, path: &str, secret_token: &str, body: &[u8]) -> Answer {
    let (key, time) = (WebhookKey::new(&Secret::new(secret_token.into())), NOW_S.to_string());
    let signature = key.sign(NOW_S, body);
    server.post_to(path, body, &[signed_at(&time), ("x-zm-signature", &signature)]).await
}

#[tokio::test]
async fn a_webhook_is_taken_at_the_paths_of_the_app_that_signed_it_and_nowhere_else() {
    let server = Server::start().await;
    let body = br#"{"event":"session.anything","event_ts":1732313171881,"payload":{}}"#;
    let status = async |path: &str, secret_token: &str| {
        let answer = signed_to(&server, path, secret_token, body).await;
        let code = if answer.status == 200 { String::new() } else { answer.code() };
        (answer.status, code)
    };
    let (default, video) = ("demoSecretToken01", "demoVideoToken01");
    let (taken, refused) = ((200, String::new()), (401, "signature_invalid".to_owned()));
    assert_eq!(status("/webhook/video", video).await, taken);
    assert_eq!(status("/webhook?type=video", video).await, taken);
    assert_eq!(status("/webhook/video", default).await, refused);
    assert_eq!(status("/webhook?type=video", default).await, refused);
    assert_eq!(status("/webhook", video).await, refused);
    assert_eq!(status("/webhook/default", video).await, refused);
    // Its signature fits, and its product does not.
    assert_eq!(status("/webhook/default", default).await, (403, "other_app".to_owned()));
    for unknown in ["/webhook/nobody", "/webhook/Video", "/webhook/vi%20deo"] {
        assert_eq!(status(unknown, default).await, (404, "unknown_app".to_owned()), "{unknown}");
    }
    // A type that is no app's name is one of Zoom's samples' own.
    let meeting = br#"{"event":"meeting.anything","event_ts":1732313171881,"payload":{}}"#;
    assert_eq!(signed_to(&server, "/webhook?type=meeting", default, meeting).await.status, 200);
}
