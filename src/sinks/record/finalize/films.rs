//! Completes the films of everything of a recording, when its transcript is known.

use super::{Finish, FinishError, blocking};
use crate::sinks::record::recording_meta::TrackNote;
use crate::sinks::record::track::{Finished, TrackKind, complete_meeting};

impl Finish<'_> {
    /// Adds the transcript and an index to films of everything.
    pub(super) async fn complete_films(
        &self,
        tracks: &[(TrackNote, Finished)],
    ) -> Result<(), FinishError> {
        let is_film = |note: &TrackNote| matches!(note.kind, TrackKind::Meeting(_));
        let films = tracks.iter().filter(|(note, _)| is_film(note));
        let films: Vec<_> = films.flat_map(|(_, film)| &film.files).cloned().collect();
        if films.is_empty() {
            return Ok(());
        }
        let cues = self.text_source(&self.spool.files(self.recording.id)).cues().await?;
        let complete =
            move || films.iter().try_for_each(|film| complete_meeting(&film.path, &cues));
        Ok(blocking(complete).await?)
    }
}
