//! One Zoom app in a simulation.

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
}

/// The credentials of the test vectors of section 5.
impl Default for ZoomApp {
    fn default() -> Self {
        Self {
            client_id: "demoClientId01".to_owned(),
            client_secret: Secret::new("demoClientSecret01".to_owned()),
            secret_token: Secret::new("demoSecretToken01".to_owned()),
            webhook_url: None,
        }
    }
}
