//! One RTMS stream: what it says ([`message`]), what it asks for ([`params`]), where it may go ([`endpoint`]),
//! what it decides ([`stream`]),
//! what was lost of it ([`ledger`]), and the sockets under it ([`driver`]).

pub mod backoff;
pub mod driver;
pub mod endpoint;
pub mod ledger;
pub mod message;
pub mod params;
pub mod stream;
