//! What several tests need.

pub(crate) mod apps;
pub(crate) mod audit;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod connect_proxy;
pub(crate) mod kit;
pub(crate) mod nats;
pub(crate) mod network;
pub(crate) mod pgbouncer;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod s3;
pub(crate) mod sinks;
pub(crate) mod stores;
pub(crate) mod wait;
pub(crate) mod websocket;
pub(crate) mod words;
pub(crate) mod zoom;
