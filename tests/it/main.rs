//! Everything from the outside: the store on both databases, the daemon over real sockets.

mod http;
mod install;
mod simulator;
mod store;
mod support;
mod walls;
