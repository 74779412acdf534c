//! One Zoom Marketplace app as the daemon knows it: credentials, products, hosts, media and policies.

mod managed;
mod policies;
mod quotas;
mod recordings;
mod registry;

use super::Credentials;
use super::event;
use super::event_socket::EventsUrl;
use super::signature::{HandshakeIds, HandshakeKey, SignatureError, SignatureHeaders, WebhookKey};
use super::token::Configured;
use crate::model::params::Params;
use crate::model::{AppName, Instance, Product, Retention, StreamId};
use crate::rtms::endpoint::Policy;
use crate::secret::Secret;

pub use self::managed::{AppError, AppSources, Describe, Listed, ManagedApps, rotate_keys};
pub use self::policies::{AutoStart, Policies, StreamsPerMeeting};
pub use self::quotas::{Occupancy, Place, Quotas};
pub use self::recordings::{OwnPlace, OwnRecordings};
pub use self::registry::Apps;

/// The name of the app that `ZOOM_VIDEO_SDK_KEY` and its neighbours describe.
pub const VIDEO_APP: &str = "video";

/// A Zoom app: everything that differs between the apps of one daemon.
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    pub name: AppName,
    /// The products whose events the app sends, and whose sessions it starts.
    pub products: Vec<Product>,
    /// Signs handshakes (rtms-protocol.md section 5.1) and authenticates token requests (section 15.2).
    pub client: Credentials,
    /// The URL of the event subscription over a WebSocket, if the app has one (section 23.1).
    pub events_url: Option<EventsUrl>,
    /// The secret tokens that may sign webhooks, the newest first. Several while one is being rotated; none only if
    /// the events come over `events_url`.
    pub secret_tokens: Vec<Secret<String>>,
    /// The OAuth redirect URL as registered in the app.
    pub redirect_url: String,
    /// The token source beside installations.
    pub configured: Configured,
    /// The key and secret that sign tokens for the Video SDK's REST API (section 14.3), not the SDK's own.
    pub video_api: Option<Credentials>,
    /// `https://zoom.us`, without a trailing slash.
    pub oauth_base_url: String,
    /// `https://api.zoom.us`, without a trailing slash.
    pub api_base_url: String,
    /// Whether to ignore a token's own API and always use `api_base_url`: for simulators.
    pub api_is_fixed: bool,
    /// The servers that the app's streams may connect to.
    pub rtms_hosts: Policy,
    /// The media parameters of streams in sessions without their own.
    pub params: Params,
    pub handshake_ids: HandshakeIds,
    pub policies: Policies,
    pub quotas: Quotas,
    /// How long the app's data is kept.
    pub retention: Retention,
    pub recordings: OwnRecordings,
}

impl App {
    /// Whether the app serves a product.
    pub fn serves(&self, product: Product) -> bool {
        self.products.contains(&product)
    }

    /// Whether Zoom sends events of this name for the app. Events without a product concern every app, except that an
    /// app with only the Video SDK has no users, and gets only notices of them (section 16).
    pub fn may_send(&self, event: &str) -> bool {
        match event::product_of(event) {
            Some(product) => self.serves(product),
            None => event.starts_with("rtms.") || self.has_users(),
        }
    }

    /// Whether people install the app. They do not install one that has only the Video SDK (section 16).
    pub fn has_users(&self) -> bool {
        self.products != [Product::VideoSdk]
    }

    /// Verifies a webhook against each secret token. Returns the key that signed it, which also answers a URL
    /// validation: while a token is being rotated, Zoom validates with the one that it signs with.
    ///
    /// # Errors
    /// [`SignatureError::Wrong`] if no secret token fits; any other error as for a single token.
    pub fn check_webhook(
        &self,
        headers: SignatureHeaders<'_>,
        body: &[u8],
        now_ms: i64,
        tolerance_s: u32,
    ) -> Result<WebhookKey, SignatureError> {
        for secret_token in &self.secret_tokens {
            let key = WebhookKey::new(secret_token);
            match key.check(headers, body, now_ms, tolerance_s) {
                Ok(()) => return Ok(key),
                Err(SignatureError::Wrong) => {}
                Err(error) => return Err(error),
            }
        }
        Err(SignatureError::Wrong)
    }

    /// Everything that only the app and Zoom know: what no file may have.
    pub fn secrets(&self) -> Vec<Secret<String>> {
        let pairs = [Some(&self.client), self.video_api.as_ref()];
        let pairs = pairs.into_iter().flatten().map(|pair| pair.secret.clone());
        pairs.chain(self.secret_tokens.iter().cloned()).collect()
    }

    /// The signature of a stream's handshakes (section 5.1).
    pub fn sign_handshake(&self, instance: &Instance, stream_id: &StreamId) -> Secret<String> {
        let key = HandshakeKey::new(&self.client.id, &self.client.secret);
        Secret::new(key.sign(instance, stream_id))
    }
}

#[cfg(test)]
pub(crate) mod tests;
