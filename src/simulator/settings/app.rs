//! One Zoom app in a simulation.

use crate::model::Product;
use crate::secret::Secret;

/// The credentials of a Zoom app, and where it receives webhooks.
#[derive(Debug, Clone)]
pub struct ZoomApp {
    /// Public; it names the app in OAuth and REST requests.
    pub client_id: String,
    /// Signs handshakes and authenticates token requests.
    pub client_secret: Secret<String>,
    /// Signs webhooks; not the client secret (section 13.2).
    pub secret_token: Secret<String>,
    /// Where webhooks are posted; `None` sends none.
    pub webhook_url: Option<String>,
    /// A Server-to-Server app gets tokens of the account only. They start the streams of other apps, which their
    /// `client_id` names (section 14.2). It has streams of its own in engagements only (section 16).
    pub is_server_to_server: bool,
}

impl ZoomApp {
    /// Whether the app takes part in conversations of this product.
    pub(in crate::simulator) fn has_streams(&self, product: Product) -> bool {
        !self.is_server_to_server || product == Product::ContactCenter
    }
}

/// The credentials of the test vectors of section 5.
impl Default for ZoomApp {
    fn default() -> Self {
        Self {
            client_id: "demoClientId01".to_owned(),
            client_secret: Secret::new("demoClientSecret01".to_owned()),
            secret_token: Secret::new("demoSecretToken01".to_owned()),
            webhook_url: None,
            is_server_to_server: false,
        }
    }
}
