//! The payloads of video and screen share frames: cameras that show a moving square, and one slide (pure).
//!
//! `picture/make-pictures.sh` generates them. H.264 is Constrained Baseline in Annex B framing, with one access unit
//! per frame. An access unit with an IDR picture starts with its parameter sets.

use std::sync::LazyLock;

use super::audio::Payload;
use crate::rtms::server::params::{H264, PNG};

/// For the report: what frames contain where they do not follow the script.
pub(super) const PAYLOADS: [(&str, &str); 4] = [
    ("g722", "silence"),
    ("opus", "one recorded sentence, repeated while a person speaks; 20 ms per packet"),
    ("jpg, png", "one still image of each camera, 320 x 180, or of the slide, 640 x 360"),
    (
        "h264",
        "25 pictures of each camera or of the slide, repeated, whatever the resolution and rate",
    ),
];

/// What a frame shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    /// The camera of the person with this index.
    Camera(usize),
    Slide,
}

/// The payloads of one scene in every codec.
struct Album {
    jpg: Payload,
    png: Payload,
    access_units: Vec<Payload>,
}

impl Album {
    fn new(jpg: &[u8], png: &[u8], h264: &[u8]) -> Self {
        let access_units = access_units(h264).into_iter().map(Payload::of).collect();
        Self { jpg: Payload::of(jpg), png: Payload::of(png), access_units }
    }
}

macro_rules! album {
    ($name:literal) => {
        Album::new(
            include_bytes!(concat!("picture/", $name, ".jpg")),
            include_bytes!(concat!("picture/", $name, ".png")),
            include_bytes!(concat!("picture/", $name, ".h264")),
        )
    };
}

// Encoded on first use: a run without video does not need them.
static CAMERAS: LazyLock<[Album; 4]> = LazyLock::new(|| {
    [album!("camera-0"), album!("camera-1"), album!("camera-2"), album!("camera-3")]
});
static SLIDE: LazyLock<Album> = LazyLock::new(|| album!("slide"));

/// The payload of frame `index` since the scene was first shown. Frame 0 is a key frame.
pub(super) fn frame_payload(scene: Scene, codec: i64, index: usize) -> Payload {
    let album = match scene {
        Scene::Camera(who) => &CAMERAS[who % CAMERAS.len()],
        Scene::Slide => &SLIDE,
    };
    match codec {
        PNG => album.png.clone(),
        H264 => album.access_units[index % album.access_units.len()].clone(),
        _ => album.jpg.clone(),
    }
}

/// The same payload, padded to half a megabyte if it is a key frame or a still image.
pub(super) fn large_payload(scene: Scene, codec: i64, index: usize) -> Payload {
    const STUFFING: usize = 512 << 10;
    let payload = frame_payload(scene, codec, index);
    let mut bytes = payload.bytes();
    match codec {
        H264 if !is_key(&bytes) => return payload,
        // Decoders skip a NAL unit of filler data (type 12), which ends with a stop bit.
        H264 => {
            bytes.extend([0, 0, 0, 1, FILLER]);
            bytes.resize(bytes.len() + STUFFING, 0xff);
            bytes.push(0x80);
        }
        // Decoders ignore what follows the IEND chunk.
        PNG => bytes.resize(bytes.len() + STUFFING, 0),
        // Any number of fill bytes may precede a marker, here the last one.
        _ => {
            let end = bytes.len() - 2;
            bytes.splice(end..end, std::iter::repeat_n(0xff, STUFFING));
        }
    }
    Payload::of(&bytes)
}

// NAL unit types.
const FILLER: u8 = 12;
const IDR: u8 = 5;
/// The NAL unit types of slices: of P pictures and of IDR pictures.
const SLICES: [u8; 2] = [1, IDR];

fn is_key(access_unit: &[u8]) -> bool {
    nal_units(access_unit).iter().any(|(_, kind)| *kind == IDR)
}

/// Splits a stream into access units. The recordings have one slice per picture, so each unit ends after a slice.
fn access_units(stream: &[u8]) -> Vec<&[u8]> {
    let units = nal_units(stream);
    let mut pieces = Vec::new();
    let mut begin = 0;
    for (index, (_, kind)) in units.iter().enumerate() {
        if SLICES.contains(kind) {
            let end = units.get(index + 1).map_or(stream.len(), |(next, _)| *next);
            pieces.push(&stream[begin..end]);
            begin = end;
        }
    }
    pieces
}

/// The offset of every start code, including its leading zero byte, and the type of the NAL unit behind it.
fn nal_units(stream: &[u8]) -> Vec<(usize, u8)> {
    let starts = stream.windows(4).enumerate().filter(|(_, window)| window[..3] == [0, 0, 1]);
    let unit = |(at, window): (usize, &[u8])| {
        let has_leading_zero = at > 0 && stream[at - 1] == 0;
        (at - usize::from(has_leading_zero), window[3] & 0x1f)
    };
    starts.map(unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtms::server::params::JPG;

    const SPS: u8 = 7;
    const PPS: u8 = 8;
    const SCENES: [Scene; 5] =
        [Scene::Camera(0), Scene::Camera(1), Scene::Camera(2), Scene::Camera(3), Scene::Slide];

    fn kinds(payload: &Payload) -> Vec<u8> {
        nal_units(&payload.bytes()).into_iter().map(|(_, kind)| kind).collect()
    }

    #[test]
    fn a_key_frame_has_its_parameter_sets_and_24_others_follow() {
        for scene in SCENES {
            assert_eq!(kinds(&frame_payload(scene, H264, 0)), [SPS, PPS, IDR]);
            for index in 1..25 {
                assert_eq!(kinds(&frame_payload(scene, H264, index)), [1], "{scene:?} {index}");
            }
            assert_eq!(frame_payload(scene, H264, 25), frame_payload(scene, H264, 0));
        }
    }

    #[test]
    fn the_pieces_of_a_stream_are_the_whole_stream() {
        let stream = include_bytes!("picture/slide.h264");
        assert_eq!(access_units(stream).concat(), stream);
    }

    #[test]
    fn every_scene_looks_different() {
        for codec in [JPG, PNG, H264] {
            let mut frames: Vec<_> =
                SCENES.map(|scene| frame_payload(scene, codec, 0).base64.to_string()).into();
            frames.sort();
            frames.dedup();
            assert_eq!(frames.len(), SCENES.len());
        }
    }

    #[test]
    fn large_frames_are_the_same_pictures_with_padding() {
        for (codec, index) in [(JPG, 3), (PNG, 3), (H264, 25)] {
            let large = large_payload(Scene::Slide, codec, index);
            assert!(large.length > 512 << 10);
            assert_eq!(
                large.bytes()[..100],
                frame_payload(Scene::Slide, codec, index).bytes()[..100]
            );
        }
        let jpg = large_payload(Scene::Slide, JPG, 0).bytes();
        assert_eq!(jpg[jpg.len() - 2..], [0xff, 0xd9]);
        assert_eq!(large_payload(Scene::Slide, H264, 1), frame_payload(Scene::Slide, H264, 1));
    }
}
