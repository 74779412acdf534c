//! Recordings, seen by tools that others wrote.

mod film;
mod sound;
mod tools;
