//! Webhooks that arrive together have the effects that they have one after the other.

use std::collections::HashMap;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rtmsd::model::{
    Delivery, MeetingChange, MeetingChanged, Outcome, StreamStarted, WebhookEffect,
};
use rtmsd::store::{Recorded, SessionPage, Store};

use super::foreign::request_start;
use super::webhooks::*;
use crate::support::kit::eventually;
use crate::support::raw::Raw;
use crate::support::stores::TestStore;

/// As many as are recorded in one transaction.
const GROUP_SIZE: usize = 64;
const SEEDS: u64 = 20;
const NOW_MS: i64 = 1_000;
/// Starts were requested for the first two.
const NUMBERS: [&str; 4] = ["91111111111", "92222222222", "93333333333", "94444444444"];

/// What is stored before the webhooks: a running stream, an ended one, a meeting, and requested starts.
async fn fill(store: &Store) {
    record(store, begins("m1", Some("s1"), None, 1)).await;
    record(store, begins("m2", Some("s2"), Some(NUMBERS[3]), 1)).await;
    store.finish_stream(&stream_id("s2"), 0, 1, Outcome::Gone, None, 2).await.unwrap().unwrap();
    record(store, begins("m3", None, Some(NUMBERS[1]), 3)).await;
    request_start(store, NUMBERS[0]).await;
    request_start(store, NUMBERS[1]).await;
}

/// A meeting begins, or a stream in it.
fn begins(instance: &str, stream: Option<&str>, number: Option<&str>, at_ms: i64) -> Delivery {
    let (instance, meeting_id) = (meeting(instance), number.map(str::to_owned));
    let account_id = Some("acc1".to_owned());
    let Some(stream) = stream else {
        let (change, host_id) = (MeetingChange::Started, Some("host1".to_owned()));
        let changed = MeetingChanged { change, instance, account_id, meeting_id, host_id };
        return delivery("meeting.started", at_ms, WebhookEffect::Meeting(changed));
    };
    let started = StreamStarted {
        stream_id: stream_id(stream),
        instance,
        server_urls: URL.into(),
        account_id,
        meeting_id,
        operator_id: Some("u1".into()),
        is_host: at_ms % 2 == 0,
    };
    delivery("meeting.rtms_started", at_ms, WebhookEffect::Started(started))
}

/// Mostly starts in meetings of their own; the rest concerns what is known or the others of the group.
fn any_webhook(rng: &mut StdRng, number: usize) -> Delivery {
    let at_ms = NOW_MS + rng.random_range(0..4);
    let stream = match rng.random_range(0..4) {
        0 => format!("s{}", rng.random_range(0..6)),
        _ => format!("s{number}"),
    };
    let instance = match rng.random_range(0..4) {
        0 => format!("m{}", rng.random_range(0..6)),
        _ => format!("m{number}"),
    };
    let own = format!("95{number:09}");
    let meeting_number = match rng.random_range(0..4) {
        0 => Some(NUMBERS[rng.random_range(0..NUMBERS.len())]),
        1 => None,
        _ => Some(&*own),
    };
    match rng.random_range(0..12) {
        0..6 => begins(&instance, Some(&stream), meeting_number, at_ms),
        6..9 => begins(&instance, None, meeting_number, at_ms),
        9 => stopped(&stream, at_ms, Some(6)),
        10 => interrupted(&stream, at_ms),
        _ => other(at_ms),
    }
}

/// Webhooks that all arrive at the same moment; some are copies.
fn group(rng: &mut StdRng) -> Vec<Delivery> {
    let mut group: Vec<Delivery> = Vec::with_capacity(GROUP_SIZE);
    for number in 0..GROUP_SIZE {
        let copied = rng.random_ratio(1, 12).then(|| rng.random_range(0..group.len().max(1)));
        let webhook = copied.and_then(|copied| group.get(copied).cloned());
        let webhook = webhook.unwrap_or_else(|| any_webhook(rng, number));
        group.push(Delivery { received_at_ms: NOW_MS + 10, ..webhook });
    }
    group
}

/// The order in which a group is recorded.
fn in_order(group: &[Delivery]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..group.len()).collect();
    places.sort_by_key(|place| {
        let effect = &group[*place].announcement;
        let stream = effect.stream_id().map(|stream| stream.as_str().to_owned());
        let instance = match effect {
            WebhookEffect::Meeting(meeting) => Some(meeting.instance.id().to_owned()),
            _ => None,
        };
        (stream.is_none(), stream, instance)
    });
    places
}

async fn one_by_one(store: &Store, group: &[Delivery]) -> Vec<Recorded> {
    let mut answers = vec![Recorded::Repeat; group.len()];
    for place in in_order(group) {
        answers[place] = record(store, group[place].clone()).await;
    }
    answers
}

async fn together(store: &Store, group: &[Delivery]) -> Vec<Recorded> {
    join_all(group.iter().map(|delivery| record(store, delivery.clone()))).await
}

/// What is stored, with the sessions by their conversation instead of their id.
async fn stored(test: &TestStore) -> Vec<String> {
    let page = SessionPage { limit: 1_000, ..SessionPage::default() };
    let sessions = test.store.sessions(&page).await.unwrap();
    let names: HashMap<String, String> =
        sessions.iter().map(|one| (one.id.to_string(), one.instance.id().to_owned())).collect();
    let mut raw = Raw::connect(&test.database).await;
    let mut rows = Vec::new();
    for table in ["sessions", "streams", "deliveries", "actions"] {
        let mut columns = raw.columns(table).await;
        // The id of an action is random.
        columns.retain(|column| table != "actions" || column != "id");
        for row in raw.rows(table, &columns).await {
            let named = |value: &str| names.get(value).cloned().unwrap_or(value.to_owned());
            let row: Vec<String> = row.split('|').map(named).collect();
            rows.push(format!("{table}: {}", row.join("|")));
        }
    }
    rows.sort();
    rows
}

/// The answers without the ids of sessions.
fn described(answers: &[Recorded]) -> Vec<String> {
    let describe = |answer: &Recorded| match answer {
        Recorded::Session(_) => "session".to_owned(),
        other => format!("{other:?}"),
    };
    answers.iter().map(describe).collect()
}

async fn compare(sequential: &TestStore, grouped: &TestStore, seed: u64) {
    eprintln!("seed {seed}");
    let group = group(&mut StdRng::seed_from_u64(seed));
    fill(&sequential.store).await;
    fill(&grouped.store).await;
    let (one, other) =
        (one_by_one(&sequential.store, &group).await, together(&grouped.store, &group).await);
    assert_same(&described(&one), &described(&other), &group);
    let (one, other) = (stored(sequential).await, stored(grouped).await);
    let missing: Vec<_> = one.iter().filter(|row| !other.contains(row)).collect();
    let more: Vec<_> = other.iter().filter(|row| !one.contains(row)).collect();
    assert!(one == other, "only one after the other: {missing:#?}, only together: {more:#?}");
}

fn assert_same(one: &[String], other: &[String], group: &[Delivery]) {
    for ((one, other), webhook) in one.iter().zip(other).zip(group) {
        assert_eq!(one, other, "one by one and together: {:?}", webhook.announcement);
    }
}

#[tokio::test]
async fn concurrent_webhooks_have_the_same_effect_as_sequential_ones_on_sqlite() {
    for seed in 0..SEEDS {
        compare(&TestStore::sqlite().await, &TestStore::sqlite().await, seed).await;
    }
}

#[tokio::test]
async fn concurrent_webhooks_have_the_same_effect_as_sequential_ones_on_postgres() {
    for seed in 0..SEEDS / 4 {
        compare(&TestStore::postgres().await, &TestStore::postgres().await, seed).await;
    }
}

/// Postgres keeps plans, and makes the first ones while the tables are nearly empty.
#[tokio::test]
async fn starts_on_a_growing_postgres_store_never_read_a_whole_table() {
    let test = TestStore::postgres().await;
    for round in 0..20 {
        let names = (0..GROUP_SIZE).map(|number| format!("{round}n{number}"));
        let starts = names.map(|name| begins(&name, Some(&name), None, NOW_MS));
        join_all(starts.map(|start| record(&test.store, start))).await;
    }
    test.store.close().await;
    let mut raw = Raw::connect(&test.database).await;
    // A connection adds its reads to the statistics when it closes, at the latest.
    let others = "SELECT COUNT(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()
                     AND backend_type = 'client backend'";
    let mut others_closed = async || (raw.count(others).await == 0).then_some(());
    eventually("the store's connections have ended", &mut others_closed).await;
    let sequential_reads = "SELECT CAST(SUM(seq_tup_read) AS BIGINT) FROM pg_stat_user_tables
                 WHERE relname IN ('sessions', 'streams', 'deliveries')";
    assert_eq!(raw.count(sequential_reads).await, 0);
    let running_index_reads = "SELECT CAST(SUM(idx_tup_read) AS BIGINT) FROM pg_stat_user_indexes
                            WHERE indexrelname = 'streams_running'";
    assert_eq!(raw.count(running_index_reads).await, 0);
}
