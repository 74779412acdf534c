//! What video and screen share frames hold (pure).

use super::audio::Payload;
use super::params::{H264, PNG};

/// For the report: what a client sees in the frames that the script does not describe.
pub const PAYLOADS: [(&str, &str); 3] = [
    ("opus, g722", "silence"),
    ("jpg, png", "one small still image, whatever the resolution"),
    ("h264", "one intra-coded picture of 16 x 16 pixels in Annex B framing, repeated"),
];

/// The payload of every frame with this codec.
pub fn still(codec: i64) -> Payload {
    let bytes: &[u8] = match codec {
        PNG => include_bytes!("picture/still.png"),
        H264 => include_bytes!("picture/still.h264"),
        _ => include_bytes!("picture/still.jpg"),
    };
    Payload { base64: base64_of(bytes).into(), length: bytes.len() }
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    BASE64_STANDARD.encode(bytes)
}
