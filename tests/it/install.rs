//! People install the app, and their tokens are there when they are wanted. Against a Zoom of our own.

mod apps;
mod bound;
mod browser;
pub(crate) mod daemon;
mod deauthorization;
mod flow;
mod meetmind;
mod rotation;
mod tokens;
