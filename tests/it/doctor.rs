//! `rtmsd doctor` beside a daemon and a simulated Zoom: each finding is provoked.

mod endpoint;
mod kit;
mod places;
mod service;
mod zoom;

use self::kit::{Patient, at_zoom, visit, zoom, zoom_settings};
use crate::support::kit::Home;
use crate::support::process::Process;

#[tokio::test]
async fn where_everything_works_nothing_is_broken() {
    let patient = Patient::open(zoom_settings()).await;
    patient.install().await;
    let visit = patient.visit(&[("ZOOM_ACCOUNT_ID", "acc-1")]).await;
    assert_eq!(visit.code, 0, "{}", visit.out);
    assert_eq!(visit.report["ok"], true);
    for id in [
        "settings",
        "clock",
        "store.reachable",
        "store.schema",
        "store.latency",
        "disk.free",
        "disk.spool",
        "recordings.place",
        "network.dns",
        "network.ipv4",
        "webhook.delivery",
        "oauth.client",
        "oauth.redirect",
        "oauth.account",
        "oauth.token",
        "oauth.scopes",
        "rtms.enabled",
    ] {
        assert_eq!(visit.status(id), "ok", "{id}: {}", visit.out);
    }
    for id in ["nats", "network.proxy", "network.ipv6", "store.pooler", "webhook.tls"] {
        assert_eq!(visit.status(id), "skipped", "{id}: {}", visit.out);
    }
    // Zoom cannot send webhooks to loopback.
    assert_eq!(visit.status("webhook.address"), "warn");
    let document = std::fs::read_to_string("docs/doctor.md").unwrap();
    for check in visit.report["checks"].as_array().unwrap() {
        let id = check["id"].as_str().unwrap();
        assert!(document.contains(&format!("`{id}`")), "docs/doctor.md lacks {id}");
    }
}

#[tokio::test]
async fn people_get_a_table_without_colors_in_a_pipe() {
    let zoom = zoom(zoom_settings()).await;
    let home = at_zoom(Home::sqlite(), &zoom);
    let ended = Process::spawn(&["doctor"], home.variables(), home.folder()).ended().await;
    assert_eq!(ended.code(), 1, "no daemon answers at the webhook URL: {ended:?}");
    let starts = |word: &str| ended.out.lines().any(|line| line.starts_with(word));
    assert!(starts("ok       clock (http://127.0.0.1:"), "{}", ended.out);
    assert!(starts("FAIL     webhook.delivery (default)"), "{}", ended.out);
    assert!(ended.out.contains("→ See that the daemon runs"), "{}", ended.out);
    assert!(!ended.out.contains('\x1b'), "{}", ended.out);
}

#[tokio::test]
async fn wrong_settings_are_findings_with_an_exit_code_of_their_own() {
    let home = Home::sqlite().set("PORT", "hunter2").without("ZOOM_CLIENT_ID");
    let visit = visit(&home, None).await;
    assert_eq!(visit.code, 2, "{}", visit.out);
    assert_eq!(visit.report["ok"], false);
    for name in ["PORT", "ZOOM_CLIENT_ID"] {
        assert_eq!(visit.check_of("settings", name)["status"], "fail", "{}", visit.out);
    }
    assert!(!home.data().exists(), "it makes nothing");
}
