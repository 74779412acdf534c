//! What Zoom's cloud looks like from outside a stream.

/// Webhook payloads of every product (pure).
pub mod event;
/// Webhook, URL-validation and handshake signatures (pure).
pub mod signature;
/// Why Zoom stopped a stream (pure).
pub mod stop_reason;
