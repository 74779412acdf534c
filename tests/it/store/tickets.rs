//! Used tickets, on both databases.

use rtmsd::store::{Store, TicketUse, UsedTicket};
use tokio::task::JoinSet;

use crate::support::stores::on_both;

const NOW_MS: i64 = 1_732_313_172_000;

fn once(id: &str) -> UsedTicket<'_> {
    UsedTicket { id, token: "me", until_ms: 0, keep_ms: NOW_MS + 100 }
}

async fn used(store: &Store, ticket: UsedTicket<'_>) -> TicketUse {
    store.use_ticket(&ticket, 10, NOW_MS).await.unwrap()
}

#[tokio::test]
async fn one_of_many_concurrent_uses_is_the_first() {
    on_both(async |test| {
        let mut tasks = JoinSet::new();
        for _ in 0..16 {
            let store = test.store.clone();
            tasks.spawn(async move { used(&store, once("t")).await });
        }
        let mut all = tasks.join_all().await;
        all.sort_by_key(|used| *used != TicketUse::First);
        assert_eq!(all[0], TicketUse::First);
        assert!(all[1..].iter().all(|used| *used == TicketUse::Spent), "{all:?}");
    })
    .await;
}

#[tokio::test]
async fn a_ticket_with_a_window_can_be_reused_until_it_closes() {
    on_both(async |test| {
        let store = &test.store;
        let ticket = UsedTicket { until_ms: NOW_MS + 50, ..once("t") };
        assert_eq!(used(store, ticket).await, TicketUse::First);
        // Values of the second use change nothing.
        let later = UsedTicket { until_ms: NOW_MS + 90, ..ticket };
        assert_eq!(used(store, later).await, TicketUse::Again);
        let at = async |now_ms| store.used_ticket("t", now_ms).await.unwrap();
        assert_eq!(at(NOW_MS + 49).await, Some(TicketUse::Again));
        assert_eq!(at(NOW_MS + 50).await, Some(TicketUse::Spent));
        assert_eq!(store.used_ticket("other", NOW_MS).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_token_has_a_limited_number_of_tickets_until_they_are_deleted() {
    on_both(async |test| {
        let store = &test.store;
        for n in 0..10 {
            assert_eq!(used(store, once(&n.to_string())).await, TicketUse::First);
        }
        assert_eq!(used(store, once("one more")).await, TicketUse::TooMany);
        assert_eq!(used(store, once("3")).await, TicketUse::Spent);
        let others = UsedTicket { token: "other", ..once("of another") };
        assert_eq!(used(store, others).await, TicketUse::First);
        let later = store.use_ticket(&once("one more"), 10, NOW_MS + 100).await.unwrap();
        assert_eq!(later, TicketUse::First);
        assert_eq!(store.prune_tickets(NOW_MS + 99).await.unwrap(), 0);
        assert_eq!(store.prune_tickets(NOW_MS + 100).await.unwrap(), 12);
    })
    .await;
}
