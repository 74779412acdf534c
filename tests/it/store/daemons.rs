//! The list of daemons that use the store, by the database's clock.

use rtmsd::model::NodeId;
use rtmsd::store::{Heartbeat, OtherDaemon};
use uuid::Uuid;

use super::webhooks::*;
use crate::support::stores::on_both;

const LONG: i64 = 60_000;
const OVER: i64 = 0;

fn node(n: u128) -> NodeId {
    NodeId(Uuid::from_u128(n))
}

fn heartbeat(n: u128, max_streams: usize) -> Heartbeat {
    Heartbeat { node: node(n), version: "0.1.0", max_streams, busy_permille: 250 }
}

#[tokio::test]
async fn a_daemon_sees_the_others_that_are_alive_with_what_they_run_and_may_run() {
    on_both(async |test| {
        let store = &test.store;
        announce(store, "s").await;
        claim_stream(store, node(2), &stream_id("s"), LONG).await.unwrap().unwrap();
        assert_eq!(store.report_daemon(heartbeat(1, 5), LONG).await.unwrap(), []);
        let others = store.report_daemon(heartbeat(2, 1), LONG).await.unwrap();
        let first = OtherDaemon {
            node: node(1).to_string(),
            max_streams: 5,
            busy_permille: 250,
            streams: 0,
        };
        assert_eq!(others, std::slice::from_ref(&first));
        assert!(first.has_room());
        let [second] = &store.other_daemons(node(1)).await.unwrap()[..] else { panic!("one") };
        assert_eq!((second.max_streams, second.streams, second.has_room()), (1, 1, false));

        // A later report replaces the earlier one.
        store.report_daemon(heartbeat(2, 0), LONG).await.unwrap();
        assert_eq!(store.other_daemons(node(1)).await.unwrap()[0].max_streams, 0);
    })
    .await;
}

#[tokio::test]
async fn a_daemon_that_stopped_or_does_not_report_is_off_the_list() {
    on_both(async |test| {
        let store = &test.store;
        store.report_daemon(heartbeat(1, 5), LONG).await.unwrap();
        store.report_daemon(heartbeat(2, 5), OVER).await.unwrap();
        let others = store.other_daemons(node(3)).await.unwrap();
        assert_eq!(others.len(), 1);
        assert_eq!(others[0].node, node(1).to_string());
        store.forget_daemon(node(1)).await.unwrap();
        assert_eq!(store.other_daemons(node(3)).await.unwrap(), []);
    })
    .await;
}
