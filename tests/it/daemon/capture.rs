//! Captures: what a file holds and does not, that it makes the same log again, and that it replays to a client.

mod check;
mod content;
pub(crate) mod kit;
mod reference;
mod replay;
