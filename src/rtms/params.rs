//! The media parameters of a stream on the wire: their numbers in requests, and those that Zoom grants (rtms-protocol.md
//! sections 6.3, 6.4 and 10). The parameters themselves, by name, are in [`crate::model::params`].

mod effective;
mod wire;

pub use effective::{
    Difference, Effective, EffectiveAudio, EffectiveShare, EffectiveTranscript, EffectiveVideo,
};
pub use wire::media_from_mask;

#[cfg(test)]
mod tests;
