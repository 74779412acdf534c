//! Installations: tokens, claims to refresh, revocation, OAuth states.

use rtmsd::model::{
    AppName, AppScope, AuditRow, Entry, EntryBody, InstallationId, InstallationStatus, Outcome,
    Participant, UserId,
};
use rtmsd::store::{GrantedTo, SealedTokens, Store};
use serde_json::json;
use uuid::Uuid;

use super::webhooks::{announce, stream_id, unclaimed};
use crate::support::audit::trail;
use crate::support::stores::on_both;

fn granted(user_id: &str) -> GrantedTo {
    GrantedTo {
        app: AppName::default(),
        account_id: "acc1".into(),
        user_id: user_id.into(),
        display_name: Some("Ana".into()),
        email: None,
        scope: "user:read:user".into(),
        api_base_url: None,
        address: None,
    }
}

fn sealed(text: &str) -> SealedTokens {
    SealedTokens {
        access: format!("v1.old.{text}"),
        refresh: Some(format!("v1.old.{text}-refresh")),
        expires_at_ms: Some(5000),
    }
}

pub(super) async fn install(store: &Store, user_id: &str, now_ms: i64) -> InstallationId {
    install_of(store, &AppName::default(), user_id, now_ms).await
}

/// Installs an app for a user of the account `acc1`.
pub(super) async fn install_of(
    store: &Store,
    app: &AppName,
    user_id: &str,
    now_ms: i64,
) -> InstallationId {
    let granted = GrantedTo { app: app.clone(), ..granted(user_id) };
    let seal = |id: InstallationId| sealed(&id.to_string());
    store.save_installation(&granted, seal, now_ms).await.unwrap().id
}

pub(super) fn by(actor: &str, id: InstallationId) -> AuditRow {
    AuditRow::new(9000, actor, "installation.delete", &id.to_string())
}

#[tokio::test]
async fn a_user_has_one_installation_sealed_to_its_row() {
    on_both(async |test| {
        let store = &test.store;
        let id = install(store, "ana", 1000).await;
        assert_eq!(install(store, "ana", 2000).await, id);
        let grant = store.grant(id).await.unwrap().unwrap();
        assert_eq!(grant.tokens, Some(sealed(&id.to_string())));
        assert_eq!(grant.installation.generation, 2);
        assert_eq!(grant.installation.created_at_ms, 1000);
        assert_eq!(grant.installation.tokens_at_ms, 2000);
        assert_ne!(install(store, "bo", 3000).await, id);
        assert_eq!(store.installations(&AppScope::All, None, 10).await.unwrap().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn installs_of_one_user_at_the_same_time_leave_one_row() {
    on_both(async |test| {
        let installs = (0..8).map(|_| install(&test.store, "ana", 1000));
        let ids = futures_util::future::join_all(installs).await;
        assert!(ids.iter().all(|id| *id == ids[0]));
        let grant = test.store.grant(ids[0]).await.unwrap().unwrap();
        assert_eq!(grant.installation.generation, 8);
        assert_eq!(grant.tokens, Some(sealed(&ids[0].to_string())));
    })
    .await;
}

#[tokio::test]
async fn an_install_that_is_stored_late_does_not_replace_a_newer_one() {
    on_both(async |test| {
        let store = &test.store;
        let id = install(store, "ana", 2000).await;
        // A refresh in between is not a newer install.
        assert!(store.replace_tokens(id, 1, &sealed("refreshed"), 5000).await.unwrap());
        let late = async |at_ms| {
            let seal = |_| sealed("late");
            store.save_installation(&granted("ana"), seal, at_ms).await.unwrap()
        };
        assert_eq!(late(1000).await.generation, 2);
        assert_eq!(store.grant(id).await.unwrap().unwrap().tokens, Some(sealed("refreshed")));
        assert_eq!(late(3000).await.generation, 3);
        assert_eq!(store.grant(id).await.unwrap().unwrap().tokens, Some(sealed("late")));
    })
    .await;
}

#[tokio::test]
async fn one_of_many_gets_the_claim_until_it_expires_or_is_released() {
    on_both(async |test| {
        let store = &test.store;
        let id = install(store, "ana", 1000).await;
        let claims: Vec<Uuid> = (0..8).map(|_| Uuid::new_v4()).collect();
        let claim = |claim: Uuid, lease_ms| store.claim_refresh(id, 1, claim, lease_ms);
        let tries = claims.iter().map(|own| claim(*own, 300));
        let won = futures_util::future::join_all(tries).await;
        let won: Vec<bool> = won.into_iter().map(Result::unwrap).collect();
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        assert!(!claim(Uuid::new_v4(), 60_000).await.unwrap());
        tokio::time::sleep(std::time::Duration::from_millis(310)).await;
        let second = Uuid::new_v4();
        assert!(claim(second, 60_000).await.unwrap(), "it expired");
        store.release_refresh(id, claims[0]).await.unwrap();
        assert!(!claim(Uuid::new_v4(), 60_000).await.unwrap(), "only its owner releases it");
        store.release_refresh(id, second).await.unwrap();
        assert!(claim(Uuid::new_v4(), 0).await.unwrap());
        assert!(!store.claim_refresh(id, 2, second, 60_000).await.unwrap(), "unknown tokens");
    })
    .await;
}

#[tokio::test]
async fn tokens_of_an_older_generation_are_discarded() {
    on_both(async |test| {
        let store = &test.store;
        let id = install(store, "ana", 1000).await;
        assert!(store.replace_tokens(id, 1, &sealed("new"), 2000).await.unwrap());
        assert!(!store.replace_tokens(id, 1, &sealed("late"), 3000).await.unwrap());
        assert!(!store.give_up_grant(id, 1, 3000).await.unwrap());
        assert!(!store.reseal_tokens(id, 1, &sealed("late")).await.unwrap());
        let grant = store.grant(id).await.unwrap().unwrap();
        assert_eq!(grant.tokens, Some(sealed("new")));
        assert_eq!(grant.installation.status, InstallationStatus::Connected);
        // Given up too early: the tokens arrived after all.
        assert!(store.give_up_grant(id, 2, 3000).await.unwrap());
        assert!(store.replace_tokens(id, 2, &sealed("after all"), 4000).await.unwrap());
        let grant = store.grant(id).await.unwrap().unwrap();
        assert_eq!(grant.installation.status, InstallationStatus::Connected);
    })
    .await;
}

#[tokio::test]
async fn a_revoked_installation_has_no_tokens_and_gets_none_from_a_late_refresh() {
    on_both(async |test| {
        let store = &test.store;
        let id = install(store, "ana", 1000).await;
        assert!(store.revoke_installation(id, false, &by("tester", id)).await.unwrap());
        assert!(!store.revoke_installation(id, false, &by("tester", id)).await.unwrap());
        for generation in [1, 2] {
            let late = store.replace_tokens(id, generation, &sealed("late"), 2000).await;
            assert!(!late.unwrap());
        }
        let grant = store.grant(id).await.unwrap().unwrap();
        assert_eq!((grant.tokens, grant.installation.display_name), (None, None));
        assert_eq!(store.find_grant(&AppName::default(), Some("ana"), None).await.unwrap(), None);
        let trail = trail(store, 10).await;
        let actions: Vec<_> = trail.iter().map(|row| row.action.as_str()).collect();
        assert_eq!(actions, ["installation.delete", "installation.install"]);
        assert_eq!(install(store, "ana", 3000).await, id, "the user may return");
        assert!(store.grant(id).await.unwrap().unwrap().tokens.is_some());
    })
    .await;
}

#[tokio::test]
async fn data_is_deleted_in_steps_and_a_restart_continues() {
    on_both(async |test| {
        let store = &test.store;
        let session_id = announce(store, "s1").await;
        let person = Participant { user_id: UserId(7), user_name: Some("Ana".into()) };
        let entry = |seq| Entry {
            session_id,
            stream_id: stream_id("s1"),
            stream_ordinal: 1,
            seq,
            at_ms: 1,
            body: EntryBody::ParticipantJoined(person.clone()),
        };
        store.write_entries(&unclaimed(&(1..=1200).map(entry).collect::<Vec<_>>())).await.unwrap();
        let ended = Outcome::Stopped;
        store.finish_stream(&stream_id("s1"), 0, 1, ended, None, 2).await.unwrap().unwrap();
        let id = install(store, "u1", 1000).await;
        assert!(store.revoke_installation(id, true, &by("tester", id)).await.unwrap());
        assert!(store.delete_some(9100).await.unwrap());
        let left = store.entries_after(session_id, &Default::default(), &[], 2000).await;
        assert_eq!(left.unwrap().len(), 701, "one bounded step");
        let store = &test.reopened().await;
        while store.delete_some(9200).await.unwrap() {}
        let left = store.entries_after(session_id, &Default::default(), &[], 2000).await;
        assert_eq!(left.unwrap().len(), 1, "the end names nobody");
        let newest = &trail(store, 1).await[0];
        assert_eq!((&*newest.action, &*newest.subject), ("data.deleted", "u1"));
        let detail: serde_json::Value = serde_json::from_str(&newest.detail).unwrap();
        assert_eq!((&detail["entries"], &detail["streams"]), (&json!(1200), &json!(1)));
    })
    .await;
}

#[tokio::test]
async fn a_state_is_used_once() {
    on_both(async |test| {
        let store = &test.store;
        let app = AppName::default();
        let uses = (0..8).map(|_| store.use_oauth_state(&app, "state", 5000));
        let first = futures_util::future::join_all(uses).await;
        assert_eq!(first.into_iter().filter(|first| *first.as_ref().unwrap()).count(), 1);
        assert!(store.use_oauth_state(&app, "another", 9000).await.unwrap());
        assert_eq!(store.prune_oauth_states(5001).await.unwrap(), 1);
        assert!(!store.use_oauth_state(&app, "another", 9000).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn tokens_sealed_under_another_key_are_found_page_by_page() {
    on_both(async |test| {
        let store = &test.store;
        let mut ids = Vec::new();
        for n in 0..5 {
            ids.push(install(store, &format!("user{n}"), 1000).await);
        }
        let mut new = sealed("x");
        new.access = "v1.new.x".into();
        assert!(store.reseal_tokens(ids[1], 1, &new).await.unwrap(), "half of it");
        new.refresh = None;
        assert!(store.reseal_tokens(ids[3], 1, &new).await.unwrap());
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = store.sealed_otherwise(after, "v1.new.", 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.installation.id);
            found.extend(page.iter().map(|grant| grant.installation.id));
        }
        assert_eq!(found, [ids[0], ids[1], ids[2], ids[4]]);
    })
    .await;
}
