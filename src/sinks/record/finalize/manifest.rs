//! The manifest of a recording: its files, what became of the frames of each medium, and the ledger.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Draft, Finish, FinishError, content_type};
use crate::model::{Medium, MediumLedger, RecordSet, RecordedFile, Speaker, rfc3339};
use crate::sinks::record::track::Counts;

/// The last file of a recording: once it is uploaded, all others are.
pub(in crate::sinks::record) const MANIFEST: &str = "manifest.json";
const MANIFEST_VERSION: u32 = 1;

impl Finish<'_> {
    pub(super) async fn manifest(
        &self,
        folder: &Path,
        files: &[RecordedFile],
        entries: &HashMap<&str, u64>,
    ) -> Result<RecordedFile, FinishError> {
        let manifest = format!("{:#}\n", self.manifest_json(files, entries));
        tokio::fs::write(folder.join(MANIFEST), &manifest).await?;
        let draft = Draft {
            name: MANIFEST.to_owned(),
            place: MANIFEST.to_owned(),
            medium: "manifest".to_owned(),
            speaker: Speaker::default(),
            content_type: content_type(MANIFEST),
            span_ms: None,
        };
        let hash = hex::encode(Sha256::digest(manifest.as_bytes()));
        Ok(self.file(draft, (manifest.len() as u64, hash)))
    }

    fn manifest_json(&self, files: &[RecordedFile], entries: &HashMap<&str, u64>) -> Value {
        let (recording, stream) = (self.recording, self.stream);
        let folder = format!("{}/", self.folder);
        let inside = |path: &str| path.strip_prefix(&folder).map(str::to_owned);
        let origin_ms = self.origin_ms();
        let file = |file: &RecordedFile| {
            json!(ManifestFile {
                name: inside(&file.path),
                medium: &file.medium,
                speaker: &file.speaker,
                content_type: &file.content_type,
                bytes: file.bytes,
                sha256: &file.sha256,
                first_ms: file.first_ms,
                last_ms: file.last_ms,
            })
        };
        let ledger: Vec<_> =
            stream.ledger.iter().map(|account| MediumLedger::of(account, &stream.tally)).collect();
        json!({
            "version": MANIFEST_VERSION,
            "recording_id": recording.id,
            "session_id": recording.session_id,
            "stream_id": recording.stream_id,
            "ordinal": recording.ordinal,
            "part": recording.part,
            "app": stream.app,
            "product": stream.instance.product,
            "instance_id": stream.instance.id(),
            "meeting_id": self.session.meeting_id,
            "record": RecordSet { media: self.meta.media, meeting: self.meta.meeting },
            "origin_ms": origin_ms,
            "origin": rfc3339(origin_ms),
            "started_at_ms": recording.started_at_ms,
            "finished_at_ms": self.now_ms,
            "outcome": stream.outcome,
            "stop_reason": stream.stop_reason,
            "frames": self.meta.total(),
            "media": self.media_json(entries),
            "mix": self.meta.counts.mix,
            "meeting": self.meta.meeting.then_some(self.meta.counts.meeting),
            "voices_beyond_limit": self.meta.counts.voices_beyond_limit,
            "files": files.iter().map(file).collect::<Vec<_>>(),
            "ledger": ledger,
        })
    }

    /// The counts of received, recorded and dropped frames of each medium. `entries`: the number of lines and messages
    /// in the texts.
    fn media_json(&self, entries: &HashMap<&str, u64>) -> Value {
        let medium = |medium: Medium| {
            let received = self.stream.tally.of(medium).frames;
            let counts = self.meta.counts.media.get(&medium).copied().unwrap_or_default();
            let json = match entries.get(medium.as_str()) {
                Some(written) => json!({ "received": received, "written": written }),
                None => json!(Became { received, counts }),
            };
            (medium.to_string(), json)
        };
        self.meta.media.iter().map(medium).collect::<serde_json::Map<_, _>>().into()
    }
}

/// A file as the manifest lists it.
#[derive(Serialize)]
struct ManifestFile<'a> {
    /// The path inside the recording's folder.
    name: Option<String>,
    medium: &'a str,
    #[serde(flatten)]
    speaker: &'a Speaker,
    content_type: &'a str,
    bytes: u64,
    sha256: &'a str,
    first_ms: Option<i64>,
    last_ms: Option<i64>,
}

/// The counts of the frames of one medium.
#[derive(Serialize)]
struct Became {
    received: u64,
    #[serde(flatten)]
    counts: Counts,
}
