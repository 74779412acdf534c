//! What leaves the daemon.

mod broker;
mod nats;
mod relay;
mod webhooks;
