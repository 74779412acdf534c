//! Finalizes the recording of an ended stream: closes its files, and writes texts and the manifest.

mod films;
mod manifest;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::task::spawn_blocking;
use tracing::Span;

pub(super) use self::manifest::MANIFEST;
use super::capture_file::{CAPTURE, append_http, mode_of};
use super::capture_http::http_records;
use super::layout::Layout;
use super::leftovers::find_leftovers;
use super::recording_meta::{RecordingMeta, TrackNote};
use super::spool::Spool;
use super::target::{PlaceError, TargetError};
use super::texts::{Text, TextError, Texts};
use super::track::{Finished, TrackFile};
use super::track_set;
use crate::model::{Medium, RecordedFile, Recording, Session, Speaker, StreamRecord};
use crate::secret::Secret;
use crate::store::{Store, StoreError};
use crate::transcript::origin_ms;

const HASH_BYTES: usize = 128 * 1024;

/// Why a recording could not be finalized.
#[derive(Debug, Error)]
pub(super) enum FinishError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    File(#[from] io::Error),
    #[error("{0}")]
    Target(#[from] TargetError),
    #[error("RECORDINGS_URL must be {0}")]
    Place(#[from] PlaceError),
}

impl From<TextError> for FinishError {
    fn from(error: TextError) -> Self {
        match error {
            TextError::Store(error) => Self::Store(error),
            TextError::File(error) => Self::File(error),
        }
    }
}

/// A recording and its stream.
pub(super) struct Finish<'a> {
    pub store: &'a Store,
    pub spool: &'a Arc<Spool>,
    pub layout: &'a Layout,
    /// The recording's folder at the destination.
    pub folder: &'a str,
    /// The most bytes of its files.
    pub max_bytes: u64,
    pub recording: &'a Recording,
    pub meta: &'a RecordingMeta,
    pub session: &'a Session,
    pub streams: &'a [StreamRecord],
    pub stream: &'a StreamRecord,
    /// The app's secrets, which no file may have.
    pub secrets: &'a [Secret<String>],
    pub now_ms: i64,
}

/// A file to be described.
struct Draft {
    name: String,
    /// The path inside the recording's folder at the destination.
    place: String,
    medium: String,
    speaker: Speaker,
    content_type: &'static str,
    span_ms: Option<(i64, i64)>,
}

impl Finish<'_> {
    /// Closes and writes everything. May be called again: existing results are written anew.
    pub(super) async fn run(&self) -> Result<Vec<RecordedFile>, FinishError> {
        let (spool, id, max_bytes) = (Arc::clone(self.spool), self.meta.id, self.max_bytes);
        let text = &self.stream.tally.transcript;
        // Text may be older than the first frame; the files then get silence in front.
        let oldest_ms = text.first_ms.filter(|_| self.meta.records(Medium::Transcript));
        let (meta, tracks) =
            blocking(move || track_set::finish_tracks(&spool, id, oldest_ms, max_bytes)).await?;
        Finish { meta: &meta, ..*self }.describe(&tracks).await
    }

    async fn describe(
        &self,
        tracks: &[(TrackNote, Finished)],
    ) -> Result<Vec<RecordedFile>, FinishError> {
        let mut drafts = Vec::new();
        let folder = self.spool.files(self.recording.id);
        for (note, finished) in tracks {
            let files = finished.files.iter().filter_map(|file| self.track(&folder, note, file));
            drafts.extend(files);
        }
        // Both notes of a file that changed its format name it.
        drafts.sort_by(|one, other| one.name.cmp(&other.name));
        drafts.dedup_by(|one, other| one.name == other.name);
        let texts = self.texts(&folder).await?;
        self.complete_films(tracks).await?;
        let entries = texts.iter().filter_map(|text| Some((text.medium, text.entries?))).collect();
        drafts.extend(texts.into_iter().map(Draft::from));
        drafts.extend(self.capture(&folder).await?);
        drafts.extend(self.damaged(&folder, &drafts).await?);
        // No two files have the same path.
        let mut places = HashSet::new();
        for draft in &mut drafts {
            if !places.insert(draft.place.clone()) {
                draft.place.clone_from(&draft.name);
            }
        }
        let mut files = self.described(drafts).await?;
        // Last, because it lists the hashes of all others.
        files.push(self.manifest(&folder, &files, &entries).await?);
        Ok(files)
    }

    fn track(&self, folder: &Path, note: &TrackNote, file: &TrackFile) -> Option<Draft> {
        let name = file.path.strip_prefix(folder).ok()?.to_str()?.to_owned();
        Some(Draft {
            place: self.layout.place(&name, note.voice(), file.first_ms),
            medium: note.medium_name().to_owned(),
            speaker: note.speaker.clone(),
            content_type: content_type(&name),
            span_ms: Some((file.first_ms, file.last_ms)),
            name,
        })
    }

    fn text_source<'a>(&'a self, folder: &'a Path) -> Texts<'a> {
        Texts {
            store: self.store,
            streams: self.streams,
            stream: self.stream,
            folder,
            origin_ms: self.origin_ms(),
        }
    }

    async fn texts(&self, folder: &Path) -> Result<Vec<Text>, FinishError> {
        let texts = self.text_source(folder);
        let mut written = Vec::new();
        if self.meta.records(Medium::Transcript) {
            written.extend(texts.transcript().await?);
        }
        if self.meta.records(Medium::Chat) {
            written.push(texts.chat().await?);
        }
        written.push(texts.events().await?);
        Ok(written)
    }

    /// Completes the capture of the stream, if there is one, with what the store has of webhooks and REST.
    async fn capture(&self, folder: &Path) -> Result<Option<Draft>, FinishError> {
        let of = folder.to_owned();
        let Some(mode) = blocking(move || Ok(mode_of(&of))).await? else { return Ok(None) };
        let secrets = self.secrets.to_vec();
        let records = http_records(self.store, self.stream, mode, secrets).await?;
        let of = folder.to_owned();
        blocking(move || append_http(&of, &records)).await?;
        Ok(Some(Draft {
            name: CAPTURE.to_owned(),
            place: CAPTURE.to_owned(),
            medium: "capture".to_owned(),
            speaker: Speaker::default(),
            content_type: content_type(CAPTURE),
            span_ms: None,
        }))
    }

    /// The time origin of all files.
    fn origin_ms(&self) -> i64 {
        let of_stream = || origin_ms([self.stream], None);
        let origin_ms = self.meta.origin_ms.unwrap_or_else(of_stream);
        // A stream without any data has no origin, and `origin_ms` returns 0.
        if origin_ms > 0 { origin_ms } else { self.meta.started_at_ms }
    }

    async fn described(&self, drafts: Vec<Draft>) -> Result<Vec<RecordedFile>, FinishError> {
        let folder = self.spool.files(self.recording.id);
        let names: Vec<String> = drafts.iter().map(|draft| draft.name.clone()).collect();
        let hash = move || {
            let hashed = names.iter().map(|name| hash_file(&folder.join(name)));
            hashed.collect::<io::Result<Vec<_>>>()
        };
        let hashes = blocking(hash).await?;
        let described = drafts.into_iter().zip(hashes);
        Ok(described.map(|(draft, hash)| self.file(draft, hash)).collect())
    }

    fn file(&self, draft: Draft, (bytes, sha256): (u64, String)) -> RecordedFile {
        RecordedFile {
            api_name: api_name(self.recording, &draft.place),
            path: format!("{}/{}", self.folder, draft.place),
            name: draft.name,
            medium: draft.medium,
            speaker: draft.speaker,
            content_type: draft.content_type.to_owned(),
            bytes,
            sha256,
            first_ms: draft.span_ms.map(|span| span.0),
            last_ms: draft.span_ms.map(|span| span.1),
        }
    }

    /// Files that belong to no track and no text: kept and listed, whatever they are.
    async fn damaged(&self, folder: &Path, known: &[Draft]) -> Result<Vec<Draft>, FinishError> {
        let known: HashSet<String> = known.iter().map(|draft| draft.name.clone()).collect();
        let (folder, recording) = (folder.to_owned(), self.recording.id);
        let names = blocking(move || find_leftovers(&folder, &known, recording)).await?;
        Ok(names.into_iter().map(|name| self.damaged_file(name)).collect())
    }

    fn damaged_file(&self, name: String) -> Draft {
        let stem = |note: &TrackNote| note.name.split('.').next().map_or(0, str::len);
        let is_of = |note: &&TrackNote| name.starts_with(&note.name[..stem(note)]);
        // The longest matching stem: `audio-7` is also the beginning of `audio-70`.
        let note = self.meta.tracks.iter().filter(is_of).max_by_key(|note| stem(note));
        Draft {
            place: name.clone(),
            medium: note.map_or("unknown", TrackNote::medium_name).to_owned(),
            speaker: note.map(|note| note.speaker.clone()).unwrap_or_default(),
            content_type: content_type(&name),
            span_ms: None,
            name,
        }
    }
}

/// The expected files of a running recording.
pub(super) fn expected_files(recording: &Recording, meta: &RecordingMeta) -> Vec<RecordedFile> {
    let file = |note: &TrackNote| RecordedFile {
        name: note.name.clone(),
        api_name: api_name(recording, &note.name),
        path: note.name.clone(),
        medium: note.medium_name().to_owned(),
        speaker: note.speaker.clone(),
        content_type: content_type(&note.name).to_owned(),
        bytes: 0,
        sha256: String::new(),
        first_ms: None,
        last_ms: None,
    };
    // Pictures are many files; their names follow at the end.
    meta.tracks.iter().filter(|note| note.kind.extension().is_some()).map(file).collect()
}

impl From<Text> for Draft {
    fn from(text: Text) -> Self {
        Self {
            place: text.name.clone(),
            name: text.name,
            medium: text.medium.to_owned(),
            speaker: Speaker::default(),
            content_type: text.content_type,
            span_ms: text.span_ms,
        }
    }
}

/// A file's name in the API: with its stream's number in front, and without folders.
fn api_name(recording: &Recording, place: &str) -> String {
    let place = place.replace('/', "-");
    match recording.part {
        1 => format!("{}-{place}", recording.ordinal),
        part => format!("{}.{part}-{place}", recording.ordinal),
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("wav") => "audio/wav",
        Some("ogg") => "audio/ogg",
        Some("mp4") => "video/mp4",
        Some("jpg") => "image/jpeg",
        Some("png") => "image/png",
        Some("gz") => "application/gzip",
        Some("json") => "application/json",
        Some("jsonl") => "application/jsonl",
        _ => "application/octet-stream",
    }
}

/// A file's length and its SHA-256 in hex.
fn hash_file(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut chunk = vec![0; HASH_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok((bytes, hex::encode(hash.finalize()))),
            read => {
                hash.update(&chunk[..read]);
                bytes += read as u64;
            }
        }
    }
}

/// Runs file operations on a thread that may block on the disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    // A panic becomes an error of this recording only.
    let context = Span::current();
    spawn_blocking(move || context.in_scope(work))
        .await
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
}
