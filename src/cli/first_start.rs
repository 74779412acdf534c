//! Generates the API token and the encryption key for a daemon with the embedded store if the settings have none.

use std::io::{self, IsTerminal};
use std::path::Path;

use crate::config::Config;
use crate::http::auth::ApiTokens;
use crate::seal::{KeyRing, key_file};
use crate::stdio;
use crate::store::Location;

/// Fills in a missing API token and encryption key from files in the data folder, and logs where they are. With
/// Postgres there is no data folder, and [`Config::to_serve`] requires both settings.
pub(super) fn generate_secrets(config: &mut Config) -> io::Result<()> {
    let Some(folder) = data_folder(&config.database).map(Path::to_owned) else { return Ok(()) };
    if config.install.token_keys.is_none() {
        let key = key_file::read_or_make(&folder, key_file::TOKEN_KEY)?;
        let path = key.path.display();
        if key.is_new {
            tracing::info!(%path, "generated a key that encrypts tokens; back it up with the data");
        } else {
            tracing::info!(%path, "TOKEN_ENCRYPTION_KEYS is not set; using the key in this file");
        }
        config.install.token_keys = Some(key_ring(key.value.expose()));
    }
    if config.api_tokens.is_empty() {
        let token = key_file::read_or_make(&folder, key_file::API_TOKEN)?;
        announce_token(&token);
        let text = format!("local:{}:admin", token.value.expose());
        // `admin` includes the other scopes, and the file is readable by the daemon's own user only.
        config.api_tokens = ApiTokens::parse(&text).expect("hex is a valid token").from_data_dir();
    }
    Ok(())
}

/// The key that an earlier start generated; generates none.
pub(super) fn token_keys(config: &Config) -> io::Result<Option<KeyRing>> {
    let Some(folder) = data_folder(&config.database) else { return Ok(None) };
    let key = key_file::read_secret(folder, key_file::TOKEN_KEY)?;
    Ok(key.map(|key| key_ring(key.expose())))
}

/// Announces where the token is. Prints its value only to a terminal and only when it is new; logs never contain it.
fn announce_token(token: &key_file::Kept) {
    let path = token.path.display();
    if !token.is_new {
        return tracing::info!(%path, "API_TOKENS is not set; the REST API accepts the token in this file");
    }
    tracing::info!(%path, "generated a token for the REST API and stored it in this file");
    if io::stderr().is_terminal() {
        stdio::print_stderr(&format!(
            "\nThe token for the REST API, shown only now and stored in {path}:\n\n  {}\n",
            token.value.expose()
        ));
    }
}

fn key_ring(key: &str) -> KeyRing {
    KeyRing::parse(key).expect("32 bytes in hex are a valid key")
}

pub(super) fn data_folder(database: &Location) -> Option<&Path> {
    match database {
        Location::Sqlite(path) => path.parent(),
        Location::Postgres(_) => None,
    }
}
