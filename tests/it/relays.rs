//! Programs that speak Zoom's protocol behind the whole daemon, with a simulated Zoom on the other side.

mod absence;
mod api;
mod front;
mod kit;
mod media;
mod node;
mod sdk;
mod video;
mod webhooks;
