//! One RTMS stream.

pub mod message;
