//! Endpoints over the API.

use rtmsd::model::AppScope;
use rtmsd::secret::Secret;
use rtmsd::sinks::webhooks::ConfiguredEndpoint;
use serde_json::{Value, json};

use super::receiver::Receiver;
use super::verifier::verify;
use crate::http::server::{Server, Wiring};
use crate::support::audit::trail;
use crate::support::client::{Answer, exchange, head};
use crate::support::kit::eventually;
use crate::support::sinks::Running;

const PATH: &str = "/api/v1/webhooks/endpoints";
const BOSS: (&str, &str) = ("authorization", "Bearer boss-token-of-tests");

async fn ask(server: &Server, method: &str, rest: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len().to_string();
    let headers = [BOSS, ("content-length", &*length)];
    let request = [&head(method, &format!("{PATH}{rest}"), &headers), body.as_bytes()].concat();
    exchange(server.address, &request).await
}

async fn data(server: &Server, method: &str, rest: &str, body: &Value) -> Value {
    let answer = ask(server, method, rest, body).await;
    assert!((200..300).contains(&answer.status), "{}", answer.text());
    answer.json()["data"].take()
}

fn id(made: &Value) -> String {
    made["endpoint"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_endpoint_is_made_changed_and_deleted_and_its_secret_is_shown_once() {
    let server = Server::start().await;
    let wish =
        json!({"url": "https://example.com/a", "events": ["session.ended"], "description": "crm"});
    let made = ask(&server, "POST", "", &wish).await;
    assert_eq!(made.status, 201);
    let made = made.json()["data"].take();
    let (id, secret) = (id(&made), made["secret"].as_str().unwrap());
    assert!(secret.starts_with("whsec_"));
    let shown = data(&server, "GET", &format!("/{id}"), &Value::Null).await;
    assert_eq!(shown["endpoint"], made["endpoint"]);
    assert_eq!(shown["endpoint"]["source"], "api");
    let rotated = data(&server, "POST", &format!("/{id}/rotate-secret"), &Value::Null).await;
    assert_ne!(rotated["secret"], made["secret"]);
    assert!(rotated["endpoint"]["previous_secret_until"].is_string());
    let change = json!({"enabled": false, "events": [], "url": "https://example.com/b"});
    let changed = data(&server, "PATCH", &format!("/{id}"), &change).await;
    let endpoint = &changed["endpoint"];
    assert_eq!((&endpoint["enabled"], &endpoint["status"]), (&json!(false), &json!("disabled")));
    assert_eq!((&endpoint["events"], &endpoint["description"]), (&json!([]), &json!("crm")));
    assert_eq!(endpoint["url"], "https://example.com/b");
    let listed = ask(&server, "GET", "", &Value::Null).await;
    assert!(!listed.text().contains("whsec_"));
    assert_eq!(listed.json()["data"]["endpoints"], json!([endpoint]));
    data(&server, "DELETE", &format!("/{id}"), &Value::Null).await;
    assert_eq!(ask(&server, "GET", &format!("/{id}"), &Value::Null).await.status, 404);
    let trail = trail(&server.state.store, 9).await;
    let acts: Vec<_> = trail.iter().map(|act| &*act.action).collect();
    let expected = ["delete", "change", "rotate_secret", "create"];
    assert_eq!(acts, expected.map(|act| format!("webhook_endpoint.{act}")));
}

#[tokio::test]
async fn where_no_body_is_read_only_an_empty_one_or_an_empty_object_is_taken() {
    let server = Server::start().await;
    let made = data(&server, "POST", "", &json!({"url": "https://example.com/a"})).await;
    let id = id(&made);
    for action in ["rotate-secret", "test", "deliveries/e/resend"] {
        for body in [&b"x"[..], b"\xff\xfe", b"[]", br#"{"url":"https://example.com"}"#] {
            let (path, length) = (format!("{PATH}/{id}/{action}"), body.len().to_string());
            let head = head("POST", &path, &[BOSS, ("content-length", &length)]);
            let refused = exchange(server.address, &[&head, body].concat()).await;
            assert!([400, 422].contains(&refused.status), "{action}: {}", refused.text());
        }
    }
    for action in ["rotate-secret", "test"] {
        for body in [Value::Null, json!({})] {
            data(&server, "POST", &format!("/{id}/{action}"), &body).await;
        }
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_reason() {
    let server = Server::start().await;
    for url in ["http://example.com/", "https://10.0.0.1/", "https://[::1]/", "nonsense"] {
        let refused = ask(&server, "POST", "", &json!({ "url": url })).await;
        assert_eq!((refused.status, &*refused.code()), (422, "invalid_value"), "{url}");
    }
    let made = data(&server, "POST", "", &json!({"url": "https://example.com/"})).await;
    let own = id(&made);
    let stranger = "01932b5e-0000-7000-8000-000000000000";
    for (method, rest, body, expected) in [
        ("GET", format!("/{stranger}"), Value::Null, (404, "endpoint_not_found")),
        ("GET", format!("/{stranger}/deliveries"), Value::Null, (404, "endpoint_not_found")),
        ("PATCH", format!("/{stranger}"), json!({}), (404, "endpoint_not_found")),
        ("POST", format!("/{stranger}/test"), Value::Null, (404, "endpoint_not_found")),
        ("GET", "/nonsense".into(), Value::Null, (404, "endpoint_not_found")),
        ("PATCH", format!("/{own}"), json!({"url": "http://a.b/"}), (422, "invalid_value")),
        ("PATCH", format!("/{own}"), json!({"secret": "x"}), (422, "unknown_field")),
        (
            "POST",
            format!("/{own}/deliveries/evt_x/resend"),
            Value::Null,
            (404, "delivery_not_found"),
        ),
        (
            "POST",
            format!("/{own}/deliveries/evt_{}/resend", "0".repeat(32)),
            Value::Null,
            (404, "delivery_not_found"),
        ),
    ] {
        let refused = ask(&server, method, &rest, &body).await;
        assert_eq!((refused.status, &*refused.code()), expected, "{method} {rest}");
    }
    data(&server, "PATCH", &format!("/{own}"), &json!({"enabled": false})).await;
    let refused = ask(&server, "POST", &format!("/{own}/test"), &Value::Null).await;
    assert_eq!((refused.status, &*refused.code()), (409, "endpoint_disabled"));
}

#[tokio::test]
async fn there_is_a_bound_on_endpoints() {
    let server = Server::start().await;
    for _ in 0..50 {
        data(&server, "POST", "", &json!({"url": "https://example.com/"})).await;
    }
    let refused = ask(&server, "POST", "", &json!({"url": "https://example.com/"})).await;
    assert_eq!((refused.status, &*refused.code()), (409, "too_many_endpoints"));
}

#[tokio::test]
async fn an_endpoint_of_the_configuration_is_shown_and_not_changed() {
    let server = Server::start().await;
    let configured = ConfiguredEndpoint {
        name: "crm".into(),
        url: "https://example.com/".into(),
        events: vec![],
        apps: AppScope::All,
        secret: Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()),
        previous_secret: None,
    };
    for _ in 0..2 {
        server.state.webhooks.configure(std::slice::from_ref(&configured)).await.unwrap();
    }
    let all = data(&server, "GET", "", &Value::Null).await;
    let [endpoint] = all["endpoints"].as_array().unwrap().as_slice() else { panic!("{all}") };
    assert_eq!(
        (&endpoint["source"], &endpoint["description"]),
        (&json!("configuration"), &json!("crm"))
    );
    let path = format!("/{}", endpoint["id"].as_str().unwrap());
    for (method, rest, body) in [
        ("PATCH", "", json!({"enabled": false})),
        ("DELETE", "", Value::Null),
        ("POST", "/rotate-secret", Value::Null),
    ] {
        let refused = ask(&server, method, &format!("{path}{rest}"), &body).await;
        assert_eq!((refused.status, &*refused.code()), (409, "endpoint_configured"), "{method}");
    }
}

#[tokio::test]
async fn a_test_is_sent_logged_and_sent_again() {
    // The verifying library looks at the clock.
    let wiring = Wiring { now_ms: rtmsd::clock::now_ms, ..Wiring::default() };
    let (mut server, receiver) = (Server::wired(wiring).await, Receiver::start().await);
    let sender = Running::start(server.webhook_sender.take().unwrap());
    let wish = json!({"url": receiver.url(), "events": ["session.ended"]});
    let made = data(&server, "POST", "", &wish).await;
    let path = format!("/{}", id(&made));
    let sent = data(&server, "POST", &format!("{path}/test"), &Value::Null).await;
    let log = eventually("the log has its success", async || {
        let log = data(&server, "GET", &format!("{path}/deliveries"), &Value::Null).await;
        (log["deliveries"][0]["status"] == "delivered").then_some(log)
    })
    .await;
    let delivery = &log["deliveries"][0];
    assert_eq!((&delivery["type"], &delivery["last_status"]), (&json!("test"), &json!(200)));
    assert_eq!((&delivery["event_id"], &log["next"]), (&sent["event_id"], &Value::Null));
    let event_id = sent["event_id"].as_str().unwrap();
    let again = format!("{path}/deliveries/{event_id}/resend");
    assert_eq!(ask(&server, "POST", &again, &Value::Null).await.status, 202);
    let letters = receiver.has(2).await;
    assert!(letters.iter().all(|letter| letter.id() == event_id));
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(verify(&[letters[1].to_verify(secret)]), ["test"]);
    sender.stop().await;
}
