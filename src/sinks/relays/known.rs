//! The relays that this daemon knows, with their keys.

use std::sync::{Arc, Mutex};

use super::Relays;
use super::secrets::{OpenSecrets, open_secrets};
use crate::model::{Instance, Relay, RelayId, StreamId};
use crate::rtms::server::handshake::Handshake;
use crate::seal::{KeyRing, OpenError};
use crate::secret::Secret;
use crate::store::{StoreError, StoredRelay};
use crate::zoom::signature::{HandshakeKey, WebhookKey};

/// A relay with its decrypted keys.
pub(in crate::sinks) struct OpenRelay {
    pub relay: Relay,
    pub webhook_key: WebhookKey,
    handshake_key: HandshakeKey,
    /// The last URL validation: when, and why it failed.
    validation: Mutex<Option<(i64, Option<String>)>>,
}

impl OpenRelay {
    fn open(ring: &KeyRing, stored: StoredRelay) -> Result<Self, OpenError> {
        let StoredRelay { relay, secrets } = stored;
        let OpenSecrets { client_secret, secret_token } = open_secrets(ring, relay.id, &secrets)?;
        let client_secret = Secret::new(client_secret.as_str().to_owned());
        let secret_token = Secret::new(secret_token.as_str().to_owned());
        Ok(Self {
            webhook_key: WebhookKey::new(&secret_token),
            handshake_key: HandshakeKey::new(&relay.client_id, &client_secret),
            validation: Mutex::new(relay.validation.clone()),
            relay,
        })
    }

    /// Whether a handshake names this conversation and is signed with the relay's secret.
    pub(super) fn has_signed(
        &self,
        handshake: &Handshake,
        instance: &Instance,
        stream: &StreamId,
    ) -> bool {
        let is_signed = self.handshake_key.verify(instance, stream, &handshake.signature);
        handshake.instance_id == instance.id() && is_signed
    }

    pub(super) fn validation(&self) -> Option<(i64, Option<String>)> {
        self.validation.lock().expect("nothing panics while holding it").clone()
    }

    pub(super) fn note_validation(&self, at_ms: i64, error: Option<String>) {
        let mut validation = self.validation.lock().expect("nothing panics while holding it");
        *validation = Some((at_ms, error));
    }
}

impl Relays {
    /// Reads the relays from the store, except those with secrets that cannot be decrypted.
    pub(super) async fn refresh(&self) -> Result<(), StoreError> {
        let stored = self.0.store.relays().await?;
        let before = self.all();
        let mut known = Vec::with_capacity(stored.len());
        for stored in stored {
            // An unchanged relay stays the same object, because programs are compared by it.
            let same = before.iter().find(|relay| {
                relay.relay.id == stored.relay.id
                    && relay.relay.updated_at_ms == stored.relay.updated_at_ms
            });
            match same {
                Some(relay) => known.push(Arc::clone(relay)),
                None => known.extend(self.opened(stored)),
            }
        }
        *self.0.known.write().expect("nothing panics while holding the relays") = known.into();
        Ok(())
    }

    fn opened(&self, stored: StoredRelay) -> Option<Arc<OpenRelay>> {
        let id = stored.relay.id;
        let opened = OpenRelay::open(&self.0.settings.ring, stored);
        let failed = |error: &OpenError| {
            tracing::error!(relay = %id, %error, "cannot decrypt the secrets of a relay; it is not served");
        };
        opened.inspect_err(failed).ok().map(Arc::new)
    }

    /// Every relay that can be served.
    pub(super) fn all(&self) -> Arc<[Arc<OpenRelay>]> {
        Arc::clone(&*self.0.known.read().expect("nothing panics while holding the relays"))
    }

    /// A relay by its id.
    pub(in crate::sinks) fn known(&self, id: RelayId) -> Option<Arc<OpenRelay>> {
        self.all().iter().find(|relay| relay.relay.id == id).cloned()
    }
}
