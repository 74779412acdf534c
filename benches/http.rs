//! What the API takes: webhooks that the daemon records and answers, and the reads of a store with many sessions and a
//! long transcript. The release daemon runs in a process of its own; the requests come from this one, over loopback.
//!
//!     cargo bench --bench http                        # both, with SQLite in a temporary folder
//!     cargo bench --bench http -- webhooks
//!     cargo bench --bench http -- reads
//!     cargo bench --bench http -- postgres://…        # an empty database of yours
//!     cargo bench --bench http -- webhooks --set LOG_LEVEL=warn

#[path = "http/client.rs"]
mod client;
#[path = "support/daemon.rs"]
#[expect(dead_code, reason = "other benches use more of it")]
mod daemon;
#[path = "load/process.rs"]
#[expect(dead_code, reason = "the load bench uses more of it")]
mod process;
#[path = "http/reads.rs"]
mod reads;
#[path = "http/seed.rs"]
mod seed;
#[path = "http/server.rs"]
mod server;
#[path = "http/table.rs"]
mod table;
#[path = "http/webhooks.rs"]
mod webhooks;
#[path = "support/zoom.rs"]
#[expect(dead_code, reason = "other benches use more of it")]
mod zoom;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use self::zoom::Problem;

#[derive(Parser)]
struct Args {
    /// webhooks or reads to run one part only; a postgres:// URL of an empty database instead of SQLite
    #[arg(value_parser = word)]
    words: Vec<Word>,
    /// How many webhooks of each kind, for each number of connections
    #[arg(long, default_value_t = 10_000)]
    webhooks: usize,
    /// A setting of the daemon, such as LOG_LEVEL=warn; may be repeated
    #[arg(long, value_parser = setting)]
    set: Vec<(String, String)>,
    /// Another build of rtmsd to measure instead of this one
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, PartialEq)]
enum Word {
    Webhooks,
    Reads,
    Database(String),
}

fn word(text: &str) -> Result<Word, String> {
    match text {
        "webhooks" => Ok(Word::Webhooks),
        "reads" => Ok(Word::Reads),
        _ if text.starts_with("postgres") => Ok(Word::Database(text.to_owned())),
        _ => Err("write webhooks, reads or postgres://…".into()),
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Args {
    fn includes(&self, part: &Word) -> bool {
        let only = self.words.iter().any(|word| matches!(word, Word::Webhooks | Word::Reads));
        !only || self.words.contains(part)
    }

    fn database(&self) -> Option<&str> {
        self.words.iter().find_map(|word| match word {
            Word::Database(url) => Some(&**url),
            _ => None,
        })
    }

    fn binary(&self) -> &Path {
        self.binary.as_deref().unwrap_or(Path::new(env!("CARGO_BIN_EXE_rtmsd")))
    }
}

/// One thread, which leaves the other cores to the daemon.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), Problem> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    table::print_head();
    // The reads first: they need a database without other sessions.
    if args.includes(&Word::Reads) {
        reads::run(args).await?;
    }
    if args.includes(&Word::Webhooks) {
        webhooks::run(args).await?;
    }
    Ok(())
}
