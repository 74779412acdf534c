//! The token and the key that a daemon with the embedded store makes for itself, when the settings have none.

use std::io::{self, IsTerminal};
use std::path::Path;

use crate::config::Config;
use crate::http::auth::ApiTokens;
use crate::seal::{KeyRing, key_file};
use crate::store::Location;

/// Fills in what the settings leave out from files of the data folder, and says where they are. Postgres has no such
/// folder: there [`Config::to_serve`] demands both.
pub(super) fn complete(config: &mut Config) -> io::Result<()> {
    let Some(folder) = data_folder(&config.database).map(Path::to_owned) else { return Ok(()) };
    if config.install.token_keys.is_none() {
        let key = key_file::read_or_make(&folder, key_file::TOKEN_KEY)?;
        let path = key.path.display();
        if key.is_new {
            tracing::info!(%path, "made a key that seals tokens; back it up with the data");
        } else {
            tracing::info!(%path, "TOKEN_ENCRYPTION_KEYS is not set; the key in this file seals tokens");
        }
        config.install.token_keys = Some(ring(key.value.expose()));
    }
    if config.api_tokens.is_empty() {
        let token = key_file::read_or_make(&folder, key_file::API_TOKEN)?;
        announce(&token);
        let text = format!("local:{}:admin", token.value.expose());
        config.api_tokens = ApiTokens::parse(&text).expect("hex is a token");
    }
    Ok(())
}

/// The key that an earlier start has made; makes none.
pub(super) fn token_keys(config: &Config) -> io::Result<Option<KeyRing>> {
    let Some(folder) = data_folder(&config.database) else { return Ok(None) };
    let key = key_file::read(folder, key_file::TOKEN_KEY)?;
    Ok(key.map(|key| ring(key.expose())))
}

/// The token's value is for eyes at a terminal, and only when it is made; a log never has it.
fn announce(token: &key_file::Kept) {
    let path = token.path.display();
    if !token.is_new {
        return tracing::info!(%path, "API_TOKENS is not set; the REST API takes the token in this file");
    }
    tracing::info!(%path, "made a token for the REST API; it is in this file");
    if io::stderr().is_terminal() {
        eprintln!(
            "\nThe token of the REST API, shown this once and kept in {path}:\n\n  {}\n",
            token.value.expose()
        );
    }
}

fn ring(key: &str) -> KeyRing {
    KeyRing::parse(key).expect("32 bytes in hex are a key")
}

fn data_folder(database: &Location) -> Option<&Path> {
    match database {
        Location::Sqlite(path) => path.parent(),
        Location::Postgres(_) => None,
    }
}
