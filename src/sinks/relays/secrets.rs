//! Seals and opens the secrets of relays for the columns of their rows.

use zeroize::Zeroizing;

use crate::model::RelayId;
use crate::seal::{Cell, KeyRing, OpenError};
use crate::store::{RelaySecrets, Store, StoreError};
use crate::zoom::token::Rotated;

const TABLE: &str = "relays";

/// A relay's secrets in plain text.
pub(super) struct OpenSecrets {
    pub client_secret: Zeroizing<String>,
    pub secret_token: Zeroizing<String>,
}

pub(super) fn seal_secrets(
    ring: &KeyRing,
    id: RelayId,
    client_secret: &str,
    secret_token: &str,
) -> RelaySecrets {
    let row = id.to_string();
    RelaySecrets {
        client_secret: ring.seal(cell(&row, "client_secret"), client_secret),
        secret_token: ring.seal(cell(&row, "secret_token"), secret_token),
    }
}

pub(super) fn open_secrets(
    ring: &KeyRing,
    id: RelayId,
    sealed: &RelaySecrets,
) -> Result<OpenSecrets, OpenError> {
    let row = id.to_string();
    Ok(OpenSecrets {
        client_secret: ring.open(cell(&row, "client_secret"), &sealed.client_secret)?,
        secret_token: ring.open(cell(&row, "secret_token"), &sealed.secret_token)?,
    })
}

/// Reseals the secrets of every relay under the ring's first key.
pub async fn rotate_keys(store: &Store, ring: &KeyRing) -> Result<Rotated, StoreError> {
    let mut rotated = Rotated::default();
    let prefix = ring.prefix();
    for stored in store.relays().await? {
        let (id, sealed) = (stored.relay.id, &stored.secrets);
        let mut texts = [&sealed.client_secret, &sealed.secret_token].into_iter();
        if texts.all(|text| text.starts_with(&prefix)) {
            continue;
        }
        match open_secrets(ring, id, sealed) {
            Ok(OpenSecrets { client_secret, secret_token }) => {
                let anew = seal_secrets(ring, id, &client_secret, &secret_token);
                // A secret that was replaced meanwhile was sealed by a daemon that has the new key.
                let is_done = store.reseal_relay(id, &sealed.client_secret, &anew).await?;
                rotated.resealed += u64::from(is_done);
            }
            Err(error) => {
                tracing::error!(relay = %id, %error, "cannot decrypt the secrets of a relay; it is skipped");
                rotated.unreadable += 1;
            }
        }
    }
    Ok(rotated)
}

fn cell<'a>(row: &'a str, column: &'static str) -> Cell<'a> {
    Cell { table: TABLE, row, column }
}
