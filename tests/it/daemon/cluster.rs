//! Short runs of the cluster bench: see `benches/cluster.rs`, which makes the long ones. Compiled daemons on one
//! Postgres, and one of them stops, dies, or loses Zoom or the database while it runs streams.

use super::chaos::run::zoom;
use super::fence::entries;
use crate::support::connect_proxy;
#[path = "../../../benches/support/balancer.rs"]
mod balancer;
#[path = "../../../benches/support/daemon.rs"]
mod daemon;
#[path = "../support/postgres.rs"]
#[allow(clippy::duplicate_mod, reason = "a server of their own: one of these tests restarts it")]
mod postgres;
#[path = "../support/proxy.rs"]
#[allow(clippy::duplicate_mod, reason = "to that server")]
#[expect(dead_code, reason = "other tests use more of it")]
mod proxy;
#[path = "../../../benches/cluster/run.rs"]
#[expect(dead_code, reason = "the bench plays every fault")]
mod run;
#[path = "../../../benches/support/stored.rs"]
mod stored;

use std::time::Duration;

use tokio::sync::Mutex;

use self::run::{Fault, Figures, Wires, run};

const STREAMS: u32 = 8;
/// More than leave in one turn.
const MANY_STREAMS: u32 = 60;
/// A lease, and what a busy machine needs beside it.
const WITHIN_A_LEASE: Duration = Duration::from_secs(8);

/// One at a time: they share the server, and none needs a busier machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

async fn play(fault: Fault, streams: u32) -> Figures {
    let _alone = ONE_AT_A_TIME.lock().await;
    let played = run(fault, Wires::Proxies, streams).await;
    let figures = played.unwrap_or_else(|problem| panic!("{problem}"));
    println!("{figures}");
    assert!(figures.spread.iter().all(|count| *count >= 2), "{figures}");
    assert!(figures.lines.stored > 0);
    figures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemons_are_replaced_one_after_the_other_and_their_streams_are_joined_at_once() {
    let figures = play(Fault::RollingUpdate, STREAMS).await;
    // Each stream has been with both, and those that began meanwhile with one at least.
    assert!(figures.rejoined.len() > STREAMS as usize, "{figures}");
    assert_eq!(figures.sent_and_lost, 0, "{figures}");
    assert!(figures.rejoined.iter().all(|time| *time < WITHIN_A_LEASE), "{figures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_stops_hands_over_its_streams_in_turns_and_loses_no_line_that_zoom_has_sent()
{
    let figures = play(Fault::Stop, MANY_STREAMS).await;
    assert_eq!(figures.rejoined.len(), figures.spread[0], "{figures}");
    assert_eq!(figures.sent_and_lost, 0, "{figures}");
    assert!(figures.rejoined.iter().all(|time| *time < WITHIN_A_LEASE), "{figures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_streams_of_a_killed_daemon_are_joined_by_the_other() {
    let figures = play(Fault::Kill, STREAMS).await;
    assert_eq!(figures.rejoined.len(), figures.spread[0], "{figures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_streams_of_a_daemon_that_is_cut_off_from_zoom_are_joined_by_the_other() {
    let figures = play(Fault::ZoomCut, STREAMS).await;
    assert_eq!(figures.rejoined.len(), figures.spread[0], "{figures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_crashes_and_starts_again_costs_no_line_and_no_connection() {
    let figures = play(Fault::StoreRestart, STREAMS).await;
    assert_eq!(figures.lines.in_gaps, 0, "{figures}");
    assert_eq!(figures.lines.stored, figures.lines.sent, "{figures}");
}
