//! `rtmsd doctor`: checks what can be checked from this machine, and prints what to do about each finding.

mod table;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{EXIT_SETTINGS, first_start, print_error, print_page, settings_source, start_logs};
use crate::app::{app_sources, doctor_settings};
use crate::clock;
use crate::config::{Config, ConfigErrors};
use crate::doctor::{self, Check, Report};
use crate::metrics::Metrics;
use crate::net::{Network, Resolver};
use crate::store::Store;
use crate::telemetry::LogSettings;
use crate::tls::{TlsError, client_config};
use crate::zoom::app::{Apps, ManagedApps};
use crate::zoom::client::ZoomClient;
use crate::zoom::oauth::OAuth;
use crate::zoom::retry_policy;
use crate::zoom::token::Tokens;

/// The exit code after a signal.
const EXIT_SIGNAL: u8 = 130;
/// How long opening the store may take; then its check says why it did not open.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Print the checks as JSON
    #[arg(long)]
    json: bool,
}

/// Prints every check. `file` is the settings file. The exit code is 0 if nothing is broken, 1 if something is, 2 for
/// invalid settings.
pub(super) async fn run(
    args: &DoctorArgs,
    file: Option<&Path>,
    stop: &CancellationToken,
) -> ExitCode {
    // Only errors: the checks say what else would be logged.
    start_logs(&LogSettings { level: "error".to_owned(), ..LogSettings::default() }, None);
    let source = settings_source(file);
    let config = source.settle(Config::to_serve(|name| source.lookup(name)));
    let notes = source.notes();
    // The source holds every secret of the files in clear text and is not needed from here on.
    drop(source);
    let config = match config {
        Ok(config) => config,
        Err(errors) => {
            print(&wrong_settings(&errors), args);
            return ExitCode::from(EXIT_SETTINGS);
        }
    };
    let settings = match prepare(config, notes).await {
        Ok(settings) => settings,
        Err(error) => return print_error(1, &error.to_string()),
    };
    let report = tokio::select! {
        report = doctor::run(&settings) => Some(report),
        () = stop.cancelled() => None,
    };
    finish(settings).await;
    let Some(report) = report else { return ExitCode::from(EXIT_SIGNAL) };
    let printed = print(&report, args);
    if report.ok { printed } else { ExitCode::FAILURE }
}

/// Each mistake as a check that failed.
fn wrong_settings(ConfigErrors(mistakes): &ConfigErrors) -> Report {
    let todo = "Correct it in the environment, in .env or in the settings file; docs/configuration.md describes it.";
    let checks = mistakes
        .iter()
        .map(|mistake| Check::fail("settings", mistake.problem.clone(), todo).of(mistake.name));
    Report::new(None, Duration::ZERO, checks.collect())
}

/// Opens what the checks need, as far as it opens.
async fn prepare(mut config: Config, notes: Vec<String>) -> Result<doctor::Settings, TlsError> {
    let tls = client_config(config.ca_file.as_deref())?;
    if config.install.token_keys.is_none() {
        // That of an earlier start. Without one, no token is stored yet.
        config.install.token_keys = first_start::token_keys(&config).ok().flatten();
    }
    let network = Network::new(tls, Resolver::system(), config.proxy.clone());
    let zoom = ZoomClient::new(&network, Metrics::default());
    let opened = timeout(OPEN_TIMEOUT, Store::open_beside(&config.database)).await;
    let store = opened.ok().and_then(Result::ok);
    let apps = apps(&config, store.as_ref()).await;
    let tokens = store.clone().zip(config.install.token_keys.clone()).map(|(store, ring)| {
        Tokens::new(store, ring, OAuth::new(zoom.clone()), apps.clone(), clock::now_ms)
    });
    let settings = doctor_settings(&config, &apps, store, tokens, &network, &zoom);
    Ok(doctor::Settings { notes, ..settings })
}

/// Waits for refreshes of tokens that the checks began, and closes the store.
async fn finish(settings: doctor::Settings) {
    if let Some(tokens) = settings.tokens {
        // In bounded time: then Zoom has not answered, and there is nothing to keep.
        let _ = timeout(retry_policy::FINISH_LIMIT, tokens.finish()).await;
    }
    if let Some(store) = settings.store {
        store.close().await;
    }
}

/// The apps of the settings, and those of the store as far as it can be read.
async fn apps(config: &Config, store: Option<&Store>) -> Apps {
    let (Some(store), Some(ring)) = (store, &config.install.token_keys) else {
        return Apps::new(config.apps.iter().cloned());
    };
    let managed = ManagedApps::new(app_sources(config), store.clone(), ring.clone());
    // Without those of the store, the check of the store says what is wrong with it.
    let _ = managed.refresh().await;
    managed.apps()
}

fn print(report: &Report, args: &DoctorArgs) -> ExitCode {
    print_page(match args.json {
        true => format!("{:#}\n", json!(report)),
        false => table::text(report, uses_colors()),
    })
}

/// Colors are for terminals, unless `NO_COLOR` is set (<https://no-color.org>).
fn uses_colors() -> bool {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !is_refused
}
