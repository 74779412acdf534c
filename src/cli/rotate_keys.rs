//! `rtmsd rotate-keys`: re-encrypts every stored secret with the first key.

use std::process::ExitCode;

use super::{EXIT_SETTINGS, first_start, print_error, print_page};
use crate::app::AppError;
use crate::config::Config;
use crate::seal::KeyRing;
use crate::sinks::{relays, webhooks};
use crate::store::Store;
use crate::zoom::app;
use crate::zoom::token::{RotateError, Rotated, rotate_keys};

/// Re-encrypts every stored token, webhook secret and app with the first key of `TOKEN_ENCRYPTION_KEYS` while daemons keep
/// running.
pub(super) async fn run(config: Config) -> ExitCode {
    let ring = match config.install.token_keys {
        Some(ref ring) => Ok(Some(ring.clone())),
        None => first_start::token_keys(&config),
    };
    let ring = match ring {
        Ok(Some(ring)) => ring,
        Ok(None) => return print_error(EXIT_SETTINGS, &AppError::NoTokenKeys.to_string()),
        Err(error) => return print_error(1, &error.to_string()),
    };
    // Not `open`: a daemon may hold the store, and only its own start may migrate the schema.
    let store = match Store::open_beside(&config.database).await {
        Ok(store) => store,
        Err(error) => return print_error(1, &error.to_string()),
    };
    let done = rotate_all(&store, &ring).await;
    // Closed on both outcomes, so that SQLite's write-ahead log is checkpointed.
    store.close().await;
    let Done { installations, endpoints, apps, relays } = match done {
        Ok(done) => done,
        Err(error) => return print_error(1, &error.to_string()),
    };
    let done = format!(
        "re-encrypted {} installations, {} webhook endpoints, {} relays and {} apps\n",
        installations.resealed, endpoints.resealed, relays.resealed, apps.resealed
    );
    match (installations.unreadable, endpoints.unreadable, relays.unreadable, apps.unreadable) {
        // Only now: a key that still opens something must stay in the setting.
        (0, 0, 0, 0) => print_page(format!("{done}the other keys can now be removed\n")),
        (tokens, secrets, relays, apps) => {
            print_page(&done);
            print_error(
                1,
                &format!(
                    "no key opens the tokens of {tokens} installations, the secrets of {secrets} webhook endpoints and {relays} \
                     relays, and {apps} apps"
                ),
            )
        }
    }
}

/// What was done for each kind of secret.
struct Done {
    installations: Rotated,
    endpoints: Rotated,
    apps: Rotated,
    relays: Rotated,
}

/// Re-encrypts the secrets. Deletes idempotent responses sealed under other keys, which expire within a day anyway.
async fn rotate_all(store: &Store, ring: &KeyRing) -> Result<Done, RotateError> {
    store.forget_answers_sealed_otherwise(&ring.prefix()).await?;
    Ok(Done {
        installations: rotate_keys(store, ring).await?,
        endpoints: webhooks::rotate_keys(store, ring).await?,
        apps: app::rotate_keys(store, ring).await?,
        relays: relays::rotate_keys(store, ring).await?,
    })
}
