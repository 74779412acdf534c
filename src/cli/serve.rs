//! `rtmsd serve`: runs the daemon until it is asked to stop.

use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::private::{keep_files_private, warn_of_open_folders};
use super::{first_start, print_error};
use crate::app::App;
use crate::config::Config;
use crate::http::server;
use crate::net::Resolver;
use crate::rtms::stream::Timings;
use crate::sessions::Leases;
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
    let admin = match config.admin_address.map(|address| (address, server::listen(address))) {
        None => None,
        Some((_, Ok(listener))) => Some(listener),
        Some((address, Err(error))) => {
            return print_error(1, &format!("cannot listen on {address} (ADMIN_ADDR): {error}"));
        }
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
    warn_of_open_folders(&config.recordings);
    let webhook_path = config.webhook_path.clone();
    let app =
        match App::build(config, Timings::default(), Leases::default(), Resolver::system()).await {
            Ok(app) => app.with_admin(admin),
            Err(error) => return print_error(1, &error.to_string()),
        };
    tracing::info!(%address, webhook_path, version = env!("CARGO_PKG_VERSION"), "rtmsd listens");
    match app.run(listener, stop).await {
        Ok(()) => {
            tracing::info!("rtmsd has stopped");
            ExitCode::SUCCESS
        }
        Err(error) => print_error(1, &error.to_string()),
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
