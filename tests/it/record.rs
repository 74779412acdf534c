//! Recordings, checked with third-party tools and against the frames that were sent.

mod books;
mod film;
mod keeping;
mod meeting;
mod sound;
mod studio;
mod tools;
