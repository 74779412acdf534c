//! rtmsd: a daemon for Zoom Realtime Media Streams. This is the map.

/// The composition root.
pub mod app;
/// The command line.
pub mod cli;
/// The wall clock.
pub mod clock;
/// Settings from the environment and `.env`.
pub mod config;
/// What is asked of Zoom for a session, and when.
pub mod control;
/// HTTP: webhook, REST API, server-sent events, health.
pub mod http;
/// Entries and frames from streams to whoever wants them.
pub mod hub;
/// Lenient JSON reading (pure).
pub mod json;
/// The values that everything speaks of (pure).
pub mod model;
/// A macro for enums whose variants have names.
mod named;
/// Shared networking: name resolution, address racing, proxies, WebSocket and HTTP clients.
pub mod net;
/// Token buckets.
pub mod rate;
/// One RTMS stream: messages, state machine, driver.
pub mod rtms;
/// Tokens at rest: sealed to their table, row and column.
pub mod seal;
/// Values that must not be printed.
pub mod secret;
/// What is live: one owned task per stream.
pub mod sessions;
/// Zoom's side, to develop and test against.
pub mod simulator;
/// Recordings, brokers, outgoing webhooks, forwarding.
pub mod sinks;
/// Everything that outlives the process.
pub mod store;
/// Logs.
pub mod telemetry;
/// The TLS client side.
pub mod tls;
/// What was said, as text.
pub mod transcript;
/// The pages that people see.
pub mod web;
/// What Zoom's cloud looks like from outside a stream.
pub mod zoom;
