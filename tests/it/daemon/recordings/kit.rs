//! What the tests of recordings share: homes that record, the files of a recording, and tools that read them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use rtmsd::simulator::Settings;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::kit::{Api, Home, chatter, eventually, script, zoom};

pub(crate) const ANA: u64 = 16_778_240;
pub(crate) const BO: u64 = 16_779_264;
/// How long one frame of sound is.
pub(crate) const FRAME_MS: usize = 20;

/// Every medium is received and recorded.
pub(crate) fn recording(home: Home) -> Home {
    recording_of(home, "audio,video,share,transcript,chat")
}

/// These media are received and recorded.
pub(crate) fn recording_of(home: Home, media: &str) -> Home {
    home.set("MEDIA_TYPES", media).set("RECORD", media)
}

/// A meeting of a few seconds with two voices, a camera, a screen and a chat message.
pub(crate) fn meeting() -> Settings {
    let mut timeline = chatter(8, 500);
    timeline.extend([
        json!({"at_ms": 200, "video_on": "ana"}),
        json!({"at_ms": 600, "chat": {"who": "bo", "text": "hello"}}),
        json!({"at_ms": 1_000, "share_start": "bo"}),
        json!({"at_ms": 3_500, "share_stop": {}}),
    ]);
    zoom(script(timeline, 5_000))
}

/// What the API says of one recording, and its files.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub api: Api,
    pub session_id: String,
    pub view: Value,
}

/// The session's only recording, as soon as it has this status.
pub(crate) async fn recorded(api: Api, session_id: &str, status: &str) -> Recorded {
    let path = format!("/api/v1/sdk/sessions/{session_id}/recordings");
    let what = format!("a recording is {status}");
    let view = eventually(&what, async || {
        let answer = api.get(&path).await.filter(|answer| answer.status == 200)?;
        let recordings = answer.json()["data"]["recordings"].as_array().cloned()?;
        assert!(recordings.len() <= 1, "{recordings:#?}");
        recordings.into_iter().find(|recording| recording["status"] == status)
    });
    Recorded { api, session_id: session_id.to_owned(), view: view.await }
}

impl Recorded {
    pub(crate) fn names(&self) -> Vec<&str> {
        let files = self.view["files"].as_array().unwrap();
        files.iter().map(|file| file["file"].as_str().unwrap()).collect()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        format!("/api/v1/sdk/sessions/{}/recordings/{name}", self.session_id)
    }

    pub(crate) async fn download(&self, name: &str) -> Vec<u8> {
        let answer = self.api.get(&self.path(name)).await.unwrap();
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        answer.body
    }

    pub(crate) async fn text(&self, name: &str) -> String {
        String::from_utf8(self.download(name).await).unwrap()
    }

    pub(crate) async fn manifest(&self) -> Value {
        serde_json::from_str(&self.text("1-manifest.json").await).unwrap()
    }

    /// Downloads everything, and asserts that it is what list and manifest say.
    pub(crate) async fn checked(&self) -> BTreeMap<String, Vec<u8>> {
        let manifest = self.manifest().await;
        let mut files = BTreeMap::new();
        for file in self.view["files"].as_array().unwrap() {
            let name = file["file"].as_str().unwrap();
            let bytes = self.download(name).await;
            assert_eq!(file["bytes"], bytes.len(), "{name}");
            assert_eq!(file["sha256"], hex::encode(Sha256::digest(&bytes)), "{name}");
            let listed = manifest["files"].as_array().unwrap();
            let same = listed.iter().find(|listed| listed["sha256"] == file["sha256"]);
            assert!(same.is_some() || name == "1-manifest.json", "{name} is not in {manifest:#}");
            files.insert(name.to_owned(), bytes);
        }
        files
    }
}

/// The gaps of a medium in a manifest, by cause.
pub(crate) fn causes(manifest: &Value, medium: &str) -> Vec<String> {
    let media = manifest["ledger"].as_array().unwrap();
    let account = media.iter().find(|account| account["medium"] == medium).unwrap();
    let gaps = account["gaps"].as_array().unwrap();
    gaps.iter().map(|gap| gap["cause"].as_str().unwrap().to_owned()).collect()
}

/// How many frames of a WAV file of 16 kHz, mono, 16 bits hold sound.
pub(crate) fn sounding_frames(wav: &[u8]) -> usize {
    let data = wav.windows(4).position(|four| four == b"data").expect("a data chunk") + 8;
    let frame_bytes = FRAME_MS * 32;
    wav[data..].chunks(frame_bytes).filter(|frame| frame.iter().any(|byte| *byte != 0)).count()
}

/// What ffprobe says of a file.
pub(crate) fn probe(bytes: &[u8], name: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let out = Command::new("ffprobe")
        .args(["-v", "error", "-print_format", "json", "-show_format", "-show_streams"])
        .arg(&path)
        .output()
        .expect("ffprobe is there: tests/setup installs ffmpeg");
    assert!(out.status.success() && out.stderr.is_empty(), "{name}: {out:?}");
    serde_json::from_slice(&out.stdout).unwrap()
}

/// In seconds.
pub(crate) fn duration_s(probed: &Value) -> f64 {
    probed["format"]["duration"].as_str().unwrap().parse().unwrap()
}

/// Where recordings go, without a setting.
pub(crate) fn folder(home: &Home) -> PathBuf {
    home.folder().join("data/recordings")
}

/// Every file below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let below = |path: PathBuf| match path.is_dir() {
        true => files_below(&path),
        false => vec![path],
    };
    entries.flat_map(|entry| below(entry.unwrap().path())).collect()
}

/// What recordings still lie in the spool.
pub(crate) fn spooled(home: &Home) -> Vec<PathBuf> {
    let below = files_below(&home.folder().join("data/spool"));
    below.into_iter().filter(|path| !path.ends_with("lock") && !path.ends_with("id")).collect()
}
