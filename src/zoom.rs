//! Zoom's cloud outside of streams: webhooks, OAuth and the REST API.

use crate::secret::Secret;

// The REST API: start, stop, pause, resume.
#[doc(hidden)]
pub mod api;
// The apps: credentials, products, policies, and the registry of all of them.
#[doc(hidden)]
pub mod app;
// The HTTP client for Zoom's REST API and OAuth.
#[doc(hidden)]
pub mod client;
// Errors of Zoom's REST API (pure).
#[doc(hidden)]
pub mod error;
// One connection to Zoom's event socket.
#[doc(hidden)]
pub mod event_socket;
// The payloads of events of every product (pure).
pub mod event;
// Rate limits for exchanging authorization codes.
mod exchange_limit;
// The install flow: to Zoom's consent page and back.
#[doc(hidden)]
pub mod install;
// What an app in Zoom's Marketplace needs (pure).
#[doc(hidden)]
pub mod manifest;
// Zoom's OAuth endpoints.
#[doc(hidden)]
pub mod oauth;
// Whether and when a request to Zoom is retried (pure).
#[doc(hidden)]
pub mod retry;
// Retries of OAuth calls and of storing their tokens.
#[doc(hidden)]
pub mod retry_policy;
// The OAuth scopes that an app needs (pure).
#[doc(hidden)]
pub mod scopes;
// Webhook, URL-validation and handshake signatures (pure).
pub mod signature;
// The `state` of an install: signed, expiring, bound to a browser (pure).
#[doc(hidden)]
pub mod state;
// Valid access tokens on demand.
#[doc(hidden)]
pub mod token;
// A URL validation from the daemon to itself.
#[doc(hidden)]
pub mod own_validation;
// The token of the Video SDK's REST API (pure).
#[doc(hidden)]
pub mod video_jwt;

/// An app's client id and secret: they sign handshakes (section 5.1) and authenticate token requests (section 15.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The client id, which is public.
    pub id: String,
    /// The client secret, the key of the handshake signature.
    pub secret: Secret<String>,
}
