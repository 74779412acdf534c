//! Captures of streams: everything on the wire, in both directions, as one compressed file that can be replayed.
//! docs/capture.md describes the file.
//!
//! A stream's driver puts events into a bounded queue ([`Capturer`]). The sink that writes the file takes them out
//! ([`Events`]), removes secrets and, depending on the mode, what people say and show ([`redact`]), and writes them as
//! lines ([`block`]). A [`reader`] reads them back.

// Lines to compressed blocks (pure).
pub mod block;
// A message in a line (pure).
pub mod body;
// What a line says (pure).
pub mod event;
mod queue;
pub mod reader;
// Removes secrets and content (pure).
pub mod redact;

pub use self::queue::{CaptureRoom, Capturer, Events, Item, Raw};
