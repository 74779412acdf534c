//! Control, from a program's request or a webhook to what Zoom is asked.

mod actions;
mod capacity;
mod command;
mod idempotency;
mod installations;
mod kit;
mod openapi;
mod policies;
mod sessions;
pub(crate) mod store;
mod timeline;
