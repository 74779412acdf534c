//! What a stream asks Zoom for (pure; rtms-protocol.md sections 3.3 and 8).

use serde_json::{Value, json};

use super::message::Medium;

/// What to receive and over how many sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    /// Not empty, each once.
    pub media: Vec<Medium>,
    pub mode: ConnectionMode,
    /// Whether Zoom sends the audio it kept between its webhook and our handshake (section 6.1).
    pub buffer_data: bool,
}

/// One socket per medium, or one for all of them (section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionMode {
    Split,
    Unified,
}

impl Default for Params {
    fn default() -> Self {
        Self { media: vec![Medium::Transcript], mode: ConnectionMode::Split, buffer_data: true }
    }
}

impl Params {
    pub fn wants(&self, medium: Medium) -> bool {
        self.media.contains(&medium)
    }

    /// The `media_params` of a handshake that asks for these media.
    pub fn media_params(&self, media: &[Medium]) -> Value {
        media.iter().map(|medium| (wire_key(*medium).to_owned(), parameters(*medium))).collect()
    }
}

/// The key of a medium's object in `media_params` (section 6.3).
fn wire_key(medium: Medium) -> &'static str {
    match medium {
        Medium::Share => "deskshare",
        medium => medium.as_str(),
    }
}

/// Legal by sections 8.2 and 8.3. Audio: L16, 16 kHz, mono, one stream per participant, 20 ms.
/// Video: H.264, HD, 25 fps, the active speaker. Share: JPEG, FHD, 1 fps. Transcript: English first, then
/// whatever Zoom recognises.
fn parameters(medium: Medium) -> Value {
    match medium {
        Medium::Audio => json!({
            "content_type": 2, "sample_rate": 1, "channel": 1, "codec": 1, "data_opt": 2, "send_rate": 20
        }),
        Medium::Video => json!({
            "content_type": 3, "codec": 7, "resolution": 2, "fps": 25, "data_opt": 3
        }),
        Medium::Share => json!({ "content_type": 3, "codec": 5, "resolution": 3, "fps": 1 }),
        Medium::Transcript => {
            json!({ "content_type": 5, "src_language": 9, "enable_lid": true })
        }
        Medium::Chat => json!({ "content_type": 5 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_in_the_parameters() {
        let params = Params::default();
        let wire = params.media_params(&[Medium::Transcript]);
        assert_eq!(wire.as_object().unwrap().keys().collect::<Vec<_>>(), ["transcript"]);
        let wire = params.media_params(&Medium::ALL);
        let keys: Vec<_> = wire.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["audio", "chat", "deskshare", "transcript", "video"]);
    }
}
