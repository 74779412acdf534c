//! Recordings, from Zoom's frames to files that other people's tools read.

mod access;
mod files;
pub(super) mod kit;
mod meeting;
mod places;
mod restarts;
mod trouble;
