//! The health of the daemon in detail: what is wrong, within a bounded time.

use std::time::{Duration, Instant};

use rtmsd::model::NodeId;
use rtmsd::store::Heartbeat;
use serde_json::{Value, json};
use uuid::Uuid;

use super::server::{NOW_S, READER, Server, key, signed_at};
use crate::support::apps::app;

const BOSS: (&str, &str) = ("authorization", "Bearer boss-token-of-tests");
const ACME: (&str, &str) = ("authorization", "Bearer acme-token-of-tests");
const HEALTH: &str = "/api/v1/health";

async fn health(server: &Server, token: (&str, &str)) -> Value {
    let answer = server.request("GET", HEALTH, &[token]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].clone()
}

fn codes(health: &Value) -> Vec<&str> {
    let findings = health["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_daemon_that_is_well_says_so_and_who_runs_what() {
    let server = Server::start().await;
    let stream = server.start_stream("m1==", "s1").await;
    let store = &server.state.store;
    let lease_ms = 60_000;
    let claimed = store.claim_streams(server.state.node, &[stream.stream_id], lease_ms).await;
    assert_eq!(claimed.unwrap().len(), 1);
    let health = health(&server, BOSS).await;
    // Rows that cannot be read are counted by process, and other tests of this one make some.
    let findings = codes(&health).into_iter().filter(|code| *code != "unreadable_rows");
    assert!(findings.clone().all(|code| code == "no_webhook_yet"), "{health}");
    if findings.count() == codes(&health).len() {
        assert_eq!(health["status"], "ok", "{health}");
    }
    let store = &health["store"];
    assert_eq!([&store["kind"], &store["ok"]], [&json!("sqlite"), &json!(true)]);
    let daemons = health["streams"]["daemons"].as_array().unwrap();
    assert_eq!(daemons.len(), 1);
    assert_eq!([&daemons[0]["streams"], &daemons[0]["is_this"]], [&json!(1), &json!(true)]);
    assert_eq!(health["daemon"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(server.request("GET", HEALTH, &[READER]).await.status, 403);
}

#[tokio::test]
async fn every_daemon_is_shown_with_its_capacity_and_its_load() {
    let server = Server::start().await;
    let store = &server.state.store;
    let ids = [2, 3, 4].map(|n| NodeId(Uuid::from_u128(n)));
    for (node, max_streams) in ids.into_iter().zip([8, 0, 4]) {
        let heartbeat = Heartbeat { node, version: "0.1.0", max_streams, busy_permille: 426 };
        store.report_daemon(heartbeat, 60_000).await.unwrap();
    }
    // One that died and has a stream, and one that died without any.
    let dead = [5, 6].map(|n| NodeId(Uuid::from_u128(n)));
    for node in dead {
        let heartbeat = Heartbeat { node, version: "0.1.0", max_streams: 9, busy_permille: 0 };
        store.report_daemon(heartbeat, -1).await.unwrap();
    }
    for (n, node) in [ids[0], ids[0], ids[0], ids[2], dead[0]].into_iter().enumerate() {
        let stream = server.start_stream(&format!("m{n}=="), &format!("s{n}")).await;
        store.claim_streams(node, &[stream.stream_id], 60_000).await.unwrap();
    }
    let health = health(&server, BOSS).await;
    let daemons = health["streams"]["daemons"].as_array().unwrap();
    let shown: Vec<_> = daemons
        .iter()
        .map(|it| ["streams", "max_streams", "load_percent", "cpu_percent"].map(|key| &it[key]))
        .map(|figures| figures.map(Value::as_i64))
        .collect();
    let expected = [
        [Some(3), Some(8), Some(38), Some(43)],
        // It takes none.
        [Some(0), Some(0), None, Some(43)],
        [Some(1), Some(4), Some(25), Some(43)],
        [Some(1), None, None, None],
    ];
    assert_eq!(shown, expected, "{health}");
    assert!(daemons[1]["oldest_stream_at"].is_null() && daemons[1]["lease_until"].is_null());
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_a_finding_and_not_a_hang() {
    let server = Server::start().await;
    // Tokens of the settings are known without the store.
    server.state.store.close().await;
    let began = Instant::now();
    let health = health(&server, BOSS).await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(health["status"], "failing");
    assert_eq!(codes(&health)[0], "store_unavailable");
    assert_eq!(health["outgoing"]["waiting"], Value::Null);
}

#[tokio::test]
async fn wrong_signatures_and_a_wrong_clock_are_found() {
    let server = Server::start().await;
    assert_eq!(server.post(b"{}", &[]).await.status, 401);
    let at = (NOW_S - 400).to_string();
    let body = br#"{"event": "meeting.rtms_started", "payload": {}}"#;
    let signature = key().sign(NOW_S - 400, body);
    assert_eq!(
        server.post(body, &[signed_at(&at), ("x-zm-signature", &signature)]).await.status,
        401
    );
    let all = health(&server, BOSS).await;
    assert_eq!(all["status"], "failing");
    assert_eq!(all["clock"]["difference_seconds"], 400);
    let found = codes(&all);
    assert!(found.contains(&"clock_wrong") && found.contains(&"signatures_wrong"), "{found:?}");
    let wrong =
        all["findings"].as_array().unwrap().iter().find(|it| it["code"] == "signatures_wrong");
    assert_eq!(wrong.unwrap()["app"], app("default", "unused").name.as_str());
    // Another app's requests are not for a token of this one.
    let own = health(&server, ACME).await;
    assert!(!codes(&own).contains(&"signatures_wrong"), "{own}");
}
