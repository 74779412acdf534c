//! Removes the files of a recording that is to be deleted, and puts off a deletion if files cannot be removed.

use std::io;
use std::sync::Arc;

use thiserror::Error;

use super::Shared;
use super::destination::OtherTarget;
use super::finalize::blocking;
use super::spool::Spool;
use super::target::{PlaceError, Target, TargetError};
use crate::model::Recording;
use crate::store::StoreError;

/// Why a recording is not deleted yet.
#[derive(Debug, Error)]
enum RemovalError {
    #[error("its folder in the spool: {0}")]
    Spool(#[from] io::Error),
    #[error("{failed} of {files} files; the first: {error}")]
    Files { failed: usize, files: usize, error: TargetError },
    /// Removing them from today's target would find nothing and forget them.
    #[error(
        "its files are in {0}, and recordings go elsewhere now; set RECORDINGS_URL, or recordings_url of its app, back \
         to have them removed"
    )]
    OtherTarget(String),
    #[error("RECORDINGS_URL must be {0}")]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Deletes a recording, or notes when to try again. `spool`: if it is the one that the recording was made in.
pub(super) async fn delete_or_defer(shared: &Shared, spool: Option<Arc<Spool>>, row: &Recording) {
    let Err(error) = delete_recording(shared, spool, row).await else { return };
    let now_ms = (shared.now_ms)();
    if let Err(error) = shared.store.defer_recording_deletion(row, now_ms).await {
        tracing::debug!(%error, "a failed deletion of a recording could not be noted");
    }
    if row.failed_deletions == 0 {
        tracing::error!(recording = %row.id, %error,
            "recording not deleted; retrying with growing waits, further failures are not logged");
    }
}

async fn delete_recording(
    shared: &Shared,
    spool: Option<Arc<Spool>>,
    row: &Recording,
) -> Result<(), RemovalError> {
    // Parts of it may be in another daemon's spool, which only that daemon can remove.
    let is_elsewhere = spool.is_none() && row.stored_at_ms.is_none();
    if let Some(spool) = spool {
        let id = row.id;
        blocking(move || spool.remove(id)).await?;
        shared.quota.clear(id);
    }
    // Before that its files have no paths.
    if row.finished_at_ms.is_some() {
        match shared.destinations.of_recording(row)? {
            Ok(destination) => remove_files(shared, &destination.target, row).await?,
            // A folder of another machine is never within reach.
            Err(_) if is_elsewhere && !shared.destinations.of_app(&row.app)?.target.is_shared() => {
            }
            Err(OtherTarget(other)) => return Err(RemovalError::OtherTarget(other)),
        }
    }
    if is_elsewhere {
        return Ok(shared.store.sweep_recording(row.id, (shared.now_ms)()).await?);
    }
    shared.store.forget_recording(row.id).await?;
    tracing::info!(recording = %row.id, "recording deleted");
    Ok(())
}

/// Removes every file that can be removed: one that cannot does not keep the others.
async fn remove_files(
    shared: &Shared,
    target: &Target,
    row: &Recording,
) -> Result<(), RemovalError> {
    let files = shared.store.recorded_files(row.id).await?;
    let (mut failed, mut first) = (0, None);
    for file in &files {
        if let Err(error) = target.remove(&file.path).await {
            failed += 1;
            first.get_or_insert(error);
        }
    }
    match first {
        Some(error) => Err(RemovalError::Files { failed, files: files.len(), error }),
        None => Ok(()),
    }
}
