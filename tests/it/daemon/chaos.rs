//! A short chaos run: see `benches/chaos.rs`, which makes the long one.

#[path = "../../../benches/chaos/run.rs"]
pub(super) mod run;

use self::run::{Plan, run};

const SEED: u64 = 20_241_122;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_streams_under_random_faults_recover_and_the_ledger_agrees_with_zooms_account() {
    println!("seed {SEED}");
    let plan = Plan { streams: 10, seconds: 15, kills: 1, seed: SEED };
    let figures = run(&plan).await.unwrap_or_else(|problem| panic!("{problem}"));
    println!("{figures}");
}
