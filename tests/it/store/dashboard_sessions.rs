//! Browsers that are signed in to the dashboard, on both databases.

use rtmsd::store::DashboardSession;

use crate::support::audit::{act, trail};
use crate::support::stores::on_both;

fn session(id: &str, token: &str, made_at_ms: i64) -> DashboardSession {
    DashboardSession {
        id: id.into(),
        token: token.into(),
        binding: "b".into(),
        made_at_ms,
        seen_at_ms: made_at_ms,
        until_ms: made_at_ms + 1_000_000,
    }
}

#[tokio::test]
async fn a_session_is_found_until_it_is_ended() {
    on_both(async |test| {
        let store = &test.store;
        let new = session("a", "ana", 1000);
        store.begin_dashboard_session(&new, 10, &act("ana", 1000)).await.unwrap();
        // The same again, as after an answer that was lost.
        store.begin_dashboard_session(&new, 10, &act("ana", 1000)).await.unwrap();
        assert_eq!(store.dashboard_session("a").await.unwrap(), Some(new.clone()));
        for (now_ms, seen_at_ms) in [(60_999, 1000), (61_000, 61_000), (61_001, 61_000)] {
            let before = store.dashboard_session("a").await.unwrap().unwrap();
            assert_eq!(before.is_note_due(now_ms), before.seen_at_ms != seen_at_ms, "{now_ms}");
            store.note_dashboard_session_used("a", now_ms).await.unwrap();
            let seen = store.dashboard_session("a").await.unwrap().unwrap().seen_at_ms;
            assert_eq!(seen, seen_at_ms, "written once a minute");
        }
        assert!(store.end_dashboard_session("a", &act("ana", 2000)).await.unwrap());
        assert!(!store.end_dashboard_session("a", &act("ana", 2000)).await.unwrap());
        assert_eq!(store.dashboard_session("a").await.unwrap(), None);
        assert_eq!(trail(store, 10).await.len(), 3, "each act with its row");
    })
    .await;
}

#[tokio::test]
async fn the_newest_sessions_of_a_token_stay_and_expired_ones_are_deleted() {
    on_both(async |test| {
        let store = &test.store;
        for n in 0..4 {
            let new = session(&n.to_string(), "ana", 1000 + n);
            store.begin_dashboard_session(&new, 2, &act("ana", 1000)).await.unwrap();
        }
        let other = session("other", "bea", 1);
        store.begin_dashboard_session(&other, 2, &act("bea", 1000)).await.unwrap();
        let mut known = Vec::new();
        for id in ["0", "1", "2", "3", "other"] {
            known.push(store.dashboard_session(id).await.unwrap().is_some());
        }
        assert_eq!(known, [false, false, true, true, true]);
        assert_eq!(store.prune_dashboard_sessions(1_001_002).await.unwrap(), 2);
        assert!(store.dashboard_session("3").await.unwrap().is_some());
    })
    .await;
}
