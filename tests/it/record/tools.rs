//! FFmpeg, and the media that the simulator sends.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use rtmsd::sinks::record::track::{Track, TrackKind};
use serde_json::Value;

pub(super) const ORIGIN_MS: i64 = 1_763_600_000_000;

const HOW_TO_INSTALL: &str = "the tests need FFmpeg: apt-get install ffmpeg";

/// ffprobe's description of a file with all frames. Fails on warnings.
pub(super) fn probe(path: &Path) -> Value {
    let arguments = ["-show_format", "-show_streams", "-show_frames", "-of", "json"];
    let (stdout, stderr) = run("ffprobe", &arguments, &[], path);
    assert_eq!(stderr, "", "ffprobe complains of {}", path.display());
    serde_json::from_slice(&stdout).unwrap()
}

/// ffprobe's description of the header of a file.
pub(super) fn probe_header(path: &Path) -> Value {
    let (stdout, _) = run("ffprobe", &["-show_format", "-show_streams", "-of", "json"], &[], path);
    serde_json::from_slice(&stdout).unwrap()
}

/// The audio of a file as signed 16-bit samples of all channels. Fails on warnings of ffmpeg.
pub(super) fn samples(path: &Path) -> Vec<i16> {
    let (stdout, stderr) = run("ffmpeg", &["-i"], &["-f", "s16le", "-"], path);
    assert_eq!(stderr, "", "ffmpeg complains of {}", path.display());
    stdout.chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// The number of pictures that ffmpeg decodes, and its warnings.
pub(super) fn decode(path: &Path) -> (usize, String) {
    let output = ["-f", "framecrc", "-fps_mode", "passthrough", "-"];
    let (stdout, stderr) = run("ffmpeg", &["-i"], &output, path);
    let lines = String::from_utf8(stdout).unwrap();
    (lines.lines().filter(|line| !line.starts_with('#')).count(), stderr)
}

/// A number that ffprobe writes as text.
pub(super) fn number(value: &Value) -> f64 {
    value.as_str().unwrap_or_else(|| panic!("a number instead of {value}")).parse().unwrap()
}

pub(super) fn duration_s(path: &Path) -> f64 {
    number(&probe_header(path)["format"]["duration"])
}

/// The time of each picture, in milliseconds.
pub(super) fn picture_times(probed: &Value) -> Vec<i64> {
    let frames = probed["frames"].as_array().unwrap().iter();
    frames.map(|frame| (number(&frame["pts_time"]) * 1000.0).round() as i64).collect()
}

pub(super) fn track(path: &Path, kind: TrackKind) -> Track {
    Track::resume(path, kind, ORIGIN_MS).unwrap()
}

/// The frames of a film: the NAL units of each picture, which has one slice.
pub(super) fn film(stream: &[u8]) -> Vec<Vec<&[u8]>> {
    const SLICES: [u8; 2] = [1, 5];
    let starts = (0..stream.len() - 3).filter(|at| stream[*at..].starts_with(&[0, 0, 1]));
    let starts: Vec<usize> = starts.collect();
    let mut film = Vec::new();
    let mut picture = Vec::new();
    for (index, start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(stream.len());
        let unit = &stream[start + 3..end];
        picture.push(unit.strip_suffix(&[0]).unwrap_or(unit));
        if SLICES.contains(&(unit[0] & 0x1f)) {
            film.push(std::mem::take(&mut picture));
        }
    }
    film
}

/// A frame as Zoom sends it.
pub(super) fn with_start_codes(units: &[&[u8]]) -> Bytes {
    units.iter().flat_map(|unit| [&[0, 0, 0, 1], *unit].concat()).collect()
}

/// The packets in a file where each follows its length in one byte.
pub(super) fn packets(mut file: &[u8]) -> Vec<Bytes> {
    let mut packets = Vec::new();
    while let Some((length, rest)) = file.split_first() {
        let (packet, rest) = rest.split_at(usize::from(*length));
        packets.push(Bytes::copy_from_slice(packet));
        file = rest;
    }
    packets
}

fn run(program: &str, before: &[&str], after: &[&str], path: &Path) -> (Vec<u8>, String) {
    let mut command = Command::new(program);
    command.args(["-v", "error"]).args(before).arg(path).args(after);
    let output = command.output().expect(HOW_TO_INSTALL);
    (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned())
}
