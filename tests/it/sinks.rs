//! What leaves the daemon.

mod nats;
mod relay;
mod webhooks;
