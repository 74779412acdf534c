//! What Zoom's cloud looks like from outside a stream.

/// The REST client: start, stop, pause, resume.
pub mod api;
/// The one HTTP client for Zoom.
pub mod client;
/// Webhook payloads of every product (pure).
pub mod event;
/// What Zoom's REST API says when it says no (pure).
pub mod refusal;
/// Whether a request is made again, and when (pure).
pub mod retry;
/// Webhook, URL-validation and handshake signatures (pure).
pub mod signature;
/// Why Zoom stopped a stream (pure).
pub mod stop_reason;
/// A valid access token.
pub mod token;
