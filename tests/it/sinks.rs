//! What leaves the daemon.

mod broker;
mod live;
mod nats;
mod relay;
mod webhooks;
