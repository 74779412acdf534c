//! A consumer's live view of one session or all: frames and entries as messages on a WebSocket, opened by either side.

mod begin;
mod connection;
mod encoder;
mod named;
mod request;
mod source;
mod twilio;
mod wire;

pub use connection::{
    CloseReason, Connection, DeliveryAcks, first_text, refuse_request, websocket_config,
};
pub use request::{Format, From, NAMES, Policy, Request, RequestError};
pub use source::{Live, Source};
