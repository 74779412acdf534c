//! The store's contract, on SQLite and on Postgres.

mod api_tokens;
mod apps;
mod dashboard_sessions;
mod deliveries;
pub(crate) mod entries;
mod erasure;
mod fence;
mod foreign;
mod forwards;
mod installations;
mod leases;
mod left_out;
mod migration;
mod opening;
mod outgoing;
mod pooler;
mod recordings;
mod retention;
mod revocation;
mod sessions;
mod sinks;
mod stored_apps;
mod streams;
mod tickets;
mod walk;
mod webhook_times;
pub(crate) mod webhooks;
