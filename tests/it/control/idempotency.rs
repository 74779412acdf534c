//! Idempotency keys of control requests.

use serde_json::{Value, json};

use super::kit::{BOSS, Kit, NUMBER};
use crate::support::audit::{act, trail};
use crate::support::client::Answer;
use crate::support::zoom::Say;

async fn keyed(kit: &Kit, path: &str, body: &Value, key: &str) -> Answer {
    kit.post_with(path, body, &[BOSS, ("idempotency-key", key)]).await
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer_and_is_carried_out_once() {
    let kit = Kit::start().await;
    let new = json!({"platform": "zoom", "meeting_id": NUMBER});
    let made = keyed(&kit, "", &new, "k1").await;
    let again = keyed(&kit, "", &new, "k1").await;
    assert_eq!((made.status, again.status), (201, 201));
    assert_eq!(made.json(), again.json());
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(made.header("idempotency-replayed"), None);
    let id = made.json()["data"]["session"]["id"].as_str().unwrap().to_owned();
    let start = format!("/{id}/rtms/start");
    let first = keyed(&kit, &start, &Value::Null, "k1").await;
    kit.announce("m==", "s1").await;
    let second = keyed(&kit, &start, &Value::Null, "k1").await;
    assert_eq!((first.status, second.status), (202, 202));
    assert_eq!(first.json(), second.json());
    assert_eq!(kit.zoom.asked().len(), 1);
}

#[tokio::test]
async fn another_body_under_the_same_key_is_refused() {
    let kit = Kit::start().await;
    keyed(&kit, "", &json!({"platform": "zoom", "meeting_id": 1}), "k1").await;
    let other = keyed(&kit, "", &json!({"platform": "zoom", "meeting_id": 2}), "k1").await;
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency_key_reused"));
    let own_key = [("authorization", "Bearer control-token-of-tests"), ("idempotency-key", "k1")];
    let others = kit.post_with("", &json!({"platform": "zoom", "meeting_id": 2}), &own_key).await;
    assert_eq!(others.status, 201, "the keys of another token are others");
}

#[tokio::test]
async fn of_many_at_once_one_is_carried_out_and_the_others_are_told() {
    let kit = Kit::start().await;
    let id = kit.create().await;
    let start = format!("/{id}/rtms/start");
    let held = kit.zoom.hold().await;
    let (first, others) = tokio::join!(keyed(&kit, &start, &Value::Null, "k"), async {
        kit.zoom.asked_times(1).await;
        let mut others = Vec::new();
        for _ in 0..5 {
            others.push(keyed(&kit, &start, &Value::Null, "k").await);
        }
        drop(held);
        others
    });
    assert_eq!(first.status, 202);
    for other in others {
        assert_eq!((other.status, other.code().as_str()), (409, "idempotency_in_progress"));
        assert_eq!(other.json()["error"]["retryable"], true);
    }
    assert_eq!(kit.zoom.asked().len(), 1);
}

#[tokio::test]
async fn a_refusal_that_stays_is_repeated_and_one_that_may_pass_is_tried_again() {
    let kit = Kit::start().await;
    let id = kit.create().await;
    let start = format!("/{id}/rtms/start");
    kit.zoom.will_say([Say::error(403, 2308)]);
    let refused = keyed(&kit, &start, &Value::Null, "k1").await;
    let again = keyed(&kit, &start, &Value::Null, "k1").await;
    assert_eq!((refused.status, again.status), (403, 403));
    assert_eq!(refused.json(), again.json());
    kit.zoom.will_say(vec![Say::error(404, 3001)]);
    assert_eq!(keyed(&kit, &start, &Value::Null, "k2").await.status, 409);
    assert_eq!(keyed(&kit, &start, &Value::Null, "k2").await.status, 202);
}

#[tokio::test]
async fn a_request_whose_client_hangs_up_is_carried_out_to_its_end() {
    use tokio::io::AsyncWriteExt;
    let kit = Kit::start().await;
    let id = kit.create().await;
    let held = kit.zoom.hold().await;
    let mut socket = tokio::net::TcpStream::connect(kit.server.address).await.unwrap();
    let path = format!("/api/v1/sdk/sessions/{id}/rtms/start");
    let head = crate::support::client::head("POST", &path, &[BOSS, ("content-length", "0")]);
    socket.write_all(&head).await.unwrap();
    kit.zoom.asked_times(1).await;
    let store = &kit.server.state.store;
    let noted = async || {
        let row = trail(store, 1).await.remove(0);
        (row.action, row.outcome)
    };
    assert_eq!(noted().await, ("rtms.start".into(), "asked".into()), "before Zoom answers");
    drop(socket);
    drop(held);
    kit.server.state.requests.close();
    let ended =
        tokio::time::timeout(crate::support::client::TIMEOUT, kit.server.state.requests.wait());
    ended.await.expect("it ends");
    assert_eq!(noted().await, ("rtms.start".into(), "ok".into()));
    let timeline = kit.get(&format!("/{id}/timeline")).await;
    let whats: Vec<_> =
        timeline["moments"].as_array().unwrap().iter().map(|m| &m["what"]).collect();
    assert!(whats.contains(&&json!("zoom_answered")), "{whats:?}");
}

#[tokio::test]
async fn a_key_is_short_and_printable() {
    let kit = Kit::start().await;
    for key in ["", &"k".repeat(256)] {
        let answer = keyed(&kit, "", &json!({"platform": "zoom", "meeting_id": 1}), key).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "invalid_value"));
    }
}

/// The router decodes a path, and an id may be spelled in capitals.
#[tokio::test]
async fn another_spelling_of_the_path_is_the_same_request_and_is_deleted_with_its_session() {
    let kit = Kit::start().await;
    let id = kit.create().await;
    let encoded = format!("%{:02x}{}", id.as_bytes()[0], &id[1..]);
    let spelled = [encoded, id.to_uppercase(), id.replace('-', ""), id.clone()];
    let start = |id: &str| format!("/{id}/rtms/start");
    let first = keyed(&kit, &start(&spelled[0]), &Value::Null, "k1").await;
    assert_eq!(first.status, 202);
    for id in &spelled {
        let again = keyed(&kit, &start(id), &Value::Null, "k1").await;
        assert_eq!((again.status, again.json()), (202, first.json()), "{id}");
        assert_eq!(again.header("idempotency-replayed"), Some("true"), "{id}");
    }
    assert_eq!(kit.zoom.asked().len(), 1, "Zoom was asked once");
    let (session, store) = (rtmsd::model::SessionId::parse(&id).unwrap(), &kit.server.state.store);
    store.delete_session(session, &act("boss", rtmsd::clock::now_ms())).await.unwrap();
    while store.delete_some(rtmsd::clock::now_ms()).await.unwrap() {}
    for id in &spelled {
        assert_eq!(keyed(&kit, &start(id), &Value::Null, "k1").await.status, 410, "{id}");
    }
}

#[tokio::test]
async fn a_stored_answer_is_deleted_with_its_session_and_its_key_stays_used() {
    let kit = Kit::start().await;
    let new = json!({"platform": "zoom", "meeting_id": NUMBER, "metadata": {"case": 4711}});
    let made = keyed(&kit, "", &new, "k1").await;
    let id = made.json()["data"]["session"]["id"].as_str().unwrap().to_owned();
    let start = format!("/{id}/rtms/start");
    assert_eq!(keyed(&kit, &start, &Value::Null, "k2").await.status, 202);
    let session = rtmsd::model::SessionId::parse(&id).unwrap();
    let store = &kit.server.state.store;
    store.delete_session(session, &act("boss", rtmsd::clock::now_ms())).await.unwrap();
    while store.delete_some(rtmsd::clock::now_ms()).await.unwrap() {}
    for (path, body, key) in [("", &new, "k1"), (&*start, &Value::Null, "k2")] {
        let again = keyed(&kit, path, body, key).await;
        let expected = (410, "idempotency_answer_deleted");
        assert_eq!((again.status, again.code().as_str()), expected, "{}", again.text());
    }
    assert_eq!(kit.get("").await["sessions"], json!([]), "the request was not executed again");
    // Without a session, the stored answer is repeated.
    for _ in 0..2 {
        assert_eq!(keyed(&kit, &start, &Value::Null, "k3").await.status, 404);
    }
}
