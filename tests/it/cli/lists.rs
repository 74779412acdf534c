//! Webhooks, installations, endpoints and deliveries, and lists of several pages.

use serde_json::json;

use super::kit::{Client, cells, home};
use crate::install::daemon::{API_TOKEN as INSTALL_TOKEN, Daemon};
use crate::support::kit::{TestDaemon, send_webhook};
use crate::support::zoom::FakeZoom;

/// Tells the daemon of a meeting of its own.
async fn meeting(daemon: &TestDaemon, number: u64) {
    let object = json!({"id": number, "uuid": format!("m{number}=="), "host_id": "host1"});
    let payload = json!({"account_id": "acc1", "object": object});
    let now_ms = rtmsd::clock::now_ms();
    let body = json!({"event": "meeting.started", "event_ts": now_ms, "payload": payload});
    assert_eq!(send_webhook(daemon.address, &body).await, 200);
}

#[tokio::test]
async fn a_list_follows_its_pages_up_to_the_limit_and_says_how_it_goes_on() {
    let daemon = TestDaemon::start(&home()).await;
    for number in 0..205 {
        meeting(&daemon, 91_000_000_000 + number).await;
    }
    let client = Client::of(daemon.address);
    let count = async |words: &[&str]| {
        let ended = client.run(&[&["sessions", "list"], words].concat()).await;
        assert_eq!(ended.code(), 0, "{ended:?}");
        (cells(&ended.out).len() - 1, ended.err)
    };
    assert_eq!(count(&["--all"]).await, (205, String::new()));
    assert_eq!(count(&["--limit", "203", "--product", "meeting"]).await.0, 203);
    assert_eq!(count(&["--q", "91000000204"]).await, (1, String::new()));
    let (rows, note) = count(&[]).await;
    assert_eq!(rows, 50);
    let before = note.split("--before ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert_eq!(count(&["--before", before, "--all"]).await.0, 155);

    let all = client.json(&["sessions", "list", "--all"]).await;
    let ids: std::collections::HashSet<_> = all["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|session| session["id"].to_string())
        .collect();
    assert_eq!((ids.len(), &all["next"]), (205, &json!(null)));
}

#[tokio::test]
async fn webhooks_of_zoom_are_listed_shown_and_processed() {
    let daemon = TestDaemon::start(&home()).await;
    meeting(&daemon, 91_234_567_890).await;
    let client = Client::of(daemon.address);
    let list = client.json(&["webhooks", "list", "--event", "meeting.started"]).await;
    let id = list["webhooks"][0]["id"].as_str().unwrap();
    let table = cells(&client.text(&["webhooks", "list"]).await);
    assert_eq!(table[0], ["RECEIVED", "EVENT", "OUTCOME", "REASON", "APP", "MEETING", "ID"]);
    assert_eq!(table[1][1], "meeting.started");
    assert_eq!(table[1].last().unwrap(), id);
    let shown = client.text(&["webhooks", "show", id]).await;
    assert!(shown.contains("body\n  {\n") && shown.contains("\"host_id\": \"host1\""), "{shown}");
    let processed = client.json(&["webhooks", "process", id]).await;
    assert_eq!(processed["webhook"]["id"], id);
    let until = client.json(&["webhooks", "list", "--until", "2001-01-01T00:00:00Z"]).await;
    assert_eq!(until["webhooks"], json!([]));
}

#[tokio::test]
async fn installations_are_listed_and_revoked() {
    let zoom = FakeZoom::start().await;
    let daemon = Daemon::start(&zoom).await;
    let id = daemon.install(&zoom).await.id.to_string();
    let url = format!("http://{}", daemon.address);
    let client = Client::with(&[("RTMSD_URL", &url), ("RTMSD_TOKEN", INSTALL_TOKEN)]);
    let table = cells(&client.text(&["installations", "list"]).await);
    assert_eq!(table[1][..2], [&*id, "connected"]);
    let revoked = client.text(&["installations", "revoke", &id]).await;
    assert_eq!(revoked, format!("the installation is revoked: {id}"));
    let list = client.json(&["installations", "list"]).await;
    assert_eq!(list["installations"][0]["status"], "revoked");
    let again = client.json(&["installations", "revoke", &id, "--delete-data", "--force"]).await;
    assert_eq!(again["status"], "revoked");
}

#[tokio::test]
async fn deliveries_to_an_endpoint_are_listed_and_sent_again() {
    let daemon = TestDaemon::start(&home().set("WEBHOOKS_ALLOWED_HOSTS", "127.0.0.0/8")).await;
    let client = Client::of(daemon.address);
    let endpoints = "/api/v1/webhooks/endpoints";
    // Nobody listens there: the delivery waits for its next try.
    let made = daemon.api().post(endpoints, &json!({"url": "http://127.0.0.1:9/hook"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["data"]["endpoint"]["id"].as_str().unwrap().to_owned();
    let sent = daemon.api().post(&format!("{endpoints}/{id}/test"), &json!({})).await;
    let event = sent.json()["data"]["event_id"].as_str().unwrap().to_owned();
    let table = cells(&client.text(&["endpoints", "list"]).await);
    assert_eq!(table[1][..3], [&*id, "enabled", "http://127.0.0.1:9/hook"]);
    let table = cells(&client.text(&["deliveries", "list", &id]).await);
    assert_eq!(table[1][..2], [&*event, "test"]);
    let again = client.text(&["deliveries", "resend", &id, &event]).await;
    assert_eq!(again, format!("the event is queued again: {event}"));
    let list = client.json(&["deliveries", "list", &id, "--limit", "1"]).await;
    assert_eq!(list["deliveries"][0]["event_id"], event);
}
