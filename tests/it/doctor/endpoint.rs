//! Findings at the webhook URL: the secret, what answers there, and the certificate.

use std::path::Path;

use axum::Router;
use axum::http::StatusCode;
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rtmsd::simulator::{Settings, Simulator};
use tokio::net::TcpListener;

use super::kit::{Patient, Visit, at_zoom, visit, zoom, zoom_settings};
use crate::support::kit::Home;

#[tokio::test]
async fn another_secret_token_at_the_endpoint_is_found() {
    let patient = Patient::open(zoom_settings()).await;
    let found = patient.visit(&[("ZOOM_SECRET_TOKEN", "hunter2")]).await;
    found.assert_fails("webhook.delivery", "secret token is another one");
    // While a token is rotated, the newest one counts: Zoom signs with it.
    let both = "hunter2,demoSecretToken01";
    let found = patient.visit(&[("ZOOM_SECRET_TOKEN", both)]).await;
    found.assert_fails("webhook.delivery", "secret token is another one");
    let found = patient.visit(&[("ZOOM_SECRET_TOKEN", "demoSecretToken01,hunter2")]).await;
    assert_eq!(found.status("webhook.delivery"), "ok");
}

#[tokio::test]
async fn a_visit_does_not_pass_for_a_validation_by_zoom() {
    let patient = Patient::open(zoom_settings()).await;
    assert_eq!(patient.visit(&[]).await.status("webhook.delivery"), "ok");
    let path = "/api/v1/zoom/webhook-endpoints";
    let seen = patient.daemon.api().get(path).await.unwrap().json();
    let endpoint = &seen["data"]["endpoints"][0];
    assert!(endpoint["validated_at"].is_null(), "{endpoint}");
}

#[tokio::test]
async fn what_answers_in_place_of_the_daemon_is_recognized() {
    let zoom = zoom(zoom_settings()).await;
    for (status, says) in [
        (StatusCode::OK, "does not know the secret token"),
        (StatusCode::MOVED_PERMANENTLY, "redirects (301)"),
        (StatusCode::UNAUTHORIZED, "Something before the daemon"),
        (StatusCode::NOT_FOUND, "no rtmsd serves the path"),
        (StatusCode::BAD_GATEWAY, "does not reach the daemon"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let other = Router::new().fallback(async move || (status, "hello"));
        let serving = tokio::spawn(async move { axum::serve(listener, other).await });
        let home = at_zoom(Home::sqlite(), &zoom).set("PUBLIC_URL", &url);
        visit(&home, None).await.assert_fails("webhook.delivery", says);
        serving.abort();
    }
    let nothing = at_zoom(Home::sqlite(), &zoom).set("PUBLIC_URL", "http://127.0.0.1:1");
    visit(&nothing, None).await.assert_fails("webhook.delivery", "no connection");
}

#[tokio::test]
async fn a_public_url_without_an_address_is_found() {
    let zoom = zoom(zoom_settings()).await;
    let home = at_zoom(Home::sqlite(), &zoom).set("PUBLIC_URL", "https://rtms.invalid");
    let found = visit(&home, None).await;
    found.assert_fails("webhook.address", "rtms.invalid");
    found.assert_fails("webhook.tls", "No TLS connection");
    assert_eq!(found.status("webhook.delivery"), "skipped");
}

#[tokio::test]
async fn an_app_with_an_event_socket_needs_no_endpoint() {
    let zoom = zoom(zoom_settings()).await;
    let home = at_zoom(Home::sqlite(), &zoom)
        .without("ZOOM_SECRET_TOKEN")
        .set("ZOOM_EVENTS_URL", "ws://127.0.0.1:1/ws?subscriptionId=x");
    let visit = visit(&home, None).await;
    for id in ["webhook.address", "webhook.tls", "webhook.delivery"] {
        assert_eq!(visit.status(id), "skipped");
    }
    assert_eq!(visit.check_of("network.ipv4", "127.0.0.1:1")["status"], "fail", "its socket");
}

/// Looks at a server with the certificate in a folder; `authority` says whether `CA_FILE` has the one that signed it.
async fn look_at(folder: &Path, authority: bool) -> (Simulator, Visit) {
    let tls_dir = Some(folder.to_owned());
    let server = zoom(Settings { tls_dir, ..zoom_settings() }).await;
    let zoom = zoom(zoom_settings()).await;
    let mut home = at_zoom(Home::sqlite(), &zoom).set("PUBLIC_URL", &server.base_url());
    if authority {
        home = home.set("CA_FILE", &folder.join("ca.pem").display().to_string());
    }
    (server, visit(&home, None).await)
}

#[tokio::test]
async fn a_certificate_of_no_public_authority_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, found) = look_at(folder.path(), false).await;
    found.assert_fails("webhook.tls", "No public authority");
    let (_server, found) = look_at(folder.path(), true).await;
    found.assert_warns("webhook.tls", "Only CA_FILE");
    assert!(found.check("webhook.tls")["seen"].as_str().unwrap().contains("2045-01-01"));
}

#[tokio::test]
async fn an_expired_certificate_and_one_for_another_name_are_found() {
    for (name, from, until, says) in [
        ("localhost", 2020, 2024, "expired on 2024-01-01"),
        ("localhost", 2090, 2099, "not valid yet"),
        ("other.example.com", 2020, 2099, "another host name"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        make_certificate(folder.path(), name, from, until);
        let (_server, found) = look_at(folder.path(), true).await;
        found.assert_fails("webhook.tls", says);
        assert_eq!(found.status("webhook.delivery"), "skipped", "there is nothing to send it over");
    }
}

/// A certificate for a host, valid from the first to the second year, and its authority.
fn make_certificate(folder: &Path, host: &str, from: i32, until: i32) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    std::fs::write(folder.join("ca.pem"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let mut server = CertificateParams::new(vec![host.to_owned()]).unwrap();
    server.not_before = date_time_ymd(from, 1, 1);
    server.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = server.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}
