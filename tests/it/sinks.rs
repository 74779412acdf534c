//! What leaves the daemon.

mod relay;
mod webhooks;
