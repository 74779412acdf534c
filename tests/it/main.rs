//! Everything from the outside: the store on both databases, the simulator, the daemon over real sockets.

mod cli;
mod clients;
mod control;
mod daemon;
mod deploy;
mod docs;
mod doctor;
mod http;
mod hub;
mod install;
mod library;
mod net;
mod pages;
mod record;
mod relays;
mod simulator;
mod sinks;
mod store;
mod support;
mod walls;
