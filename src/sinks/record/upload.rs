//! Completes the recording of an ended stream: finalizes, uploads and marks it as stored. Each step is retried until it
//! succeeds, and a restart continues with the first incomplete step.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::Shared;
use super::destination::Destination;
use super::finalize::{Finish, FinishError, MANIFEST, blocking};
use super::layout::Subject;
use super::recording_meta::RecordingMeta;
use super::spool::Spool;
use super::target::{FileUpload, TargetError};
use crate::metrics::Metrics;
use crate::model::{RecordedFile, Recording, RecordingStatus, SpoolId, StreamRecord};
use crate::net::retry::{Doubling, retry_until_ok};
use crate::store::{NewRecording, StoreError};

/// The waits between tries.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Completes a recording. Returns when nothing is left to do here.
pub(super) async fn complete_recording(
    shared: Arc<Shared>,
    spool: Arc<Spool>,
    meta: RecordingMeta,
) {
    shared.quota.set(meta.id, spooled_bytes(&spool, &meta).await);
    let mut recording = announce_recording(&shared, spool.id, &meta).await;
    if recording.status == RecordingStatus::Failed {
        recording.status = taken_up(&shared, &recording).await;
    }
    if recording.status == RecordingStatus::Recording {
        let Some(destination) = finalize_files(&shared, &spool, &recording, &meta).await else {
            return;
        };
        recording.target = Some(destination.name.clone());
        recording.status = RecordingStatus::Uploading;
    }
    if recording.status == RecordingStatus::Uploading {
        let files = persistently(&shared.metrics, "a recording's files", || {
            shared.store.recorded_files(recording.id)
        });
        let files = files.await;
        if !upload_files(&shared, &spool, &recording, &files).await {
            return;
        }
        recording.status = RecordingStatus::Stored;
        tracing::info!(recording = %recording.id, files = files.len(), "recording stored");
    }
    if recording.status == RecordingStatus::Stored {
        persistently(&shared.metrics, "a spool's folder", || {
            let (spool, id) = (Arc::clone(&spool), recording.id);
            blocking(move || spool.remove(id))
        })
        .await;
        shared.quota.clear(recording.id);
    }
}

/// Resumes a recording after its spool was considered lost.
async fn taken_up(shared: &Shared, recording: &Recording) -> RecordingStatus {
    let (from, to) = match recording.finished_at_ms {
        None => (RecordingStatus::Failed, RecordingStatus::Recording),
        Some(_) => (RecordingStatus::Failed, RecordingStatus::Uploading),
    };
    let is_moved = persistently(&shared.metrics, "a recording's state", || {
        shared.store.move_recording(recording.id, from, to, (shared.now_ms)())
    });
    if is_moved.await { to } else { from }
}

/// Returns the recording's row, and creates it if it does not exist.
pub(super) async fn announce_recording(
    shared: &Shared,
    spool: SpoolId,
    meta: &RecordingMeta,
) -> Recording {
    let new = NewRecording {
        id: meta.id,
        session_id: meta.session_id,
        stream_id: &meta.stream_id,
        ordinal: meta.ordinal,
        spool,
        started_at_ms: meta.started_at_ms,
    };
    persistently(&shared.metrics, "a recording's row", || shared.store.begin_recording(&new)).await
}

/// Finalizes the files and returns where they go. None if the recording is to be deleted.
async fn finalize_files(
    shared: &Shared,
    spool: &Arc<Spool>,
    recording: &Recording,
    meta: &RecordingMeta,
) -> Option<Arc<Destination>> {
    persistently(&shared.metrics, "the end of a recording", || {
        try_finish(shared, spool, recording, meta)
    })
    .await
}

async fn try_finish(
    shared: &Shared,
    spool: &Arc<Spool>,
    recording: &Recording,
    meta: &RecordingMeta,
) -> Result<Option<Arc<Destination>>, FinishError> {
    let (store, now_ms) = (&shared.store, (shared.now_ms)());
    let id = recording.session_id;
    let streams = store.streams_of(id).await?;
    let stream = streams.iter().find(|stream| stream.stream_id == recording.stream_id);
    let (Some(session), Some(stream)) = (store.session(id).await?, stream) else {
        return Err(StoreError::Row("a recording's stream is not known".into()).into());
    };
    let from = RecordingStatus::Recording;
    if stream.is_revoked() {
        store.move_recording(recording.id, from, RecordingStatus::Deleting, now_ms).await?;
        return Ok(None);
    }
    let destination = shared.destinations.of_app(&recording.app)?;
    let folder = folder_for(&destination, recording, stream).await?;
    // Only now, and for one try: a target that does not answer, or a wait for the next try, must not block others.
    let _turn = shared.finishes.acquire().await;
    let secrets = shared.apps.get(&recording.app).map_or_else(Vec::new, |app| app.secrets());
    let finish = Finish {
        store,
        spool,
        layout: &destination.layout,
        folder: &folder,
        max_bytes: shared.quota.max_each_bytes(),
        recording,
        meta,
        session: &session,
        streams: &streams,
        stream,
        secrets: &secrets,
        now_ms,
    };
    let files = finish.run().await?;
    // The target is stored with the folder, whose name is known to be free only there.
    store.set_recording_target(recording.id, &destination.name).await?;
    let is_finished = store.finish_recording(recording, &files, now_ms).await?;
    Ok(is_finished.then_some(destination))
}

/// Chooses the recording's folder at the destination. If it is not empty, another recording's files are in it, because
/// nothing was uploaded yet.
async fn folder_for(
    destination: &Destination,
    recording: &Recording,
    stream: &StreamRecord,
) -> Result<String, FinishError> {
    let subject = Subject {
        app: &stream.app,
        session_id: recording.session_id,
        stream_id: &recording.stream_id,
        ordinal: recording.ordinal,
        instance: &stream.instance,
        started_at_ms: recording.started_at_ms,
    };
    let folder = destination.layout.folder(&subject, recording.part);
    if destination.target.is_free(&folder).await? {
        return Ok(folder);
    }
    tracing::warn!(recording = %recording.id, "a recording's folder already contains files; another folder is used");
    Ok(format!("{folder}-{}", recording.id))
}

/// Moves all files to the destination, the manifest last. False if the recording is to be deleted, or files are lost.
async fn upload_files(
    shared: &Shared,
    spool: &Spool,
    recording: &Recording,
    files: &[RecordedFile],
) -> bool {
    let destination = persistently(&shared.metrics, "a recording's destination", || async {
        shared.destinations.for_upload(recording)
    })
    .await;
    let destination = &*destination;
    // Before the first file is there: a deletion must know where to look.
    persistently(&shared.metrics, "a recording's target", || {
        shared.store.set_recording_target(recording.id, &destination.name)
    })
    .await;
    let (last, first): (Vec<RecordedFile>, Vec<RecordedFile>) =
        files.iter().cloned().partition(|file| file.name == MANIFEST);
    let upload = |file: RecordedFile| async move {
        uploaded_file(shared, destination, spool, recording, &file).await
    };
    let first = stream::iter(first).map(upload).buffer_unordered(super::UPLOADS_AT_ONCE);
    // `all` stops at the first missing file and drops the uploads that still run.
    let mut is_whole = first.all(async |is_there| is_there).await;
    for file in last {
        is_whole = is_whole && uploaded_file(shared, destination, spool, recording, &file).await;
    }
    if is_whole {
        return persistently(&shared.metrics, "a recording's state", || {
            shared.store.store_recording(recording, files, (shared.now_ms)())
        })
        .await;
    }
    shared.metrics.recordings_failed.inc([]);
    tracing::error!(recording = %recording.id, "files of a recording are missing in the spool; it is marked as failed");
    persistently(&shared.metrics, "a recording's state", || {
        let (from, to) = (RecordingStatus::Uploading, RecordingStatus::Failed);
        shared.store.move_recording(recording.id, from, to, (shared.now_ms)())
    })
    .await;
    false
}

/// False if the file is missing.
async fn uploaded_file(
    shared: &Shared,
    destination: &Destination,
    spool: &Spool,
    recording: &Recording,
    file: &RecordedFile,
) -> bool {
    let from = spool.files(recording.id).join(&file.name);
    persistently(&shared.metrics, "an upload", || async {
        let _turn = destination.uploads.acquire().await;
        let file_upload = FileUpload {
            from: &from,
            path: &file.path,
            content_type: &file.content_type,
            owner: recording.id,
        };
        match destination.target.upload(&file_upload).await {
            Ok(()) => Ok(true),
            // An object store without its bucket returns the same error.
            Err(TargetError::Missing) if !from.exists() => Ok(false),
            Err(error) => Err(error),
        }
    })
    .await
}

async fn spooled_bytes(spool: &Arc<Spool>, meta: &RecordingMeta) -> u64 {
    let (spool, id) = (Arc::clone(spool), meta.id);
    blocking(move || Ok::<_, io::Error>(spool.bytes(id))).await.unwrap_or(0)
}

/// Retries until it succeeds.
async fn persistently<T, E: Display, F: Future<Output = Result<T, E>>>(
    metrics: &Metrics,
    what: &'static str,
    attempt: impl Fn() -> F,
) -> T {
    let mut has_failed = false;
    let failed = |error: E, wait| {
        has_failed = true;
        metrics.recording_retries.inc([]);
        // At the first failure, and then once a minute.
        if wait == FIRST_RETRY || wait == LAST_RETRY {
            tracing::warn!(what, %error, "recordings: an operation failed; retrying until it succeeds");
        }
    };
    let done = retry_until_ok(Doubling::new(FIRST_RETRY, LAST_RETRY), failed, attempt).await;
    if has_failed {
        tracing::info!(what, "recordings: an operation that failed before has succeeded");
    }
    done
}
