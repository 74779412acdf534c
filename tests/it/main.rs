//! Tests from outside: the public API, real sockets.

mod simulator;
