//! Findings about Zoom: clock, hosts, credentials, redirect URL, tokens, scopes, RTMS.

use rtmsd::simulator::{ApiFault, Call, OAuthSettings, Settings};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::kit::{Patient, at_zoom, visit, zoom, zoom_settings};
use crate::support::kit::Home;

#[tokio::test]
async fn a_wrong_clock_is_found_by_the_date_of_zooms_answers() {
    for (ahead_ms, status, says) in
        [(-600_000, "fail", "s ahead of Zoom’s"), (60_000, "warn", "s behind Zoom’s")]
    {
        let zoom = zoom(Settings { clock_ahead_ms: ahead_ms, ..zoom_settings() }).await;
        let visit = visit(&at_zoom(Home::sqlite(), &zoom), None).await;
        let clock = visit.check("clock");
        assert_eq!(clock["status"], status, "{clock}");
        assert!(clock["seen"].as_str().unwrap().contains(says), "{clock}");
    }
}

#[tokio::test]
async fn a_host_without_an_address_is_found_by_its_name() {
    let zoom = zoom(zoom_settings()).await;
    let home = at_zoom(Home::sqlite(), &zoom);
    // RFC 2606: this name never exists.
    let home = home.set("ZOOM_API_BASE_URL", "https://api.zoom.invalid");
    let visit = visit(&home, None).await;
    assert_eq!(visit.code, 1);
    let dns = visit.check_of("network.dns", "api.zoom.invalid:443");
    assert_eq!(dns["status"], "fail", "{dns}");
    for family in ["network.ipv4", "network.ipv6"] {
        assert_eq!(visit.check_of(family, "api.zoom.invalid:443")["status"], "skipped");
    }
    assert_eq!(visit.status("clock"), "fail", "no answer has a date");
    assert_eq!(visit.status("oauth.client"), "ok", "the other host works: {}", visit.out);
}

#[tokio::test]
async fn a_host_that_takes_no_connection_and_a_dead_proxy_are_found() {
    let zoom = zoom(zoom_settings()).await;
    let home = at_zoom(Home::sqlite(), &zoom).set("ZOOM_API_BASE_URL", "http://127.0.0.1:1");
    let found = visit(&home, None).await;
    let v4 = found.check_of("network.ipv4", "127.0.0.1:1");
    assert_eq!(v4["status"], "fail", "{v4}");
    // Loopback is reached without a proxy.
    let proxied = home.set("HTTPS_PROXY", "http://u:hunter2@127.0.0.1:1");
    visit(&proxied, None).await.assert_fails("network.proxy", "No connection to the proxy");
}

#[tokio::test]
async fn wrong_credentials_are_found() {
    let zoom = zoom(zoom_settings()).await;
    let home = at_zoom(Home::sqlite(), &zoom).set("ZOOM_CLIENT_SECRET", "hunter2");
    visit(&home, None).await.assert_fails("oauth.client", "client id or client secret is wrong");
}

#[tokio::test]
async fn a_redirect_url_or_a_client_that_zoom_does_not_know_is_found() {
    let redirect_uris = vec!["https://other.example.com/callback".to_owned()];
    let oauth = OAuthSettings { redirect_uris, ..zoom_settings().oauth };
    let zoom = zoom(Settings { oauth, ..zoom_settings() }).await;
    let home = at_zoom(Home::sqlite(), &zoom).set("PUBLIC_URL", "http://127.0.0.1:1");
    let found = visit(&home, None).await;
    found.assert_fails("oauth.redirect", "http://127.0.0.1:1/api/v1/zoom/oauth/callback");
    let home = home.set("ZOOM_OAUTH_REDIRECT_URL", "https://other.example.com/callback");
    assert_eq!(visit(&home, None).await.status("oauth.redirect"), "ok");
    let home = home.set("ZOOM_CLIENT_ID", "unknownClientId");
    visit(&home, None).await.assert_fails("oauth.redirect", "does not know the client id");
}

#[tokio::test]
async fn a_refused_account_is_found() {
    let zoom = zoom(zoom_settings()).await;
    let home = at_zoom(Home::sqlite(), &zoom).set("ZOOM_ACCOUNT_ID", "another");
    visit(&home, None).await.assert_fails("oauth.account", "ZOOM_ACCOUNT_ID");
}

#[tokio::test]
async fn a_refused_token_is_found_in_the_settings_and_in_an_installation() {
    let patient = Patient::open(zoom_settings()).await;
    let found = patient.visit(&[("ZOOM_ACCESS_TOKEN", "hunter2")]).await;
    found.assert_fails("oauth.token", "rejects the token of ZOOM_ACCESS_TOKEN");
    patient.install().await;
    assert_eq!(patient.visit(&[]).await.status("oauth.token"), "ok");
    patient.zoom.expire_access_tokens();
    patient.visit(&[]).await.assert_fails("oauth.token", "the user who installed the app last");
}

#[tokio::test]
async fn a_token_that_no_key_opens_is_found() {
    let patient = Patient::open(zoom_settings()).await;
    patient.install().await;
    let other = "17".repeat(32);
    let found = patient.visit(&[("TOKEN_ENCRYPTION_KEYS", &other)]).await;
    found.assert_fails("oauth.token", "do not open");
}

/// A refresh token works once: what the doctor refreshes is kept for the daemon.
#[tokio::test]
async fn a_token_that_has_expired_is_refreshed_and_kept() {
    let patient = Patient::open(zoom_settings()).await;
    patient.install().await;
    let file = SqliteConnectOptions::new().filename(patient.home.data().join("rtmsd.db"));
    let mut raw: SqliteConnection = file.connect().await.unwrap();
    sqlx::query("UPDATE installations SET expires_at_ms = 1").execute(&mut raw).await.unwrap();
    raw.close().await.unwrap();
    for _ in 0..2 {
        assert_eq!(patient.visit(&[]).await.status("oauth.token"), "ok");
    }
    let oauth = patient.zoom.report().oauth;
    assert_eq!((oauth.refreshes, oauth.reused_refresh_tokens), (1, 0));
}

#[tokio::test]
async fn missing_scopes_are_named() {
    const MISSING: [&str; 2] =
        ["meeting:read:meeting_chat", "meeting:update:participant_rtms_app_status"];
    let mut oauth = zoom_settings().oauth;
    oauth.scopes.retain(|scope| !MISSING.contains(&&**scope));
    let patient = Patient::open(Settings { oauth, ..zoom_settings() }).await;
    // Media are granted by users: the token of an account needs only what calls need.
    let found = patient.visit(&[("ZOOM_ACCOUNT_ID", "acc-1")]).await;
    found.assert_fails("oauth.scopes", &format!("token lacks {}.", MISSING[1]));
    patient.install().await;
    let found = patient.visit(&[]).await;
    found.assert_fails("oauth.scopes", &format!("1 lack {}, {}.", MISSING[0], MISSING[1]));
    found.assert_fails("rtms.enabled", "code 4711");
}

#[tokio::test]
async fn an_app_without_rtms_is_found() {
    let patient = Patient::open(zoom_settings()).await;
    patient.install().await;
    patient.zoom.fail_calls(Call::Status, 1, ApiFault::NotEligible);
    patient.visit(&[]).await.assert_fails("rtms.enabled", "code 2310");
    patient.zoom.fail_calls(Call::Status, 1, ApiFault::NotAuthorized);
    patient.visit(&[]).await.assert_fails("rtms.enabled", "code 13262");
    assert_eq!(patient.visit(&[]).await.status("rtms.enabled"), "ok");
}

#[tokio::test]
async fn a_zoom_that_hangs_ends_no_visit() {
    let zoom = zoom(zoom_settings()).await;
    for call in [Call::Token, Call::User] {
        zoom.fail_calls(call, 10, ApiFault::Hang);
    }
    let visit = visit(&at_zoom(Home::sqlite(), &zoom), None).await;
    visit.assert_fails("oauth.client", "no answer in time");
    visit.assert_fails("clock", "no answer in time");
}
