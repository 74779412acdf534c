//! rtmsd: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use rtmsd::cli::{self, Cli};
use rtmsd::heap;

fn main() -> ExitCode {
    heap::limit_to_one_arena();
    run()
}

#[tokio::main]
async fn run() -> ExitCode {
    cli::run(Cli::parse()).await
}
