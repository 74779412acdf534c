//! The HTTP layer over real sockets, on a real store.

mod api;
pub mod client;
mod events;
mod hostile;
mod limits;
mod live;
pub mod server;
mod webhook;
