//! Everything that needs sockets or a store.

mod http;
