//! The whole daemon against the simulator, over real sockets and on real stores.

mod announcements;
mod binary;
mod chaos;
mod crash;
mod crowd;
mod forward;
mod kit;
mod ledger;
mod links;
mod live;
mod media;
mod meeting;
mod outage;
mod peer;
mod process;
mod products;
mod recordings;
mod refusals;
mod replicas;
mod retention;
mod shutdown;
mod subscribers;
mod video;
