//! Recordings, seen by tools that others wrote, and held against what was sent.

mod books;
mod film;
mod keeping;
mod sound;
mod studio;
mod tools;
