//! The sources of a stream's recent frames. Frames of speakers who were just heard need neither the roster's lock nor a
//! lookup: they clone one `Arc`.

use std::sync::Arc;

use crate::hub::frame::{FrameSource, StreamInfo};
use crate::hub::registry::RunningStream;
use crate::model::{SpeakerRef, UserId, UserIdRef};
use crate::prefetch::prefetch_ref_counts;

/// How many sources are remembered: about as many as people talk at the same time.
const MAX_SOURCES: usize = 4;

/// The last few sources by user id; without one for frames that name nobody, such as mixed audio.
#[derive(Default)]
pub(super) struct KnownSources {
    known: [Option<(Option<UserId>, Arc<FrameSource>)>; MAX_SOURCES],
    /// The index that the next new source replaces.
    next: usize,
}

impl KnownSources {
    /// The source of a frame; found without the roster if it is one of the last few.
    pub(super) fn of(
        &mut self,
        who: &SpeakerRef<'_>,
        stream: &Arc<StreamInfo>,
        running: &RunningStream,
    ) -> Arc<FrameSource> {
        let number = match (&who.user_id, &who.channel_id) {
            (None, None) => None,
            (Some(UserIdRef::Number(user_id)), None) => Some(*user_id),
            _ => return find_source(who, stream, running),
        };
        if let Some((_, source)) = self.known.iter().flatten().find(|(known, _)| *known == number) {
            return Arc::clone(source);
        }
        let source = find_source(who, stream, running);
        self.known[self.next] = Some((number, Arc::clone(&source)));
        self.next = (self.next + 1) % MAX_SOURCES;
        source
    }

    /// Forgets the sources. Call it before every entry, because an entry may change the roster, and before every change of
    /// the stream's description.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Prefetches the reference counts that the next frame of a known speaker changes.
    pub(super) fn prefetch(&self) {
        self.known.iter().flatten().for_each(|(_, source)| prefetch_ref_counts(source));
    }
}

fn find_source(
    who: &SpeakerRef<'_>,
    stream: &Arc<StreamInfo>,
    running: &RunningStream,
) -> Arc<FrameSource> {
    let (speaker, active_speaker) = running.people().heard(who);
    Arc::new(FrameSource { stream: Arc::clone(stream), speaker, active_speaker })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::hub::live_streams::Figures;
    use crate::hub::stream_info;
    use crate::model::{StreamStatus, Tally};

    fn running() -> RunningStream {
        let figures = Figures::new(Instant::now(), StreamStatus::Live, Tally::default());
        RunningStream::new(Arc::new(stream_info()), figures)
    }

    fn user(number: u64) -> SpeakerRef<'static> {
        SpeakerRef { user_id: Some(UserIdRef::Number(UserId(number))), channel_id: None }
    }

    #[test]
    fn speakers_who_talk_at_the_same_time_keep_their_sources_and_the_oldest_makes_room() {
        let (running, mut sources) = (running(), KnownSources::default());
        let stream = Arc::clone(&*running.stream());
        let mut of = |who: &SpeakerRef<'_>| sources.of(who, &stream, &running);
        let numbers = 1..MAX_SOURCES as u64;
        let whos: Vec<SpeakerRef<'_>> = numbers.map(user).chain([SpeakerRef::default()]).collect();
        let first: Vec<Arc<FrameSource>> = whos.iter().map(&mut of).collect();
        let ids = first.iter().map(|source| source.speaker.as_ref()?.speaker.number());
        let expected = (1..MAX_SOURCES as u64).map(|id| Some(UserId(id))).chain([None]);
        assert!(ids.eq(expected));
        let mut is_same = |at: usize| Arc::ptr_eq(&of(&whos[at]), &first[at]);
        assert!((0..MAX_SOURCES).chain(0..MAX_SOURCES).all(&mut is_same));
        of(&user(99));
        let mut is_same = |at: usize| Arc::ptr_eq(&of(&whos[at]), &first[at]);
        assert!((1..MAX_SOURCES).all(&mut is_same) && !is_same(0));
    }
}
