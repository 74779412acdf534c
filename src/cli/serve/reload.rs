//! Reads the settings again on SIGHUP.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::Signal;

use super::super::{first_start, reread_settings};
use super::service_manager::ServiceManager;
use crate::app::app_sources;
use crate::config::{Config, ConfigErrors, Fingerprint, Mistake};
use crate::http::auth::TokenRegistry;
use crate::telemetry;
use crate::zoom::app::{ManagedApps, Occupancy};

/// What follows the settings when they are read again.
pub(super) struct Reread {
    pub apps: ManagedApps,
    pub api_tokens: TokenRegistry,
    /// Of the settings at the start.
    pub started_with: Fingerprint,
    /// The settings file.
    pub file: Option<PathBuf>,
    pub manager: Arc<ServiceManager>,
    pub occupancy: Occupancy,
}

/// Reads the settings again on every SIGHUP. After a mistake everything stays as it is.
pub(super) async fn reread_on_hangup(hangups: Option<io::Result<Signal>>, reread: Reread) {
    let Some(hangups) = hangups else { return };
    let Ok(mut hangups) = hangups else {
        return tracing::error!("could not install the handler of SIGHUP; it will end the process");
    };
    while hangups.recv().await.is_some() {
        reread.manager.reloading().await;
        let is_done = reread.reread().await;
        reread.manager.reloaded(!is_done, reread.occupancy.streams()).await;
    }
}

impl Reread {
    /// False after a mistake in the settings.
    async fn reread(&self) -> bool {
        let mut config = match reread_settings(self.file.as_deref()) {
            Ok(config) => config,
            Err(ConfigErrors(mistakes)) => {
                for Mistake { name: setting, problem } in mistakes {
                    tracing::error!(
                        setting,
                        problem,
                        "a setting has a mistake; all settings stay as they are"
                    );
                }
                return false;
            }
        };
        // Without API_TOKENS, the token in the data folder counts.
        if let Err(error) = first_start::generate_secrets(&mut config) {
            tracing::error!(%error, "cannot read the token in DATA_DIR; all settings stay as they are");
            return false;
        }
        self.take_over(&config).await;
        true
    }

    async fn take_over(&self, config: &Config) {
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
        self.apps.configure(app_sources(config)).await;
        tracing::info!(apps = config.apps.len(), "read the apps of the settings again");
    }
}
