//! The whole daemon against the simulator, over real sockets and on real stores.

mod kit;
mod meeting;
