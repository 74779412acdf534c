//! What Zoom's cloud looks like from outside a stream.

use crate::secret::Secret;

/// The REST API: start, stop, pause, resume.
pub mod api;
/// The HTTP client for Zoom's REST API and OAuth.
pub mod client;
/// What Zoom's REST API says when it says no (pure).
pub mod error;
/// Webhook payloads of every product (pure).
pub mod event;
/// Who may exchange a code for tokens, and when.
mod exchange_limit;
/// People install the app: to Zoom's consent page and back.
pub mod install;
/// Zoom's OAuth endpoints.
pub mod oauth;
/// Whether a request is made again, and when (pure).
pub mod retry;
/// How often OAuth and the store are tried for a grant's sake, and how long that takes.
pub mod retry_policy;
/// Webhook, URL-validation and handshake signatures (pure).
pub mod signature;
/// The `state` of an install: signed, expiring, bound to a browser (pure).
pub mod state;
/// A valid access token on demand.
pub mod token;
/// The token of the Video SDK's REST API (pure).
pub mod video_jwt;

/// An app's client id and secret: they sign handshakes (section 5.1) and ask for tokens (section 15.2).
#[derive(Debug, Clone)]
pub struct Credentials {
    pub id: String,
    pub secret: Secret<String>,
}
