//! Captures: what a file holds and does not, and that it makes the same log again.

mod check;
mod content;
mod kit;
