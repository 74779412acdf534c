//! `rtmsd serve`: runs the daemon until it is asked to stop.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::private::{keep_files_private, warn_of_open_folders};
use super::{first_start, print_error, reread_settings};
use crate::app::{App, app_sources};
use crate::config::{Config, ConfigErrors, Fingerprint};
use crate::http::auth::TokenRegistry;
use crate::http::server;
use crate::net::Resolver;
use crate::rtms::stream::Timings;
use crate::sessions::Leases;
use crate::telemetry;
use crate::zoom::app::ManagedApps;
use crate::zoom::token::Configured;

/// The exit code after a second signal.
const EXIT_SIGNAL: i32 = 130;

pub(super) async fn run(mut config: Config, stop: CancellationToken) -> ExitCode {
    let address = config.address;
    // Both before the first socket and the first file.
    raise_file_limit();
    keep_files_private();
    // Before the store is opened: a second daemon fails here and changes nothing.
    let listener = match server::listen(address) {
        Ok(listener) => listener,
        Err(error) => {
            return print_error(1, &format!("cannot listen on {address} (HOST and PORT): {error}"));
        }
    };
    // Port 0 asks for any free port.
    let address = listener.local_addr().unwrap_or(address);
    let (admin, metrics) = match (
        listen_beside(config.admin_address, "ADMIN_ADDR"),
        listen_beside(config.metrics_address, "METRICS_ADDR"),
    ) {
        (Ok(admin), Ok(metrics)) => (admin, metrics),
        (Err(problem), _) | (_, Err(problem)) => return print_error(1, &problem),
    };
    if let Err(error) = first_start::generate_secrets(&mut config) {
        let folder = first_start::data_folder(&config.database).unwrap_or(Path::new("."));
        let folder = folder.display();
        let problem = format!("cannot store a token and a key in {folder} (DATA_DIR): {error}");
        return print_error(1, &problem);
    }
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
    let webhook_path = config.webhook_path.clone();
    let started_with = config.fingerprint.clone();
    // Before the daemon is ready: without a handler the signal ends the process, as it should when a terminal closes.
    let hangups = match io::stdin().is_terminal() {
        true => None,
        false => Some(signal(SignalKind::hangup())),
    };
    let app =
        match App::build(config, Timings::default(), Leases::default(), Resolver::system()).await {
            Ok(app) => app.with_admin(admin).with_metrics(metrics),
            Err(error) => return print_error(1, &error.to_string()),
        };
    let (apps, api_tokens) = (app.managed_apps.clone(), app.api_tokens.clone());
    let reread = Reread { apps, api_tokens, started_with };
    let reloading = tokio::spawn(reread_on_hangup(hangups, reread));
    tracing::info!(%address, webhook_path, version = env!("CARGO_PKG_VERSION"), "rtmsd listens");
    let ran = app.run(listener, stop).await;
    reloading.abort();
    telemetry::end_traces().await;
    match ran {
        Ok(()) => {
            tracing::info!("rtmsd has stopped");
            ExitCode::SUCCESS
        }
        Err(error) => print_error(1, &error.to_string()),
    }
}

/// Listens on the address of a setting, if it is set.
fn listen_beside(
    address: Option<SocketAddr>,
    setting: &str,
) -> Result<Option<TcpListener>, String> {
    let listen = |address| {
        server::listen(address)
            .map_err(|error| format!("cannot listen on {address} ({setting}): {error}"))
    };
    address.map(listen).transpose()
}

/// What follows the settings when they are read again.
struct Reread {
    apps: ManagedApps,
    api_tokens: TokenRegistry,
    /// Of the settings at the start.
    started_with: Fingerprint,
}

/// Reads the settings again on every SIGHUP. After a mistake everything stays as it is.
async fn reread_on_hangup(hangups: Option<io::Result<Signal>>, reread: Reread) {
    let Some(hangups) = hangups else { return };
    let Ok(mut hangups) = hangups else {
        return tracing::error!("could not install the handler of SIGHUP; it will end the process");
    };
    while hangups.recv().await.is_some() {
        match reread_settings() {
            Ok(config) => reread.take_over(config).await,
            Err(ConfigErrors(mistakes)) => {
                for mistake in mistakes {
                    let (setting, problem) = (mistake.name, mistake.problem);
                    tracing::error!(
                        setting,
                        problem,
                        "a setting has a mistake; all settings stay as they are"
                    );
                }
            }
        }
    }
}

impl Reread {
    async fn take_over(&self, mut config: Config) {
        // Without API_TOKENS, the token in the data folder counts.
        if let Err(error) = first_start::generate_secrets(&mut config) {
            return tracing::error!(%error, "cannot read the token in DATA_DIR; all settings stay as they are");
        }
        if self.api_tokens.configure(config.api_tokens.clone()) {
            tracing::info!("the API tokens were changed; others are refused from now on");
        }
        if telemetry::log_control().configure(&config.log) {
            tracing::info!(level = config.log.text(), "the log level of the settings was changed");
        }
        let ignored = self.started_with.needing_restart(&config.fingerprint);
        if !ignored.is_empty() {
            let settings = ignored.join(", ");
            tracing::warn!(settings, "changed settings are ignored until a restart");
        }
        self.apps.configure(app_sources(&config)).await;
        tracing::info!(apps = config.apps.len(), "read the apps of the settings again");
    }
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
