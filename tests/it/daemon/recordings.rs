//! Recordings, from Zoom's frames to files that other people's tools read.

mod access;
mod files;
pub mod kit;
mod places;
mod restarts;
mod trouble;
