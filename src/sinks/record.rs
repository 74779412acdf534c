//! Recordings: every stream as files that ordinary tools play.

pub mod track;
