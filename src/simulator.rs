//! Zoom's side of RTMS, to develop and test against.
