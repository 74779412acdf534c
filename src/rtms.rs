//! The protocol of one RTMS stream, without sockets, clock or randomness: its messages ([`message`]), the media parameters
//! ([`params`]), the URLs that may be dialled ([`endpoint`]), the state machine ([`stream`]) and the account of what was
//! lost ([`ledger`]). `sessions::driver` owns the sockets.

pub mod backoff;
pub mod endpoint;
pub mod ledger;
mod link_id;
pub mod message;
pub mod params;
pub(crate) mod server;
pub mod stream;

pub use link_id::{Lane, LinkId};
