//! The compiled daemon against the compiled simulator, each in a process of its own: a random fault on every stream
//! every few seconds, and a SIGKILL of the daemon now and then. Afterwards every stream must be live again, and the
//! daemon's ledger must agree with the simulator's own account to the frame. Exits with 1 when it does not.
//!
//!     cargo bench --bench chaos -- --streams 200 --seconds 120
//!
//! The same `--seed` plans the same faults.

#[path = "chaos/run.rs"]
mod run;
#[path = "support/seeded.rs"]
mod seeded;

use std::process::ExitCode;

use clap::Parser;

use self::run::{Plan, run};

#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 200)]
    streams: u32,
    /// How long faults happen
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// How often the daemon is killed and started again
    #[arg(long, default_value_t = 2)]
    kills: u32,
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
    let Args { streams, seconds, kills, .. } = args;
    seeded::finish(run(&Plan { streams, seconds, kills, seed }).await, |_| true)
}
