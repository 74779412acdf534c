//! What several tests need.

pub mod nats;
pub mod postgres;
pub mod proxy;
pub mod raw;
pub mod stores;
pub mod websocket;
pub mod zoom;
