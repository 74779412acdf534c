//! Two compiled daemons on one Postgres, each behind a proxy that stalls, slows and cuts its connections; each is also
//! suspended, killed and restarted, and their clocks differ by 30 s. The simulated Zoom refuses a second connection in
//! half of the streams, and lets it replace the first in the others. After each round of random faults everything must
//! add up: every line that was sent is stored once or lies in a gap, every number has one text, in the store and at the
//! live consumers of both daemons, and no stream has ended that Zoom has not ended. Exits with 1 on a breach.
//!
//!     cargo bench --bench fence -- --seconds 600
//!
//! The same `--seed` plans the same faults. Needs Postgres and faketime; Linux only.

#[path = "chaos/account.rs"]
mod account;
#[path = "support/balancer.rs"]
mod balancer;
#[path = "support/daemon.rs"]
mod daemon;
#[path = "fence/entries.rs"]
mod entries;
#[path = "fence/faults.rs"]
mod faults;
#[path = "fence/node.rs"]
mod node;
#[path = "fence/pair.rs"]
mod pair;
#[path = "../tests/it/support/postgres.rs"]
mod postgres;
#[path = "../tests/it/support/proxy.rs"]
mod proxy;
#[path = "fence/reader.rs"]
mod reader;
#[path = "fence/round.rs"]
mod round;
#[path = "support/seeded.rs"]
mod seeded;
#[path = "support/stored.rs"]
mod stored;
#[path = "support/zoom.rs"]
mod zoom;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use futures_util::future::join_all;

use self::pair::Pair;
use self::round::Figures;
use self::zoom::Problem;

#[derive(Parser)]
struct Args {
    /// No round begins after so many seconds
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Pairs of daemons, each with a database and faults of its own, at the same time
    #[arg(long, default_value_t = 4)]
    pairs: u64,
    /// Streams of each pair in each of Zoom's two modes
    #[arg(long, default_value_t = 2)]
    streams: u32,
    /// Plans the faults; without it a random one, which is printed
    #[arg(long)]
    seed: Option<u64>,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let seed = seeded::begin(args.seed);
    seeded::finish(run(&args, seed).await, |figures| figures.breaches.is_empty())
}

async fn run(args: &Args, seed: u64) -> Result<Figures, Problem> {
    let until = Instant::now() + Duration::from_secs(args.seconds);
    let pairs = (0..args.pairs).map(async |index| {
        let pair = Pair::start(index, seed.wrapping_add(index), args.streams).await?;
        pair.run(until).await
    });
    let mut figures = Figures::default();
    for done in join_all(pairs).await {
        figures.add(done?);
    }
    Ok(figures)
}
