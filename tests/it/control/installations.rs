//! Which token is used for requests to Zoom, and how the choice is reported.

use rtmsd::model::{AppName, InstallationId};
use rtmsd::seal::KeyRing;
use rtmsd::secret::Secret;
use rtmsd::store::GrantedTo;
use rtmsd::zoom::oauth;
use rtmsd::zoom::token::{Configured, sealed};
use serde_json::{Value, json};

use super::kit::{Kit, NUMBER, session_id};
use crate::support::client::Answer;
use crate::support::zoom::Say;

const ZOOM_TOKEN: &str = "zoom-token";

/// A daemon without a configured token.
async fn bare() -> Kit {
    Kit::wired(|wiring| wiring.zoom.1 = Configured::None).await
}

/// Installs the app for a user. The access token is `token-of-` plus the user.
async fn install(kit: &Kit, user: &str, account: &str) -> InstallationId {
    let granted = GrantedTo {
        app: AppName::default(),
        account_id: account.into(),
        user_id: user.into(),
        display_name: None,
        email: None,
        scope: String::new(),
        api_base_url: None,
        address: None,
    };
    let tokens = oauth::Tokens {
        access: Secret::new(format!("token-of-{user}")),
        refresh: Some(Secret::new("refresh".into())),
        expires_in_s: Some(3600),
        scope: String::new(),
        api_base_url: None,
    };
    let ring = KeyRing::parse(&"07".repeat(32)).unwrap();
    let now_ms = rtmsd::clock::now_ms();
    let seal = |id| sealed::seal_tokens(&ring, id, &tokens, now_ms);
    kit.server.state.store.save_installation(&granted, seal, now_ms).await.unwrap().id
}

/// Makes Zoom reject this grant.
async fn lose(kit: &Kit, id: InstallationId) {
    let store = &kit.server.state.store;
    let generation = store.grant(id).await.unwrap().unwrap().installation.generation;
    assert!(store.give_up_grant(id, generation, rtmsd::clock::now_ms()).await.unwrap());
}

/// A session with host and account known from a webhook: host1 in acc1.
async fn known(kit: &Kit) -> String {
    kit.meeting("meeting.started", "m==").await;
    kit.only_session().await
}

async fn start_with(kit: &Kit, id: &str, installation: InstallationId) -> Answer {
    kit.post(&format!("/{id}/rtms/start"), &json!({ "installation_id": installation })).await
}

#[track_caller]
fn check(answer: &Answer, installation: Option<InstallationId>, reason: &str) {
    assert_eq!(answer.status, 202, "{}", answer.text());
    let expected = json!({ "installation_id": installation, "reason": reason });
    assert_eq!(answer.json()["data"]["chosen"], expected);
}

fn last_token(kit: &Kit) -> String {
    kit.zoom.asked().last().expect("Zoom was asked").authorization.clone()
}

async fn answered(kit: &Kit, id: &str) -> String {
    let timeline = kit.get(&format!("/{id}/timeline")).await;
    let moments = timeline["moments"].as_array().unwrap();
    let is_answer = |moment: &&Value| {
        ["zoom_answered", "zoom_not_asked"].iter().any(|what| moment["what"] == *what)
    };
    moments.iter().rfind(is_answer).unwrap()["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_only_installation_starts_a_meeting_without_any_webhook() {
    for configured in [Configured::None, Configured::Static(Secret::new(ZOOM_TOKEN.into()))] {
        let kit = Kit::wired(|wiring| wiring.zoom.1 = configured).await;
        let ana = install(&kit, "ana", "acc7").await;
        let id = kit.create().await;
        check(&kit.act(&id, "start").await, Some(ana), "only_installation");
        assert_eq!(last_token(&kit), "Bearer token-of-ana");
        let told = answered(&kit, &id).await;
        let part = format!("used the token of installation {ana} (the only connected");
        assert!(told.contains(&part), "{told}");
    }
}

#[tokio::test]
async fn zooms_refusal_of_the_only_installation_is_the_answer_and_the_timeline_names_it() {
    let kit = bare().await;
    let ana = install(&kit, "ana", "acc7").await;
    let id = kit.create().await;
    kit.zoom.will_say([Say::error(403, 13_270)]);
    let answer = kit.act(&id, "start").await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "app_not_authorized"));
    let told = answered(&kit, &id).await;
    assert!(told.contains(&ana.to_string()) && told.contains("13270"), "{told}");
}

#[tokio::test]
async fn the_host_comes_before_the_account_and_both_before_any_other() {
    let kit = Kit::start().await;
    let id = known(&kit).await;
    let other = install(&kit, "other", "acc9").await;
    check(&kit.act(&id, "start").await, None, "configured");
    let chosen = async |reason: &str, installation| {
        kit.announce("m==", &format!("s-{reason}")).await;
        kit.end_stream(&format!("s-{reason}"), rtmsd::model::Outcome::Closed, Some(20)).await;
        check(&kit.act(&id, "start").await, Some(installation), reason);
    };
    let colleague = install(&kit, "colleague", "acc1").await;
    chosen("account", colleague).await;
    let host = install(&kit, "host1", "acc1").await;
    chosen("host", host).await;
    // A host's dead grant does not hide a colleague's grant.
    lose(&kit, host).await;
    chosen("account", colleague).await;
    assert_ne!(other, colleague);
}

#[tokio::test]
async fn an_installation_of_another_account_is_the_last_resort() {
    let kit = bare().await;
    let id = known(&kit).await;
    let other = install(&kit, "other", "acc9").await;
    check(&kit.act(&id, "start").await, Some(other), "only_installation");
}

#[tokio::test]
async fn ambiguous_installations_are_listed_and_zoom_is_not_asked() {
    let kit = bare().await;
    let ids = [install(&kit, "ana", "acc1").await, install(&kit, "bo", "acc2").await];
    let id = kit.create().await;
    let answer = kit.act(&id, "start").await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "installation_ambiguous"));
    assert_eq!(answer.json()["error"]["installations"], json!(ids));
    let detail = answer.json()["error"]["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(&ids[1].to_string()) && detail.contains("installation_id"), "{detail}");
    assert!(kit.zoom.asked().is_empty());
    assert!(answered(&kit, &id).await.contains("installation_ambiguous"));
    // The named installation is used from then on.
    check(&start_with(&kit, &id, ids[1]).await, Some(ids[1]), "named");
    assert_eq!(last_token(&kit), "Bearer token-of-bo");
    kit.announce("m==", "s1").await;
    check(&kit.act(&id, "stop").await, Some(ids[1]), "named");
    assert_eq!(last_token(&kit), "Bearer token-of-bo");
}

#[tokio::test]
async fn at_most_twenty_installations_are_listed() {
    let kit = bare().await;
    for n in 0..22 {
        install(&kit, &format!("user{n}"), &format!("acc{n}")).await;
    }
    let id = kit.create().await;
    let answer = kit.act(&id, "start").await;
    assert_eq!(answer.code(), "installation_ambiguous");
    assert_eq!(answer.json()["error"]["installations"].as_array().unwrap().len(), 20);
    assert!(answer.text().contains("and more"));
}

#[tokio::test]
async fn a_configured_token_resolves_ambiguous_installations() {
    let kit = Kit::start().await;
    install(&kit, "ana", "acc1").await;
    install(&kit, "bo", "acc2").await;
    let id = kit.create().await;
    check(&kit.act(&id, "start").await, None, "configured");
    assert_eq!(last_token(&kit), format!("Bearer {ZOOM_TOKEN}"));
}

#[tokio::test]
async fn the_token_that_started_a_stream_also_stops_it_after_other_installs() {
    let kit = bare().await;
    let ana = install(&kit, "ana", "acc7").await;
    let id = kit.create().await;
    check(&kit.act(&id, "start").await, Some(ana), "only_installation");
    kit.announce("m==", "s1").await;
    install(&kit, "bo", "acc8").await;
    check(&kit.act(&id, "pause").await, Some(ana), "used_before");
    check(&kit.act(&id, "stop").await, Some(ana), "used_before");
    assert_eq!(last_token(&kit), "Bearer token-of-ana");
}

#[tokio::test]
async fn a_named_installation_that_zoom_refuses_is_not_kept() {
    let kit = bare().await;
    let ids = [install(&kit, "ana", "acc1").await, install(&kit, "bo", "acc2").await];
    let id = kit.create().await;
    kit.zoom.will_say([Say::error(403, 13_270)]);
    assert_eq!(start_with(&kit, &id, ids[0]).await.code(), "app_not_authorized");
    assert_eq!(kit.act(&id, "start").await.code(), "installation_ambiguous");
    let nobody = InstallationId::parse("01932b5e-0000-7000-8000-000000000000").unwrap();
    let answer = start_with(&kit, &id, nobody).await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "token_missing"));
    let session = kit.server.state.store.session(session_id(&id)).await.unwrap().unwrap();
    assert_eq!(session.installation_id, None);
}

#[tokio::test]
async fn a_new_session_may_name_its_installation() {
    let kit = bare().await;
    let ids = [install(&kit, "ana", "acc1").await, install(&kit, "bo", "acc2").await];
    let new = json!({"platform": "zoom", "meeting_id": NUMBER, "installation_id": ids[0]});
    let made = kit.post("", &new).await.json();
    let id = made["data"]["session"]["id"].as_str().unwrap();
    check(&kit.act(id, "start").await, Some(ids[0]), "named");
}

#[tokio::test]
async fn a_host_who_must_install_again_is_reported_if_no_other_installation_fits() {
    let kit = bare().await;
    let host = install(&kit, "host1", "acc1").await;
    let id = known(&kit).await;
    lose(&kit, host).await;
    let answer = kit.act(&id, "start").await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "installation_needs_reconnect"));
    for (user, account) in [("ana", "acc8"), ("bo", "acc9")] {
        install(&kit, user, account).await;
    }
    assert_eq!(kit.act(&id, "start").await.code(), "installation_needs_reconnect");
}
