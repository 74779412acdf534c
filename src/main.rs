//! rtmsd: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use rtmsd::cli::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(Cli::parse()).await
}
