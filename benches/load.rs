//! What streams cost: the release daemon, Zoom's own SDK and a bare reader, each in a process of its own, receive the
//! same N meetings from the simulator over wss, with 20 ms of audio and a transcript line a second. The rounds of the
//! receivers alternate, and the table shows medians.
//!
//!     cargo bench --bench load -- --streams 200 --rounds 3
//!     cargo bench --bench load -- --streams 1000 --only rtmsd
//!     cargo bench --bench load -- --streams 20 --subscribers 10 --format binary --only rtmsd
//!     cargo bench --bench load -- --only rtmsd --set RECORD=audio
//!     cargo bench --bench load -- --streams 20 --programs 10 --only rtmsd
//!
//! A soak cuts links and lets consumers come and go, and shows whether memory stays flat:
//!
//!     cargo bench --bench load -- --soak 1 --streams 800 --seconds 1200 --subscribers 20
//!
//! What a message costs in instructions, allocations and system calls is counted by valgrind, and compared with
//! benches/load/cost.txt:
//!
//!     cargo bench --bench load -- --cost
//!
//! The SDK is measured where it is installed:
//!
//!     python3 -m venv target/sdk && target/sdk/bin/pip install rtms

#[path = "load/account.rs"]
mod account;
#[path = "load/bare.rs"]
mod bare;
#[path = "load/cost.rs"]
mod cost;
#[path = "load/process.rs"]
mod process;
#[path = "load/programs.rs"]
mod programs;
#[path = "load/receiver.rs"]
mod receiver;
#[path = "load/round.rs"]
mod round;
#[path = "load/soak.rs"]
mod soak;
#[path = "load/subscribers.rs"]
mod subscribers;
#[path = "load/table.rs"]
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use self::receiver::Receiver;
use self::round::Round;
use self::table::Column;

#[derive(Clone, Parser)]
struct Args {
    #[arg(long, default_value_t = 200)]
    streams: u32,
    /// How long to measure
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Measure only this receiver; may be repeated
    #[arg(long)]
    only: Vec<Kind>,
    /// Another build of rtmsd, measured beside this one
    #[arg(long)]
    beside: Option<PathBuf>,
    /// The Python in whose environment the SDK is installed
    #[arg(long, default_value = "target/sdk/bin/python")]
    sdk: PathBuf,
    /// A setting of the daemon, such as RECORD=audio; may be repeated
    #[arg(long, value_parser = setting)]
    set: Vec<(String, String)>,
    /// Live consumers of each stream's audio, which read in this process; measured after the rest
    #[arg(long, default_value_t = 0)]
    subscribers: u32,
    /// The number of streams that get consumers; all, if not given
    #[arg(long)]
    watched_streams: Option<u32>,
    /// What they ask for: json, binary or twilio
    #[arg(long, default_value = "binary")]
    format: String,
    /// The length of their batches in milliseconds
    #[arg(long)]
    batch_ms: Option<u32>,
    /// Programs behind relays, for each stream's audio, which read in this process; measured after the rest
    #[arg(long, default_value_t = 0)]
    programs: u32,
    /// Count what a message costs under callgrind, and fail if it is more than what is checked in
    #[arg(long)]
    cost: bool,
    /// Check in what was counted
    #[arg(long, requires = "cost")]
    keep_cost: bool,
    /// Soak the daemon, with this seed
    #[arg(long)]
    soak: Option<u64>,
    /// Be the bare reader, with webhooks at this port
    #[arg(long, hide = true)]
    bare_reader: Option<u16>,
    #[arg(long, hide = true, requires = "bare_reader")]
    folder: Option<PathBuf>,
    /// Be the process that only writes, at this port
    #[arg(long, hide = true)]
    bare_writer: Option<u16>,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Rtmsd,
    Sdk,
    Reader,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    // This program's own HTTP client, unlike the daemon's, takes the process's default.
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("no provider is installed yet");
    rlimit::increase_nofile_limit(u64::MAX).expect("the limit of open files can be raised");
    if let (Some(port), Some(folder)) = (args.bare_reader, &args.folder) {
        bare::run(port, folder).await;
        return ExitCode::SUCCESS;
    }
    if let Some(port) = args.bare_writer {
        programs::write_bare(&args, port).await;
        return ExitCode::SUCCESS;
    }
    if let Some(seed) = args.soak {
        soak::run(&args, seed).await;
        return ExitCode::SUCCESS;
    }
    if args.cost {
        return if cost::run(&args).await { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let mut columns: Vec<Column> = receivers(&args)
        .into_iter()
        .map(|receiver| Column { receiver, rounds: Vec::new() })
        .collect();
    for _ in 0..args.rounds {
        for Column { receiver, rounds } in &mut columns {
            let round = Round::run(&args, receiver).await;
            table::print_round(receiver, &round, args.streams);
            rounds.push(round);
        }
    }
    table::print(&args, &columns);
    ExitCode::SUCCESS
}

fn receivers(args: &Args) -> Vec<Receiver> {
    let is_wanted = |kind| args.only.is_empty() || args.only.contains(&kind);
    let mut receivers = Vec::new();
    if is_wanted(Kind::Rtmsd) {
        receivers.push(Receiver::Daemon(env!("CARGO_BIN_EXE_rtmsd").into()));
        receivers.extend(args.beside.clone().map(Receiver::Daemon));
    }
    if is_wanted(Kind::Reader) {
        receivers.push(Receiver::BareReader);
    }
    if is_wanted(Kind::Sdk) {
        receivers.extend(sdk(&args.sdk));
    }
    receivers
}

fn sdk(python: &Path) -> Option<Receiver> {
    if python.exists() {
        return Some(Receiver::Sdk(python.to_owned()));
    }
    println!(
        "Zoom's SDK is left out: there is no {}. Install it with \
         python3 -m venv target/sdk && target/sdk/bin/pip install rtms",
        python.display()
    );
    None
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=value")?;
    Ok((name.to_owned(), value.to_owned()))
}
