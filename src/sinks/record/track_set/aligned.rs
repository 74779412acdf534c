//! Shifts tracks that were started under a later time origin: when they are opened, at the latest when the recording is
//! finished.

use std::io;
use std::path::{Path, PathBuf};

use super::open::{Film, TrackOrMix};
use crate::model::RecordingId;
use crate::sinks::record::recording_meta::{RecordingMeta, TrackNote};
use crate::sinks::record::spool::Spool;
use crate::sinks::record::track::{Finished, TrackError, shift};

/// Text up to this long before the first frame is placed at time 0: no file is shifted for less.
const TEXT_BEFORE_MS: i64 = 5_000;

/// Shifts an existing track to the recording's time origin. Returns its path and that origin. May be called again after
/// an error.
pub(super) fn align_track(
    spool: &Spool,
    meta: &mut RecordingMeta,
    index: usize,
) -> Result<(PathBuf, i64), TrackError> {
    let origin_ms = meta.origin_ms.unwrap_or(meta.started_at_ms);
    let path = spool.files(meta.id).join(&meta.tracks[index].name);
    match try_align(spool, meta, index, &path, origin_ms) {
        Ok(()) => Ok((path, origin_ms)),
        Err(source) => Err(TrackError { path, source }),
    }
}

fn try_align(
    spool: &Spool,
    meta: &mut RecordingMeta,
    index: usize,
    path: &Path,
    origin_ms: i64,
) -> io::Result<()> {
    let note = &mut meta.tracks[index];
    let (kind, from_ms) = (note.kind, note.origin_ms.unwrap_or(origin_ms));
    // Completes an earlier shift that was interrupted: only then have all files the origin in the metadata.
    shift::commit_copies(path, from_ms)?;
    if from_ms > origin_ms {
        shift::prepare_copies(path, kind, from_ms, origin_ms)?;
    }
    note.origin_ms = Some(origin_ms);
    if from_ms > origin_ms {
        // From here on the copies count, even if replacing the files with them fails.
        spool.save(meta).inspect_err(|_| meta.tracks[index].origin_ms = Some(from_ms))?;
        shift::commit_copies(path, origin_ms)?;
    }
    Ok(())
}

/// Closes every track of a finished recording, whichever daemon wrote it, and returns the files with the resulting
/// metadata. `oldest_ms`: the oldest text of the recording; `max_bytes`: the most bytes of its files. May be called
/// again.
pub(crate) fn finish_tracks(
    spool: &Spool,
    id: RecordingId,
    oldest_ms: Option<i64>,
    max_bytes: u64,
) -> io::Result<(RecordingMeta, Vec<(TrackNote, Finished)>)> {
    let mut meta = spool.meta(id)?;
    if let (Some(origin_ms), Some(oldest_ms)) = (meta.origin_ms, oldest_ms)
        && oldest_ms < origin_ms - TEXT_BEFORE_MS
    {
        let moved_ms = shift::origin_for(origin_ms, oldest_ms);
        let longer = meta.silence_bytes(origin_ms - moved_ms);
        if spool.bytes(id).saturating_add(longer) <= max_bytes {
            meta.begin_at(moved_ms);
            spool.save(&mut meta)?;
        }
    }
    let mut tracks = Vec::new();
    for index in 0..meta.tracks.len() {
        let (path, origin_ms) =
            align_track(spool, &mut meta, index).map_err(|error| error.source)?;
        let note = meta.tracks[index].clone();
        // Nothing is added to a film.
        let film = Film { now_ms: origin_ms, shows_screen: false };
        let writer = TrackOrMix::resume(&path, note.is_mix, note.kind, origin_ms, film);
        let finished = writer.and_then(TrackOrMix::finish).map_err(|error| error.source)?;
        tracks.push((note, finished));
    }
    Ok((meta, tracks))
}
