//! The doctor inside a daemon: over the API and on the dashboard, for administrators of all apps.

use serde_json::Value;

use super::kit::{at_zoom, zoom, zoom_settings};
use crate::http::server::{READER, Server};
use crate::support::client::{Answer, exchange, head};
use crate::support::kit::{Home, TestDaemon};
use crate::support::network::names;

const DOCTOR: &str = "/api/v1/doctor";
const BOSS: &str = "admin-token-of-the-doctor";

async fn ask(daemon: &TestDaemon, method: &str) -> Answer {
    let authorization = format!("Bearer {BOSS}");
    let request = head(method, DOCTOR, &[("authorization", &authorization)]);
    exchange(daemon.address, &request).await
}

fn status(report: &Value, id: &str) -> String {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["id"] == id);
    check.unwrap_or_else(|| panic!("{id} in {report}"))["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_daemon_checks_itself_once_at_a_time_and_keeps_the_report() {
    let zoom = zoom(zoom_settings()).await;
    let home = at_zoom(Home::sqlite(), &zoom)
        .set("PUBLIC_URL", "http://{address}")
        .set("API_TOKENS", &format!("boss:{BOSS}:admin"));
    let daemon = TestDaemon::start(&home).await;
    let before = ask(&daemon, "GET").await.json();
    assert_eq!(before["data"]["report"], Value::Null);
    let (one, other) = tokio::join!(ask(&daemon, "POST"), ask(&daemon, "POST"));
    assert_eq!(one.status, 200, "{}", one.text());
    let (one, other) = (one.json(), other.json());
    assert_eq!(one["data"], other["data"], "both got the report of one run");
    let report = &one["data"]["report"];
    assert_eq!(report["ok"], true, "{report}");
    for id in ["store.reachable", "webhook.delivery", "oauth.client", "recordings.place"] {
        assert_eq!(status(report, id), "ok", "{id}");
    }
    let after = ask(&daemon, "GET").await.json();
    assert_eq!(
        (&after["data"]["report"], &after["data"]["running"]),
        (report, &Value::Bool(false))
    );
}

/// Each family of addresses is tried on its own.
#[tokio::test]
async fn a_broken_family_of_addresses_is_found_although_the_other_one_works() {
    let zoom = zoom(zoom_settings()).await;
    let port = zoom.addr().port();
    let mut home = Home::sqlite()
        .set("ZOOM_API_BASE_URL", &format!("https://api.zoom.test:{port}"))
        .set("ZOOM_OAUTH_BASE_URL", &zoom.base_url())
        .set("API_TOKENS", &format!("boss:{BOSS}:admin"));
    // The simulator listens on IPv4 alone.
    home.resolver = names(&[("api.zoom.test", &["127.0.0.1", "::1"])]);
    let daemon = TestDaemon::start(&home).await;
    let report = ask(&daemon, "POST").await.json()["data"]["report"].take();
    let subject = format!("api.zoom.test:{port}");
    let of = |id: &str| {
        let checks = report["checks"].as_array().unwrap();
        let check = checks.iter().find(|it| it["id"] == id && it["subject"] == *subject);
        check.unwrap()["status"].clone()
    };
    assert_eq!((of("network.dns"), of("network.ipv4")), ("ok".into(), "ok".into()), "{report}");
    // Skipped on a machine without IPv6.
    assert!(["warn", "skipped"].contains(&of("network.ipv6").as_str().unwrap()), "{report}");
}

#[tokio::test]
async fn only_administrators_of_all_apps_may_ask() {
    let server = Server::start().await;
    let of_acme = ("authorization", "Bearer acme-token-of-tests");
    for method in ["GET", "POST"] {
        assert_eq!(server.request(method, DOCTOR, &[]).await.status, 401);
        assert_eq!(server.request(method, DOCTOR, &[READER]).await.status, 403);
        let refused = server.request(method, DOCTOR, &[of_acme]).await;
        assert_eq!((refused.status, &*refused.code()), (403, "operator_only"));
    }
    let page = server.request("GET", "/dashboard/health", &[of_acme]).await;
    assert!(page.status == 200 && !page.text().contains("Run the checks"), "{}", page.text());
}
