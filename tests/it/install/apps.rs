//! Installs of several apps in one daemon.

use rtmsd::model::{AppName, ChoiceReason};
use rtmsd::zoom::token::{Candidates, TokenError, Wanted};
use serde_json::json;

use super::daemon::{Daemon, HTML, INSTALL, JSON, Trip};
use crate::support::zoom::{CLIENT_ID, CLIENT_SECRET, FakeZoom};

/// A daemon whose app `acme` is the one that the fake Zoom knows. Zoom does not know its default app.
async fn both() -> (FakeZoom, Daemon) {
    let zoom = FakeZoom::start().await;
    let acme = json!([{"name": "acme", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "secret_tokens": ["acme-token"]}]);
    let settings = [
        ("ZOOM_CLIENT_ID", "anotherClient"),
        ("ZOOM_CLIENT_SECRET", "anotherSecret"),
        ("ZOOM_APPS", &*acme.to_string()),
    ];
    let daemon = Daemon::start_with(&zoom, &settings).await;
    (zoom, daemon)
}

fn acme() -> AppName {
    AppName::parse("acme").unwrap()
}

#[tokio::test]
async fn an_install_of_an_app_is_finished_and_refreshed_with_that_apps_credentials() {
    let (zoom, daemon) = both().await;
    let trip = Trip::begin_at(&daemon, &format!("{INSTALL}?app=acme")).await;
    let answer = trip.come_back(&daemon, &trip.decide(&zoom, "allow").await, JSON).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["data"]["installation"]["app"], "acme");
    let installation = daemon.installation(&body["data"]["installation"]["id"]).await;
    assert_eq!(installation.app, acme());
    let granted = daemon.tokens.token(&Wanted::Installation(installation.id)).await.unwrap();
    assert_eq!(granted.app.name, acme());
    daemon.tokens.replace(&granted).await.unwrap();
    assert_eq!(zoom.refreshes(), 1);
    // Only the app's own sessions use it.
    let known = |app: AppName| Candidates { app, ..Candidates::default() };
    let chosen = daemon.tokens.choose(&known(acme())).await.unwrap();
    assert_eq!(chosen.installation_id, Some(installation.id));
    assert_eq!(chosen.reason, ChoiceReason::OnlyInstallation);
    let other = daemon.tokens.choose(&known(AppName::default())).await;
    assert!(matches!(other, Err(TokenError::Missing(_))), "{other:?}");
    let named = Candidates { named: Some(installation.id), ..known(AppName::default()) };
    let named = daemon.tokens.choose(&named).await;
    assert!(matches!(named, Err(TokenError::Missing(_))), "{named:?}");
    let removed = daemon.tokens.choose(&known(AppName::parse("gone").unwrap())).await;
    assert!(matches!(removed, Err(TokenError::NoApp(_))), "{removed:?}");
}

#[tokio::test]
async fn a_program_gets_the_authorization_url_of_an_app() {
    let (_zoom, daemon) = both().await;
    let path = "/api/v1/zoom/oauth/authorize-url";
    let url = async |query: &str| {
        let answer = daemon.api("GET", &format!("{path}{query}")).await.json();
        answer["authorization_url"].as_str().unwrap_or_default().to_owned()
    };
    assert!(url("?app=acme").await.contains(&format!("client_id={CLIENT_ID}&")));
    assert!(url("").await.contains("client_id=anotherClient&"));
    assert!(url("?app=default").await.contains("client_id=anotherClient&"));
}

#[tokio::test]
async fn an_app_that_is_not_there_is_a_404_for_people_and_for_programs() {
    let (_zoom, daemon) = both().await;
    for name in ["other", "", "a/b", "%00"] {
        let path = format!("{INSTALL}?app={name}");
        let page = daemon.request("GET", &path, &[HTML]).await;
        assert_eq!(page.status, 404, "{name}");
        assert!(page.text().contains("not known here"), "{}", page.text());
        let answer = daemon.request("GET", &path, &[JSON]).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "unknown_app"), "{name}");
        let path = format!("/api/v1/zoom/oauth/authorize-url?app={name}");
        let answer = daemon.api("GET", &path).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "unknown_app"), "{name}");
    }
}

#[tokio::test]
async fn the_page_of_a_failed_install_leads_back_to_the_same_app() {
    let (zoom, daemon) = both().await;
    let trip = Trip::begin_at(&daemon, &format!("{INSTALL}?app=acme")).await;
    let page = trip.come_back(&daemon, &trip.decide(&zoom, "deny").await, HTML).await;
    assert_eq!(page.status, 403);
    assert!(page.text().contains(&format!("{INSTALL}?app=acme")), "{}", page.text());
}
