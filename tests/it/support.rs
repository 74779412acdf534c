//! What several tests need.

pub mod audit;
pub mod connect_proxy;
pub mod nats;
pub mod network;
pub mod pgbouncer;
pub mod postgres;
pub mod proxy;
pub mod raw;
pub mod stores;
pub mod websocket;
pub mod words;
pub mod zoom;
