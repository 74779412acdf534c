//! What Zoom's cloud looks like from outside a stream.
