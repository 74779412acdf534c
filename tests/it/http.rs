//! The HTTP layer over real sockets, on a real store.

mod api;
mod api_tokens;
mod apps;
mod audit;
mod cors;
pub(crate) mod dashboard;
mod events;
mod failures;
mod health;
mod hostile;
mod limits;
pub(crate) mod live;
mod metrics;
mod openapi;
mod pages;
pub(crate) mod server;
mod tenants;
pub(crate) mod tickets;
mod webhook;
mod zoom_webhooks;
