//! API tokens that were made over the API.

use rtmsd::model::{ApiTokenId, AppName, AppScope, StoredToken};
use uuid::Uuid;

use crate::support::audit::act;
use crate::support::stores::on_both;

fn token(name: &str, apps: AppScope) -> StoredToken {
    StoredToken {
        id: ApiTokenId(Uuid::now_v7()),
        name: name.into(),
        hash: Uuid::new_v4().simple().to_string(),
        scopes: "control+read".into(),
        installations: Some(Uuid::nil().to_string()),
        apps,
        created_at_ms: 1,
        expires_at_ms: Some(9),
        last_used_ms: None,
    }
}

#[tokio::test]
async fn a_token_is_kept_until_it_is_deleted_and_counts_among_those_of_its_apps() {
    on_both(async |test| {
        let store = &test.store;
        let apps = AppScope::Only([AppName::parse("acme").unwrap()].into());
        let (own, wide) = (token("own", apps.clone()), token("wide", AppScope::All));
        let row = act("boss", 1);
        for new in [&own, &wide] {
            assert!(store.create_api_token(new, 1, &row).await.unwrap());
        }
        assert!(!store.create_api_token(&token("third", apps), 1, &row).await.unwrap());
        assert_eq!(store.api_tokens().await.unwrap(), [own.clone(), wide.clone()]);

        for (now_ms, noted) in [(70_000, 70_000), (129_999, 70_000), (130_000, 130_000)] {
            store.note_token_used(own.id, now_ms).await.unwrap();
            let stored = store.api_tokens().await.unwrap();
            assert_eq!((stored[0].last_used_ms, stored[1].last_used_ms), (Some(noted), None));
        }
        assert!(store.delete_api_token(own.id, &row).await.unwrap());
        assert!(!store.delete_api_token(own.id, &row).await.unwrap());
        assert_eq!(store.api_tokens().await.unwrap(), [wide]);
    })
    .await;
}
