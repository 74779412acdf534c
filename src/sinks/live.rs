//! One consumer's live view of a session, or of all: frames and entries as messages on a WebSocket, whoever opened it.

mod request;
mod source;
mod talk;
mod twilio;
mod voice;
mod wire;

pub use request::{Format, From, NAMES, Policy, Request, RequestError};
pub use source::{Live, Source};
pub use talk::{Over, Receipts, Talk, config, first_text, refuse};
