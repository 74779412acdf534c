//! The whole daemon against the simulator, over real sockets and on real stores.

mod announcements;
mod binary;
mod chaos;
mod crash;
mod crowd;
mod first_hour;
mod forward;
pub mod kit;
mod ledger;
mod links;
mod live;
mod media;
mod meeting;
mod nats;
mod network;
mod outage;
mod peer;
pub mod process;
mod products;
mod recordings;
mod refusals;
mod replicas;
mod retention;
mod samples;
mod shutdown;
mod subscribers;
mod video;
