//! The command line: parses the arguments, reads the settings and runs the command.

mod backup;
mod client;
mod config_dump;
mod demo;
mod doctor;
mod entry_line;
mod first_start;
mod health;
mod man;
mod manifest;
mod private;
mod replay;
mod rotate_keys;
mod serve;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, ConfigErrors, Source, log_settings};
use crate::http::{app_webhook_path, install_path};
use crate::simulator::{SimulateArgs, Verdict};
use crate::store::{Location, Store};
use crate::{simulator, stdio, telemetry};

/// A daemon for Zoom Realtime Media Streams. Reads its settings from the environment, from `.env` in the working
/// directory, and from the file of `--config`.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// A settings file (TOML): the settings' names in lower case; the environment and `.env` take precedence
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon (the default)
    Serve,
    /// Run the daemon and a simulated Zoom together on loopback, and play a meeting
    Demo(demo::DemoArgs),
    /// Run only the simulated Zoom, for a daemon or any other client
    Simulate(SimulateArgs),
    /// Play Zoom's side from a capture, or check a capture
    Replay(replay::ReplayArgs),
    /// Migrate the store's schema to the current version, then exit
    Migrate,
    /// Copy the embedded store to a file while the daemon runs, then exit
    Backup(backup::FileArgs),
    /// Replace the embedded store with a backup while no daemon runs, then exit
    Restore(backup::FileArgs),
    /// Check the settings, then exit
    Check,
    /// Check clock, store, disk, network, webhook URL, OAuth and sinks from this machine, then exit
    Doctor(doctor::DoctorArgs),
    /// Show the settings
    #[command(subcommand)]
    Config(config_dump::ConfigCommand),
    /// Print the scopes, events and URLs that the app in Zoom's Marketplace needs for these settings, then exit
    Manifest(manifest::ManifestArgs),
    /// Print the completions of a shell, then exit
    #[command(hide = true)]
    Completions { shell: Shell },
    /// Print the manual page of a command, then exit
    #[command(hide = true)]
    Man(man::ManArgs),
    /// Print the API as an OpenAPI 3.1 document, then exit
    Openapi,
    /// Re-encrypt every stored token with the first of TOKEN_ENCRYPTION_KEYS (the daemon may be running), then exit
    RotateKeys,
    /// Ask the daemon on this machine whether it is ready, then exit
    Health,
    #[command(flatten)]
    Client(client::Call),
}

/// The exit code for invalid settings.
const EXIT_SETTINGS: u8 = 2;

/// Runs the command. Prints errors; the exit code is 0 for success, 2 for invalid settings, else 1. Those that ask a daemon
/// exit with 3 when none answers.
pub async fn run(cli: Cli) -> ExitCode {
    let stop = CancellationToken::new();
    // Before the command: a signal while it starts up must not kill the process halfway.
    let signals = tokio::spawn(serve::stop_on_signals(stop.clone()));
    let file = cli.config.as_deref();
    let done = match cli.command.unwrap_or(Command::Serve) {
        Command::Demo(args) => demo::run(args, stop).await,
        Command::Simulate(args) => run_simulator(args, stop).await,
        Command::Replay(args) => replay::run(args, stop).await,
        Command::Health => ask_health(file).await,
        Command::Client(call) => {
            let source = settings_source(file);
            client::run(&call, &|name: &str| source.lookup(name), stop).await
        }
        Command::Serve => {
            to_serve(file, async |config| serve::run(config, file, stop.clone()).await).await
        }
        Command::Migrate => with_config(file, run_migrations).await,
        Command::Backup(args) => {
            with_store(file, async |store| backup::back_up(args, store, stop).await).await
        }
        Command::Restore(args) => {
            let now = Timestamp::now();
            with_store(file, async |store| backup::restore(args, store, now, stop).await).await
        }
        Command::Check => to_serve(file, print_check).await,
        Command::Doctor(args) => doctor::run(&args, file, &stop).await,
        Command::Config(command) => config_dump::run(&command, &settings_source(file)),
        Command::Manifest(args) => {
            with_config(file, async |config| manifest::run(&args, &config)).await
        }
        Command::Completions { shell } => print_completions(shell),
        Command::Man(args) => man::run(&args, Cli::command()),
        Command::Openapi => print_openapi(),
        Command::RotateKeys => with_config(file, rotate_keys::run).await,
    };
    signals.abort();
    done
}

/// Runs a command that needs the settings, but not those that only serving requires.
async fn with_config(file: Option<&Path>, work: impl AsyncFnOnce(Config) -> ExitCode) -> ExitCode {
    let source = settings_source(file);
    let config = Config::from_lookup(|name| source.lookup(name));
    with_settled(source, config, work).await
}

/// Runs a command that needs every setting that serving requires.
async fn to_serve(file: Option<&Path>, work: impl AsyncFnOnce(Config) -> ExitCode) -> ExitCode {
    let source = settings_source(file);
    let config = Config::to_serve(|name| source.lookup(name));
    with_settled(source, config, work).await
}

/// The sources of settings, with the environment of this process.
type Settings = Source<fn(&str) -> Option<String>>;

/// Starts the logs, prints the notes on the settings, and runs the command unless the settings are invalid.
async fn with_settled(
    source: Settings,
    config: Result<Config, ConfigErrors>,
    work: impl AsyncFnOnce(Config) -> ExitCode,
) -> ExitCode {
    // First, so that notes and errors about the settings appear in the configured format.
    let traces = config::trace_settings(|name| source.lookup(name));
    start_logs(&log_settings(|name| source.lookup(name)), traces.as_ref());
    for note in source.notes() {
        tracing::warn!("{note}");
    }
    let config = source.settle(config);
    // The source holds every secret of the files in clear text and is not needed from here on.
    drop(source);
    match config {
        Ok(config) => work(config).await,
        Err(errors) => wrong_settings(&errors),
    }
}

/// Reads the settings again while the daemon runs.
fn reread_settings(file: Option<&Path>) -> Result<Config, ConfigErrors> {
    let source = settings_source(file);
    source.settle(Config::to_serve(|name| source.lookup(name)))
}

/// Runs a command that needs to know where the store is, and no other setting.
async fn with_store(file: Option<&Path>, work: impl AsyncFnOnce(Location) -> ExitCode) -> ExitCode {
    let source = settings_source(file);
    match source.settle(config::store_location(|name| source.lookup(name))) {
        Ok(location) => work(location).await,
        Err(errors) => wrong_settings(&errors),
    }
}

async fn ask_health(file: Option<&Path>) -> ExitCode {
    let source = settings_source(file);
    // Only HOST, PORT and ADMIN_ADDR are read: a container's health check must not fail on an unrelated setting.
    match source.settle(config::health_address(|name| source.lookup(name))) {
        Ok(address) => health::run(address).await,
        Err(errors) => wrong_settings(&errors),
    }
}

/// The environment, then `.env` of the working directory, then the settings file.
fn settings_source(file: Option<&Path>) -> Settings {
    Source::read(Path::new(""), file, |name| std::env::var(name).ok())
}

/// Runs the simulator alone. Fails if a client broke the protocol.
async fn run_simulator(args: SimulateArgs, stop: CancellationToken) -> ExitCode {
    // Only warnings: standard output and the terminal belong to the two JSON lines.
    start_logs(&telemetry::LogSettings { level: "warn".to_owned(), ..Default::default() }, None);
    match simulator::command(args, stop.cancelled_owned()).await {
        Ok(Verdict::Clean) => ExitCode::SUCCESS,
        Ok(Verdict::Breached) => ExitCode::FAILURE,
        Err(error) => print_error(1, &error.to_string()),
    }
}

fn start_logs(settings: &telemetry::LogSettings, traces: Option<&telemetry::TraceSettings>) {
    if let Err(error) = telemetry::init(settings, traces) {
        // Not fatal: a daemon without logs still records. Standard error is the only place left to say so.
        stdio::print_stderr(&format!("rtmsd: could not start logging: {error}"));
    }
}

fn wrong_settings(errors: &ConfigErrors) -> ExitCode {
    print_error(EXIT_SETTINGS, &errors.to_string())
}

fn print_error(code: u8, message: &str) -> ExitCode {
    stdio::print_stderr(&format!("rtmsd: {message}"));
    ExitCode::from(code)
}

async fn run_migrations(config: Config) -> ExitCode {
    match Store::open(&config.database).await {
        Ok(store) => {
            store.close().await;
            print_page("the store's schema is up to date\n")
        }
        Err(error) => print_error(1, &error.to_string()),
    }
}

/// Prints the document with the default webhook path, because it must not need settings.
fn print_openapi() -> ExitCode {
    print_page(format!("{:#}\n", crate::http::openapi::build_document("/webhook")))
}

fn print_completions(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rtmsd", &mut script);
    print_page(&script)
}

/// Prints a text that a reader may cut short, as `head` does.
fn print_page(page: impl AsRef<[u8]>) -> ExitCode {
    match stdio::print(page) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => print_error(1, &error.to_string()),
    }
}

/// Reports whether `rtmsd serve` would start, and the apps that it would have. Changes nothing: the check of a newer
/// binary must not migrate the store of an older one.
async fn print_check(config: Config) -> ExitCode {
    let mut text = "the settings are valid\n".to_owned();
    for app in &config.apps {
        let products: Vec<&str> = app.products.iter().map(|product| product.as_str()).collect();
        let (public_url, name) = (&config.install.public_url, &app.name);
        let webhooks = app_webhook_path(&config.webhook_path, name.as_str());
        let installs = match app.has_users() {
            true => format!(", installs at {public_url}{}", install_path(name)),
            false => String::new(),
        };
        let products = products.join(", ");
        // Writing to a `String` cannot fail.
        let _ =
            writeln!(text, "app {name}: {products}; webhooks at {public_url}{webhooks}{installs}");
    }
    print_page(&text)
}
