//! The command line as a client: the compiled binary beside a daemon.

mod config;
mod errors;
mod kit;
mod lists;
mod man;
mod output;
mod sessions;
mod tail;
