//! Tests of the simulator with raw WebSocket clients and a small webhook endpoint.

mod apps;
mod command;
mod console;
mod event_socket;
mod faults;
mod handshake;
pub(crate) mod kit;
mod life;
mod media;
mod oauth;
mod quirks;
mod rest;
mod webhook;
