//! Checks the settings that only `rtmsd serve` requires; `rtmsd check` runs the same checks.

use std::fs::File;
use std::path::Path;

use super::read::Reader;
use crate::tls;

/// Records what is missing for serving. With the embedded store the first start generates a token and a key in
/// `DATA_DIR`; daemons that share a Postgres have no common folder, so both must be set.
pub(super) fn require(read: &mut Reader<'_>) {
    if read.optional("DATABASE_URL").is_some() {
        read.required("API_TOKENS");
        read.required("TOKEN_ENCRYPTION_KEYS");
    }
    for name in ["RTMS_CA_FILE", "CA_FILE"] {
        if let Some(path) = read.optional(name)
            && let Err(error) = tls::client_config(Some(Path::new(&path)))
        {
            read.mistake(name, error.to_string());
        }
    }
    if let Some(path) = read.optional("NATS_CREDENTIALS")
        && let Err(error) = File::open(&path)
    {
        read.mistake("NATS_CREDENTIALS", format!("cannot read {path}: {error}"));
    }
}
