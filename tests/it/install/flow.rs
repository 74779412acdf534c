//! The OAuth install flow: state, code exchange, limits, uninstall.

use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rtmsd::model::{AppName, InstallationStatus};
use rtmsd::seal::KeyRing;
use rtmsd::zoom::state::{STATE_LIFE_MS, StateKeys};
use serde_json::json;

use super::daemon::{Daemon, HTML, INSTALL, JSON, Trip};
use crate::support::client::Answer;
use crate::support::kit::TOKEN_KEY;
use crate::support::zoom::FakeZoom;

const CALLBACK: &str = "/api/v1/zoom/oauth/callback";
const AUTHORIZE_URL: &str = "/api/v1/zoom/oauth/authorize-url";
const INSTALLATIONS: &str = "/api/v1/zoom/installations";

async fn both() -> (FakeZoom, Daemon) {
    let zoom = FakeZoom::start().await;
    let daemon = Daemon::start(&zoom).await;
    (zoom, daemon)
}

/// What every page must have, whatever it says.
fn check_page(answer: &Answer) {
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert!(answer.text().contains("<h1>") && !answer.text().contains("//"));
}

#[tokio::test]
async fn somebody_who_allows_it_is_installed_and_sees_so() {
    let (zoom, daemon) = both().await;
    let trip = Trip::begin(&daemon).await;
    let answer = trip.come_back(&daemon, &trip.decide(&zoom, "allow").await, HTML).await;
    assert_eq!(answer.status, 200);
    check_page(&answer);
    assert!(answer.text().contains("Zoom is connected") && answer.text().contains("Ana Ruiz"));
    let list = daemon.api("GET", INSTALLATIONS).await.json();
    let installation = &list["data"]["installations"][0];
    assert_eq!(installation["user_id"], "userAna01");
    assert_eq!(installation["account_id"], "acc1");
    assert_eq!(installation["status"], "connected");
    assert_eq!(
        installation["scopes"],
        json!(["meeting:read:meeting_transcript", "user:read:user"])
    );
    for token in &zoom.world().given {
        assert!(!list.to_string().contains(token) && !answer.text().contains(token));
    }
}

#[tokio::test]
async fn a_program_gets_json_that_says_who_installed_and_no_token() {
    let (zoom, daemon) = both().await;
    let trip = Trip::begin(&daemon).await;
    let answer = trip.come_back(&daemon, &trip.decide(&zoom, "allow").await, JSON).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(body["status"], true);
    assert_eq!(body["data"]["token_stored"], true);
    assert_eq!(body["data"]["installation"]["email"], "ana@example.com");
    for token in &zoom.world().given {
        assert!(!body.to_string().contains(token));
    }
}

#[tokio::test]
async fn somebody_who_declines_sees_that_nothing_was_stored() {
    let (zoom, daemon) = both().await;
    let trip = Trip::begin(&daemon).await;
    let back = trip.decide(&zoom, "deny").await;
    let answer = trip.come_back(&daemon, &back, HTML).await;
    assert_eq!(answer.status, 403);
    check_page(&answer);
    assert!(answer.text().contains("was not installed") && answer.text().contains(INSTALL));
    let answer = trip.come_back(&daemon, &back, JSON).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "access_denied"));
    assert!(zoom.world().granted.is_empty());
}

#[tokio::test]
async fn a_state_is_checked_before_the_code_is_exchanged() {
    let (zoom, daemon) = both().await;
    let trip = Trip::begin(&daemon).await;
    let back = trip.decide(&zoom, "allow").await;
    let (path, _) = back.split_once("&state=").unwrap();
    for (back, code) in [
        (path.to_owned(), "state_missing"),
        (format!("{path}&state="), "state_missing"),
        (format!("{path}&state=forged"), "state_invalid"),
        (format!("{path}&state=%00%ff"), "state_invalid"),
        (back.replace("state=A", "state=B"), "state_invalid"),
    ] {
        let answer = trip.come_back(&daemon, &back, JSON).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{back}");
        let page = trip.come_back(&daemon, &back, HTML).await;
        assert_eq!(page.status, 400);
        check_page(&page);
    }
    assert!(zoom.world().granted.is_empty(), "no code was exchanged");
    // And the code is still good for the one who has its state.
    assert_eq!(trip.come_back(&daemon, &back, JSON).await.status, 200);
}

#[tokio::test]
async fn a_state_of_another_key_and_one_that_has_expired_are_refused() {
    let (zoom, daemon) = both().await;
    let now_ms = rtmsd::clock::now_ms();
    let ours = StateKeys::new(&KeyRing::parse(TOKEN_KEY).unwrap());
    let others = StateKeys::new(&KeyRing::parse(&"37".repeat(32)).unwrap());
    for (keys, at_ms, code) in [
        (&others, now_ms, "state_invalid"),
        (&ours, now_ms - STATE_LIFE_MS - 1, "state_expired"),
        // This one would do, and only its code is not Zoom's.
        (&ours, now_ms, "code_invalid"),
    ] {
        let state = keys.issue(at_ms, [7; 16], &AppName::default(), None).state;
        let back = format!("{CALLBACK}?code=x&state={state}");
        let answer = daemon.request("GET", &back, &[JSON]).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, code));
    }
    assert!(zoom.world().granted.is_empty());
}

#[tokio::test]
async fn a_state_works_once() {
    let (zoom, daemon) = both().await;
    let trip = Trip::begin(&daemon).await;
    let back = trip.decide(&zoom, "allow").await;
    assert_eq!(trip.come_back(&daemon, &back, HTML).await.status, 200);
    let again = trip.come_back(&daemon, &back, JSON).await;
    assert_eq!((again.status, again.code().as_str()), (409, "state_used"));
    let page = trip.come_back(&daemon, &back, HTML).await;
    check_page(&page);
    assert!(page.text().contains("finished already"));
    assert_eq!(zoom.world().granted.len(), 1);
}

#[tokio::test]
async fn a_stranger_with_many_codes_reaches_zoom_only_as_often_as_one_address_may() {
    let (zoom, daemon) = both().await;
    let begun = Instant::now();
    let mut strangers = FuturesUnordered::new();
    for index in 0..40 {
        let trip = Trip::begin(&daemon).await;
        let url = url::Url::parse(&trip.authorize_url).unwrap();
        let (_, state) = url.query_pairs().find(|(name, _)| name == "state").unwrap();
        let path = format!("{CALLBACK}?code=forged{index}&state={state}");
        let daemon = &daemon;
        strangers.push(async move { trip.come_back(daemon, &path, JSON).await.code() });
    }
    let mut codes = Vec::new();
    // Ten get their turn at once; twenty would have to wait longer than ten seconds.
    while codes.len() < 30 {
        codes.push(
            strangers.next().await.expect("a wait of more than ten seconds is refused at once"),
        );
    }
    let allowed = 10 + usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    let asked = zoom.world().asked;
    assert!((10..=allowed).contains(&asked), "{asked} of {allowed}: {codes:?}");
    let refused = codes.iter().filter(|code| *code == "too_many_installs").count();
    assert!(refused >= 30 - allowed, "{codes:?}");
    drop(strangers);
}

#[tokio::test]
async fn the_way_back_is_for_the_browser_that_went() {
    let (zoom, daemon) = both().await;
    let (mine, other) = (Trip::begin(&daemon).await, Trip::begin(&daemon).await);
    let back = mine.decide(&zoom, "allow").await;
    let answer = other.come_back(&daemon, &back, JSON).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "state_of_other_browser"));
    let without_cookie = daemon.request("GET", &back, &[JSON]).await;
    assert_eq!(without_cookie.code(), "state_of_other_browser");
    assert!(zoom.world().granted.is_empty());
    assert_eq!(mine.come_back(&daemon, &back, JSON).await.status, 200);
}

#[tokio::test]
async fn two_installs_in_two_tabs_of_a_browser_both_work() {
    let (zoom, daemon) = both().await;
    let first = Trip::begin(&daemon).await;
    let second = daemon.request("GET", INSTALL, &[("cookie", &first.cookie)]).await;
    assert!(second.header("set-cookie").unwrap().starts_with(&first.cookie));
    assert_eq!(
        first.come_back(&daemon, &first.decide(&zoom, "allow").await, JSON).await.status,
        200
    );
}

#[tokio::test]
async fn a_program_may_ask_for_the_url_with_a_token_that_controls() {
    let (zoom, daemon) = both().await;
    assert_eq!(daemon.request("GET", AUTHORIZE_URL, &[]).await.status, 401);
    let reader = ("authorization", "Bearer reader-token-0123");
    assert_eq!(daemon.request("GET", AUTHORIZE_URL, &[reader]).await.status, 403);
    let body = daemon.api("GET", AUTHORIZE_URL).await.json();
    assert_eq!(body["authorization_url"], body["data"]["authorization_url"]);
    assert_eq!(body["state"], body["data"]["state"]);
    let authorize_url = body["authorization_url"].as_str().unwrap().to_owned();
    assert!(authorize_url.contains(body["state"].as_str().unwrap()));
    // It comes back in a browser that has never been here.
    let trip = Trip { cookie: String::new(), authorize_url };
    let answer = trip.come_back(&daemon, &trip.decide(&zoom, "allow").await, JSON).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn the_redirect_url_comes_from_the_settings_and_not_from_the_request() {
    let (_zoom, daemon) = both().await;
    let headers = [("host", "evil.example"), ("x-forwarded-host", "evil.example")];
    let answer = daemon.request("GET", INSTALL, &headers).await;
    let location = answer.header("location").unwrap();
    assert!(!location.contains("evil") && location.contains("127.0.0.1"), "{location}");
}

#[tokio::test]
async fn a_code_that_zoom_refuses_has_a_page_that_does_not_repeat_it() {
    let (zoom, daemon) = both().await;
    let trip = Trip::begin(&daemon).await;
    let back = trip.decide(&zoom, "allow").await.replace("code=code", "code=s3cret");
    let page = trip.come_back(&daemon, &back, HTML).await;
    assert_eq!(page.status, 400);
    check_page(&page);
    assert!(!page.text().contains("s3cret"));
}

#[tokio::test]
async fn while_zoom_is_in_trouble_the_page_says_to_start_again() {
    let (zoom, daemon) = both().await;
    let trip = Trip::begin(&daemon).await;
    let back = trip.decide(&zoom, "allow").await;
    zoom.world().failing = vec![503];
    let answer = trip.come_back(&daemon, &back, JSON).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "zoom_unavailable"));
}

#[tokio::test]
async fn a_wrong_client_secret_is_said_to_be_the_operators_to_mend() {
    let zoom = FakeZoom::start().await;
    let daemon = Daemon::start_with(&zoom, &[("ZOOM_CLIENT_SECRET", "s3cret-wrong")]).await;
    let trip = Trip::begin(&daemon).await;
    let back = trip.decide(&zoom, "allow").await;
    let page = trip.come_back(&daemon, &back, HTML).await;
    assert_eq!(page.status, 502);
    check_page(&page);
    assert!(page.text().contains("client secret") && !page.text().contains("s3cret"));
}

#[tokio::test]
async fn a_head_request_uses_nothing_up() {
    let (zoom, daemon) = both().await;
    let trip = Trip::begin(&daemon).await;
    let back = trip.decide(&zoom, "allow").await;
    let answer = daemon.request("HEAD", &back, &[("cookie", &trip.cookie)]).await;
    assert_eq!(answer.status, 405);
    assert_eq!(trip.come_back(&daemon, &back, JSON).await.status, 200);
}

#[tokio::test]
async fn installing_again_replaces_the_tokens_and_keeps_the_id() {
    let (zoom, daemon) = both().await;
    let first = daemon.install(&zoom).await;
    zoom.world().user_name = "Ana R.".into();
    let second = daemon.install(&zoom).await;
    assert_eq!(second.id, first.id);
    assert_eq!(second.generation, first.generation + 1);
    assert_eq!(second.display_name.as_deref(), Some("Ana R."));
    zoom.world().user_id = "userBo02".into();
    assert_ne!(daemon.install(&zoom).await.id, first.id);
    let page = daemon.api("GET", &format!("{INSTALLATIONS}?limit=1")).await.json();
    assert_eq!(page["data"]["installations"].as_array().unwrap().len(), 1);
    let next = page["data"]["next"].as_str().unwrap();
    let rest = daemon.api("GET", &format!("{INSTALLATIONS}?before={next}")).await.json();
    assert_eq!(rest["data"]["installations"][0]["id"], json!(first.id));
    assert!(rest["data"]["next"].is_null());
}

#[tokio::test]
async fn deleting_an_installation_revokes_it_at_zoom_and_deletes_its_tokens() {
    let (zoom, daemon) = both().await;
    let installation = daemon.install(&zoom).await;
    let path = format!("{INSTALLATIONS}/{}", installation.id);
    for token in ["reader-token-0123", "controller-token"] {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", &*authorization)];
        for (method, path) in [("DELETE", &*path), ("GET", &path), ("GET", INSTALLATIONS)] {
            assert_eq!(daemon.request(method, path, &headers).await.status, 403);
        }
    }
    let answer = daemon.api("DELETE", &path).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["data"]["revoked_at_zoom"], true);
    {
        let world = zoom.world();
        assert_eq!(world.revoked, world.given[..1]);
    }
    let grant = daemon.store.grant(installation.id).await.unwrap().unwrap();
    assert_eq!(grant.installation.status, InstallationStatus::Revoked);
    assert_eq!((grant.tokens, grant.installation.email), (None, None));
    let shown = daemon.api("GET", &path).await.json();
    assert_eq!(shown["data"]["installation"]["status"], "revoked");
    let audited = daemon.audited("installation.delete").await;
    assert_eq!((audited.len(), &*audited[0].actor), (1, "tester"));
    assert_eq!(audited[0].subject, installation.id.to_string());
    // Once more changes nothing; what never was is a 404.
    assert_eq!(daemon.api("DELETE", &path).await.status, 200);
    assert_eq!(daemon.audited("installation.delete").await.len(), 1);
    let unknown = format!("{INSTALLATIONS}/01932b5e-0000-7000-8000-000000000000");
    let answer = daemon.api("DELETE", &unknown).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "installation_not_found"));
    assert_eq!(daemon.api("GET", &format!("{INSTALLATIONS}/x")).await.status, 404);
    // And the user may come back.
    assert_eq!(daemon.install(&zoom).await.id, installation.id);
}

#[tokio::test]
async fn while_zoom_cannot_end_a_grant_it_is_kept_unless_that_is_forced() {
    let (zoom, daemon) = both().await;
    let installation = daemon.install(&zoom).await;
    let path = format!("{INSTALLATIONS}/{}", installation.id);
    zoom.world().revoke_failing = vec![503; 3];
    let answer = daemon.api("DELETE", &path).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "zoom_unavailable"));
    assert_eq!(answer.json()["error"]["retryable"], true);
    assert!(daemon.store.grant(installation.id).await.unwrap().unwrap().tokens.is_some());
    // A short trouble is waited for.
    zoom.world().revoke_failing = vec![503];
    assert_eq!(daemon.api("DELETE", &path).await.json()["data"]["revoked_at_zoom"], true);
    daemon.install(&zoom).await;
    zoom.world().revoke_failing = vec![503; 3];
    let forced = daemon.api("DELETE", &format!("{path}?force=true")).await;
    assert_eq!(forced.json()["data"]["revoked_at_zoom"], false);
    assert_eq!(daemon.store.grant(installation.id).await.unwrap().unwrap().tokens, None);
}

#[tokio::test]
async fn trouble_after_the_exchange_is_waited_for_and_then_the_tokens_are_given_back() {
    let (zoom, daemon) = both().await;
    zoom.world().me_failing = vec![503; 2];
    daemon.install(&zoom).await;
    let installs = daemon.audited("installation.install").await;
    assert_eq!((installs.len(), &*installs[0].actor), (1, "userAna01"));
    let trip = Trip::begin(&daemon).await;
    let back = trip.decide(&zoom, "allow").await;
    zoom.world().me_failing = vec![503; 3];
    let answer = trip.come_back(&daemon, &back, JSON).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "zoom_unavailable"));
    let world = zoom.world();
    assert_eq!(world.revoked, [world.given[2].clone()], "the second access token");
}

#[tokio::test]
async fn the_callback_is_at_its_documented_path() {
    let (_zoom, daemon) = both().await;
    let answer = daemon.request("GET", CALLBACK, &[HTML]).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("One more step"));
}
