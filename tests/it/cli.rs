//! The command line as a client: the compiled binary beside a daemon.

mod errors;
mod kit;
mod lists;
mod sessions;
mod tail;
