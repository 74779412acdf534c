//! The built-in meeting.

/// A small stand-in until the recorded meeting is in place.
pub(super) const SCRIPT: &str = include_str!("demo/script.json");

/// The recorded voices, by the file names that the script uses.
const CLIPS: &[(&str, &[u8])] = &[];

pub(super) fn clip(name: &str) -> Option<&'static [u8]> {
    CLIPS.iter().find(|(clip, _)| *clip == name).map(|(_, bytes)| *bytes)
}
