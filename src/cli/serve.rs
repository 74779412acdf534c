//! `rtmsd serve`: runs the daemon until it is asked to stop.

mod reload;
mod service_manager;
mod sockets;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::{self, ExitCode};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use self::reload::{Reread, reread_on_hangup};
use self::service_manager::ServiceManager;
use self::sockets::Sockets;
use super::private::{keep_files_private, warn_of_open_folders};
use super::{first_start, print_error};
use crate::app::App;
use crate::config::Config;
use crate::net::Resolver;
use crate::rtms::stream::Timings;
use crate::sessions::Leases;
use crate::telemetry;
use crate::zoom::token::Configured;

/// The exit code after a second signal.
const EXIT_SIGNAL: i32 = 130;

/// Runs the daemon. `file` is the settings file, which is read again on SIGHUP.
pub(super) async fn run(
    mut config: Config,
    file: Option<&Path>,
    stop: CancellationToken,
) -> ExitCode {
    // Both before the first socket and the first file.
    raise_file_limit();
    keep_files_private();
    let environment = |name: &str| std::env::var(name).ok();
    let manager = Arc::new(ServiceManager::from_environment(environment, process::id()));
    // Before the store is opened: a second daemon fails here and changes nothing.
    let sockets = match sockets::open(&config, environment, process::id()) {
        Ok(sockets) => sockets,
        Err(problem) => return print_error(1, &problem),
    };
    if let Err(error) = first_start::generate_secrets(&mut config) {
        let folder = first_start::data_folder(&config.database).unwrap_or(Path::new("."));
        let folder = folder.display();
        let problem = format!("cannot store a token and a key in {folder} (DATA_DIR): {error}");
        return print_error(1, &problem);
    }
    warn_of_settings(&config);
    // Before the daemon is ready: without a handler the signal ends the process, as it should when a terminal closes.
    let hangups = match io::stdin().is_terminal() {
        true => None,
        false => Some(signal(SignalKind::hangup())),
    };
    let (webhook_path, started_with) = (config.webhook_path.clone(), config.fingerprint.clone());
    let Sockets { main, admin, metrics } = sockets;
    // Port 0 asks for any free port.
    let address = main.local_addr().unwrap_or(config.address);
    let app =
        match App::build(config, Timings::default(), Leases::default(), Resolver::system()).await {
            Ok(app) => app.with_admin(admin).with_metrics(metrics),
            Err(error) => return print_error(1, &error.to_string()),
        };
    let (apps, api_tokens) = (app.managed_apps.clone(), app.api_tokens.clone());
    let occupancy = app.occupancy.clone();
    let (reporter, pulse) = (Arc::clone(&manager), app.pulse());
    let (file, running) = (file.map(Path::to_owned), occupancy.clone());
    let reread = Reread { apps, api_tokens, started_with, file, manager, occupancy: running };
    let reloading = tokio::spawn(reread_on_hangup(hangups, reread));
    let stopping = stop.clone();
    let reporting = tokio::spawn(async move { reporter.report(pulse, occupancy, stopping).await });
    tracing::info!(%address, webhook_path, version = env!("CARGO_PKG_VERSION"), "rtmsd listens");
    let ran = app.run(main, stop).await;
    reloading.abort();
    reporting.abort();
    telemetry::end_traces().await;
    match ran {
        Ok(()) => {
            tracing::info!("rtmsd has stopped");
            ExitCode::SUCCESS
        }
        Err(error) => print_error(1, &error.to_string()),
    }
}

/// Logs what in the settings works and is not as it should be.
fn warn_of_settings(config: &Config) {
    if config.apps.iter().any(|app| matches!(app.configured, Configured::Static(_))) {
        tracing::warn!(
            "ZOOM_ACCESS_TOKEN (access_token) expires after an hour and is not refreshed; \
            install the app instead"
        );
    }
    if config.traces.is_some() && cfg!(not(feature = "otel")) {
        tracing::warn!(
            "this build sends no traces; build it with --features otel, or use the image"
        );
    }
    warn_of_open_folders(&config.recordings, &config.apps);
}

/// Raises the limit of open files as far as allowed. The usual limit is 1,024, and a stream has two sockets or more.
fn raise_file_limit() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "could not raise the limit of open files; many streams at once may fail");
    }
}

/// Stops the daemon on the first SIGTERM or SIGINT, and ends the process at once on the second one.
pub(super) async fn stop_on_signals(stop: CancellationToken) {
    let (Ok(mut term), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return tracing::error!(
            "could not install signal handlers; a signal will end the process at once"
        );
    };
    loop {
        // `recv` is cancel-safe: the branch that loses keeps its signal for the next turn.
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        if stop.is_cancelled() {
            std::process::exit(EXIT_SIGNAL);
        }
        tracing::info!("stopping; a second signal ends the process at once");
        stop.cancel();
    }
}
