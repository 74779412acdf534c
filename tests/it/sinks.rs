//! What leaves the daemon.

mod relay;
