//! The built-in script and the recordings of its lines.

pub(super) const SCRIPT: &str = include_str!("demo/script.json");

// `include_bytes!` needs literals, so the names are listed and not read from the script.
macro_rules! clips {
    ($($name:literal),* $(,)?) => { &[$(($name, include_bytes!(concat!("demo/", $name)))),*] };
}

/// The recordings by file name. `demo/make-audio.sh` generates them.
const CLIPS: &[(&str, &[u8])] = clips![
    "ana-01.al",
    "ana-02.al",
    "ana-03.al",
    "ana-04.al",
    "ana-05.al",
    "ana-06.al",
    "ana-07.al",
    "ana-08.al",
    "ana-09.al",
    "ana-10.al",
    "ana-11.al",
    "ana-12.al",
    "ana-13.al",
    "ana-14.al",
    "ana-15.al",
    "ana-16.al",
    "ana-17.al",
    "ana-18.al",
    "ana-19.al",
    "ana-20.al",
    "bo-01.al",
    "bo-02.al",
    "bo-03.al",
    "bo-04.al",
    "bo-05.al",
    "bo-06.al",
    "bo-07.al",
    "bo-08.al",
    "bo-09.al",
    "bo-10.al",
    "bo-11.al",
    "bo-12.al",
    "bo-13.al",
    "bo-14.al",
    "bo-15.al",
    "bo-16.al",
    "bo-17.al",
    "chidi-01.al",
    "chidi-02.al",
    "chidi-03.al",
    "chidi-04.al",
    "chidi-05.al",
    "chidi-06.al",
    "chidi-07.al",
    "chidi-08.al",
    "chidi-09.al",
    "chidi-10.al",
    "chidi-11.al",
    "chidi-12.al",
    "chidi-13.al",
];

/// The recording with this file name: G.711 A-law, 8 kHz, mono.
pub(super) fn voice_clip(name: &str) -> Option<&'static [u8]> {
    CLIPS.iter().find(|(clip, _)| *clip == name).map(|(_, bytes)| *bytes)
}
