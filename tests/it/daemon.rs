//! The whole daemon against the simulator, over real sockets and on real stores.

mod announcements;
mod kit;
mod links;
mod meeting;
mod peer;
mod refusals;
