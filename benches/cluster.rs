//! Two compiled daemons on one Postgres with many streams, and one fault at a time: how long until every stream that it
//! concerns is joined again, and which lines are missing afterwards. Each daemon has a network namespace of its own; a cut
//! drops its packets to Postgres or to the simulated Zoom. Without the right to make namespaces (root, `ip`, `iptables`),
//! proxies cut the connections instead. The table of docs/cluster.md is from here. Exits with 1 when something does not add
//! up.
//!
//!     cargo bench --bench cluster -- --streams 400
//!
//! Needs Postgres and faketime; Linux only.

#[path = "support/balancer.rs"]
mod balancer;
#[path = "../tests/it/support/connect_proxy.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod connect_proxy;
#[path = "support/daemon.rs"]
mod daemon;
#[path = "fence/entries.rs"]
mod entries;
#[path = "../tests/it/support/postgres.rs"]
mod postgres;
#[path = "../tests/it/support/proxy.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod proxy;
#[path = "cluster/run.rs"]
mod run;
#[path = "support/stored.rs"]
mod stored;
#[path = "support/zoom.rs"]
mod zoom;

use std::process::ExitCode;

use clap::Parser;

use self::run::{Fault, Wires, run};

#[derive(Parser)]
struct Args {
    /// Half of them run on each daemon
    #[arg(long, default_value_t = 400)]
    streams: u32,
    /// Only this fault, by its name in the table
    #[arg(long, value_parser = Fault::parse)]
    only: Option<Fault>,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    rlimit::increase_nofile_limit(u64::MAX).expect("the limit of open files can be raised");
    let faults = args.only.map_or(Fault::ALL.to_vec(), |fault| vec![fault]);
    let wires = Wires::namespaces().unwrap_or_else(|problem| {
        eprintln!("no network namespaces ({problem}): proxies cut the connections instead\n");
        Wires::Proxies
    });
    let mut code = ExitCode::SUCCESS;
    for fault in faults {
        match run(fault, wires, args.streams).await {
            Ok(figures) => println!("{figures}\n"),
            Err(problem) => {
                eprintln!("{}: {problem}", fault.as_str());
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
