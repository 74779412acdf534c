//! The command line: what to do, and with which settings.

mod demo;
mod health;
mod rotate_keys;
mod serve;

use std::collections::HashMap;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, ConfigErrors, log_settings};
use crate::simulator::{SimulateArgs, Verdict};
use crate::store::Store;
use crate::{simulator, telemetry, tls};

/// A daemon for Zoom Realtime Media Streams. Settings come from the environment and from `.env`.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon (the default)
    Serve,
    /// Run the daemon and Zoom's side together on loopback, and play a meeting
    Demo(demo::DemoArgs),
    /// Be Zoom's side alone, for a daemon or any other client
    Simulate(SimulateArgs),
    /// Bring the store's schema up to date, and end
    Migrate,
    /// Check the settings, and end
    Check,
    /// Print the API as an OpenAPI 3.1 document, and end
    Openapi,
    /// Seal every stored token under the first of TOKEN_ENCRYPTION_KEYS, while the daemon runs, and end
    RotateKeys,
    /// Ask the daemon on this machine whether it is ready, and end
    Health,
}

/// The exit code of a wrong setting.
const EXIT_SETTINGS: u8 = 2;

/// Does what the command line says. Errors are printed; the exit code is 0, 1, or 2 for wrong settings.
pub async fn run(cli: Cli) -> ExitCode {
    let stop = CancellationToken::new();
    let signals = tokio::spawn(serve::stop_on_signals(stop.clone()));
    let done = match cli.command.unwrap_or(Command::Serve) {
        Command::Demo(args) => demo::run(args, stop).await,
        Command::Simulate(args) => simulate(args, stop).await,
        Command::Health => ask_health().await,
        Command::Serve => with_config(async |config| serve::run(config, stop.clone()).await).await,
        Command::Migrate => with_config(migrate).await,
        Command::Check => with_config(async |config| check(&config)).await,
        Command::Openapi => openapi(),
        Command::RotateKeys => with_config(rotate_keys::run).await,
    };
    signals.abort();
    done
}

async fn with_config(work: impl AsyncFnOnce(Config) -> ExitCode) -> ExitCode {
    let lookup = match lookup() {
        Ok(lookup) => lookup,
        Err(message) => return fail(EXIT_SETTINGS, message),
    };
    start_logs(&log_settings(&lookup));
    match Config::from_lookup(&lookup) {
        Ok(config) => {
            // It holds every secret of `.env` in clear, for longer than anybody needs them.
            drop(lookup);
            work(config).await
        }
        Err(errors) => wrong_settings(&errors),
    }
}

async fn ask_health() -> ExitCode {
    match lookup().map(config::address) {
        Ok(Ok(address)) => health::run(address).await,
        Ok(Err(errors)) => wrong_settings(&errors),
        Err(message) => fail(EXIT_SETTINGS, message),
    }
}

/// The environment, and behind it `.env`. The error does not quote the line that is wrong: it may hold a secret.
fn lookup() -> Result<impl Fn(&str) -> Option<String>, &'static str> {
    let dotenv = dotenv().map_err(|_| "the file .env has a line that cannot be read")?;
    Ok(move |name: &str| std::env::var(name).ok().or_else(|| dotenv.get(name).cloned()))
}

/// Zoom's side alone. Fails when a client broke the protocol.
async fn simulate(args: SimulateArgs, stop: CancellationToken) -> ExitCode {
    start_logs(&telemetry::LogSettings { level: "warn".to_owned(), ..Default::default() });
    match simulator::command(args, stop.cancelled_owned()).await {
        Ok(Verdict::Clean) => ExitCode::SUCCESS,
        Ok(Verdict::Breached) => ExitCode::FAILURE,
        Err(error) => fail(1, &error.to_string()),
    }
}

/// The variables of `.env` in this folder or one above it; none if there is no such file.
fn dotenv() -> Result<HashMap<String, String>, dotenvy::Error> {
    match dotenvy::dotenv_iter() {
        Ok(lines) => lines.collect(),
        Err(error) if error.not_found() => Ok(HashMap::new()),
        Err(error) => Err(error),
    }
}

fn start_logs(settings: &telemetry::LogSettings) {
    if let Err(error) = telemetry::init(settings) {
        eprintln!("rtmsd: logging is on already: {error}");
    }
}

fn wrong_settings(errors: &ConfigErrors) -> ExitCode {
    fail(EXIT_SETTINGS, &errors.to_string())
}

fn fail(code: u8, message: &str) -> ExitCode {
    eprintln!("rtmsd: {message}");
    ExitCode::from(code)
}

async fn migrate(config: Config) -> ExitCode {
    match Store::open(&config.database).await {
        Ok(store) => {
            store.close().await;
            println!("the store's schema is up to date");
            ExitCode::SUCCESS
        }
        Err(error) => fail(1, &error.to_string()),
    }
}

/// With the default webhook path: the document needs no settings.
fn openapi() -> ExitCode {
    println!("{:#}", crate::http::openapi::document("/webhook"));
    ExitCode::SUCCESS
}

/// Touches nothing: a newer binary's check must not change an older one's store.
fn check(config: &Config) -> ExitCode {
    if let Some(problem) = serve::missing(config) {
        return fail(EXIT_SETTINGS, &problem);
    }
    match tls::client_config(config.ca_file.as_deref()) {
        Ok(_) => {
            println!("the settings are good");
            ExitCode::SUCCESS
        }
        Err(error) => fail(EXIT_SETTINGS, &error.to_string()),
    }
}
