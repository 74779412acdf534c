//! rtmsd: a daemon for Zoom Realtime Media Streams, and its protocol as a library.
//!
//! The library is [`rtms`]: one stream as a state machine without sockets, clock or randomness, over the values of
//! [`model`]. [`zoom::event`] and [`zoom::signature`] read webhooks and sign handshakes. `examples/own_sockets.rs` drives
//! a stream with them. The other modules are the daemon's; they are public for its binary, tests and benchmarks, and
//! change without notice.

// `println!` and `eprintln!` panic when their reader has gone: `stdio` writes instead.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

// The composition root.
#[doc(hidden)]
pub mod app;
// Captures of streams, as files that can be replayed.
#[doc(hidden)]
pub mod capture;
// The command line.
#[doc(hidden)]
pub mod cli;
// The wall clock.
#[doc(hidden)]
pub mod clock;
// Settings from the environment and `.env`.
#[doc(hidden)]
pub mod config;
// What the daemon asks Zoom for, and when.
#[doc(hidden)]
pub mod control;
// Checks of the daemon's surroundings, and what to do about each finding.
#[doc(hidden)]
pub mod doctor;
// Zoom's events, by webhook and by event socket.
#[doc(hidden)]
pub mod events;
// The allocator's heap.
#[doc(hidden)]
pub mod heap;
// HTTP: webhook, REST API, server-sent events, health.
#[doc(hidden)]
pub mod http;
// Entries and frames from streams to their consumers.
#[doc(hidden)]
pub mod hub;
// Lenient JSON reading (pure).
#[doc(hidden)]
pub mod json;
// Every metric of the daemon, in one table.
#[doc(hidden)]
pub mod metrics;
// The values that everything speaks of (pure).
pub mod model;
// A macro for enums whose variants have names.
mod named;
// Shared networking: name resolution, address racing, proxies, WebSocket and HTTP clients.
#[doc(hidden)]
pub mod net;
// Prefetching into the processor's cache.
mod prefetch;
// Token buckets.
#[doc(hidden)]
pub mod rate;
// The protocol of one RTMS stream: messages, parameters, state machine (pure).
pub mod rtms;
// Tokens at rest: sealed to their table, row and column.
#[doc(hidden)]
pub mod seal;
// Values that must not be printed.
pub mod secret;
// What is live: one owned task per stream.
#[doc(hidden)]
pub mod sessions;
// Zoom's side, to develop and test against.
#[doc(hidden)]
pub mod simulator;
// Recordings, brokers, outgoing webhooks, forwarding.
#[doc(hidden)]
pub mod sinks;
// Standard output and standard error of the commands.
mod stdio;
// Everything that outlives the process.
#[doc(hidden)]
pub mod store;
// Logs.
#[doc(hidden)]
pub mod telemetry;
// Dedicated threads for tasks.
mod thread_pool;
// The TLS client side.
#[doc(hidden)]
pub mod tls;
// What was said, as text.
#[doc(hidden)]
pub mod transcript;
// Tracks which of the things a task waits for has woken it.
mod wake_flag;
// The pages that people see.
#[doc(hidden)]
pub mod web;
// Documents that are written from tables.
#[cfg(test)]
mod written;
// What Zoom's cloud looks like from outside a stream.
pub mod zoom;
