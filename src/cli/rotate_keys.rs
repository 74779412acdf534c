use std::process::ExitCode;

use super::{EXIT_SETTINGS, fail};
use crate::app::AppError;
use crate::config::Config;
use crate::store::Store;
use crate::zoom::token::{Rotated, rotate_keys};

/// Seals every stored token under the first key of `TOKEN_ENCRYPTION_KEYS`, beside daemons that go on working.
pub(super) async fn run(config: Config) -> ExitCode {
    let Some(ring) = config.install.token_keys else {
        return fail(EXIT_SETTINGS, &AppError::NoTokenKeys.to_string());
    };
    let store = match Store::open_beside(&config.database).await {
        Ok(store) => store,
        Err(error) => return fail(1, &error.to_string()),
    };
    let done = rotate_keys(&store, &ring).await;
    store.close().await;
    match done {
        Ok(Rotated { resealed, unreadable: 0 }) => {
            println!("{resealed} installations sealed anew; the other keys may be removed");
            ExitCode::SUCCESS
        }
        Ok(Rotated { resealed, unreadable }) => {
            println!("{resealed} installations sealed anew");
            fail(1, &format!("no key opens the tokens of {unreadable} installations"))
        }
        Err(error) => fail(1, &error.to_string()),
    }
}
