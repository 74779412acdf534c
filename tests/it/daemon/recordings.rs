//! Recordings, from Zoom's frames to files that other people's tools read.

mod access;
mod files;
mod first_frames;
pub(super) mod kit;
mod meeting;
mod places;
mod restarts;
mod trouble;
