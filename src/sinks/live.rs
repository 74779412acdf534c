//! A consumer's live view of one session or all: frames and entries as messages on a WebSocket, opened by either side.

mod batches;
mod begin;
mod connection;
mod delivery_acks;
mod encoder;
mod known_streams;
mod named;
mod request;
mod source;
mod ticker;
mod twilio;
mod wire;

pub use connection::{CloseReason, Connection, first_text, refuse_request, websocket_config};
pub use delivery_acks::DeliveryAcks;
pub use request::{Format, From, NAMES, Policy, Request, RequestError};
pub use source::{Live, Source};
