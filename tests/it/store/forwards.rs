//! Which forwards are polled, and how long they are stored.

use rtmsd::model::{Cursor, Forward, ForwardId, Outcome, SessionId, StopReason};
use serde_json::Map;
use uuid::Uuid;

use super::webhooks::*;
use crate::support::audit::act;
use crate::support::stores::on_both;

fn forward(session_id: SessionId, created_at_ms: i64) -> Forward {
    Forward {
        id: ForwardId(Uuid::now_v7()),
        session_id,
        url: "wss://bot.example.com/?key=s3cret".into(),
        asked: Map::new(),
        cursor: Cursor::default(),
        created_at_ms,
    }
}

#[tokio::test]
async fn a_forward_is_kept_while_a_stream_runs_and_for_a_time_after_the_last() {
    on_both(async |test| {
        let store = &test.store;
        let session_id = announce(store, "s1").await;
        let made = forward(session_id, 5);
        assert!(store.add_forward(&made, 4, &act("boss", 1)).await.unwrap());
        assert_eq!(store.prune_forwards(1000).await.unwrap(), 0, "its stream runs");
        assert_eq!(store.forwards(1000, 9).await.unwrap(), [made]);
        let end = store
            .finish_stream(&stream_id("s1"), 0, 1, Outcome::Stopped, Some(StopReason(6)), 20)
            .await;
        end.unwrap().expect("it was running");
        assert_eq!(store.forwards(20, 9).await.unwrap().len(), 1, "its last entries are sent");
        assert_eq!(store.forwards(21, 9).await.unwrap(), []);
        let late = forward(session_id, 25);
        assert!(store.add_forward(&late, 4, &act("boss", 1)).await.unwrap());
        assert_eq!(store.prune_forwards(20).await.unwrap(), 0);
        assert_eq!(store.prune_forwards(21).await.unwrap(), 1);
        assert_eq!(store.forwards_of(session_id).await.unwrap(), [late]);
        record(store, started("s2", 30, URL)).await;
        assert_eq!(store.forwards(1000, 9).await.unwrap().len(), 1, "another stream runs");
    })
    .await;
}
