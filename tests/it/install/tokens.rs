//! Access tokens: refresh, replacement, expiry.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rtmsd::model::{AppName, Installation, InstallationStatus};
use rtmsd::zoom::token::{Candidates, Granted, TokenError, Tokens, Wanted};
use tokio::task::JoinSet;

use super::daemon::Daemon;
use crate::support::postgres;
use crate::support::zoom::FakeZoom;

/// A daemon with one installation whose access token has ended.
async fn with_ended_token() -> (FakeZoom, Daemon, Installation) {
    let zoom = FakeZoom::start().await;
    let daemon = Daemon::start(&zoom).await;
    zoom.world().expires_in = Some(0);
    let installation = daemon.install(&zoom).await;
    zoom.world().expires_in = Some(3599);
    (zoom, daemon, installation)
}

/// Many at once want the same token; returns what each got.
async fn all_at_once(callers: Vec<Tokens>, installation: &Installation) -> Vec<String> {
    let mut tasks = JoinSet::new();
    for tokens in callers {
        let id = installation.id;
        tasks.spawn(async move { tokens.token(&Wanted::Installation(id)).await.unwrap() });
    }
    let granted = tasks.join_all().await;
    granted.into_iter().map(|granted: Granted| granted.access_token.expose().clone()).collect()
}

#[tokio::test]
async fn a_hundred_callers_with_an_ended_token_cost_one_refresh() {
    let (zoom, daemon, installation) = with_ended_token().await;
    zoom.world().delay = Duration::from_millis(50);
    let got = all_at_once(vec![daemon.tokens.clone(); 100], &installation).await;
    assert_eq!(zoom.refreshes(), 1);
    assert!(got.iter().all(|token| *token == got[0]));
    let again = daemon.tokens.token(&Wanted::Installation(installation.id)).await.unwrap();
    assert_eq!(*again.access_token.expose(), got[0]);
    assert_eq!(zoom.refreshes(), 1, "a good token is not refreshed");
}

#[tokio::test]
async fn two_daemons_on_one_postgres_refresh_once() {
    let zoom = FakeZoom::start().await;
    let url = postgres::fresh_database().await;
    let settings = [("DATABASE_URL", &*url)];
    let daemon = Daemon::start_with(&zoom, &settings).await;
    let other = Daemon::start_with(&zoom, &settings).await;
    zoom.world().expires_in = Some(0);
    let installation = daemon.install(&zoom).await;
    zoom.world().expires_in = Some(3599);
    zoom.world().delay = Duration::from_millis(300);
    let callers = [&daemon.tokens, &other.tokens].into_iter().cycle().take(100).cloned().collect();
    let got = all_at_once(callers, &installation).await;
    assert_eq!(zoom.refreshes(), 1);
    assert!(got.iter().all(|token| *token == got[0]));
}

#[tokio::test]
async fn after_a_401_the_token_is_replaced_once() {
    let zoom = FakeZoom::start().await;
    let daemon = Daemon::start(&zoom).await;
    let installation = daemon.install(&zoom).await;
    let old = daemon.tokens.token(&Wanted::Installation(installation.id)).await.unwrap();
    let old = Arc::new(old);
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let (tokens, old) = (daemon.tokens.clone(), Arc::clone(&old));
        tasks.spawn(async move { tokens.replace(&old).await.unwrap() });
    }
    let new = tasks.join_all().await;
    assert_eq!(zoom.refreshes(), 1);
    assert!(new.iter().all(|granted| granted.access_token != old.access_token));
    // Somebody who comes later with the old one gets the one that is there.
    daemon.tokens.replace(&old).await.unwrap();
    assert_eq!(zoom.refreshes(), 1);
}

#[tokio::test]
async fn a_refresh_goes_on_when_its_caller_has_left() {
    let (zoom, daemon, installation) = with_ended_token().await;
    zoom.world().delay = Duration::from_millis(200);
    let wanted = Wanted::Installation(installation.id);
    let impatient = tokio::time::timeout(Duration::from_millis(50), daemon.tokens.token(&wanted));
    assert!(impatient.await.is_err());
    daemon.tokens.token(&wanted).await.unwrap();
    assert_eq!(zoom.refreshes(), 1);
}

#[tokio::test]
async fn a_daemon_that_stops_finishes_its_refresh() {
    let (zoom, daemon, installation) = with_ended_token().await;
    zoom.world().delay = Duration::from_millis(300);
    let wanted = Wanted::Installation(installation.id);
    let impatient = tokio::time::timeout(Duration::from_millis(50), daemon.tokens.token(&wanted));
    assert!(impatient.await.is_err());
    let again = Daemon::start_in(daemon.stop().await).await;
    again.tokens.token(&wanted).await.unwrap();
    assert_eq!(zoom.refreshes(), 1);
}

#[tokio::test]
async fn trouble_at_zooms_is_tried_again_and_costs_no_grant() {
    let (zoom, daemon, installation) = with_ended_token().await;
    zoom.world().failing = vec![503, 429];
    let wanted = Wanted::Installation(installation.id);
    daemon.tokens.token(&wanted).await.unwrap();
    assert_eq!(zoom.refreshes(), 1);
    let rejected = daemon.tokens.token(&wanted).await.unwrap();
    zoom.world().failing = vec![503; 3];
    let error = daemon.tokens.replace(&rejected).await.unwrap_err();
    assert!(matches!(error, TokenError::Unavailable(_)), "{error}");
    daemon.tokens.replace(&rejected).await.unwrap();
}

#[tokio::test]
async fn a_token_that_is_still_good_is_used_when_its_successor_cannot_be_had() {
    let zoom = FakeZoom::start().await;
    let daemon = Daemon::start(&zoom).await;
    let installation = daemon.install(&zoom).await;
    let id = at_95_percent(&daemon, &installation).await.id;
    zoom.world().failing = vec![503; 3];
    daemon.tokens.token(&Wanted::Installation(id)).await.unwrap();
    assert_eq!(zoom.refreshes(), 0);
    daemon.tokens.token(&Wanted::Installation(id)).await.unwrap();
    assert_eq!(zoom.refreshes(), 1, "refreshed ahead of its end");
}

#[tokio::test]
async fn a_dead_grant_needs_a_reconnect_and_a_new_install_mends_it() {
    let (zoom, daemon, installation) = with_ended_token().await;
    zoom.world().forget_refresh_tokens();
    let wanted = Wanted::Installation(installation.id);
    for _ in 0..2 {
        let error = daemon.tokens.token(&wanted).await.unwrap_err();
        assert!(matches!(error, TokenError::NeedsReconnect(id) if id == installation.id));
    }
    let grant = daemon.store.grant(installation.id).await.unwrap().unwrap();
    assert_eq!(grant.installation.status, InstallationStatus::NeedsReconnect);
    daemon.install(&zoom).await;
    daemon.tokens.token(&wanted).await.unwrap();
}

#[tokio::test]
async fn a_claim_of_a_dead_daemon_runs_out() {
    let (zoom, daemon, installation) = with_ended_token().await;
    let began = Instant::now();
    let (id, generation) = (installation.id, installation.generation);
    let claim = uuid::Uuid::new_v4();
    assert!(daemon.store.claim_refresh(id, generation, claim, 600).await.unwrap());
    daemon.tokens.token(&Wanted::Installation(id)).await.unwrap();
    assert!(
        began.elapsed() >= Duration::from_millis(600),
        "no daemon refreshes while another one's claim is valid"
    );
    assert_eq!(zoom.refreshes(), 1);
}

#[tokio::test]
async fn an_unknown_end_means_refresh_before_use() {
    let zoom = FakeZoom::start().await;
    let daemon = Daemon::start(&zoom).await;
    zoom.world().expires_in = None;
    let installation = daemon.install(&zoom).await;
    let wanted = Wanted::Installation(installation.id);
    daemon.tokens.token(&wanted).await.unwrap();
    daemon.tokens.token(&wanted).await.unwrap();
    assert_eq!(zoom.refreshes(), 2);
}

#[tokio::test]
async fn a_grant_without_a_refresh_token_lasts_as_long_as_its_token() {
    let zoom = FakeZoom::start().await;
    let daemon = Daemon::start(&zoom).await;
    zoom.world().gives_refresh_tokens = false;
    let installation = daemon.install(&zoom).await;
    let wanted = Wanted::Installation(installation.id);
    daemon.tokens.token(&wanted).await.unwrap();
    let installation = at_95_percent(&daemon, &installation).await;
    let granted = daemon.tokens.token(&wanted).await.unwrap();
    let grant = daemon.store.grant(installation.id).await.unwrap().unwrap();
    assert_eq!(grant.installation.status, InstallationStatus::Connected);
    let error = daemon.tokens.replace(&granted).await.unwrap_err();
    assert!(matches!(error, TokenError::NeedsReconnect(_)), "{error}");
}

#[tokio::test]
async fn a_dead_refresh_leaves_the_token_that_is_still_good() {
    let zoom = FakeZoom::start().await;
    let daemon = Daemon::start(&zoom).await;
    let installation = daemon.install(&zoom).await;
    let installation = at_95_percent(&daemon, &installation).await;
    zoom.world().forget_refresh_tokens();
    for _ in 0..2 {
        daemon.tokens.token(&Wanted::Installation(installation.id)).await.unwrap();
        let grant = daemon.store.grant(installation.id).await.unwrap().unwrap();
        assert_eq!(grant.installation.status, InstallationStatus::NeedsReconnect);
    }
}

/// The installation as if its token had been given nearly an hour ago.
async fn at_95_percent(daemon: &Daemon, installation: &Installation) -> Installation {
    let grant = daemon.store.grant(installation.id).await.unwrap().unwrap();
    let mut tokens = grant.tokens.unwrap();
    let now_ms = rtmsd::clock::now_ms();
    tokens.expires_at_ms = Some(now_ms + 180_000);
    let (id, generation) = (installation.id, installation.generation);
    let given_at_ms = now_ms - 3_420_000;
    assert!(daemon.store.replace_tokens(id, generation, &tokens, given_at_ms).await.unwrap());
    daemon.store.grant(id).await.unwrap().unwrap().installation
}

#[tokio::test]
async fn without_any_source_the_error_says_what_is_missing() {
    let zoom = FakeZoom::start().await;
    let daemon = Daemon::start(&zoom).await;
    let error = daemon.tokens.choose(&Candidates::default()).await.unwrap_err();
    assert!(matches!(&error, TokenError::Missing(what) if what.contains("install")), "{error}");
}

#[tokio::test]
async fn server_to_server_tokens_are_fetched_once_and_replaced_when_they_are_refused() {
    let zoom = FakeZoom::start().await;
    let daemon = Daemon::start_with(&zoom, &[("ZOOM_ACCOUNT_ID", "acc1")]).await;
    let wanted = Wanted::Configured(AppName::default());
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let (tokens, wanted) = (daemon.tokens.clone(), wanted.clone());
        tasks.spawn(async move { tokens.token(&wanted).await.unwrap() });
    }
    let got = tasks.join_all().await;
    assert_eq!(zoom.world().granted, ["account_credentials"]);
    let new = daemon.tokens.replace(&got[0]).await.unwrap();
    assert_ne!(new.access_token, got[0].access_token);
    assert_eq!(daemon.tokens.replace(&got[1]).await.unwrap().access_token, new.access_token);
    assert_eq!(zoom.world().granted.len(), 2);
    let elsewhere = Daemon::start_with(&zoom, &[("ZOOM_ACCOUNT_ID", "acc2")]).await;
    let error = elsewhere.tokens.token(&wanted).await.unwrap_err();
    assert!(error.to_string().contains("ZOOM_ACCOUNT_ID"), "{error}");
}

#[tokio::test]
async fn an_idle_grant_is_refreshed_before_zoom_forgets_it() {
    let zoom = FakeZoom::start().await;
    let daemon = Daemon::start(&zoom).await;
    let installation = daemon.install(&zoom).await;
    daemon.tokens.refresh_idle().await.unwrap();
    assert_eq!(zoom.refreshes(), 0);
    let grant = daemon.store.grant(installation.id).await.unwrap().unwrap();
    let tokens = grant.tokens.unwrap();
    let days_ago_ms = rtmsd::clock::now_ms() - 61 * 24 * 60 * 60 * 1000;
    let (id, generation) = (installation.id, installation.generation);
    assert!(daemon.store.replace_tokens(id, generation, &tokens, days_ago_ms).await.unwrap());
    daemon.tokens.refresh_idle().await.unwrap();
    assert_eq!(zoom.refreshes(), 1);
    daemon.tokens.refresh_idle().await.unwrap();
    assert_eq!(zoom.refreshes(), 1);
}

#[tokio::test]
async fn an_idle_grant_that_does_not_open_keeps_no_other_from_being_refreshed() {
    let zoom = FakeZoom::start().await;
    let daemon = Daemon::start(&zoom).await;
    let ana = daemon.install(&zoom).await;
    zoom.world().user_id = "userBo02".into();
    let bo = daemon.install(&zoom).await;
    let tokens = daemon.store.grant(ana.id).await.unwrap().unwrap().tokens.unwrap();
    let day_ms = 24 * 60 * 60 * 1000;
    let now_ms = rtmsd::clock::now_ms();
    // Ana's tokens are in Bo's row, which comes first.
    for (installation, days) in [(&bo, 62), (&ana, 61)] {
        let (id, generation, at_ms) =
            (installation.id, installation.generation, now_ms - days * day_ms);
        assert!(daemon.store.replace_tokens(id, generation, &tokens, at_ms).await.unwrap());
    }
    daemon.tokens.refresh_idle().await.unwrap();
    assert_eq!(zoom.refreshes(), 1);
}
