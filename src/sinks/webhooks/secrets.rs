//! Seals and opens endpoints' secrets for the columns of their rows.

use zeroize::Zeroizing;

use super::signature::{NEW_SECRET_BYTES, encode_secret};
use crate::model::EndpointId;
use crate::seal::{Cell, KeyRing, OpenError, random_bytes};
use crate::store::{SealedSecrets, Store, StoreError};
use crate::zoom::token::Rotated;

const TABLE: &str = "webhook_endpoints";

/// An endpoint's secrets in plain text.
pub(super) struct OpenSecrets {
    pub current: Zeroizing<String>,
    pub previous: Option<Zeroizing<String>>,
}

/// Generates a secret, for its owner to see once.
pub(super) fn make_secret() -> Zeroizing<String> {
    encode_secret(&Zeroizing::new(random_bytes::<NEW_SECRET_BYTES>()))
}

pub(super) fn seal_secrets(
    ring: &KeyRing,
    id: EndpointId,
    current: &str,
    previous: Option<&str>,
) -> SealedSecrets {
    let row = id.to_string();
    SealedSecrets {
        current: ring.seal(cell(&row, "secret"), current),
        previous: previous.map(|text| ring.seal(cell(&row, "previous_secret"), text)),
    }
}

pub(super) fn open_secrets(
    ring: &KeyRing,
    id: EndpointId,
    sealed: &SealedSecrets,
) -> Result<OpenSecrets, OpenError> {
    let row = id.to_string();
    let previous = sealed.previous.as_deref();
    Ok(OpenSecrets {
        current: ring.open(cell(&row, "secret"), &sealed.current)?,
        previous: previous
            .map(|text| ring.open(cell(&row, "previous_secret"), text))
            .transpose()?,
    })
}

/// Reseals the secrets of every endpoint under the ring's first key.
pub async fn rotate_keys(store: &Store, ring: &KeyRing) -> Result<Rotated, StoreError> {
    let mut rotated = Rotated::default();
    let prefix = ring.prefix();
    for stored in store.endpoints().await? {
        let (id, sealed) = (stored.endpoint.id, &stored.secrets);
        let mut texts = [Some(&sealed.current), sealed.previous.as_ref()].into_iter().flatten();
        if texts.all(|text| text.starts_with(&prefix)) {
            continue;
        }
        match open_secrets(ring, id, sealed) {
            Ok(OpenSecrets { current, previous }) => {
                let anew =
                    seal_secrets(ring, id, &current, previous.as_ref().map(|text| text.as_str()));
                // A secret that was replaced meanwhile was sealed by a daemon that has the new key.
                let is_done = store.reseal_secrets(id, &sealed.current, &anew).await?;
                rotated.resealed += u64::from(is_done);
            }
            Err(error) => {
                tracing::error!(endpoint = %id, %error, "cannot decrypt a webhook secret; it is skipped");
                rotated.unreadable += 1;
            }
        }
    }
    Ok(rotated)
}

fn cell<'a>(row: &'a str, column: &'static str) -> Cell<'a> {
    Cell { table: TABLE, row, column }
}
